"""mlorch: a container-first orchestrator for MLPerf."""

__version__ = "0.1.0"
