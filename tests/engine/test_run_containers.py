"""Containers of a run on a real engine: what they are given, and what is recorded when they misbehave."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from build_parts import PlanBuilder

from orchestrator.engines.docker.containers import argv as docker_argv
from orchestrator.engines.podman.argv import argv
from orchestrator.errors import StepFailed
from orchestrator.facts.build import BuildPlan
from orchestrator.facts.containers import ContainerSpec, Mount
from orchestrator.facts.measured import LoadGenResult, Measured
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.runs import AssetRef, RunStep
from orchestrator.host.folders import cache_home
from orchestrator.host.process import owner_label, this_process, this_user
from orchestrator.operations.context import Context
from orchestrator.operations.plan_cache import Selection
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.engine
MIB = 2**20
VALID = Measured(verdict="VALID", loadgen=LoadGenResult(scenario="Offline", mode="performance", validity="VALID"))


@pytest.fixture(scope="module", params=["docker", "podman"])
def context(request, engines):
    """The same tests for every engine."""
    engines(request.param)
    return Context(wanted_engine=request.param)


@pytest.fixture(scope="module")
def image(context):
    """An image with Python: the runtime layer of the cpu target, built where it is absent."""
    selection = Selection(target="cpu", benchmarks=("image-fashion",))
    plan = context.plans(selection).plans[0]
    upto = next(n for n, layer in enumerate(plan.layers, 1) if layer.level == "runtime")
    short = BuildPlan(target="cpu", benchmark="", platform=plan.platform, layers=plan.layers[:upto])
    if context.engine.image(short.image) is None:
        with context.build_settings() as settings:
            PlanBuilder(context.engine, cache_home(), settings=settings, parts=context.parts()).build((short,))
    return short.image


@pytest.fixture
def start(context, image, tmp_path):
    """Runs a Python program as a harness; gives the outcome."""

    def run(program: str, *, results: Path | None = None, memory: int = 256 * MIB, run_id="20260101T000000Z-x"):
        root = results or tmp_path
        step = a_step(image, root, run_id, program, memory, tmp_path)
        runner = Runner(
            engine=context.engine,
            store=Store(root),
            session=Session(name="s", owner=this_process(), mlorch_version="0", command_line=()),
            measure=lambda *_arguments: (VALID, None),
            watcher=Watcher(),
        )
        return runner.run(
            step, RecordContext(recipe=RecipeId(name="x", origin="o", sha256="0"), image=ImageId(reference=image))
        )

    return run


def a_step(image: str, root: Path, run_id: str, program: str, memory: int, artifacts: Path | None = None) -> RunStep:
    uid, _, gid = this_user().inside.partition(":")
    spec = ContainerSpec(
        name=f"mlorch-run-test-{os.getpid()}",
        image=image,
        command=("python3", "-c", program),
        user=this_user().inside,
        mounts=(
            Mount(source=f"{root}/{run_id}", target="/results", read_only=False),
            Mount(source=f"{root}/{run_id}/run.json", target="/results/run.json"),
            Mount(source=f"{artifacts or root}/artifacts/image/step", target="/artifacts", read_only=False),
        ),
        tmpfs={"/scratch": f"rw,nosuid,nodev,noexec,mode=1777,uid={uid},gid={gid},size=16777216"},
        env={"HOME": "/scratch", "PYTHONUNBUFFERED": "1"},
        labels={"org.mlorch.run": run_id, "org.mlorch.owner": owner_label(this_process())},
        cpus=(0,),
        memory=memory,
        shm=64 * MIB,
        pids=64,
        workdir="/scratch",
    )
    asset = AssetRef(kind="model", name="m", files={})
    return RunStep(
        run_id=run_id, benchmark="b", target="cpu", scenario="Offline", mode="performance", image=image,
        container=spec, settings={"version": 1}, provenance={}, model=asset, dataset=asset,
        results_owner=this_user().owner,
    )  # fmt: skip


LOOK = """
import ctypes, json, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
numbers = {
    'x86_64': dict(unshare=272, mount=165, keyctl=250, add_key=248, setns=308, bpf=321, userfaultfd=323, io_uring=425),
    'aarch64': dict(unshare=97, mount=40, keyctl=219, add_key=217, setns=268, bpf=280, userfaultfd=282, io_uring=425),
}[platform.machine()]
def call(name, *args):
    ctypes.set_errno(0)
    libc.syscall(numbers[name], *args)
    return ctypes.get_errno()
def vsock():
    try:
        socket.socket(40, socket.SOCK_STREAM).close()
    except OSError as error:
        return error.errno
calls = {
    'new user namespace': call('unshare', 0x10000000), 'new mount namespace': call('unshare', 0x20000),
    'mount': call('mount', b'none', b'/tmp', b'tmpfs', 0, None), 'keyctl': call('keyctl', 0, -3, 0, 0, 0),
    'add_key': call('add_key', b'user', b'x', b'y', 1, -3), 'setns': call('setns', 0, 0),
    'bpf': call('bpf', 0, None, 0), 'userfaultfd': call('userfaultfd', 0), 'io_uring': call('io_uring', 1, None),
    'vsock': vsock(),
}
status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)
def refused(path):
    try:
        open(path, 'w').close()
    except OSError as error:
        return error.errno
facts = {
    'uid': os.getuid(), 'gid': os.getgid(), 'groups': os.getgroups(),
    'capabilities': [status[k].strip() for k in ('CapPrm', 'CapEff', 'CapBnd')],
    'no_new_privileges': status['NoNewPrivs'].strip(), 'seccomp': status['Seccomp'].strip(),
    'root': refused('/x'), 'etc': refused('/etc/x'), 'scratch': refused('/scratch/x'),
    'interfaces': sorted(os.listdir('/sys/class/net')),
    'calls': calls, 'cpus': sorted(os.sched_getaffinity(0)), 'settings': json.load(open('/results/settings.json')),
}
json.dump({'status': 'done', 'container': facts}, open('/results/harness.json', 'w'))
print('looked around')
"""


def test_a_container_is_as_locked_down_as_the_contract_says(start):
    outcome = start(LOOK)
    assert outcome.error is None
    facts = outcome.record.container_facts
    assert f"{facts['uid']}:{facts['gid']}" == this_user().inside
    assert facts["uid"] != 0
    assert facts["capabilities"] == ["0000000000000000"] * 3
    assert (facts["no_new_privileges"], facts["seccomp"]) == ("1", "2")
    assert set(facts["calls"].values()) == {1}, f"not all refused with EPERM: {facts['calls']}"
    assert (facts["root"], facts["etc"], facts["scratch"]) == (30, 30, None)  # EROFS
    assert facts["interfaces"] == ["lo"]
    assert facts["cpus"] == [0]
    assert facts["settings"] == {"version": 1}
    written = outcome.folder / "harness.json"
    assert (written.stat().st_uid, written.stat().st_gid) == (os.getuid(), os.getgid())
    assert (outcome.folder.stat().st_uid, outcome.folder.stat().st_gid) == (os.getuid(), os.getgid())
    assert (outcome.folder / "console.log").read_text() == "looked around\n"
    assert outcome.record.container.container_id


HOSTILE = """
import os, socket, sys
for folder in ('/results', '/artifacts'):
    path = folder + '/shell'
    open(path, 'w').write('x')
    os.chmod(path, 0o6755)
    os.mkfifo(folder + '/pipe')
    socket.socket(socket.AF_UNIX).bind(folder + '/socket')
    os.makedirs(folder + '/closed/inner', exist_ok=True)
    os.chmod(folder + '/closed', 0o3777)
os.unlink('/results/console.log')
os.symlink('/etc/passwd', '/results/console.log')
open('/results/forged', 'w').write('{"status": "done", "valid": true}')
for forge in (
    lambda: os.unlink('/results/run.json'),
    lambda: os.rename('/results/run.json', '/results/old'),
    lambda: os.rename('/results/forged', '/results/run.json'),
    lambda: open('/results/run.json', 'w'),
    lambda: os.chmod('/results/run.json', 0),
):
    try:
        forge()
        open('/results/the-record-was-changed', 'w').close()
    except OSError:
        pass
print('\\x1b[2Jmischief', flush=True)
sys.exit(3)
"""


def test_what_a_hostile_harness_leaves_is_harmless_and_the_callers(start, tmp_path):
    """It runs as nobody where the caller is root, so what it plants is never root's, at no time."""
    outcome = start(HOSTILE)
    assert outcome.record.status == "failed"
    mine = (os.getuid(), os.getgid())
    for folder in (outcome.folder, tmp_path / "artifacts" / "image" / "step"):
        assert (folder / "shell").stat().st_mode & 0o7777 == 0o755
        assert (folder / "closed").stat().st_mode & 0o7777 == 0o755
        assert not (folder / "pipe").exists()
        assert not (folder / "socket").exists()
        for path in (folder, *folder.rglob("*")):
            assert (path.lstat().st_uid, path.lstat().st_gid) == mine, path
    left = Store(tmp_path).find(outcome.record.run_id).need().left
    assert {"shell", "pipe", "socket", "/artifacts/shell", "/artifacts/pipe", "/artifacts/socket"} <= set(left)
    assert "root:" not in outcome.error.detail + (outcome.folder / "run.json").read_text()
    assert not (outcome.folder / "the-record-was-changed").exists()


KEEP = """
import json, os
found = sorted(os.listdir('/artifacts'))
open('/artifacts/engine', 'w').write('compiled')
json.dump({'status': 'done', 'container': {'found': found}}, open('/results/harness.json', 'w'))
"""


def test_artefacts_stay_for_the_next_run_and_a_changed_one_goes(start, tmp_path):
    def found(run_id: str):
        outcome = start(KEEP, run_id=run_id)
        assert outcome.error is None
        return outcome.record.container_facts["found"]

    assert found("20260101T000000Z-a") == []
    assert found("20260101T000000Z-b") == ["engine"]
    (tmp_path / "artifacts" / "image" / "step" / "engine").write_text("changed")
    assert found("20260101T000000Z-c") == []


def test_a_crash_is_kept_and_its_container_is_gone(start, context):
    outcome = start("import sys; print('before'); sys.exit('on purpose')")
    assert (outcome.record.status, outcome.record.exit_code, outcome.error.slug) == ("failed", 1, "harness-failed")
    assert set(outcome.error.detail.splitlines()) == {"before", "on purpose"}
    context.engine.wait_removed()
    assert context.engine.containers(f"org.mlorch.run={outcome.record.run_id}") == []


def test_out_of_memory_is_told_as_such(start):
    outcome = start("x = bytearray(512 << 20); print(len(x))", memory=48 * MIB)
    assert outcome.error.slug == "out-of-memory"
    assert "0.05 GiB" in outcome.error.message
    assert (outcome.record.status, outcome.record.out_of_memory) == ("failed", True)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB; mounting it needs root, as the tests of a container engine often have."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize(
    "program",
    [
        "while True: print('x' * 1000)",
        "import json\nwith open('/results/big', 'wb') as f:\n  while True: f.write(bytes(4096)); f.flush()",
    ],
    ids=["console", "file"],
)
def test_a_full_disk_is_an_error_and_no_record_is_corrupt(start, context, small_disk, program):
    try:
        error = start(program, results=small_disk).error
    except StepFailed as raised:
        error = raised
    assert error.slug == "disk-full"
    assert error.exit_code == 1
    entry = Store(small_disk).entries()[0]
    assert entry.need().status == "failed"
    assert entry.need().error.slug == "disk-full"
    assert context.engine.containers(f"org.mlorch.run={entry.run_id}") == []


def test_a_missing_mount_is_an_error_and_nothing_is_made(start, context, image, tmp_path):
    missing = tmp_path / "not-there"
    step = a_step(image, tmp_path, "20260101T000000Z-x", "pass", 64 * MIB)
    spec = replace(step.container, mounts=(Mount(source=str(missing), target="/models/x"),))
    with pytest.raises(Exception, match="not there"):
        context.engine.run(spec, print)
    assert not missing.exists()


def test_the_printed_line_makes_the_same_container(context, image, tmp_path):
    """The dry run's `docker run` and the engine's own way agree in everything that the engine reports.

    podman's engine runs the very words that are printed (tests/unit/test_podman.py), so there it is no question.
    """
    if context.engine.name == "podman":
        assert argv(a_step(image, tmp_path, "x", "pass", MIB).container)[:3] == ["podman", "run", "--rm"]
        return
    run_id = "20260101T000000Z-x"
    (tmp_path / run_id).mkdir()
    (tmp_path / run_id / "run.json").touch()
    (tmp_path / "artifacts" / "image" / "step").mkdir(parents=True)
    step = a_step(image, tmp_path, run_id, "pass", 64 * MIB)
    spec = replace(
        step.container,
        ulimits={"nofile": (1024, 2048)},
        groups=("44",),
        capabilities=("SYS_NICE",),
        devices=("/dev/null",),
    )
    seen = []

    spec = replace(spec, command=("sh", "-c", "echo begun; sleep 1"))
    context.engine.run(spec, lambda _line: seen.append(inspect(spec.name)))
    context.engine.wait_removed()  # the line has the same name
    words = docker_argv(spec)
    words[words.index("run")] = "create"
    made = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    try:
        line = inspect(made)
    finally:
        subprocess.run(["docker", "rm", "-f", made], capture_output=True, check=True)
    ours = seen[0]
    ours["HostConfig"]["AutoRemove"] = line["HostConfig"]["AutoRemove"] = None  # `--rm`: mlorch removes it itself
    ours["Config"]["Hostname"] = line["Config"]["Hostname"] = ""  # the container's own id
    for part in ("HostConfig", "Config"):
        for key in sorted(ours[part].keys() | line[part].keys()):
            assert norm(ours[part].get(key)) == norm(line[part].get(key)), (part, key)


def inspect(container: str) -> dict:
    return json.loads(subprocess.run(["docker", "inspect", container], capture_output=True, check=True).stdout)[0]


def norm(value: object) -> object:
    """Empty in one API version is null in another; names of capabilities may carry a prefix; order is free."""
    if isinstance(value, list):
        return sorted(json.dumps(norm(v), sort_keys=True).replace("CAP_", "") for v in value) or None
    if isinstance(value, dict):
        return {k: norm(v) for k, v in value.items() if norm(v) is not None} or None
    return None if value in ("", 0, False, []) else value
