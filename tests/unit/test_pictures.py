"""The pictures of README and docs: drawn from what mlorch prints, and asking for nothing from the network."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from results_parts import add_run

from orchestrator.results.store import Store

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


def test_a_report_is_drawn_by_a_browser_with_what_was_measured_first(tmp_path, monkeypatch):
    script = runpy.run_path(str(ROOT / "docs" / "pictures.py"))
    results, calls = Store(tmp_path / "results"), []
    for second, case in ((1, "server"), (5, "accuracy")):
        add_run(results, case, second)
    names = script["page"].__globals__
    monkeypatch.setitem(names, "IMAGES", tmp_path)
    monkeypatch.setitem(names, "BROWSERS", ("a-browser",))
    monkeypatch.setattr(names["shutil"], "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setitem(names, "output_of", lambda words: calls.append(words) or "")
    monkeypatch.setattr(names["subprocess"], "run", lambda words, **_: calls.append(words))
    script["page"]("one", ["run", "llm-chat"], 700, tmp_path)
    run, browser = calls
    assert run == ["run", "llm-chat", "-o", str(tmp_path / "results")]
    assert browser[0] == "/usr/bin/a-browser"
    assert {"--headless", "--window-size=1000,700", f"--screenshot={tmp_path / 'one.png'}"} < set(browser)
    page = (tmp_path / "report.html").read_text()
    assert page.index("Server, performance</span>") < page.index("Offline, accuracy</span>")


def test_without_a_browser_a_picture_stays_as_it_is(tmp_path, monkeypatch, capsys):
    script = runpy.run_path(str(ROOT / "docs" / "pictures.py"))
    monkeypatch.setitem(script["page"].__globals__, "BROWSERS", ("no-such-browser",))
    script["page"]("one", ["run", "llm-chat"], 700, tmp_path)
    assert "one.png: left as it is" in capsys.readouterr().out
