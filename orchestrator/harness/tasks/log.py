"""LoadGen's accuracy log: what the system answered for each sample."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def logged(log: Path, samples: int, size: int | None = None) -> list[bytes]:
    """The answer to each sample of the dataset, in their order, from ``mlperf_log_accuracy.json``.

    MultiStream fills its last query with samples that it has issued before: the first answer counts, as in
    MLPerf's own scripts. Raises `ValueError` unless the log holds every sample, with answers of ``size`` bytes
    where that is given.
    """
    found: dict[int, bytes] = {}
    for entry in json.loads(log.read_text(encoding="ascii")):
        found.setdefault(entry["qsl_idx"], bytes.fromhex(entry["data"]))
    if sorted(found) != list(range(samples)):
        raise ValueError(f"the accuracy log holds {len(found)} of {samples} samples")
    if size is not None and any(len(data) != size for data in found.values()):
        raise ValueError(f"the accuracy log holds answers of other than {size} bytes")
    return [found[index] for index in range(samples)]
