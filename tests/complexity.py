"""`make complexity`: no function has a cyclomatic complexity above 15, as radon counts it.

Ruff's own limit (`C901`) does not count conditional expressions and comprehensions, so dense code passes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from radon.complexity import cc_visit

LIMIT = 15
FOLDERS = ("orchestrator", "dockerfiles", "recipes", "benchmarks")


def too_complex(root: Path) -> list[str]:
    """Every function above the limit, as ``path:line: name has complexity N``."""
    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            for block in cc_visit(path.read_text(encoding="utf-8")):
                if block.letter != "C" and block.complexity > LIMIT:
                    place = f"{path.relative_to(root)}:{block.lineno}"
                    found.append(f"{place}: {block.fullname} has complexity {block.complexity}, above {LIMIT}")
    return found


if __name__ == "__main__":
    problems = too_complex(Path(__file__).parents[1])
    sys.stdout.write("".join(f"{line}\n" for line in problems))
    sys.exit(bool(problems))
