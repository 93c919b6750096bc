"""Which devices a container gets, by which method, and with which rights. Pure; docs/devices.md has the reasons."""

from __future__ import annotations

from orchestrator.plan.run.devices.plan import Devices, plan_devices

__all__ = ["Devices", "plan_devices"]
