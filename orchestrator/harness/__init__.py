"""The program inside the container: drives a model under MLPerf LoadGen, one test per process.

Copied into images as the package ``mlorch_harness`` and started as
``python3 -m mlorch_harness /results/settings.json``. It implements the inner side of
docs/run-contract.md and imports nothing of the orchestrator; numpy, mlperf_loadgen, the
framework of its backend and the standard library are all that it needs.
"""

VERSION = 2
"""The version of settings.json and harness.json."""
