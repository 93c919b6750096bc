"""The Docker engine: its SDK to inspect and to run, buildx (through python-on-whales) to build."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from orchestrator.engines.builds import built, held
from orchestrator.engines.cdi import require_fresh
from orchestrator.engines.containers import Removals, on_this_terminal, removed_after, require_inputs
from orchestrator.engines.deployed import deployed
from orchestrator.engines.docker import images, transfer
from orchestrator.engines.docker.client import choose, registries_of, whales
from orchestrator.engines.docker.containers import argv, create, follow
from orchestrator.engines.docker.contexts import context_tls
from orchestrator.engines.docker.facts import facts_of, unmet_requirement
from orchestrator.engines.docker.hosts import find_host, no_engine, require_listener, require_whole, socket_path
from orchestrator.engines.docker.lookup import Lookup, engine_lost, socket_lookup
from orchestrator.engines.inventory import understood
from orchestrator.engines.limits import daemon_limits
from orchestrator.engines.private import running_socket
from orchestrator.engines.refusals import no_image, refusal
from orchestrator.errors import EngineError, MlorchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import docker
    import docker.errors
    from docker.tls import TLSConfig

    from orchestrator.engines.builds import BuildRequest
    from orchestrator.engines.docker.client import Client
    from orchestrator.engines.inventory import ContainerFacts, ImageFacts
    from orchestrator.engines.model import BuildEvent, ContainerExit, EngineFacts, RegistryAuth
    from orchestrator.facts.containers import ContainerSpec, Deployed

_TIMEOUT_S = 120
_FIRST_S = 10
"""How long an engine may take to say which it is."""


def connect(host: str | None = None) -> DockerEngine:
    """The engine at `host`, else the one that `find_host` finds.

    Raises:
        EngineError: no engine answers there (`no-engine`).
    """
    host = host or find_host()
    require_listener(host)
    require_whole(host)
    engine = DockerEngine(host)
    if socket_path(host) is None:
        engine.sdk  # noqa: B018 (elsewhere only the SDK shows whether somebody answers)
    return engine


class DockerEngine:
    """The `Engine` Protocol over one Docker daemon.

    What the daemon has (facts, images, containers) is asked by `lookup`; Docker's SDK runs
    containers and moves images, and is imported by the first of these.
    """

    name = "docker"
    _all_removals: ClassVar[Removals] = Removals()
    """Of this process, whichever object began them."""

    def __init__(self, host: str) -> None:
        self.host = host

    @property
    def _removals(self) -> Removals | None:
        """None for an engine elsewhere: questions to it go through the SDK's session, which is for one thread."""
        return None if socket_path(self.host) is None else self._all_removals

    @cached_property
    def sdk(self) -> docker.APIClient:
        """Docker's SDK, connected; `EngineError` (`no-engine`) where nobody answers it."""
        import docker
        import docker.errors

        try:
            with _logins_left_alone():
                api = docker.APIClient(
                    base_url=self.host, version="auto", timeout=_FIRST_S, tls=_secured(self.host), use_ssh_client=True
                )
        except (docker.errors.DockerException, OSError, ValueError) as error:
            raise no_engine(self.host, _first_line(error)) from None
        api.timeout = _TIMEOUT_S
        return api

    @property
    def lookup(self) -> Lookup:
        """Questions to the daemon: over its socket, or through the SDK's session where it is elsewhere."""
        return socket_lookup(self.host) or Lookup(self.host, self._send)

    def _send(self, method: str, path: str) -> tuple[int, bytes]:
        api = self.sdk
        answer = api.request(method, f"{api.base_url}{path}", timeout=_TIMEOUT_S)
        return answer.status_code, answer.content

    # -- facts -------------------------------------------------------------------------

    def facts(self) -> EngineFacts:
        """What the daemon reports of itself."""
        info, version = self.lookup.document("/info"), self.lookup.document("/version")
        private = self.host == f"unix://{running_socket()}"
        with understood(f"the engine at {self.host}"):
            return facts_of(info, version, self.host, self.client.buildx_version(), private=private)

    @cached_property
    def _own_facts(self) -> EngineFacts:
        return self.facts()

    @cached_property
    def client(self) -> Client:
        """The docker client that builds on this engine."""
        return choose(self.host)

    def daemon_limits(self) -> dict[str, int | None]:
        """The most that a container's rlimits may be; see `orchestrator.engines.limits`."""
        return daemon_limits(self.host)

    # -- images ------------------------------------------------------------------------

    def image(self, reference: str) -> ImageFacts | None:
        """The image with this reference, or None."""
        return self.lookup.images([reference])[reference]

    def images(self, label: str) -> list[ImageFacts]:
        """Every tagged image with this label (``name`` or ``name=value``)."""
        return self.lookup.labelled(label)

    def require_builder(self) -> None:
        """Raise `EngineError` (`no-buildx`) where this engine is too old to build, or its client has no buildx."""
        if why := unmet_requirement(self._own_facts):
            raise EngineError(
                f"mlorch can run containers with this engine but not build: {why}",
                hint="let mlorch get what is missing: `mlorch engine ensure --yes`",
                slug="no-buildx",
            )

    def build(self, request: BuildRequest, on_event: Callable[[BuildEvent], None]) -> ImageFacts:
        """Build one layer; see `orchestrator.engines.docker.buildx.build` for what it raises, and `require_builder`."""
        from orchestrator.engines.docker import buildx  # it brings half of the planner along

        self.require_builder()
        own = self._own_facts
        if request.settings.cache_to and not own.containerd_store:
            raise EngineError(
                "this engine cannot export a build cache: it keeps images in its old store",
                hint='turn on "containerd-snapshotter" in its daemon.json, or leave --cache-to out',
                slug="no-cache-export",
            )
        step, settings = request.step, request.settings
        caches = [f"{prefix}/" for prefix in (settings.cache_to, *settings.cache_from) if prefix]
        registries = registries_of(step.dockerfile, [*step.contexts.values(), *caches])
        with whales(self.client, self.host, settings.proxies, registries) as client:
            buildx.build(client, request, own.buildx or "", on_event)
        return built(request, self.image(request.step.image))

    def save(self, references: Sequence[str], out: Path) -> None:
        """Write images into an archive; see `orchestrator.engines.docker.images.save`."""
        with self._answers():
            images.save(self.sdk, references, out)

    def load(self, archive: Path) -> tuple[str, ...]:
        """Take the images of an archive in; see `orchestrator.engines.docker.images.load`."""
        with self._answers():
            return images.load(self.sdk, archive)

    def tag(self, reference: str, new: str) -> None:
        """Give the image `reference` a second name."""
        repository, _, name = new.rpartition(":")
        with self._answers():
            self.sdk.tag(reference, repository, name, force=True)

    def remove_image(self, reference: str) -> None:
        """Remove a name of an image; see `orchestrator.engines.docker.images.remove`."""
        self.wait_removed()  # a container that is going still holds its image
        with self._answers():
            images.remove(self.sdk, reference)

    def pull(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> ImageFacts:
        """Get an image from its registry; see `orchestrator.engines.docker.transfer.pull` for what it raises."""
        with self._answers():
            transfer.pull(self.sdk, reference, auth, on_event)
        return held(self.image(reference), reference)

    def push(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> str:
        """Send an image to the registry that its name says; see `orchestrator.engines.docker.transfer.push`."""
        with self._answers():
            digest = transfer.push(self.sdk, reference, auth, on_event)
        if digest:
            return digest
        facts = self.image(reference)  # with its own image store an engine does not say it, but knows it
        return facts.digest if facts is not None else ""

    # -- containers --------------------------------------------------------------------

    def run(self, spec: ContainerSpec, on_line: Callable[[str], None]) -> ContainerExit:
        """Create, start and follow one container to its end; it is removed whatever happens.

        Raises:
            UsageError: a mount's source is not there (nothing is created).
            HostLimitError: the host refuses a limit or a device that the target asks for; a device is
                gone or busy (nothing is created).
            StepFailed: the engine cannot start the container.
            EngineError: the engine went away.
        """
        if self.host.startswith("unix://"):
            require_inputs(spec)
            if spec.cdi_devices:
                require_fresh(spec.cdi_devices, self._own_facts)
        if self._removals is not None:
            self._removals.wait(spec.name)
        with self._answers(spec.image):
            container = create(self.sdk, spec)
            with removed_after(self, container, self._removals, name=spec.name):
                return follow(self.sdk, container, on_line)

    def containers(self, label: str) -> list[ContainerFacts]:
        """Containers with this label, running or not."""
        return self.lookup.containers(label)

    def stop(self, container_id: str, grace_s: int = 10) -> None:
        """Ask a container to end, kill it after `grace_s` seconds; one that is gone is fine."""
        import docker.errors

        with self._answers():
            try:
                self.sdk.stop(container_id, timeout=grace_s)
            except docker.errors.NotFound:
                return

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; one that is gone is fine."""
        self.lookup.remove(container_id)

    def attach(self, spec: ContainerSpec) -> int:
        """Run a container with this process's input and output; gives its exit status.

        Raises `EngineError` [no-client] without a docker client, `UsageError` as `run`.
        """
        command = self.client.command
        if command is None:
            raise EngineError(
                "no docker client is here, and only that can bring a container to a terminal",
                hint="install the package docker-cli, or let `mlorch engine ensure` get it",
                slug="no-client",
            )
        _, *words = argv(spec, self.host)
        at = words.index("run") + 1
        require_inputs(spec)
        return on_this_terminal([command, *words[:at]], words[at:])

    def deployed(self, name: str) -> Deployed | None:
        """A container that runs, as the engine tells it; None where none of this name is running."""
        found = self.lookup.container(name)
        with understood(f"the engine at {self.host}"):
            return None if found is None else deployed(found)

    def wait_removed(self) -> None:
        """Until the containers that ended are removed."""
        if self._removals is not None:
            self._removals.wait()

    @contextmanager
    def _answers(self, image: str = "") -> Iterator[None]:
        """Turn what the SDK raises into our errors: no other code knows its exceptions."""
        import docker.errors
        import requests

        try:
            yield
        except MlorchError:  # a caller's own, some of which are OSErrors too (a record that cannot be written)
            raise
        except docker.errors.ImageNotFound as error:
            raise no_image(image, _first_line(error)) from None
        except docker.errors.InvalidVersion as error:  # raised here, before the engine is asked
            raise EngineError(
                f"the engine at {self.host} is too old to run this container: {_first_line(error)}",
                hint="it takes Docker 23 or newer: update it, or let mlorch get one: `mlorch engine ensure`",
                slug="engine-unfit",
            ) from None
        except docker.errors.APIError as error:
            raise refusal(str(error.explanation or error), image) from None
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise engine_lost(self.host, _first_line(error)) from None


@contextmanager
def _logins_left_alone() -> Iterator[None]:
    """Docker's SDK reads all logins of the user when a client is made, and one bad entry ends it.

    mlorch hands over the credentials of each transfer itself (`images.registry.credentials`). Other clients of this
    process, of a program that uses the Python API, keep theirs.
    """
    import docker.utils.config

    before = docker.utils.config.load_general_config
    docker.utils.config.load_general_config = lambda config_path=None: {"auths": {}}  # noqa: ARG005 (as it is called)
    try:
        yield
    finally:
        docker.utils.config.load_general_config = before


def _secured(host: str) -> TLSConfig | Literal[False]:
    """The TLS of an engine elsewhere: of the docker context, else of DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."""
    from docker.tls import TLSConfig
    from docker.utils import kwargs_from_env

    if not host.startswith("tcp://"):
        return False
    found = context_tls(host, os.environ)
    if found is None:
        return kwargs_from_env().get("tls") or False
    pair = (found.cert, found.key) if found.cert and found.key else None
    return TLSConfig(client_cert=pair, ca_cert=found.ca or None, verify=found.verify)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
