"""`make bench`: every speed bar, measured now, as one table; exit 1 if one is not kept.

    python benchmarks/run.py [startup] [results] [assets] [build] [harness] [workloads] [served] [reference] [client]
        [calibration] [found_rate] [launch] [registry] [sharing] [submission_check] [submission_build] [store]
        [campaigns] [--target T [--on-host]] [--json] [--write]

`--target cuda` measures the harness against the bare framework on that target's device, with `--on-host` without
containers, by the Python that runs this (docs/measure-on-a-bare-gpu.md).

`--write` puts the table into docs/benchmarks.md; of some parts it replaces their rows. A part that fails is told, and
hides nothing of the others.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import traceback
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from common import NotHereError

PARTS = (
    "startup",
    "results",
    "assets",
    "build",
    "harness",
    "workloads",
    "served",
    "reference",
    "client",
    "calibration",
    "found_rate",
    "launch",
    "external",
    "registry",
    "sharing",
    "submission_check",
    "submission_build",
    "store",
    "campaigns",
)
DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- bars: begin -->", "<!-- bars: end -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--target", help="measure the harness (only) on this target")
    parser.add_argument("--on-host", action="store_true", help="without containers, with what this Python has")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    parts = chosen(parser, arguments)
    given = {"target": arguments.target} if arguments.target else {}
    bars, failed = measured(parts, given)
    if arguments.json:
        print(json.dumps([{**asdict(bar), "kept": bar.kept} for bar in bars], indent=2))
    else:
        print(render(bars))
    if arguments.write:
        whole = not failed and tuple(parts) == PARTS
        write(render(bars) if whole else merged(DOCUMENT.read_text(encoding="utf-8"), bars))
    return 0 if all(bar.kept for bar in bars) and not failed else 1


def chosen(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[str]:
    """The parts to measure; ends with usage where there is none of a name."""
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if arguments.on_host:
        return ["on_host"]
    if arguments.target and arguments.write:
        parser.error("--write is for the table of this machine's default target")
    return ["harness"] if arguments.target else list(arguments.parts)


def measured(parts: list[str], given: dict) -> tuple[list, list[str]]:
    """The bars of every part, told as each part ends, and the parts that failed."""
    bars, failed = [], []
    for part in parts:
        try:
            found = list(import_module(part).measure(**given))
        except NotHereError as error:
            failed.append(part)
            print(f"part {part} cannot be measured here: {error}", file=sys.stderr, flush=True)
            continue
        except Exception:  # noqa: BLE001 (whatever it is: the other parts are measured all the same)
            failed.append(part)
            print(f"part {part} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            continue
        print("\n".join(rows(found)), file=sys.stderr, flush=True)
        bars += found
    return bars, failed


def merged(document: str, bars: list) -> str:
    """The table of the document with the rows of ``bars`` in place of those about the same, or after them."""
    old = document.partition(BEGIN)[2].partition(END)[0]
    found = {line.split(" | ")[0]: line for line in old.splitlines() if line.startswith("| ") and line not in HEAD}
    found |= {line.split(" | ")[0]: line for line in rows(bars)}
    return "\n".join([*HEAD, *found.values()])


HEAD = ("| what | measured | bar | kept | |", "|---|--:|--:|---|---|")


def render(bars: list) -> str:
    return "\n".join([*HEAD, *rows(bars)])


def rows(bars: list) -> list[str]:
    rows = []
    for bar in bars:
        sign = "≥" if bar.at_least else "≤"
        limit = f"{bar.bar:g} {bar.unit}".rstrip()
        measured = f"{bar.value:.2f} {bar.unit}" if bar.unit else f"{bar.value:g}"
        kept = "yes" if bar.kept else "**no**"
        rows.append(f"| {bar.what} | {measured} | {sign} {limit} | {kept} | {bar.detail} |")
    return rows


def write(table: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    DOCUMENT.write_text(f"{head}{BEGIN}\n{machine}\n\n{table}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
