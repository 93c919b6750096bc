"""The command that MLCommons' power client measures: it asks mlorch for the test and waits until that is over."""

from __future__ import annotations

import sys

from .places import asked

DONE = b"done\n"


def main() -> int:
    """0 where the test ran to its end; 1 where it did not, or mlorch is gone."""
    with asked("workload") as connection:
        answer = connection.makefile("rb").readline(100)
    print(f"mlorch says of the test: {answer.decode(errors='replace').strip() or 'nothing, it is gone'}", flush=True)
    return 0 if answer == DONE else 1


if __name__ == "__main__":
    sys.exit(main())
