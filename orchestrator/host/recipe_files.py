"""What recipes name beside themselves, as the catalogue looks at it (`definitions.catalog.by_file.Look`)."""

from __future__ import annotations

from orchestrator.host.model_files import look as file
from orchestrator.host.sample_folders import look_at_hub as hub
from orchestrator.host.sample_folders import look_at_samples as samples

__all__ = ["file", "hub", "samples"]
