"""The podman engine: its own program to inspect, build, run and move images; no daemon, root or a plain user."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.access import HERE, EngineAccess
from orchestrator.engines.podman.argv import create_words, not_passed
from orchestrator.engines.podman.cli import missing_mount, refused
from orchestrator.engines.podman.host import this_host
from orchestrator.engines.podman.images import PodmanImages
from orchestrator.errors import EngineError, HostLimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.engines.inventory import ContainerFacts, ImageFacts
    from orchestrator.engines.model import BuildEvent, ContainerExit, EngineFacts
    from orchestrator.engines.podman.cli import Podman
    from orchestrator.facts.build import BuildSettings, LayerStep
    from orchestrator.facts.containers import ContainerSpec

_STOPPED_S = 30.0


def _nothing(_facts: ContainerFacts) -> None:
    """The default of `on_started`."""


@dataclass(slots=True)
class PodmanEngine(PodmanImages):
    """The `Engine` Protocol over one podman program."""

    podman: Podman
    name: str = "podman"
    access: EngineAccess = HERE
    _facts: EngineFacts | None = field(default=None, repr=False)

    # -- facts -------------------------------------------------------------------------

    def facts(self) -> EngineFacts:
        """What podman reports of itself."""
        if self._facts is None:
            self._facts = self._ask_facts()
        return self._facts

    def _ask_facts(self) -> EngineFacts:
        from orchestrator.engines.podman.facts import facts_of
        from orchestrator.engines.private.podman import program

        (info,) = self.podman.documents("info", "--format", "json")
        return facts_of(info, self.podman.program, private=self.podman.program == str(program()))

    def daemon_limits(self) -> dict[str, int | None]:
        """The most that a container's rlimits may be: what this very process may give."""
        from orchestrator.engines.limits import own_limits

        return own_limits()

    # -- images ------------------------------------------------------------------------

    def image(self, reference: str) -> ImageFacts | None:
        """The image with this reference, or None."""
        return self.podman.images_by_reference([reference])[reference]

    def images(self, label: str) -> list[ImageFacts]:
        """Every tagged image with this label (``name`` or ``name=value``)."""
        words = ("images", "--filter", f"label={label}", "--filter", "dangling=false", "--format", "json")
        references = [name for item in self.podman.documents(*words) for name in item.get("Names") or ()]
        return [facts for facts in self.podman.images_by_reference(references).values() if facts is not None]

    def build(
        self,
        step: LayerStep,
        context: Path,
        labels: Mapping[str, str],
        settings: BuildSettings,
        on_event: Callable[[BuildEvent], None],
    ) -> ImageFacts:
        """Build one layer; see `orchestrator.engines.podman.build.build` for what it raises."""
        from orchestrator.engines.builds import BuildRequest, built
        from orchestrator.engines.podman import build as podman_build
        from orchestrator.engines.podman.facts import too_old

        if why := too_old(self.facts()):
            raise EngineError(
                f"mlorch can run containers with this engine but not build: {why}",
                hint="update podman, or build with another engine: `--engine docker`",
                slug="no-builder",
            )
        request = BuildRequest(step=step, context=context, labels=labels, settings=settings)
        podman_build.build(self, request, self.facts().version, on_event)
        return built(request, self.image(step.image))

    # -- containers --------------------------------------------------------------------

    def run(
        self,
        spec: ContainerSpec,
        on_line: Callable[[str], None],
        on_started: Callable[[ContainerFacts], None] = _nothing,
    ) -> ContainerExit:
        """Create, start and follow one container to its end; it is removed whatever happens.

        Raises:
            UsageError: a mount's source is not there (nothing is created).
            HostLimitError: the host refuses a limit or a device that the target asks for; a device is
                gone or busy, or is asked for in a way that podman has not (nothing is created).
            StepFailed: podman cannot create or start the container.
            EngineError: podman went away.
        """
        from orchestrator.engines.nodes import require_nodes
        from orchestrator.engines.output import discard
        from orchestrator.engines.podman.run import PID, follow
        from orchestrator.engines.podman.runs import begun

        for mount in spec.mounts:
            if not Path(mount.source).exists():
                raise missing_mount(f"{mount.source} is to be mounted at {mount.target}, but it is not there")
        if why := not_passed(spec):
            raise HostLimitError(
                why,
                hint="write a CDI spec with the vendor's tool: the NVIDIA container toolkit (nvidia-ctk cdi generate) "
                "or amd-ctk cdi generate",
                slug="device",
            )
        require_nodes(spec)
        with begun(spec.name) as folder:
            ended = False
            try:
                container = self._create(spec, folder / PID)
                outcome = follow(self.podman, container, spec, folder, on_line, on_started)
                ended = True
                return outcome
            finally:
                discard(self, spec.name, stop=not ended)

    def _create(self, spec: ContainerSpec, pid_file: Path) -> str:
        words = create_words(spec, this_host())
        done = self.podman.call("create", "--pidfile", pid_file, *words)
        if done.code:
            raise refused(done.stderr, code=done.code, image=spec.image)
        return done.stdout.strip().splitlines()[-1]

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
