"""One layer built by `podman build`: its plain output as events, its failures as ours, nothing left of an interruption.

podman cannot use buildx. It builds each layer without intermediate images (the content id
is the cache), so a build that fails or is broken off leaves neither images nor containers.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.builds import BuildLog, follow, with_attempts
from orchestrator.engines.limits import own_limits
from orchestrator.engines.model import numbers
from orchestrator.engines.options import ulimit_words
from orchestrator.engines.podman.argv import bounded
from orchestrator.engines.podman.cli import environment as for_podman
from orchestrator.engines.podman.cli import refused
from orchestrator.engines.podman.images import load_manifest
from orchestrator.engines.podman.progress import events, failure
from orchestrator.errors import UsageError
from orchestrator.host.folders import cache_home
from orchestrator.plan.build.content import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.engines.builds import BuildRequest
    from orchestrator.engines.model import BuildEvent
    from orchestrator.engines.podman.cli import Podman
    from orchestrator.facts.build import LayerStep

END_S, KILL_S = 20.0, 5.0
RUN_NETWORK_SINCE = (4, 5)
"""The first podman whose RUN knows `--network` (buildah 1.30)."""
_INSTRUCTION = re.compile(r"[ \t]*(?P<word>[A-Za-z]+)(?P<flags>(?:[ \t]+--\S+)*)")
_PROC = Path("/proc")
_PROXIES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"})


def build(podman: Podman, request: BuildRequest, version: str, on_event: Callable[[BuildEvent], None]) -> None:
    """Build the step under its content id's tag.

    Raises:
        StepFailed: a step of the Dockerfile failed (`build-failed`), or its base cannot be had (`no-base`).
        EngineError: podman was killed (`engine-lost`) or has no space (`engine-disk-full`).
        UsageError: a cache of build steps is asked for (`no-step-cache`).
    """
    if request.settings.cache_to or request.settings.cache_from:
        raise UsageError(
            "podman keeps no results of build steps in a registry",
            hint="leave --cache-to and --cache-from out (whole layers are pulled as ever), or take `--engine docker`",
            slug="no-step-cache",
        )
    file = request.context / "Dockerfile"
    adapted = file.with_name(".podman.Dockerfile")
    text = file.read_text(encoding="utf-8")
    adapted.write_text(adapt(text, version), encoding="utf-8")
    with_attempts(
        lambda: _once(podman, request, adapted, network_of(text, request.settings.network, version), on_event),
        request,
        on_event,
    )


def _once(
    podman: Podman, request: BuildRequest, dockerfile: Path, network: str, on_event: Callable[[BuildEvent], None]
) -> None:
    log = BuildLog(path=request.log_path)
    with _bases(podman, request.step) as contexts:
        argv = [podman.program, *words(request, dockerfile, network, contexts)]
        try:
            process = subprocess.Popen(  # noqa: S603 (an argument list, no shell)
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment(request.settings.proxies),
                start_new_session=True,  # Ctrl-C is for mlorch, which ends the build in order
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise refused(str(error.strerror), code=127) from error
        try:
            assert process.stdout is not None
            with process.stdout as lines:
                follow(events(lines, log), log, on_event)
            code = process.wait()
        except BaseException:
            end(process)
            raise
    if code:
        raise failure(request.step, log, code)


def adapt(dockerfile: str, version: str) -> str:
    """A Dockerfile in the words that this podman knows; what it makes is the same.

    ``COPY --link`` and ``ADD --link`` say how a layer is stored, not what is in it: old
    podmans refuse the word and newer ones ignored it for long, so it goes. ``RUN --network``
    goes where podman is too old for it; `network_of` then says what holds instead.
    """
    keeps_network = numbers(version) >= RUN_NETWORK_SINCE
    out = []
    inside = False  # of an instruction that goes on after a line's end
    for line in dockerfile.removesuffix("\n").split("\n"):
        found = None if inside or line.lstrip().startswith("#") else _INSTRUCTION.match(line)
        if found:
            word = found["word"].upper()
            drop = r"\s--link(?:=\w+)?(?!\S)" if word in {"COPY", "ADD"} else ""
            drop = r"\s--network=\S+" if word == "RUN" and not keeps_network else drop
            flags = re.sub(drop, "", found["flags"]) if drop else found["flags"]
            line = line[: found.start("flags")] + flags + line[found.end("flags") :]  # noqa: PLW2901 (its new form)
        if not line.lstrip().startswith("#"):
            inside = line.rstrip().endswith("\\")
        out.append(line)
    return "\n".join(out) + "\n"


def network_of(dockerfile: str, asked: str, version: str) -> str:
    """The network of the RUN steps: none where no step needs one, else the host's.

    The host's, as podman's own bridge wants packet filter rules of root's, and a plain user
    has none at all; the steps are mlorch's own and only fetch what they check by hash.
    """
    if asked != "default":
        return asked
    steps = [line for line in dockerfile.split("\n") if line.lstrip().upper().startswith("RUN ")]
    if numbers(version) < RUN_NETWORK_SINCE and all("--network=none" in line for line in steps):
        return "none"
    return "host"


def words(request: BuildRequest, dockerfile: Path, network: str, contexts: Mapping[str, str]) -> list[str]:
    """The words after `podman`."""
    step = request.step
    argv = ["build", "--file", str(dockerfile), "--tag", step.image, "--platform", step.platform]
    argv += ["--layers=false", "--force-rm", "--network", network, "--identity-label=false"]
    argv += ["--timestamp", str(EPOCH)]  # of the image and of its files: the same inputs, the same bytes
    # A parent is in the store under a name that no registry has; only a base may come from elsewhere.
    argv += ["--pull=never"] if step.parent else []
    argv += [word for name, value in contexts.items() for word in ("--build-context", f"{name}={value}")]
    argv += [word for name, value in sorted(request.labels.items()) for word in ("--label", f"{name}={value}")]
    for name, path in sorted(request.settings.secrets.items()):
        argv += ["--secret", f"id={name},src={path}"]
    return [*argv, *ulimit_words(bounded(own_limits())), str(request.context)]


def environment(proxies: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these proxies and no others: podman hands what it sees to the steps.

    Cache mounts lie below TMPDIR; its default is a folder which all users of the host share.
    """
    own = cache_home() / "podman-build"
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    without = {name: value for name, value in for_podman().items() if name.lower() not in _PROXIES}
    return {**without, "TMPDIR": str(own), "LC_ALL": "C.UTF-8", **proxies}


@contextlib.contextmanager
def _bases(podman: Podman, step: LayerStep) -> Iterator[dict[str, str]]:
    """Named contexts as podman takes them: an OCI layout is loaded first, under a name that goes with the build."""
    given: dict[str, str] = {}
    names = []
    try:
        for name, source in step.contexts.items():
            kind, _, rest = source.partition("://")
            if kind != "oci-layout":
                given[name] = source
                continue
            folder, _, digest = rest.rpartition("@")
            reference = f"localhost/mlorch/oci-base:{digest.rpartition(':')[2]}"
            index = json.loads((Path(folder) / "index.json").read_text(encoding="utf-8"))
            entry = next(item for item in index["manifests"] if item["digest"] == digest)
            load_manifest(podman, Path(folder), entry, reference)
            names.append(reference)
            given[name] = f"container-image://{reference}"
        yield given
    finally:
        for reference in names:
            podman.call("untag", reference)


def end(process: subprocess.Popen[str]) -> None:
    """End a build so that podman clears up after itself: the step's processes are killed, and it sees them fail.

    A signal to podman itself would leave its working container, mounted; only where it
    does not end by itself it gets one.
    """
    until = time.monotonic() + END_S
    while process.poll() is None and time.monotonic() < until:
        for pid in step_processes(process.pid):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_S)
    if process.poll() is None:
        process.kill()
        process.wait()


def step_processes(parent: int) -> list[int]:
    """Descendants of a process that live in a pid namespace of their own: what a RUN step has started."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                status = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                children.setdefault(int(status[1]), []).append(int(entry.name))
    ours = (_PROC / "self/ns/pid").readlink()
    found, todo = [], [parent]
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        with contextlib.suppress(OSError):
            if (_PROC / str(pid) / "ns/pid").readlink() != ours:
                found.append(pid)
    return found
