"""The values of `build`, `containers` and `runs` under one name."""

from __future__ import annotations

from orchestrator.facts.build import BuildPlan, BuildSettings, ContextFile, DebPin, LayerStep, SdistPin, TreePin
from orchestrator.facts.containers import ARTIFACTS, OWNER_LABEL, ContainerSpec, Mount
from orchestrator.facts.runs import AssetRef, DeviceInjection, InjectedDevice, RunStep

__all__ = [
    "ARTIFACTS",
    "OWNER_LABEL",
    "AssetRef",
    "BuildPlan",
    "BuildSettings",
    "ContainerSpec",
    "ContextFile",
    "DebPin",
    "DeviceInjection",
    "InjectedDevice",
    "LayerStep",
    "Mount",
    "RunStep",
    "SdistPin",
    "TreePin",
]
