"""Parts of build contexts that tests lay out."""

from __future__ import annotations

from orchestrator.images.context import Parts


def nothing(*_):
    """Gets no part."""


NO_PARTS = Parts(rootfs=nothing, pip=nothing, tree=nothing, tools=nothing, sdist=nothing)
