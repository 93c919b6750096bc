"""The generated pages say what the code says now, and every link of the documentation leads somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("file", GENERATED)
def test_a_generated_page_is_current(file):
    written = (ROOT / "docs" / "reference" / file).read_text(encoding="utf-8")
    assert written == GENERATED[file], "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_or_heading_leads_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        place, _, heading = target.partition("#")
        found = page.parent / place if place else page
        assert found.exists(), f"{page.name} links to {target}"
        if heading:
            assert heading in headings(found), f"{page.name} links to {target}"


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def headings(page: Path) -> set[str]:
    """The anchors that a Markdown viewer gives headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in found}
