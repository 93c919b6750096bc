"""Draw the pictures of README and docs from what mlorch really prints: `make pictures`.

Runs benchmarks, the longest of them some minutes, so it needs an engine. The terminal pictures are SVG by rich,
without fonts from the network; the chart is the one of the report; whole reports are drawn by a browser without a
window (Chromium), and stay as they are where there is none.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from orchestrator.results import histogram, report
from orchestrator.results.charts import latency_chart
from orchestrator.results.store import Store
from orchestrator.results.summary import Summary, summaries

IMAGES = Path(__file__).with_name("images")
WIDTH = 128
"""Characters: the table of results needs 124 for all its columns."""
BENCHMARK = "image-smoke"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGES = {
    "report": (["run", "image-fashion", "-s", "SingleStream", "--duration", "5s"], 1180),
    "report-llm": (["run", "llm-chat", "-s", "Server"], 2250),
    "report-pictures": (["run", "image-fashion", "-s", "Offline", "-m", "accuracy"], 800),
}
"""Reports of a session by the name of their picture: what is run, and how many pixels of the page are shown."""
PAGE_WIDTH = 1000


def main() -> None:
    """Write every picture; a run takes some seconds a scenario."""
    with tempfile.TemporaryDirectory() as folder:
        run = ["run", BENCHMARK, "-s", "Offline", "-s", "SingleStream", "--duration", "2s"]
        draw("run", {shlex.join(["mlorch", *run]): output_of([*run, "-o", folder])})
        draw("plan", {f"mlorch plan -b {BENCHMARK}": output_of(["plan", "-b", BENCHMARK])})
        chart(Path(folder))
    for name, (words, height) in PAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            page(name, words, height, Path(folder))


def page(name: str, words: list[str], height: int, folder: Path) -> None:
    """A picture of the report of a run, as a browser shows its upper ``height`` pixels."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"{name}.png: left as it is; none of {', '.join(BROWSERS)} is here")
        return
    output_of([*words, "-o", str(folder / "results")])
    written = folder / "report.html"
    written.write_text(report.render(last_session(folder / "results")), encoding="utf-8")
    shot(browser, written, IMAGES / f"{name}.png", height)


def last_session(results: Path) -> list[Summary]:
    """The tests of a folder, what was measured before what was right: the upper part of the page is what is shown."""
    return sorted(summaries(Store(results).entries()), key=lambda one: one.record.mode == "accuracy")


def shot(browser: str, html: Path, path: Path, height: int) -> None:
    """The upper part of a page as PNG; it asks for nothing from outside, so it needs no sandbox, which root has not."""
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={PAGE_WIDTH},{height}"]
    subprocess.run([browser, *words, f"--screenshot={path}", html.as_uri()], check=True, capture_output=True)
    print(path)


def output_of(words: list[str]) -> str:
    """What mlorch says on stdout at a terminal; the talk on stderr goes where ours goes."""
    ours, its = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "orchestrator", *words]
    with subprocess.Popen(command, stdout=its, env=environment) as process:
        os.close(its)
        text = _everything(ours)
    os.close(ours)
    if process.returncode not in {0, 1}:  # 1: a test was not VALID, which a busy machine may do
        raise SystemExit(f"{shlex.join(command)} ended with {process.returncode}")
    return text.replace("\r\n", "\n")


def _everything(terminal: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:  # how a terminal says that its other end is closed
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode()


def draw(name: str, sessions: dict[str, str]) -> None:
    """A picture of a terminal: each command with what it said."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, legacy_windows=False)
        for command, text in sessions.items():
            console.print(Text(f"$ {command}", style="bold"))
            console.print(Text.from_ansi(text.rstrip()))
        svg = console.export_svg(title="mlorch", theme=MONOKAI, unique_id=f"mlorch-{name}")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # rich names fonts of the network
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")
    path = IMAGES / f"{name}.svg"
    path.write_text(svg, encoding="utf-8")
    print(path)


def chart(results: Path) -> None:
    """The latency chart of the report: of the test with the most latencies that were counted."""
    counted = [(histogram.read(one.folder), one) for one in summaries(Store(results).entries()) if one.good]
    found, summary = max((pair for pair in counted if pair[0] is not None), key=lambda pair: pair[0].samples)
    drawing = latency_chart(summary.loadgen.latency_ns, found, width=860)
    svg = report.templates().get_template("chart.svg.j2").render(chart=drawing, css="chart")
    style = (Path(report.__file__).with_name("templates") / "report.css").read_text(encoding="utf-8")
    paper = f'<style>{style}</style><rect width="100%" height="100%" style="fill: var(--paper)"/>'
    head, _, rest = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).partition(">")
    path = IMAGES / "latency.svg"
    path.write_text(f"{head}>\n{paper}{rest}", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
