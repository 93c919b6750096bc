"""The generated pages say what the code says now, and every link of the documentation leads somewhere."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs"))  # as it is for a program that is started there
GENERATED = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("file", GENERATED)
def test_a_generated_page_is_current(file):
    written = (ROOT / "docs" / "reference" / file).read_text(encoding="utf-8")
    assert written == GENERATED[file], "run `make docs`"


def test_every_error_of_the_reference_says_something():
    rows = [line.split(" | ") for line in GENERATED["errors.md"].splitlines() if line.startswith("| `")]
    assert len(rows) > 200
    assert [slug for slug, _, *message in rows if not re.search("[a-z]{3}", "".join(message))] == []


def test_every_setting_is_explained():
    part = GENERATED["recipes.md"].partition("\n## settings\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in part.splitlines() if line.startswith("| `")]
    assert len(rows) > 10
    assert [row[0] for row in rows if row[3] == " |"] == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('raise UsageError("a plain one", slug="s-1")', ["a plain one"]),
        ('raise UsageError(f"{x} is " + "a sum of {x}", slug="s-1")', ["… is a sum of {x}"]),
        ('raise UsageError("one" if x else "two", slug="s-1")', ["one", "two"]),
        ('raise UsageError(f"{WORD} is a constant", slug="s-1")', ["it is a constant"]),
        ('raise UsageError(f"{x}: {later(x)}", slug="s-1")', ["…: here: …"]),
        ('raise failed(f"handed to {x}")\n\ndef failed(why):\n    return UsageError(why, slug="s-1")', ["handed to …"]),
        ('raise failed("s-1", x)\n\ndef failed(slug, x):\n    return UsageError(f"of {x}", slug=slug)', ["of …"]),
        ('why = "one"\n    if x:\n        why = f"two {x}"\n    raise UsageError(why, slug="s-1")', ["one", "two …"]),
        (
            'why = "over"\n    why = "this holds"\n    raise UsageError(f"{x}: {why}", slug="s-1")',
            ["…: this holds"],
        ),
    ],
)
def test_messages_are_found_however_they_are_written(tmp_path, source, said):
    from error_messages import raised

    package = tmp_path / "orchestrator"
    package.mkdir()
    text = f'WORD = "it"\n\ndef later(x):\n    return f"here: {{x}}"\n\ndef f(x):\n    {source}\n'
    (package / "module.py").write_text(text)
    assert [(one.slug, one.code, one.message) for one in raised(package)] == [("s-1", 2, message) for message in said]


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


TEXTS = [path for folder in ("docs", "tests", "benchmarks") for path in sorted(ROOT.glob(f"{folder}/**/*"))]
INVENTED = "tests/unit/test_floors.py"


@pytest.mark.parametrize("suffix", [".md", ".py"])
def test_modules_that_are_named_in_text_exist(suffix):
    """Also in programs that a test or a benchmark starts, whose imports no tool reads."""
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in TEXTS
        if path.suffix == suffix and path != ROOT / INVENTED
        for name in re.findall(r"\borchestrator(?:\.[a-z_0-9]+)+", path.read_text(encoding="utf-8"))
        if not is_there(name)
    ]
    assert missing == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_functions_that_are_named_with_their_file_exist(page):
    named = re.findall(r"`([a-z_0-9/]+\.py):(\w+)`", (ROOT / page).read_text(encoding="utf-8"))
    assert named
    missing = [f"{file}:{name}" for file, name in named if not is_defined(name, ROOT / "orchestrator" / file)]
    assert missing == []


def is_defined(name: str, file: Path) -> bool:
    """Whether a function, class or constant stands at the top of a module."""
    return file.is_file() and bool(re.search(rf"^(def |class )?{name}\b", file.read_text("utf-8"), re.MULTILINE))


def is_there(name: str) -> bool:
    """Whether a dotted name leads to a module, or to something that a module or package speaks of."""
    place = ROOT
    for part in name.split("."):
        if (place / f"{part}.py").is_file():
            return True
        if not (place / part).is_dir():
            return part in (place / "__init__.py").read_text(encoding="utf-8")
        place = place / part
    return True


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def headings(page: Path) -> set[str]:
    """The anchors that a Markdown viewer gives headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in found}
