"""The Docker engine: its SDK to inspect and to run, buildx (through python-on-whales) to build."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.devices import refused_device
from orchestrator.engines.docker.hosts import find_host, no_engine, require_listener, socket_path
from orchestrator.engines.docker.lookup import Lookup, engine_lost, socket_lookup
from orchestrator.engines.requirements import unmet_requirement
from orchestrator.errors import EngineError, HostLimitError, MlorchError, StepFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import docker
    import docker.errors

    from orchestrator.engines.docker.client import Client
    from orchestrator.engines.inventory import ContainerFacts, ImageFacts
    from orchestrator.engines.model import BuildEvent, ContainerExit, EngineFacts, RegistryAuth
    from orchestrator.facts.build import BuildSettings, LayerStep
    from orchestrator.facts.containers import ContainerSpec

_TIMEOUT_S = 120


def _nothing(_facts: ContainerFacts) -> None:
    """The default of `on_started`."""


def connect(host: str | None = None) -> DockerEngine:
    """The engine at `host`, else the one that `find_host` finds.

    Raises:
        EngineError: no engine answers there (`no-engine`).
    """
    host = host or find_host()
    require_listener(host)
    engine = DockerEngine(host)
    if socket_path(host) is None:
        engine.ask_sdk()  # elsewhere only the SDK can tell whether somebody answers
    return engine


def _sdk(host: str) -> docker.APIClient:
    """Docker's SDK for the engine at `host`. Raises `EngineError` (`no-engine`)."""
    import docker
    import docker.errors
    import docker.utils

    secured = docker.utils.kwargs_from_env().get("tls") if host.startswith("tcp://") else None
    try:
        return docker.APIClient(
            base_url=host, version="auto", timeout=_TIMEOUT_S, tls=secured or False, use_ssh_client=True
        )
    except (docker.errors.DockerException, OSError, ValueError) as error:
        raise no_engine(host, _first_line(error)) from None


class DockerEngine:
    """The `Engine` Protocol over one Docker daemon.

    What the daemon has (facts, images, containers) is asked by `lookup`; Docker's SDK runs
    containers and moves images, and is imported by the first of these.
    """

    name = "docker"

    def __init__(self, host: str) -> None:
        self.host = host
        self._sdk: docker.APIClient | None = None
        self._client: Client | None = None
        self._facts: EngineFacts | None = None

    @property
    def _api(self) -> docker.APIClient:
        return self.ask_sdk()

    def ask_sdk(self) -> docker.APIClient:
        """Docker's SDK, connected; `EngineError` (`no-engine`) where nobody answers it."""
        if self._sdk is None:
            self._sdk = _sdk(self.host)
        return self._sdk

    @property
    def lookup(self) -> Lookup:
        """Questions to the daemon: over its socket, or through the SDK's session where it is elsewhere."""
        return socket_lookup(self.host) or Lookup(self.host, self._send)

    def _send(self, method: str, path: str) -> tuple[int, bytes]:
        api = self._api
        answer = api.request(method, f"{api.base_url}{path}", timeout=_TIMEOUT_S)
        return answer.status_code, answer.content

    # -- facts -------------------------------------------------------------------------

    def facts(self) -> EngineFacts:
        """What the daemon reports of itself."""
        from orchestrator.engines.docker.facts import facts_of
        from orchestrator.engines.private import running_socket

        info, version = self.lookup.document("/info"), self.lookup.document("/version")
        private = self.host == f"unix://{running_socket()}"
        return facts_of(info, version, self.host, self.client().buildx_version(), private=private)

    def client(self) -> Client:
        """The docker client that builds on this engine."""
        if self._client is None:
            from orchestrator.engines.docker.client import choose

            self._client = choose(self.host)
        return self._client

    def daemon_limits(self) -> dict[str, int | None]:
        """The most that a container's rlimits may be; see `orchestrator.engines.limits`."""
        from orchestrator.engines.limits import daemon_limits

        return daemon_limits(self.host)

    # -- images ------------------------------------------------------------------------

    def image(self, reference: str) -> ImageFacts | None:
        """The image with this reference, or None."""
        return self.lookup.images([reference])[reference]

    def images(self, label: str) -> list[ImageFacts]:
        """Every tagged image with this label (``name`` or ``name=value``)."""
        return self.lookup.labelled(label)

    def build(
        self,
        step: LayerStep,
        context: Path,
        labels: Mapping[str, str],
        settings: BuildSettings,
        on_event: Callable[[BuildEvent], None],
    ) -> ImageFacts:
        """Build one layer; see `orchestrator.engines.docker.buildx.build` for what it raises."""
        from orchestrator.engines.builds import BuildRequest, built
        from orchestrator.engines.docker import buildx
        from orchestrator.engines.docker.client import whales

        if self._facts is None:
            self._facts = self.facts()
        own = self._facts
        if why := unmet_requirement(own):
            raise EngineError(
                f"mlorch can run containers with this engine but not build: {why}",
                hint="let mlorch get what is missing: `mlorch engine ensure --yes`",
                slug="no-buildx",
            )
        if settings.cache_to and not own.containerd_store:
            raise EngineError(
                "this engine cannot export a build cache: it keeps images in its old store",
                hint='turn on "containerd-snapshotter" in its daemon.json, or leave --cache-to out',
                slug="no-cache-export",
            )
        request = BuildRequest(step=step, context=context, labels=labels, settings=settings)
        with whales(self.client(), self.host, settings.proxies) as client:
            buildx.build(client, request, own.buildx or "", on_event)
        return built(request, self.image(step.image))

    def save(self, references: Sequence[str], out: Path) -> None:
        """Write images into an archive; see `orchestrator.engines.docker.images.save`."""
        from orchestrator.engines.docker.images import save

        with self._answers():
            save(self._api, references, out)

    def load(self, archive: Path) -> tuple[str, ...]:
        """Take the images of an archive in; see `orchestrator.engines.docker.images.load`."""
        from orchestrator.engines.docker.images import load

        with self._answers():
            return load(self._api, archive)

    def tag(self, reference: str, new: str) -> None:
        """Give the image `reference` a second name."""
        from orchestrator.engines.docker.transfer import tag

        with self._answers():
            tag(self._api, reference, new)

    def remove_image(self, reference: str) -> None:
        """Remove a name of an image; see `orchestrator.engines.docker.transfer.remove_image`."""
        from orchestrator.engines.docker.transfer import remove_image

        with self._answers():
            remove_image(self._api, reference)

    def pull(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> ImageFacts:
        """Get an image from its registry; see `orchestrator.engines.docker.transfer.pull` for what it raises."""
        from orchestrator.engines.docker.transfer import pull

        with self._answers():
            pull(self._api, reference, auth, on_event)
        facts = self.image(reference)
        if facts is None:
            raise StepFailed(f"the engine pulled {reference} but does not hold it", slug="not-loaded")
        return facts

    def push(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> str:
        """Send an image to the registry that its name says; see `orchestrator.engines.docker.transfer.push`."""
        from orchestrator.engines.docker.transfer import push

        with self._answers():
            digest = push(self._api, reference, auth, on_event)
        if digest:
            return digest
        facts = self.image(reference)  # with its own image store an engine does not say it, but knows it
        return facts.digest if facts is not None else ""

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
                gone or busy (nothing is created).
            StepFailed: the engine cannot start the container.
            EngineError: the engine went away.
        """
        from orchestrator.engines.docker.containers import create, follow
        from orchestrator.engines.nodes import require_nodes
        from orchestrator.engines.output import discard

        for mount in spec.mounts:
            if self.host.startswith("unix://") and not Path(mount.source).exists():
                raise _missing_mount(f"{mount.source} is to be mounted at {mount.target}, but it is not there")
        if self.host.startswith("unix://"):
            require_nodes(spec)
        with self._answers():
            container = create(self._api, spec)
        ended = False
        try:
            with self._answers(spec):
                outcome = follow(self._api, container, spec, on_line, on_started)
            ended = True
            return outcome
        finally:
            discard(self, container, stop=not ended)

    def containers(self, label: str) -> list[ContainerFacts]:
        """Containers with this label, running or not."""
        return self.lookup.containers(label)

    def stop(self, container_id: str, grace_s: int = 10) -> None:
        """Ask a container to end, kill it after `grace_s` seconds; one that is gone is fine."""
        import docker.errors

        with self._answers():
            try:
                self._api.stop(container_id, timeout=grace_s)
            except docker.errors.NotFound:
                return

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; one that is gone is fine."""
        self.lookup.remove(container_id)

    @contextmanager
    def _answers(self, spec: ContainerSpec | None = None) -> Iterator[None]:
        """Turn what the SDK raises into our errors: the one place that knows its exceptions."""
        import docker.errors
        import requests

        try:
            yield
        except MlorchError:  # a caller's own, some of which are OSErrors too (a record that cannot be written)
            raise
        except docker.errors.ImageNotFound as error:
            image = spec.image if spec else ""
            raise StepFailed(
                f"the engine has no image {image}: {_first_line(error)}",
                hint="`mlorch build` makes it",
                slug="no-image",
            ) from None
        except docker.errors.APIError as error:
            raise _refused(error) from None
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise engine_lost(self.host, _first_line(error)) from None


def _refused(error: docker.errors.APIError) -> MlorchError:
    why = str(error.explanation or error)
    if "error setting rlimit" in why or "can't get final child's PID" in why:
        return HostLimitError(
            f"the host refuses a limit that the target asks for: {why.strip()}",
            hint="see `mlorch doctor`: what the engine may raise is limited by the engine's own limits",
        )
    if (refused := refused_device(why)) is not None:
        return refused
    if "bind source path does not exist" in why:
        return _missing_mount(f"a folder to be mounted is not there on the engine's host: {why.strip()}")
    return StepFailed(f"the engine refused: {why.strip()}", slug="engine-refused")


def _missing_mount(message: str) -> UsageError:
    return UsageError(message, hint="mlorch never creates an input; give an existing path", slug="missing-mount")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
