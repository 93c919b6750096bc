"""Options and guards of all tests."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from engine_modules import OWN_ENGINE

UNIT = Path(__file__).parent / "unit"


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="Rewrite the expected files of golden tests.")


def pytest_configure(config):
    config.addinivalue_line("markers", "processes: a unit test that starts programs, such as git, on purpose")
    config.addinivalue_line("markers", "sockets: a unit test that opens connections, to itself, on purpose")
    sys.unraisablehook = lambda _: None  # what a finalizer raises, some time after the test that it is of
    for number in (signal.SIGINT, signal.SIGHUP):  # `nohup make test &` has them ignored, in every child too
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests of the engine share it: one process has them all, the others the rest, and what has an engine of its own.

    By the path, not by a mark: xdist 3.8 hands a mark's group on in a field that pytest 9.2 no longer reads.
    """
    from xdist.scheduler import LoadScopeScheduling

    class OneProcessForTheEngine(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            module = Path(nodeid.split("::")[0])
            if module.name in OWN_ENGINE:
                return module.name
            return "engine" if nodeid.startswith("tests/engine/") else nodeid

    return OneProcessForTheEngine(config, log)


def pytest_collection_modifyitems(config, items):
    """Large tests run only where a `-m` speaks of them. What others download first, and who has it lent, comes last."""
    items.sort(key=lambda item: item.path.name in OWN_ENGINE)
    for name in ("large", "long"):
        if name in config.option.markexpr:
            continue
        left_out = [item for item in items if item.get_closest_marker(name)]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def update_golden(request) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def _closed_world(request, monkeypatch):
    """Unit tests start no program and connect to nothing, unless they say so by their mark."""
    if not request.path.is_relative_to(UNIT):
        return

    def refuse(*args, **kwargs):
        what = f"{args[1:] or kwargs}"
        raise AssertionError(f"a unit test reached out of its process: {what[:300]}")

    if request.node.get_closest_marker("processes") is None:
        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
        monkeypatch.setattr("os.system", refuse)
        monkeypatch.setattr("os.posix_spawn", refuse)
    if request.node.get_closest_marker("sockets") is None:
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket.socket, "connect_ex", refuse)
        monkeypatch.setattr(socket.socket, "bind", refuse)


@pytest.fixture(autouse=True)
def _own_home(request, monkeypatch, tmp_path_factory):
    """No unit test reads or writes what the person who runs it keeps; settings of mlorch are unset."""
    if not request.path.is_relative_to(UNIT):
        return
    import os

    ci = {"CI", "GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY"}
    for name in [name for name in os.environ if name.startswith("MLORCH_") or name in ci]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest's processes have one, which is no width that somebody chose
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MLORCH_HOME", str(home / "mlorch"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{home}/no-engine.sock")
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
