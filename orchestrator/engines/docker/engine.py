"""The Docker engine: its SDK to inspect and to run, buildx (through python-on-whales) to build."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engines import ContainerExit, ContainerFacts, EngineFacts, ImageFacts
from orchestrator.engines.devices import refused_device, takes_gpus
from orchestrator.engines.docker.hosts import find_host
from orchestrator.engines.docker.lookup import container_facts, image_facts
from orchestrator.engines.docker.transfer import DockerTransfers
from orchestrator.engines.requirements import unmet_requirement
from orchestrator.errors import EngineError, HostLimitError, MlorchError, StepFailed, UsageError
from orchestrator.host.folders import cache_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import docker

    from orchestrator.engines import BuildEvent, BuildSettings
    from orchestrator.engines.docker.client import Client
    from orchestrator.facts.steps import ContainerSpec, LayerStep

_TIMEOUT_S = 120
_INSTALL_HINT = "start one, or let mlorch get one for itself: `mlorch engine ensure`"


def _nothing(_facts: ContainerFacts) -> None:
    """The default of `on_started`."""


def connect(host: str | None = None) -> DockerEngine:
    """The engine at `host`, else the one that `find_host` finds.

    Raises:
        EngineError: no engine answers there (`no-engine`).
    """
    import docker
    import docker.errors
    import docker.utils

    host = host or find_host()
    try:
        secured = docker.utils.kwargs_from_env().get("tls") if host.startswith("tcp://") else None
        api = docker.APIClient(
            base_url=host, version="auto", timeout=_TIMEOUT_S, tls=secured or False, use_ssh_client=True
        )
    except (docker.errors.DockerException, OSError) as error:
        raise EngineError(
            f"no container engine answers at {host}: {_why_silent(host, error)}", hint=_INSTALL_HINT, slug="no-engine"
        ) from None
    return DockerEngine(host, api)


class DockerEngine(DockerTransfers):
    """The `Engine` Protocol over one Docker daemon."""

    name = "docker"

    def __init__(self, host: str, api: docker.APIClient) -> None:
        self.host = host
        self._api = api
        self._client: Client | None = None
        self._facts: EngineFacts | None = None

    # -- facts -------------------------------------------------------------------------

    def facts(self) -> EngineFacts:
        """What the daemon reports of itself."""
        with self._answers():
            info, version = self._api.info(), self._api.version()
        status = dict(pair for pair in info.get("DriverStatus") or () if len(pair) == 2)
        from orchestrator.engines.private import running_socket

        private = running_socket()
        return EngineFacts(
            name=self.name,
            host=self.host,
            version=str(version.get("Version", "")),
            api_version=str(version.get("ApiVersion", "")),
            platform=f"{version.get('Os', 'linux')}/{version.get('Arch', '')}",
            buildx=self.client().buildx_version(),
            containerd_store=status.get("driver-type") == "io.containerd.snapshotter.v1",
            cdi=bool(info.get("CDISpecDirs")),
            cdi_devices=tuple(str(device.get("ID")) for device in info.get("DiscoveredDevices") or ()),
            cdi_folders=tuple(info.get("CDISpecDirs") or ()),
            gpus=takes_gpus(self.host, info.get("Runtimes") or ()),
            runtimes=tuple(sorted(info.get("Runtimes") or ())),
            storage_driver=str(info.get("Driver", "")),
            cgroup_version=str(info.get("CgroupVersion", "")),
            root_dir=str(info.get("DockerRootDir", "")),
            rootless=any("rootless" in option for option in info.get("SecurityOptions") or ()),
            private=private is not None and self.host == f"unix://{private}",
            cpus=int(info.get("NCPU") or 0),
            memory=int(info.get("MemTotal") or 0),
            security=tuple(info.get("SecurityOptions") or ()),
        )

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
        import docker.errors

        with self._answers():
            try:
                return image_facts(reference, self._api.inspect_image(reference))  # type: ignore[no-untyped-call]  # the stubs
            except docker.errors.ImageNotFound:
                return None

    def images(self, label: str) -> list[ImageFacts]:
        """Every tagged image with this label (``name`` or ``name=value``)."""
        with self._answers():
            found = self._api.images(filters={"label": label, "dangling": False})
        # The list counts what an image takes on disk; an inspection may count only what was sent.
        sizes = {tag: int(item.get("Size") or 0) for item in found for tag in (item.get("RepoTags") or ())}
        return [replace(facts, size=size) for tag, size in sizes.items() if (facts := self.image(tag)) is not None]

    def build(
        self,
        step: LayerStep,
        context: Path,
        labels: Mapping[str, str],
        settings: BuildSettings,
        on_event: Callable[[BuildEvent], None],
    ) -> ImageFacts:
        """Build one layer; see `orchestrator.engines.docker.buildx.build` for what it raises."""
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
        order = buildx.Order(
            step=step,
            context=context,
            labels=labels,
            settings=settings,
            log_path=cache_home() / "logs" / f"{step.name}-{step.content_id[:12]}.log",
            buildx=own.buildx or "",
        )
        with whales(self.client(), self.host, settings.proxies) as client:
            buildx.build(client, order, on_event)
        facts = self.image(step.image)
        if facts is None:
            raise EngineError(
                f"the engine built `{step.name}` but does not hold {step.image}",
                hint=f"was it removed meanwhile? the build's log is {order.log_path}",
                slug="not-loaded",
            )
        return facts

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
            self._discard(container, stop=not ended)

    def _discard(self, container: str, *, stop: bool) -> None:
        """Stop and remove; an engine that is gone is told by the error that is already on its way."""
        try:
            if stop:
                # Nothing inside has anything to save, and a first process without a handler ignores the signal.
                self.stop(container, grace_s=5)
            self.remove(container)
        except MlorchError:
            pass

    def containers(self, label: str) -> list[ContainerFacts]:
        """Containers with this label, running or not."""
        with self._answers():
            found = self._api.containers(all=True, filters={"label": label})
        return [container_facts(item) for item in found]

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
        import docker.errors

        with self._answers():
            try:
                self._api.remove_container(container_id, force=True, v=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if "already in progress" not in str(error):
                    raise

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
            raise self._refused(error) from None
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise self._lost(error) from None

    def _lost(self, error: BaseException) -> EngineError:
        return EngineError(
            f"the engine at {self.host} stopped answering: {_first_line(error)}",
            hint="see `mlorch doctor`; `mlorch engine ensure` starts mlorch's own engine again",
            slug="engine-lost",
        )

    @staticmethod
    def _refused(error: Any) -> MlorchError:
        said = str(getattr(error, "explanation", "") or error)
        if "error setting rlimit" in said or "can't get final child's PID" in said:
            return HostLimitError(
                f"the host refuses a limit that the target asks for: {said.strip()}",
                hint="see `mlorch doctor`: what the engine may raise is limited by the engine's own limits",
            )
        if (refused := refused_device(said)) is not None:
            return refused
        if "bind source path does not exist" in said:
            return _missing_mount(f"a folder to be mounted is not there on the engine's host: {said.strip()}")
        return StepFailed(f"the engine refused: {said.strip()}", slug="engine-refused")


def _missing_mount(message: str) -> UsageError:
    return UsageError(message, hint="mlorch never creates an input; give an existing path", slug="missing-mount")


def _why_silent(host: str, error: BaseException) -> str:
    """Why nobody answers, in plain words where it is a socket of this host; the SDK wraps them thrice."""
    path = host.removeprefix("unix://")
    if path == host:
        return _first_line(error)
    if not os.path.lexists(path):
        return "there is no such socket"
    words = str(error)
    if "PermissionError" in words or "Permission denied" in words:
        return "this user may not use its socket (is the user in the socket's group?)"
    if "ConnectionRefused" in words or "Connection refused" in words:
        return "the socket is there, but nothing listens on it"
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
