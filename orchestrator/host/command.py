"""Running the host's own programs: argument lists only, output kept, failures reported with their last lines."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError
from orchestrator.host.paths import is_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

TIMED_OUT, NOT_FOUND = 124, 127
"""How a program counts that does not end in time, or is not there: as in a shell."""
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a program ended and what it printed."""

    code: int
    stdout: str
    stderr: str

    def tail(self, lines: int = 12) -> str:
        """The last lines of its errors, or of its output where it printed none."""
        return last_lines(self.stderr or self.stdout, lines)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A program that has not ended after so many seconds is waited for only if ``is_there`` says so."""

    after_s: float
    is_there: Callable[[], bool]


def run_program(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    inherited: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 60.0,
    doubt: Doubt | None = None,
    text: str = "",
) -> Done:
    """Run a program to its end, without a terminal and with its messages in English.

    ``text`` is what it reads. ``env`` is added to ``inherited``, which is this process's environment where it
    is not given. A program that is not there or does not end in time counts as one that failed, and so does one that
    ``doubt`` gives up earlier.
    """
    try:
        with subprocess.Popen(  # noqa: S603 (an argument list, no shell)
            [str(word) for word in argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**(os.environ if inherited is None else inherited), "LC_ALL": "C.UTF-8", **(env or {})},
        ) as process:
            try:
                stdout, stderr = _output(process, text.encode(), timeout_s, doubt)
            except BaseException:  # Ctrl-C too
                process.kill()
                raise
    except subprocess.TimeoutExpired as error:
        return Done(code=TIMED_OUT, stdout="", stderr=f"{argv[0]} did not end within {error.timeout:.0f} s")
    except OSError as error:
        return Done(code=NOT_FOUND, stdout="", stderr=f"{argv[0]}: {error.strerror or error}")
    return Done(
        code=process.returncode,
        stdout=stdout.decode("utf-8", "replace"),
        stderr=stderr.decode("utf-8", "replace"),
    )


def _output(
    process: subprocess.Popen[bytes], text: bytes, timeout_s: float, doubt: Doubt | None
) -> tuple[bytes, bytes]:
    """What a program prints until its end. Raises `TimeoutExpired`, whose `timeout` is how long it was waited for."""
    began = time.monotonic()
    first_s = timeout_s if doubt is None else min(timeout_s, doubt.after_s)
    try:
        return process.communicate(text, timeout=first_s)
    except subprocess.TimeoutExpired:
        left = 0.0
        if doubt is not None and first_s < timeout_s and doubt.is_there():
            left = began + timeout_s - time.monotonic()
    try:
        return process.communicate(timeout=max(0.0, left))
    except subprocess.TimeoutExpired as error:
        raise subprocess.TimeoutExpired(error.cmd, time.monotonic() - began) from None


def must_run(
    argv: Sequence[str | Path],
    what: str,
    *,
    hint: str = "",
    slug: str = "engine-setup",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 60.0,
) -> str:
    """The program's output; `EngineError` with its last lines where it failed. ``what`` completes "cannot …"."""
    done = run_program(argv, env=env, cwd=cwd, timeout_s=timeout_s)
    if done.code != 0:
        first = (done.tail(1) or f"exit status {done.code}").strip()
        raise EngineError(f"cannot {what}: {first}", hint=hint, slug=slug, detail=done.tail())
    return done.stdout


def find_program(name: str) -> Path | None:
    """A program on PATH or in the system's folders, which the PATH of a plain user may lack."""
    return next(programs(name), None)


def programs(name: str) -> Iterator[Path]:
    """Every program of this name on PATH and in the system's folders, in that order."""
    for folder in dict.fromkeys((*os.environ.get("PATH", "").split(os.pathsep), *_SYSTEM_FOLDERS)):
        path = Path(folder or ".") / name
        if is_file(path) and os.access(path, os.X_OK):
            yield path


def last_lines(text: str, count: int) -> str:
    """The last non-empty lines of ``text``."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])
