"""The podman engine: its own program to inspect, build, run and move images; no daemon, root or a plain user."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.engines.access import HERE, EngineAccess
from orchestrator.engines.builds import built, held
from orchestrator.engines.cdi import require_fresh
from orchestrator.engines.containers import on_this_terminal, removed_after, require_inputs
from orchestrator.engines.deployed import deployed
from orchestrator.engines.inventory import understood
from orchestrator.engines.limits import own_limits
from orchestrator.engines.model import BuildEvent
from orchestrator.engines.podman import build as podman_build
from orchestrator.engines.podman import images
from orchestrator.engines.podman.argv import create_words, not_passed, this_host
from orchestrator.engines.podman.cli import complaint, environment, facts_of, lost, refused, too_old
from orchestrator.engines.podman.run import follow
from orchestrator.engines.podman.runs import begun
from orchestrator.engines.private.podman import program
from orchestrator.engines.registry_failures import from_engine
from orchestrator.errors import EngineError, HostLimitError
from orchestrator.host.folders import cache_home
from orchestrator.host.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.engines.builds import BuildRequest
    from orchestrator.engines.inventory import ContainerFacts, ImageFacts
    from orchestrator.engines.model import ContainerExit, EngineFacts, RegistryAuth
    from orchestrator.engines.podman.cli import Podman
    from orchestrator.facts.containers import ContainerSpec, Deployed

_STOPPED_S = 30.0
_LIST_S = 120.0
"""podman counts the bytes of every image that it lists."""


@dataclass(slots=True)
class PodmanEngine:
    """The `Engine` Protocol over one podman program."""

    podman: Podman
    name: str = "podman"
    access: EngineAccess = HERE
    _facts: EngineFacts | None = field(default=None, repr=False)

    # -- facts -------------------------------------------------------------------------

    def facts(self) -> EngineFacts:
        """What podman reports of itself."""
        if self._facts is None:
            found = self.podman.documents("info", "--format", "json")
            with understood("podman"):
                (info,) = found
                self._facts = facts_of(info, self.podman.program, private=self.podman.program == str(program()))
        return self._facts

    def daemon_limits(self) -> dict[str, int | None]:
        """The most that a container's rlimits may be: what this very process may give."""
        return own_limits()

    # -- images ------------------------------------------------------------------------

    def image(self, reference: str) -> ImageFacts | None:
        """The image with this reference, or None."""
        return self.podman.images_by_reference([reference])[reference]

    def images(self, label: str) -> list[ImageFacts]:
        """Every tagged image with this label (``name`` or ``name=value``)."""
        words = ("images", "--filter", f"label={label}", "--filter", "dangling=false", "--format", "json")
        found = self.podman.documents(*words, timeout_s=_LIST_S)
        references = [name for item in found for name in item.get("Names") or ()]
        return [facts for facts in self.podman.images_by_reference(references).values() if facts is not None]

    def require_builder(self) -> None:
        """Raise `EngineError` (`no-builder`) where this podman is too old to build."""
        if why := too_old(self.facts()):
            raise EngineError(
                f"mlorch can run containers with this engine but not build: {why}",
                hint="update podman, or build with another engine: `--engine docker`",
                slug="no-builder",
            )

    def build(self, request: BuildRequest, on_event: Callable[[BuildEvent], None]) -> ImageFacts:
        """Build one layer; see `orchestrator.engines.podman.build.build` for what it raises, and `require_builder`."""
        self.require_builder()
        podman_build.build(self.podman, request, self.facts().version, on_event)
        return built(request, self.image(request.step.image))

    def tag(self, reference: str, new: str) -> None:
        """Give the image `reference` a second name."""
        self.podman.ask("tag", reference, new, image=reference)

    def pull(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> ImageFacts:
        """Get an image from its registry; podman checks every digest.

        Raises:
            RegistryError, EngineError: as `orchestrator.engines.registry_failures.from_engine`.
        """
        self._move("pull", reference, auth, on_event)
        return held(self.image(reference), reference)

    def push(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> str:
        """Send an image to the registry that its name says; gives the manifest's digest there.

        It is not the digest that the store has: podman keeps layers as they are and sends them
        compressed. Raises as `pull`, and `registry-full`.
        """
        with scratch_folder(cache_home() / "scratch", "push-") as folder:
            file = folder / "digest"
            self._move("push", reference, auth, on_event, "--digestfile", str(file))
            return file.read_text(encoding="ascii").strip()

    def _move(
        self, verb: str, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None], *more: str
    ) -> None:
        """One pull or push, with what this registry is believed with and who asks."""
        on_event(BuildEvent(kind="start", step=f"{verb} {reference}"))
        with images.registry_options(reference, auth, self.access) as words:
            done = self.podman.call(verb, "--quiet", *words, *more, reference, timeout_s=images.MOVE_S)
        if lost(done.code):
            raise refused(done.stderr, code=done.code)
        if done.code:
            raise from_engine(reference, complaint(done.stderr or done.stdout), pushing=verb == "push")
        on_event(BuildEvent(kind="done", step=f"{verb} {reference}"))

    def remove_image(self, reference: str) -> None:
        """Remove a name of an image, and the image with its last name; one that is gone is fine."""
        if self.image(reference) is not None:
            self.podman.ask("rmi", reference, timeout_s=images.MOVE_S, image=reference)

    def save(self, references: Sequence[str], out: Path) -> None:
        """Write images with all their layers as an OCI layout in a tar, each blob once."""
        with scratch_folder(out.parent, f".{out.name}-") as scratch:
            folder = scratch / "layout"
            manifests = []
            for number, reference in enumerate(references):
                one = scratch / f"image{number}"
                words = ("save", "--quiet", "--format", "oci-dir", "--output", one, reference)
                self.podman.ask(*words, timeout_s=images.MOVE_S, image=reference)
                manifests.append(images.merge(one, folder, reference))
            images.write_layout(folder, manifests)
            with tarfile.open(scratch / "tar", "w") as tar:
                for path in sorted(folder.rglob("*")):
                    tar.add(path, arcname=str(path.relative_to(folder)), recursive=False, filter=images.plain)
            (scratch / "tar").replace(out)

    def load(self, archive: Path) -> tuple[str, ...]:
        """Take the images of such an archive in (podman's or Docker's); gives their names.

        Raises:
            StepFailed: not such an archive, or one that is damaged or hostile (`bad-archive`).
        """
        with scratch_folder(cache_home() / "scratch", "load-") as folder:
            manifests = images.unpack(archive, folder)
            for name, manifest in manifests.items():
                images.load_manifest(self.podman, folder, manifest, name)
        return tuple(manifests)

    # -- containers --------------------------------------------------------------------

    def run(self, spec: ContainerSpec, on_line: Callable[[str], None]) -> ContainerExit:
        """Create, start and follow one container to its end; it is removed whatever happens.

        Raises:
            UsageError: a mount's source is not there (nothing is created).
            HostLimitError: the host refuses a limit or a device that the target asks for; a device is
                gone or busy, or is asked for in a way that podman has not (nothing is created).
            StepFailed: podman cannot create or start the container.
            EngineError: podman went away.
        """
        if why := not_passed(spec):
            raise HostLimitError(
                why,
                hint="write a CDI spec with the vendor's tool: the NVIDIA container toolkit (nvidia-ctk cdi generate) "
                "or amd-ctk cdi generate",
                slug="device",
            )
        require_inputs(spec)
        if spec.cdi_devices:
            require_fresh(spec.cdi_devices, self.facts())
        with begun(spec.name) as folder, removed_after(self, spec.name):
            words = create_words(spec, this_host())
            printed = self.podman.ask("create", *words, image=spec.image)
            container = printed.strip().splitlines()[-1]
            return follow(self.podman, container, spec.image, folder, on_line)

    def containers(self, label: str) -> list[ContainerFacts]:
        """Containers with this label, running or not."""
        return self.podman.containers(label)

    def stop(self, container_id: str, grace_s: int = 10) -> None:
        """Ask a container to end, kill it after `grace_s` seconds; one that is gone is fine."""
        words = ("stop", "--ignore", "--time", str(grace_s), container_id)
        self.podman.ask(*words, timeout_s=grace_s + _STOPPED_S)

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; one that is gone is fine."""
        self.podman.remove(container_id)

    def attach(self, spec: ContainerSpec) -> int:
        """Run a container with this process's input and output; gives its exit status. Raises `UsageError` as `run`."""
        require_inputs(spec)
        return on_this_terminal([self.podman.program, "run", "--rm"], create_words(spec, this_host()), environment())

    def deployed(self, name: str) -> Deployed | None:
        """A container that runs, as podman tells it; None for one that does not. Raises where there is none."""
        found = self.podman.documents("container", "inspect", "--format", "json", name)
        with understood("podman"):
            return deployed(found[0]) if found else None

    def wait_removed(self) -> None:
        """Nothing to wait for: `run` waits for it, as what sweeps a killed mlorch must know the container till then."""
