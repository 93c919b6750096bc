"""Backends behind one Protocol; a name maps to a module, imported on use."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from ..settings import Model, Settings

    Array = npt.NDArray[np.generic]


Kind = Literal["predicts", "generates", "served"]


@dataclass(frozen=True, kw_only=True)
class Framework:
    """A framework: the module of its backend, and the distributions whose versions are worth knowing.

    One that ``generates`` has a `Generator`, which answers a prompt token by token; those that ``predict`` have a
    `Backend`. Of one that is ``served`` the model is elsewhere, and the package `client` asks for its answers.
    """

    module: str
    packages: tuple[str, ...]
    kind: Kind = "predicts"


FRAMEWORKS = {
    "onnxruntime": Framework(module=".onnx", packages=("onnxruntime", "onnxruntime-gpu")),
    "qaic": Framework(module=".qaic", packages=("onnxruntime-qaic",)),
    "openvino": Framework(module=".openvino", packages=("openvino",)),
    "pytorch": Framework(module=".pytorch", packages=("torch", "torch-xla", "torch-neuronx", "habana-torch-plugin")),
    "jax": Framework(module=".jax", packages=("jax", "jaxlib", "libtpu")),
    "pocketsphinx": Framework(module=".pocketsphinx", packages=("pocketsphinx",)),
    "llamacpp-likelihood": Framework(module=".llamacpp_likelihood", packages=("xllamacpp",)),
    "llamacpp": Framework(module=".llamacpp", packages=("xllamacpp",), kind="generates"),
    "openai": Framework(module="..served", packages=("aiohttp", "msgspec", "uvloop"), kind="served"),
}
"""By the name that the settings call it."""


class Backend(Protocol):
    """A model that can be run.

    ``load`` makes one loaded copy with ``threads`` threads of its own. It runs on the device
    that the settings' providers name or fails: there is no fallback to another device.
    """

    def shares(self, settings: Settings, threads: int) -> bool:
        """Whether one copy serves all instances, from several threads at once; asked before ``load``."""
        ...

    def load(self, settings: Settings, threads: int) -> None: ...

    def tune(self, batch: int) -> bool:
        """Make batches of this size quicker where the framework can; whether anything changed."""
        ...

    def predict(self, batch: Sequence[Array]) -> Sequence[Array]:
        """The outputs [n, ...], in the settings' order, for the inputs [n, ...] in theirs.

        Good until the thread's next call.
        """
        ...

    def describe(self) -> dict[str, object]:
        """The devices that it really runs on, as the framework reports after loading: for harness.json."""
        ...


@runtime_checkable
class PageLocking(Protocol):
    """A `Backend` whose device copies quicker, and by itself, out of memory of a certain kind."""

    def page_locked(self) -> Callable[[tuple[int, ...], np.dtype[Any]], Array] | None:
        """How such memory is had, by shape and type; None where this device gains nothing. Asked after ``load``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a loaded copy has to hold: ``streams`` answers at once, each of ``tokens`` with its prompt."""

    streams: int
    tokens: int


class Generator(Protocol):
    """A model that writes on, token by token, and has several answers under way at once.

    ``load`` makes one copy that computes in ``threads`` threads, on the device that the settings' providers name.
    """

    def load(self, settings: Settings, threads: int, room: Room) -> None: ...

    def generate(self, prompt: Array, limit: int, first: Callable[[Array], None]) -> Array:
        """The answer to a prompt: at most ``limit`` tokens int32 [n], the model's end of a turn among them.

        ``first`` is called once with the first of them (int32 [1]) as soon as it is there, in the caller's thread.
        The token at each place is the likeliest. Called by up to `Room.streams` threads at once; raises
        `RuntimeError` where the framework fails, also after ``first``.
        """
        ...

    def describe(self) -> dict[str, object]:
        """As `Backend.describe`."""
        ...


def kind(name: str) -> Kind:
    """What the backend of that name is; raises `ValueError` for a name that is not known."""
    return _framework(name).kind


def create(name: str) -> Backend:
    """An unloaded backend; raises `ValueError` for a name that is not known."""
    backend: Backend = import_module(_framework(name).module, __package__).create()
    return backend


def generator(name: str) -> Generator:
    """An unloaded generator; raises `ValueError` for a name that is not known."""
    found: Generator = import_module(_framework(name).module, __package__).create()
    return found


def check_names(what: str, wanted: Sequence[str], names: Sequence[str]) -> None:
    """Raises `ValueError` where the model has no input or output of a name that the settings want."""
    for name in wanted:
        if name not in names:
            raise ValueError(f"the model has no {what} {name!r}; it has {', '.join(names)}")


def places_of_inputs(framework: str, model: Model, inputs: Sequence[str], outputs: Sequence[str]) -> list[int]:
    """Where each of the inputs that a backend needs stands among those of the settings, for one with a fixed interface.

    Raises `ValueError` where the settings name others, or another output.
    """
    names = [each.name for each in model.inputs]
    check_names("input", names, inputs)
    check_names("output", model.outputs, outputs)
    if sorted(names) != sorted(inputs):
        raise ValueError(f"{framework} needs the inputs {' and '.join(inputs)}, not {', '.join(names)}")
    return [names.index(name) for name in inputs]


def only_provider(framework: str, what: str, providers: Sequence[str]) -> str:
    """The one device or platform that the settings name; raises `ValueError` for none and for several."""
    if len(providers) != 1:
        raise ValueError(f"{framework} needs one {what} as its provider, not {', '.join(providers) or 'none'}")
    return providers[0]


def _framework(name: str) -> Framework:
    if name not in FRAMEWORKS:
        raise ValueError(f"backend {name!r} is none of {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[name]
