"""The JAX backend: serialised StableHLO (`jax.export`), on the platform that is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import check_names, only_provider
from .shapes import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings
    from . import Array

CACHE = "/artifacts/jax"
"""Compiled programs, for the next run: JAX names them by program, device, version and options."""


class JaxBackend:
    """An exported function of a map of inputs to a map of outputs, compiled for each size of a batch.

    On a processor XLA keeps one pool of threads for the whole process, so its size cannot differ between
    instances: layouts share one copy, and the pool has the processors of the thread that loads it.
    """

    def shares(self, settings: Settings, threads: int) -> bool:  # noqa: ARG002 (the Protocol's)
        return True

    def load(self, settings: Settings, threads: int) -> None:  # noqa: ARG002 (see the class)
        """Raises `ValueError` when the model or the platform is not what the settings say."""
        platform = only_provider("jax", "platform", settings.providers)
        os.environ["JAX_PLATFORMS"] = platform  # no other is tried
        import jax
        from jax import export

        if os.access(Path(CACHE).parent, os.W_OK):
            jax.config.update("jax_compilation_cache_dir", CACHE)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        try:
            self._device = jax.devices(platform)[0]
        except RuntimeError as error:
            why = str(error).strip().partition("\n")[0]
            raise ValueError(f"jax has no platform {platform} here: {why}") from error
        exported = export.deserialize(bytearray(Path(settings.model.path).read_bytes()))
        if platform not in exported.platforms:
            made_for = ", ".join(exported.platforms)
            raise ValueError(f"the model was exported for {made_for}, not for {platform}")
        self._names, self._outputs = [each.name for each in settings.model.inputs], list(settings.model.outputs)
        (inputs,), _ = jax.tree.unflatten(exported.in_tree, list(exported.in_avals))
        outputs = jax.tree.unflatten(exported.out_tree, list(exported.out_avals))
        check_names("input", self._names, list(inputs))
        check_names("output", self._outputs, list(outputs))
        self._jax, self._call = jax, jax.jit(exported.call)

    def tune(self, batch: int) -> bool:  # noqa: ARG002 (each size is compiled when it first comes)
        return False

    def predict(self, batch: Sequence[Array]) -> Sequence[Array]:
        size, given = len(batch[0]), fitted(batch)
        found: Any = self._call(self._jax.device_put(dict(zip(self._names, given, strict=True)), self._device))
        return [np.asarray(found[name])[:size] for name in self._outputs]  # `asarray` waits for the device

    def describe(self) -> dict[str, object]:
        return {"framework": "jax", "devices": [self._device.platform], "kind": self._device.device_kind}


def create() -> JaxBackend:
    return JaxBackend()
