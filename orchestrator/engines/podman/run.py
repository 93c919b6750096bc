"""One container of podman: started and followed line by line to its end."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
from collections import deque
from typing import TYPE_CHECKING

from orchestrator.engines.containers import ended, lines
from orchestrator.engines.podman.cli import environment, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.engines.model import ContainerExit
    from orchestrator.engines.podman.cli import Podman

OOM = "oom"
_NEVER = "0001-01-01"
"""How podman writes the time of what has not happened."""


def follow(podman: Podman, container: str, image: str, folder: Path, on_line: Callable[[str], None]) -> ContainerExit:
    """Start `container` and hand over its lines until it ends, podman's own complaint where it does not start.

    podman attaches before it starts, so no line is lost, and keeps no log of its own. In ``folder`` its
    monitor writes a file `OOM` where the kernel killed for memory: podman before 5.0 looks for that
    elsewhere, and the folder would be the caller's.
    """
    process = subprocess.Popen(  # noqa: S603 (an argument list, no shell)
        [podman.program, "start", "--attach", "--sig-proxy=false", container],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment(),
        start_new_session=True,  # Ctrl-C is for mlorch, which stops the container in order
    )
    last: deque[str] = deque(maxlen=20)
    try:
        for line in lines(_chunks(process)):
            last.append(line)
            on_line(line)
        code = process.wait()
    finally:
        _end(process)
    (found,) = podman.documents("container", "inspect", "--format", "json", container)
    state = found["State"]
    if str(state.get("StartedAt", _NEVER)).startswith(_NEVER):
        raise refused("\n".join(last), code=code if code < 0 else 125, image=image)
    if state.get("Running"):  # it lives, but podman's own process did not stay with it
        raise refused("\n".join(last), code=min(code, -1), image=image)
    return ended(container, state, out_of_memory=(folder / OOM).exists())


def _chunks(process: subprocess.Popen[bytes]) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Output and errors as they come."""
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        for number, pipe in enumerate((process.stdout, process.stderr)):
            selector.register(pipe, selectors.EVENT_READ, number)
        while selector.get_map():
            for key, _ in selector.select():
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    selector.unregister(key.fileobj)
                yield (None, chunk) if key.data else (chunk, None)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop following; the container itself is stopped by whoever removes it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
