"""``python3 -m mlorch_harness.metrics SETTINGS``: exit 0 counted, 1 no answers of the task, 2 settings refused."""

from __future__ import annotations

import sys
from pathlib import Path

from .. import examples
from ..lines import write_json
from ..settings import SettingsError, read
from ..tasks.log import logged
from . import counter


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python3 -m mlorch_harness.metrics SETTINGS\n")
        return 2
    path = Path(arguments[0]).absolute()
    try:
        settings = read(path)
    except SettingsError as error:
        sys.stderr.write(f"settings refused: {error}\n")
        return 2
    try:
        answers = logged(path.parent / "mlperf_log_accuracy.json", settings.dataset.samples)
        figures = counter(settings.task).figures(settings, answers)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    write_json(path.parent / "accuracy.json", {"version": 1, "accuracies": [each.document() for each in figures]})
    try:
        examples.write(path.parent, settings, answers)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"there are no examples: {error}\n")  # the figures stand without them
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
