"""Signals end every command in order; a second one ends it at once, whatever it waits for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.processes
STUCK = """
import sys, threading, time
from orchestrator.host import signals
signals.SAME_S = 0.3
with signals.signals_interrupt():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("ending", flush=True)
        {wait}
"""


def stuck(wait: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", STUCK.format(wait=wait)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("wait", ["time.sleep(60)", "threading.Event().wait()"])
def test_a_second_ctrl_c_ends_at_once_what_waits_for_an_engine(wait):
    process = stuck(wait)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGTERM)  # the same one, as a CI system sends it
    time.sleep(0.5)
    assert process.poll() is None, "it is ended in order"
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    assert "the next command removes what is left" in process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_command_is_ended_in_order(number, tmp_path):
    """Not only `run`: here one that waits for a lock, which `images lock` and `build` do as well."""
    code = (
        "import orchestrator.cli as cli, time\n"
        "def stuck(*_a, **_k):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "cli.cli.main = stuck\n"
        "cli.main(['targets', 'list'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.wait(10) == 130
    said = process.stderr.read()
    assert "interrupted" in said
    assert "Traceback" not in said


def test_what_nohup_ignores_stays_ignored():
    code = (
        "import signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from orchestrator.host.signals import signals_interrupt\n"
        "with signals_interrupt():\n"
        "    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
        "    with signals_interrupt():\n"
        "        pass\n"
        "    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
