"""An image of a few hundred kilobytes to test an engine with: busybox on nothing."""

from __future__ import annotations

import secrets
from pathlib import Path

from orchestrator.engines.builds import BuildRequest
from orchestrator.facts.build import LayerStep
from orchestrator.facts.build_settings import BuildSettings
from orchestrator.facts.containers import ContainerSpec


def busybox() -> bytes:
    """The static busybox that the base layer's lock pins, from the cache or the host's package archives."""
    from debian.debfile import DebFile

    from orchestrator.host.site import this_site
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.packages.fetch import Fetcher

    plan = Context().plans(Selection(target="cpu", base_source="bootstrap")).plans[0]
    pin = next(deb for layer in plan.layers for deb in layer.debs if deb.name == "busybox-static")
    data = DebFile(str(Fetcher(this_site()).deb(pin))).data
    return data.get_content("bin/busybox")


def step(name: str, *lines: str) -> LayerStep:
    """A layer on nothing with busybox; ``lines`` follow."""
    text = "\n".join(("FROM scratch", "COPY --chmod=755 busybox /bin/busybox", *lines)) + "\n"
    return LayerStep(
        name=f"t-docker-{name}", level="side", platform="linux/amd64", content_id=secrets.token_hex(32), parent=None,
        dockerfile=text,
    )  # fmt: skip


def sh(script: str) -> str:
    """A RUN line that no earlier build has seen, for an image without a shell of its own name."""
    return f'RUN --network=none ["/bin/busybox", "sh", "-c", "{script} # {secrets.token_hex(4)}"]'


class Bench:
    """Builds steps on an engine, with what it said kept."""

    def __init__(self, engine, folder: Path, program: bytes) -> None:
        self.engine, self.folder, self.program = engine, folder, program
        self.events = []
        self.made = []

    def context(self, made: LayerStep) -> Path:
        """The step's context, laid out as an executor does."""
        folder = self.folder / made.content_id[:12]
        folder.mkdir(parents=True)
        (folder / "busybox").write_bytes(self.program)
        (folder / "Dockerfile").write_text(made.dockerfile)
        return folder

    def build(self, made: LayerStep, settings: BuildSettings | None = None, on_event=None, **labels: str):
        """Build it; events go to `on_event`, else to `events`."""
        marks = {"org.mlorch.test": made.name, **labels}
        self.made.append(made.image)
        settings = settings or BuildSettings()
        request = BuildRequest(step=made, context=self.context(made), labels=marks, settings=settings)
        return self.engine.build(request, on_event or self.events.append)

    def clean(self) -> None:
        """Remove what was built: tests leave no images in the engine that a person uses."""
        for reference in self.made:
            if self.engine.image(reference) is not None:
                _REMOVE[self.engine.name](self.engine, reference)


_REMOVE = {
    "docker": lambda engine, reference: engine.sdk.remove_image(reference, force=True),
    "podman": lambda engine, reference: engine.remove_image(reference),
}
_HISTORY = {
    "docker": lambda engine, reference: engine.sdk.history(reference),
    "podman": lambda engine, reference: (
        engine.podman.ask("history", "--no-trunc", reference) + engine.podman.ask("image", "inspect", reference)
    ),
}


def history(engine, reference: str) -> str:
    """All that an engine tells of how an image was made."""
    return str(_HISTORY[engine.name](engine, reference))


def spec(image: str, script: str, **more) -> ContainerSpec:
    """A container that runs a script of busybox as a plain user."""
    given = {
        "name": f"t-docker-{secrets.token_hex(6)}",
        "image": image,
        "command": ("/bin/busybox", "sh", "-c", script),
        "user": "1234:2345",
        "labels": {"org.mlorch.test": "t-docker"},
        "memory": 64 << 20,
    }
    return ContainerSpec(**{**given, **more})
