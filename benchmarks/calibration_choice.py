"""Which layouts the harness chooses on a quiet machine and beside a busy processor; runs in the image of a benchmark.

    python3 calibration_choice.py SETTINGS ROUNDS

Prints ``{"rounds": [[quiet layout, layout beside load], …], "speed": {layout: samples/s}}``; a layout is
``instances x threads, batch``. Speeds are the best of some trials without the load.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
AGAIN = 15
"""Trials of each chosen layout without load, in turn; the best counts, as other load of the machine only slows."""


def main() -> int:
    # In an image the harness is `mlorch_harness`; on a host it is a package of mlorch.
    from mlorch_harness import effective, settings, tasks, trials
    from mlorch_harness.instances import Instances
    from mlorch_harness.samples import Samples
    from mlorch_harness.work import Work

    asked = settings.read(Path(sys.argv[1]))
    samples, loaded = Samples(asked), asked.dataset.performance_samples
    samples.load(range(loaded))
    instances = Instances(asked)
    instances.get(1, 0)
    work = Work(instances, samples, tasks.create(asked))
    cpu = asked.execution.cpus[0]

    def chosen():
        return effective.resolve(asked, trials.Trials(work, loaded, effective.CALIBRATION_SECONDS)).layout

    rounds, layouts = [], {}
    for _ in range(int(sys.argv[2])):
        quiet = chosen()
        with busy(cpu):
            loaded_one = chosen()
        rounds.append([told(quiet), told(loaded_one)])
        layouts |= {told(quiet): quiet, told(loaded_one): loaded_one}
    speed = dict.fromkeys(layouts, 0.0)
    for _ in range(AGAIN):
        for name, layout in layouts.items():
            trial = trials.Trials(work, loaded, 10.0).throughput(layout)
            speed[name] = max(speed[name], trial.undisturbed)
    print(json.dumps({"rounds": rounds, "speed": speed}))
    return 0


def told(layout) -> str:
    return f"{layout.instances} x {layout.threads}, {layout.batch}"


@contextmanager
def busy(cpu: int) -> Iterator[None]:
    """A process that does nothing else than to use this processor."""
    process = subprocess.Popen([sys.executable, "-c", BUSY, str(cpu)], env=dict(os.environ))
    try:
        time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
