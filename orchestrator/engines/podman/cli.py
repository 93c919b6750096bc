"""podman's command line: which program, how it is called, what its answers and complaints mean, and its facts.

There is no daemon to talk to. The program itself is the one way that works for root, for a
plain user and on a cluster's node where nobody may start a service; its API socket would be
one more thing to be started, and to be lost.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engines.inventory import container_facts, image_facts, understood
from orchestrator.engines.model import EngineFacts, numbers, older
from orchestrator.engines.podman import ids
from orchestrator.engines.private.podman import keep_settings
from orchestrator.engines.private.podman import program as own_program
from orchestrator.engines.refusals import refusal
from orchestrator.engines.ways import to_podman
from orchestrator.errors import EngineError
from orchestrator.host.command import Doubt, run_program
from orchestrator.host.folders import runtime_folder
from orchestrator.host.paths import exists

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.engines.inventory import ContainerFacts, ImageFacts
    from orchestrator.errors import MlorchError
    from orchestrator.host.command import Done

VARIABLE = "MLORCH_PODMAN"
CDI_SINCE = (4, 0)
LEAST = (4, 0)
"""The first whose build knows secrets, cache mounts and `--build-context`, and whose run knows CDI."""
_TIMEOUT_S = 120.0
_QUESTION_S = 30.0
"""How long a question may take in all that changes nothing."""
_SILENT_S, _THERE_S = 2.0, 20.0
"""After how long without an answer podman is asked for its version, and how long it then has to say it."""
_CONTROLLERS = {"cpuset": "processors", "memory": "memory", "pids": "processes"}
_GONE = ("no such container", "no container with", "image not known", "no such image", "unable to find")


@dataclass(frozen=True, slots=True)
class Podman:
    """One podman program and what it is asked; every failure is an `MlorchError`.

    ``silent_s`` is how long it may say nothing to a question before it is asked for its version, and then once more
    as long; None leaves both to this module.
    """

    program: str
    silent_s: float | None = None

    def call(self, *words: str | Path, timeout_s: float = _TIMEOUT_S, cwd: Path | None = None) -> Done:
        """Run it to its end; how it ended is the caller's to judge."""
        return run_program([self.program, *words], inherited=environment(), timeout_s=timeout_s, cwd=cwd)

    def ask(self, *words: str | Path, timeout_s: float = _TIMEOUT_S, cwd: Path | None = None, image: str = "") -> str:
        """What it prints; raises where it failed, ``image`` being the one that it is asked about."""
        done = self.call(*words, timeout_s=timeout_s, cwd=cwd)
        if done.code:
            raise refused(done.stderr or done.stdout, code=done.code, image=image)
        return done.stdout

    def question(self, *words: str | Path, timeout_s: float = _QUESTION_S) -> Done:
        """`call` for what changes nothing. One that does not even say its version is not waited for.

        A podman that is only busy says it: it waits for no other podman for that.
        """
        doubt_s, there_s = (_SILENT_S, _THERE_S) if self.silent_s is None else (self.silent_s, self.silent_s)

        def is_there() -> bool:
            return self.call("--version", timeout_s=there_s).code == 0

        command, doubt = [self.program, *words], Doubt(doubt_s, is_there)
        return run_program(command, inherited=environment(), timeout_s=timeout_s, doubt=doubt)

    def documents(self, *words: str | Path, timeout_s: float = _QUESTION_S) -> list[dict[str, Any]]:
        """The object or the list of objects that it prints as JSON."""
        done = self.question(*words, timeout_s=timeout_s)
        if done.code:
            raise refused(done.stderr or done.stdout, code=done.code)
        text = done.stdout
        with understood("podman"):
            found = json.loads(text or "[]") or []
        return [item for item in (found if isinstance(found, list) else [found]) if isinstance(item, dict)]

    # -- images ------------------------------------------------------------------------

    def images_by_reference(self, references: Sequence[str]) -> dict[str, ImageFacts | None]:
        """The images with these references, None for one that is not there; one call for all."""
        found: dict[str, ImageFacts | None] = dict.fromkeys(references)
        if not references:
            return found
        done = self.question("image", "inspect", "--format", "json", *references)
        if done.code and not _only_gone(done.stderr):
            raise refused(done.stderr or done.stdout, code=done.code)
        with understood("podman"):
            for item in json.loads(done.stdout or "[]") or ():
                names = [*(item.get("RepoTags") or ()), *(item.get("RepoDigests") or ())]
                digest = str(item.get("Digest") or "")
                found |= {name: image_facts(name, item, digest) for name in names if name in found}
        return found

    # -- containers --------------------------------------------------------------------

    def containers(self, label: str) -> list[ContainerFacts]:
        """Containers with this label (``name`` or ``name=value``), running or not."""
        found = self.documents("ps", "--all", "--filter", f"label={label}", "--format", "json")
        with understood("podman"):
            return [container_facts(item) for item in found]

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; one that is gone is fine."""
        done = self.call("rm", "--force", "--volumes", "--ignore", "--time", "0", container_id)
        if done.code and not any(word in done.stderr for word in _GONE):
            raise refused(done.stderr, code=done.code)


def _only_gone(stderr: str) -> bool:
    """Whether podman complains of nothing but things that do not exist."""
    complaints = [line for line in stderr.splitlines() if line.strip()]
    return all(any(word in line for word in _GONE) for line in complaints)


def program() -> str | None:
    """podman of MLORCH_PODMAN, of PATH, or mlorch's own (`mlorch engine ensure --engine podman`); None without any.

    Raises:
        EngineError: the one that the user names is no program (`no-engine`).
    """
    named = os.environ.get(VARIABLE)
    if named and not os.access(named, os.X_OK):
        raise _no_engine(f"{VARIABLE} names {named}, which is no program")
    own = own_program()
    return named or shutil.which("podman") or (str(own) if exists(own) else None)


def find(silent_s: float | None = None) -> Podman:
    """The podman that is there, with its ``silent_s``. Raises `EngineError` (`no-engine`)."""
    found = program()
    if found is None:
        raise _no_engine("there is no podman on PATH")
    if found == str(own_program()):
        keep_settings()
    return Podman(found, silent_s)


def _no_engine(why: str) -> EngineError:
    return EngineError(
        f"no container engine: {why}",
        hint=to_podman(),
        slug="no-engine",
    )


def environment() -> dict[str, str]:
    """This process's environment as podman needs it.

    podman refuses to pull where DOCKER_CONFIG names a folder without credentials, and to do anything where
    XDG_RUNTIME_DIR is another user's (su keeps it): such a variable goes.
    """
    found = dict(os.environ)
    folder = found.get("DOCKER_CONFIG")
    if folder and not exists(Path(folder) / "config.json"):
        del found["DOCKER_CONFIG"]
    if runtime_folder(found) is None:
        found.pop("XDG_RUNTIME_DIR", None)
    if os.geteuid() != 0:
        found |= ids.environment(ids.this_users_ids())
    return found


def refused(output: str, *, code: int = 125, image: str = "") -> MlorchError:
    """What podman's complaint means."""
    text = complaint(output)
    if lost(code):
        why = text or f"ended by signal {-code}"
        return EngineError(f"podman did not answer: {why}", hint="see `mlorch doctor`", slug="engine-lost")
    return refusal(text, image)


def lost(code: int) -> bool:
    """Whether podman did not get to say anything: killed, too slow, or not to be started."""
    return code < 0 or code in {124, 127}


def complaint(output: str) -> str:
    """podman's own words in what it printed: its last error, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error: ")]
    return (errors or lines or [""])[-1].removeprefix("Error: ")[:2000]


# -- facts -----------------------------------------------------------------------------


def too_old(facts: EngineFacts) -> str:
    """Why mlorch cannot build with this podman; empty where it can."""
    if older(facts.version, LEAST):
        return f"podman {facts.version} is too old: it cannot build; 4.0 or newer is needed"
    return ""


def facts_of(info: Mapping[str, Any], program: str, *, private: bool) -> EngineFacts:
    """The facts in `podman info --format json`."""
    host, store, version = _part(info, "host"), _part(info, "store"), _part(info, "version")
    security = _part(host, "security")
    number = str(version.get("Version", ""))
    return EngineFacts(
        name="podman",
        host=f"exec://{program}",
        version=number,
        api_version=str(version.get("APIVersion", "")),
        platform=f"{host.get('os', 'linux')}/{host.get('arch', '')}",
        buildx=None,
        containerd_store=False,
        cdi=numbers(number) >= CDI_SINCE,
        storage_driver=str(store.get("graphDriverName", "")),
        cgroup_version=str(host.get("cgroupVersion", "")).removeprefix("v"),
        root_dir=str(store.get("graphRoot", "")),
        rootless=bool(security.get("rootless")),
        unlimited=_unlimited(host) if security.get("rootless") else (),
        private=private,
        cpus=int(host.get("cpus", 0)),
        memory=int(host.get("memTotal", 0)),
        security=_security(security),
        builder=f"buildah {host.get('buildahVersion', '')}".strip(),
    )


def _unlimited(host: Mapping[str, Any]) -> tuple[str, ...]:
    """What a plain user's podman has no control group for; nothing where it does not say."""
    if "cgroupControllers" not in host:
        return ()
    given = host["cgroupControllers"] or ()
    return tuple(word for name, word in _CONTROLLERS.items() if name not in given)


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = document.get(name) or {}
    return found


def _security(security: Mapping[str, Any]) -> tuple[str, ...]:
    names = [name for name in ("seccomp", "apparmor", "selinux") if security.get(f"{name}Enabled")]
    return (*names, "rootless") if security.get("rootless") else tuple(names)
