"""Whether samples of a data set may stand in a report, decided by its terms. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.definitions.kinds.assets import Dataset
    from orchestrator.definitions.kinds.sources import AssetSource

_UNNAMED = ("NOASSERTION", "NONE", "LicenseRef-")
"""How SPDX writes terms that are not known, are none, or are somebody's own."""


def why_not_shown(dataset: Dataset) -> str:
    """Why no sample may be shown, in words; empty where they may. A recipe's own word is above its sources' terms."""
    if dataset.show_samples is not None:
        return "" if dataset.show_samples else "the recipe of the data set says so (`show_samples`)"
    for source in dataset.sources:
        why = _why_withheld(source)
        if why:
            return why
    return ""


def _why_withheld(source: AssetSource) -> str:
    licence = source.licence
    if licence.redistribution == "allowed":
        return ""
    said = f": {licence.note}" if licence.note else ""
    if licence.redistribution == "forbidden":
        return f"its terms do not allow to hand it on{said}"
    if source.kind == "local":
        return f"it may only be had from its publisher{said}"
    if not licence.spdx or licence.spdx.startswith(_UNNAMED):
        return f"its terms ({licence.spdx or 'none said'}) are not known to allow it{said}"
    return ""
