"""The pictures of README and docs: drawn from what mlorch prints, and asking for nothing from the network."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = sorted(ROOT.glob("docs/images/*.svg"))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_whole_and_asks_for_nothing(path):
    text = path.read_text(encoding="utf-8")
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"@font-face|@import|https?://(?!www\.w3\.org/|www\.textualize\.io)", text)
    assert [
        found for found in re.findall(r"(?:href|src)=\"([^\"]*)|url\(([^)]*)", text) if not found[1].startswith("#")
    ] == []


def test_what_a_terminal_shows_is_drawn_with_its_colours(tmp_path, monkeypatch):
    script = runpy.run_path(str(ROOT / "docs" / "pictures.py"))
    monkeypatch.setitem(script["draw"].__globals__, "IMAGES", tmp_path)
    script["draw"]("one", {"mlorch run": "image-smoke   \x1b[32mVALID\x1b[0m\n"})
    drawing = ET.fromstring((tmp_path / "one.svg").read_text())
    words = {text.text: text.get("class") for text in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert "$\xa0mlorch\xa0run" in words
    assert words["VALID"] not in {None, words["image-smoke\xa0\xa0\xa0"]}
