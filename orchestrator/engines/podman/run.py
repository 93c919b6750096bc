"""One container of podman: started and followed line by line to its end."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.engines.output import ended, lines
from orchestrator.engines.podman.cli import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.engines.model import ContainerExit
    from orchestrator.engines.podman.cli import Podman

PID, OOM = "pid", "oom"
_LOOK_S = 0.02
_NEVER = "0001-01-01"
"""How podman writes the time of what has not happened."""


@dataclass(slots=True, kw_only=True)
class _Attached:
    """`podman start --attach` and what it gives; what it says before the container runs is podman's own."""

    process: subprocess.Popen[bytes]
    pid_file: Path
    held: list[tuple[bytes | None, bytes | None]] = field(default_factory=list)

    def chunks(self) -> Iterator[tuple[bytes | None, bytes | None]]:
        """Output and errors as they come; held back until the file with the pid shows that the container has begun."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        started = False
        with selectors.DefaultSelector() as selector:
            for number, pipe in enumerate((self.process.stdout, self.process.stderr)):
                selector.register(pipe, selectors.EVENT_READ, number)
            while selector.get_map():
                ready = selector.select(None if started else _LOOK_S)
                started = started or self.pid_file.exists()
                for key, _ in ready:
                    chunk = os.read(key.fd, 1 << 16)
                    if not chunk:
                        selector.unregister(key.fileobj)
                        continue
                    self.held.append((None, chunk) if key.data else (chunk, None))
                if started:
                    given, self.held = self.held, []
                    yield from given

    def complaints(self) -> str:
        """What was held back, as text."""
        return b"".join(err for _, err in self.held if err).decode("utf-8", "replace")


def follow(podman: Podman, container: str, image: str, folder: Path, on_line: Callable[[str], None]) -> ContainerExit:
    """Start `container` and hand over its lines until it ends.

    podman attaches before it starts, so no line is lost, and keeps no log of its own. In
    ``folder`` it writes the pid (`PID`), and its monitor a file `OOM` where the kernel killed
    for memory: podman before 5.0 looks for that elsewhere, and the folder would be the caller's.
    """
    process = subprocess.Popen(  # noqa: S603 (an argument list, no shell)
        [podman.program, "start", "--attach", "--sig-proxy=false", container],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        start_new_session=True,  # Ctrl-C is for mlorch, which stops the container in order
    )
    attached = _Attached(process=process, pid_file=folder / PID)
    try:
        for line in lines(attached.chunks()):
            on_line(line)
        code = process.wait()
    finally:
        _end(process)
    (found,) = podman.documents("container", "inspect", "--format", "json", container)
    state = found["State"]
    if str(state.get("StartedAt", _NEVER)).startswith(_NEVER):
        raise refused(attached.complaints(), code=code if code < 0 else 125, image=image)
    if state.get("Running"):  # it lives, but podman's own process did not stay with it
        raise refused(attached.complaints(), code=min(code, -1), image=image)
    for line in lines(iter(attached.held)):  # of one so quick that its pid was never written where we look
        on_line(line)
    return ended(container, state, out_of_memory=(folder / OOM).exists())


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop following; the container itself is stopped by whoever removes it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
