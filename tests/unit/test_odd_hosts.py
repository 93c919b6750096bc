"""Hosts that are not the one mlorch was written on: other homes, terminals and file systems, less of everything."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from deb_parts import quick_client
from other_user import python, python_path, why_not
from results_parts import add_run
from test_host import two_sockets
from test_results_compare import faster, later

from orchestrator.assets.trees import alone, find_tree, making
from orchestrator.assets.use import hold, release, unused
from orchestrator.cli import run
from orchestrator.console import Console
from orchestrator.engines.containers import require_readable
from orchestrator.errors import StepFailed, UsageError
from orchestrator.facts.containers import ContainerSpec, Mount
from orchestrator.host.facts import host_facts
from orchestrator.host.file_lock import locked, locked_if_free
from orchestrator.host.mirrors import debian_mirrors
from orchestrator.host.pip_config import pip_environment
from orchestrator.host.streams import _lasting
from orchestrator.packages.download import Downloads, Wanted
from orchestrator.plan.run.processors import core_advice, cpu_set
from orchestrator.results.store import Store

ROOT = Path(__file__).parents[2]
STRANGER = 54321
"""The number of a user whom nobody's table knows."""
as_root = pytest.mark.skipif(bool(why_not()), reason=why_not() or "fits")


def a_stranger(line: str, folder: Path, env: dict[str, str], **more):
    """Run the command line as a user without a name, with this environment alone."""

    def become() -> None:
        os.setgroups([])
        os.setgid(STRANGER)
        os.setuid(STRANGER)

    env = {"PATH": os.environ["PATH"], "PYTHONPATH": python_path(), "PYTHONDONTWRITEBYTECODE": "1", **env}
    return subprocess.run(
        [python(), "-m", "orchestrator", *line.split()],
        cwd=folder, env=env, preexec_fn=become, capture_output=True, text=True, check=False, timeout=120, **more,
    )  # fmt: skip


@pytest.fixture
def open_folder(tmp_path):
    """A folder that a stranger can get to, and one below it that is the stranger's own."""
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/") and folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o005)
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, STRANGER, STRANGER)
    return own


# -- whose home it is ----------------------------------------------------------------------


@as_root
@pytest.mark.processes
@pytest.mark.parametrize(
    "home",
    [{}, {"HOME": "/root", "XDG_RUNTIME_DIR": "/proc/1", "XDG_CONFIG_HOME": "/root/.config"}],
    ids=["no-home", "anothers-home"],
)
def test_without_a_home_of_ones_own_mlorch_home_is_enough(open_folder, home):
    done = a_stranger("render --target cpu -o out", open_folder, {**home, "MLORCH_HOME": str(open_folder / "m")})
    assert done.returncode == 0, done.stderr
    assert list((open_folder / "out").rglob("Dockerfile"))
    done = a_stranger("plan --target cpu --json", open_folder, {**home, "MLORCH_HOME": str(open_folder / "m")})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["layers"]


@as_root
@pytest.mark.processes
@pytest.mark.parametrize(("home", "words"), [({}, "set MLORCH_HOME"), ({"HOME": "/root"}, "set MLORCH_HOME")])
def test_without_any_place_of_ones_own_it_is_one_clear_error(open_folder, home, words):
    done = a_stranger("assets get model/net", open_folder, home)
    assert done.returncode not in {0, 70}
    assert "Traceback" not in done.stderr
    done = a_stranger("engine ensure --yes", open_folder, {**home, "DOCKER_HOST": ""})
    assert done.returncode not in {0, 70}
    assert words in done.stderr, done.stderr


def test_package_sources_with_a_password_are_roots_alone_and_stop_nothing(tmp_path, monkeypatch):
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://mirror.test/debian bookworm main\n")
    (parts / "secret.list").write_text("deb http://me:pw@other.test/debian bookworm main\n")
    real = Path.read_text

    def read(self, *arguments, **more):
        if self.name == "secret.list":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", read)
    assert debian_mirrors(tmp_path)["main"] == ("http://mirror.test/debian",)


# -- who reads what is written -------------------------------------------------------------


@pytest.mark.processes
def test_a_reader_who_goes_away_changes_no_exit_status(tmp_path):
    store = Store(tmp_path / "results")
    later(store, "offline", 1, "first")
    _, folder = later(store, "offline", 2, "second")
    faster(folder, 0.5)
    for stream in ("stdout", "stderr"):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "results", "compare", "-o", str(store.root)],
            check=False, timeout=60, **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: write},
        )  # fmt: skip
        os.close(write)
        assert done.returncode == 1, f"a regression, whoever reads {stream}"


def test_work_goes_on_when_its_reader_has_gone():
    read, write = os.pipe()
    stream = _lasting(None, write)
    os.close(read)
    for _ in range(3):
        stream.write("a line of a container\n" * 10_000)
        stream.flush()
    stream.detach()
    os.close(write)


def test_a_full_disk_is_still_told():
    with Path("/dev/full").open("w") as full, pytest.raises(OSError, match="space"):
        _lasting(None, full.fileno()).buffer.raw.write(b"x")


def test_a_dumb_terminal_gets_no_colours_and_nothing_that_moves(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert not Console().colour
    assert not Console().live
    monkeypatch.setenv("TERM", "xterm")
    assert Console().colour
    assert Console().live


# -- where results and caches lie ----------------------------------------------------------


@as_root
@pytest.mark.processes
def test_each_folder_of_results_is_judged_alone_and_told(open_folder):
    store = Store(open_folder / "results")
    good, folder = add_run(store, "offline", 1)
    closed, other = add_run(store, "offline", 2)
    (store.root / "lost+found").mkdir(mode=0o700)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    other.chmod(0o700)
    env = {"MLORCH_HOME": str(open_folder / "m")}
    done = a_stranger("results list --json", open_folder, env)
    assert done.returncode == 0, done.stderr
    listed = {each["run_id"]: each for each in json.loads(done.stdout)["results"]}
    assert listed.keys() == {good.run_id, closed.run_id}
    assert listed[good.run_id]["valid"] is True
    assert "Permission denied" in listed[closed.run_id]["reasons"][0]
    store.root.chmod(0o700)
    done = a_stranger("results compare", open_folder, env)
    assert done.returncode == 1
    assert "unreadable-results" in done.stderr


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_with_what_to_do(monkeypatch, tmp_path, number):
    def none(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", none)
    (tmp_path / "tree").mkdir()
    for needed in (locked(tmp_path / "a.lock"), unused(tmp_path / "tree")):  # a daemon is started, a tree removed
        with pytest.raises(StepFailed) as caught, needed:
            pass
        assert caught.value.slug == "no-locks"
        assert str(tmp_path) in caught.value.message
        assert "MLORCH_HOME" in caught.value.hint


def test_without_locks_what_appears_whole_is_made_all_the_same(monkeypatch, tmp_path):
    """Two at once make it twice, and one of them is kept; nothing that another may use is taken away."""

    def none(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    content = tmp_path / "content"
    content.write_bytes(b"x")
    wanted = Wanted(name="x", sha256=hashlib.sha256(b"x").hexdigest(), size=1, urls=(content.as_uri(),))
    downloads = Downloads(tmp_path / "cache", quick_client())
    other = downloads.path(wanted.sha256).with_suffix(".part")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"another process is at it")
    assert downloads.get(wanted).read_bytes() == b"x"
    assert other.exists()

    tree, aside = tmp_path / "trees" / "t", tmp_path / "aside"
    with alone(tree), making(tree, aside, lambda _: True, lambda _: None) as mine:
        (mine / "out" / "a").write_bytes(b"a")
        with making(tree, aside, lambda _: True, lambda _: None) as theirs:
            assert mine.is_dir(), "it may be another process's"
            (theirs / "out" / "a").write_bytes(b"a")
        inode = find_tree(tree).files["a"].inode
    assert find_tree(tree).files["a"].inode == inode, "who uses it goes on with it"
    assert not aside.exists()
    assert [path.name for path in tree.parent.iterdir() if path.name.startswith(".")] == []
    with locked_if_free(tmp_path / "mark") as free:
        assert not free, "a run gets a folder of its own"
    hold(tree)
    release(tree)


@pytest.mark.parametrize("line", ["recipes list", "plan -t cpu", "results list", "assets list", "benchmarks list"])
def test_a_home_that_cannot_be_written_is_enough_to_read(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLORCH_HOME", "/sys/mlorch")
    assert run([*line.split(), "--json"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("line", ["images lock onnxruntime-cpu -o .", "assets get dataset/fashion-mnist"])
def test_who_has_to_write_into_such_a_home_is_told_where_and_what_else_to_name(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLORCH_HOME", "/sys/mlorch")
    assert run([*line.split(), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["slug"] == "read-only"
    assert "/sys/mlorch" in error["message"]
    assert "MLORCH_HOME" in error["hint"]


def test_settings_of_comments_only_are_as_no_settings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for text in ("# nothing yet\n", "", "---\n# later\n", "~\n"):
        Path("mlorch.yaml").write_text(text)
        assert run(["targets", "list", "--json"]) == 0, capsys.readouterr().err
        assert run(["recipes", "lint", "mlorch.yaml"]) == 0, capsys.readouterr().err


def test_a_link_to_where_nothing_is_yet_is_where_things_go(tmp_path, capsys):
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    store = Store(tmp_path / "results")
    add_run(store, "offline", 1)
    assert len(list((tmp_path / "disk").iterdir())) == 1
    (tmp_path / "report.html").symlink_to(tmp_path / "elsewhere.html")
    assert run(["results", "report", "--results", str(store.root), "--output", str(tmp_path / "report.html")]) == 0, (
        capsys.readouterr().err
    )
    assert "<html" in (tmp_path / "elsewhere.html").read_text()
    assert (tmp_path / "report.html").is_symlink()


@as_root
def test_an_input_that_the_containers_user_may_not_read_is_told_before_the_start(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "net.onnx").write_text("x")
    spec = ContainerSpec(
        name="x",
        command=("true",),
        user="65534:65534",
        image="i",
        mounts=(Mount(source=str(folder), target="/models"),),
    )
    require_readable(spec)
    (folder / "net.onnx").chmod(0o600)
    with pytest.raises(UsageError) as caught:
        require_readable(spec)
    assert caught.value.slug == "unreadable-input"
    assert str(folder / "net.onnx") in caught.value.message
    os.chown(folder / "net.onnx", 0, 44)
    (folder / "net.onnx").chmod(0o640)
    require_readable(replace(spec, groups=("44",)))
    folder.chmod(0o700)
    with pytest.raises(UsageError, match="may not be read"):
        require_readable(replace(spec, groups=("44",)))
    require_readable(replace(spec, user="0:0"))


# -- what programs beside it are told ------------------------------------------------------


def test_pip_is_asked_for_what_mlorch_wants_whatever_the_user_set_for_it(tmp_path):
    given = {
        "PATH": "/usr/bin", "PIP_USER": "1", "PIP_TARGET": "/x", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_NO_DEPS": "1",
        "PIP_INDEX_URL": "https://index.test/simple", "PIP_CERT": "/ca.pem", "PIP_PROXY": "http://proxy.test",
    }  # fmt: skip
    found = pip_environment(given)
    assert found["PIP_USER"] == "0"
    assert not {"PIP_TARGET", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_DEPS"} & found.keys()
    assert (found["PIP_INDEX_URL"], found["PIP_CERT"], found["PIP_PROXY"]) == (
        "https://index.test/simple", "/ca.pem", "http://proxy.test",
    )  # fmt: skip


@pytest.mark.processes
def test_a_users_pip_settings_do_not_reach_what_make_installs(tmp_path):
    """As `make run` calls pip: with what it takes out of the environment, and with a pip.conf that says user = yes."""
    done = subprocess.run(
        ["make", "-n", "-W", "pyproject.toml", "run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    (line,) = [line for line in done.stdout.splitlines() if " pip install " in line]
    words = line.split()
    words[words.index("-e") + 1 :] = ["--dry-run", "--no-index", "--no-deps", str(tmp_path / "x-1-py3-none-any.whl")]
    words.remove("-e")
    import zipfile

    with zipfile.ZipFile(tmp_path / "x-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("x-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: x\nVersion: 1\n")
        wheel.writestr(
            "x-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("x-1.dist-info/RECORD", "")
    (tmp_path / "pip.conf").write_text("[global]\nuser = yes\n")
    env = {
        **os.environ,
        "PIP_USER": "1",
        "PIP_TARGET": str(tmp_path / "no"),
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
    }
    words = [sys.executable if word.endswith("bin/python") else word for word in words]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- how much of a machine there is --------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/cpu.max": "250000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            },
            2.5,
        ),
        ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpu.max": "max 100000"}, None),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/job",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        ({}, None),
    ],
)  # fmt: skip
def test_a_quota_of_processor_time_is_known_and_no_more_processors_are_planned(tmp_path, files, quota):
    host = host_facts(two_sockets(tmp_path, **files), environ={})
    assert host.cpu_quota == quota
    assert len(cpu_set(host)) == (4 if quota is None else max(1, int(quota)))
    assert cpu_set(host, asked=(0, 1, 2)) == (0, 1, 2), "who asks for more gets more, and is told"
    assert ("control group" in core_advice(host, (0, 1, 2))) == (quota is not None)
