"""By the command line: two engines, a registry with TLS and a password, nothing built on the second."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT
from test_private_engine import needs_host


@pytest.mark.engine
@needs_host
@pytest.mark.slow
def test_a_run_on_an_empty_engine_builds_nothing():
    done = subprocess.run(
        [sys.executable, ROOT / "tests/reuse_two_engines.py", "--tls"],
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "layers built: 0" in done.stdout.splitlines()
    assert "layers pulled: 1 " in done.stdout
