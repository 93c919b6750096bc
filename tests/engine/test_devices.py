"""Devices on a real engine: harmless ones (copies of /dev/zero and /dev/full), by nodes and by CDI names."""

from __future__ import annotations

import grp
import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from docker_parts import Bench, busybox, step
from docker_parts import spec as a_spec
from run_overlay import write_overlay

from orchestrator.definitions.kinds.targets import Target
from orchestrator.engines.cdi import FOLDERS
from orchestrator.errors import HostLimitError
from orchestrator.host.accelerators import devices_by_nodes
from orchestrator.operations.targets import device_inventory
from orchestrator.plan.run.devices import plan_devices

pytestmark = pytest.mark.engine
MARK = {"org.mlorch.test": f"t-devices-{os.getpid()}"}
USER = "1234:2345"
GROUP = "video"
KIND = "mlorch-test.example/chip"
OWNER = 65533
"""Who owns the nodes: nobody that a container of a test runs as."""


@dataclass
class Chips:
    """Two devices and what they share, in a folder of /dev; only a group of the host may open them."""

    folder: Path
    gid: int

    @property
    def nodes(self) -> dict[str, str]:
        return {name: str(self.folder / name) for name in ("chip0", "chip1", "chipctl")}

    def target(self, **more) -> dict:
        """An invented target, as its YAML would be."""
        why = "an invented device of the tests"
        passthrough = {
            "cdi": KIND,
            "gpus": True,
            "nodes": [
                {"name": f"{self.folder}/chip[0-9]", "each": True, "exclusive": True, "reason": why},
                {"name": f"{self.folder}/chipctl", "reason": why},
            ],
            "groups": [{"name": GROUP, "reason": why}],
            "visible": [{"name": "CHIP_VISIBLE_DEVICES", "by": "index"}],
        }
        return {
            "kind": "target", "name": "t-chip", "title": "An invented chip", "platforms": ["linux/amd64"],
            "base": "base-bookworm", "runtime": "runtime-cpu", "frameworks": {"onnxruntime": "onnxruntime-cpu"},
            "providers": {"onnxruntime": ["CPUExecutionProvider"]},
            "detect": {"paths": [f"{self.folder}/chipctl"]}, "passthrough": {**passthrough, **more},
        }  # fmt: skip


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine(request, engines):
    """The same tests for every engine."""
    return engines(request.param)


@pytest.fixture(scope="module")
def chips():
    if os.geteuid() != 0:
        pytest.skip("making device nodes takes root")
    made = Chips(folder=Path("/dev") / f"mlorch-test-{secrets.token_hex(4)}", gid=grp.getgrnam(GROUP).gr_gid)
    made.folder.mkdir()
    try:
        for (major, minor), path in zip(((1, 5), (1, 7), (1, 3)), made.nodes.values(), strict=True):
            os.mknod(path, 0o020660, os.makedev(major, minor))
            os.chown(path, OWNER, made.gid)  # no user of a container is the owner
            Path(path).chmod(0o660)
        yield made
    finally:
        shutil.rmtree(made.folder)


@pytest.fixture
def cdi_spec(engine, chips):
    """A CDI spec of the two chips where the engine reads them; a chip has another name inside."""
    facts = engine.facts()
    assert facts.cdi, "mlorch's own engine has CDI on"
    folder = Path((facts.cdi_folders or FOLDERS)[-1])
    before = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"mlorch-test-{secrets.token_hex(4)}.json"
    devices = [
        {
            "name": name,
            "containerEdits": {
                "deviceNodes": [{"path": f"/dev/inside{index}", "hostPath": chips.nodes[f"chip{index}"]}],
                "env": [f"CHIP_FROM_SPEC={name}"],
            },
        }
        for index, name in enumerate(("first", "second"))
    ]
    edits = {"env": ["CHIP_DRIVER=1.2.3"]}
    document = {"cdiVersion": "0.5.0", "kind": KIND, "devices": devices, "containerEdits": edits}
    path.write_text(json.dumps(document))
    yield path
    path.unlink(missing_ok=True)
    if not before:
        folder.rmdir()


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory):
    context = Bench(engine, tmp_path_factory.mktemp("image"), busybox())
    yield context.build(step("devices", 'RUN --network=none ["/bin/busybox", "--install", "-s", "/bin"]')).image
    context.clean()


@pytest.fixture(autouse=True)
def _nothing_stays(engine):
    yield
    engine.wait_removed()
    assert engine.containers(f"org.mlorch.test={MARK['org.mlorch.test']}") == []


def spec(image, script, **more):
    """A container of these tests: whoever else uses the engine has others."""
    return a_spec(image, script, labels=MARK, **more)


def devices_for(engine, chips, selection: str = "", **more):
    target = Target.model_validate(chips.target(**more))
    return plan_devices(target, device_inventory([target], devices_by_nodes(target), engine.facts()), selection, USER)


def container(image, script, devices, **more):
    given = {
        "user": USER, "devices": devices.nodes, "cdi_devices": devices.cdi, "gpus": devices.gpus,
        "runtime": devices.runtime, "groups": devices.groups, "env": dict(devices.env), "expects": devices.expects,
        "exclusive": devices.exclusive,
    }  # fmt: skip
    return spec(image, script, **{**given, **more})


def said(engine, asked) -> list[str]:
    lines = []
    outcome = engine.run(asked, lines.append)
    assert outcome.exit_code == 0, lines
    return lines


TREE = "exec 2>&1; find /dev -type c | sort"


def test_plain_nodes_open_through_the_hosts_group_and_no_other_device_is_there(engine, image, chips):
    devices = devices_for(engine, chips, "0")
    assert devices.device_injection.method == "nodes"
    assert devices.groups == (str(chips.gid),)
    script = f"""{TREE}
    echo --; head -c 3 {chips.nodes["chip0"]} | od -An -tx1; echo x > {chips.nodes["chipctl"]} && echo written
    id -G; echo $CHIP_VISIBLE_DEVICES; mknod /dev/shm/mem c 1 1 || echo no mknod
    """
    tree, _, rest = "\n".join(said(engine, container(image, script, devices))).partition("--\n")
    bare = said(engine, spec(image, TREE, user=USER))
    assert set(tree.split()) - set(bare) == {chips.nodes["chip0"], chips.nodes["chipctl"]}
    assert rest.split("\n")[0].split() == ["00", "00", "00"]
    assert rest.split("\n")[1] == "written"
    assert rest.split("\n")[2].split() == ["2345", str(chips.gid)]
    assert rest.split("\n")[3] == "0"
    assert "no mknod" in rest


def test_without_the_group_the_same_node_stays_shut(engine, image, chips):
    devices = devices_for(engine, chips, "0")
    script = f"exec 2>&1; head -c 1 {chips.nodes['chip0']} || echo shut"
    assert said(engine, container(image, script, devices, groups=()))[-1] == "shut"
    assert (
        said(engine, container(image, f"{script}; ls {chips.nodes['chip1']} || echo absent", devices))[-1] == "absent"
    )


def test_a_cdi_name_brings_exactly_its_device_and_what_the_spec_adds(engine, image, chips, cdi_spec):
    devices = devices_for(engine, chips, "1")
    assert (devices.device_injection.method, devices.cdi, devices.nodes) == ("cdi", (f"{KIND}=second",), ())
    assert str(cdi_spec) in devices.device_injection.why
    assert devices.groups == (str(chips.gid),)
    script = f"{TREE}; echo --; echo x > /dev/inside1 || echo full; echo $CHIP_FROM_SPEC $CHIP_DRIVER"
    tree, _, rest = "\n".join(said(engine, container(image, script, devices))).partition("--\n")
    bare = said(engine, spec(image, TREE, user=USER))
    assert set(tree.split()) - set(bare) == {"/dev/inside1"}
    assert "No space left" in rest, "it opened, and is /dev/full"
    assert rest.split("\n")[-1] == "second 1.2.3"
    assert devices_for(engine, chips).cdi == (f"{KIND}=first", f"{KIND}=second")


def test_a_spec_that_went_away_after_the_plan_is_told_and_no_container_stays(engine, image, chips, cdi_spec):
    devices = devices_for(engine, chips, "0")
    cdi_spec.unlink()
    with pytest.raises(HostLimitError, match="unresolvable CDI devices") as error:
        engine.run(container(image, "true", devices), print)
    assert (error.value.slug, error.value.exit_code) == ("device", 4)
    assert "write it anew" in error.value.hint


def test_a_spec_of_a_node_that_is_gone_is_told(engine, image, chips, cdi_spec):
    devices = replace(devices_for(engine, chips, "0"), expects=(), exclusive=())
    document = json.loads(cdi_spec.read_text().replace(chips.nodes["chip0"], "/dev/no-such-chip"))
    cdi_spec.write_text(json.dumps(document))
    with pytest.raises(HostLimitError, match="no-such-chip") as error:
        engine.run(container(image, "true", devices), print)
    assert error.value.slug == "device"


def test_a_broken_spec_is_named_and_the_next_way_is_taken(engine, chips, cdi_spec, mlorch):
    cdi_spec.write_text('{"cdiVersion": "0.6.0", "kind": "no kind", "devices": []}')
    assert devices_for(engine, chips).device_injection.method == "nodes"
    checks = {check["name"]: check for check in json.loads(mlorch("doctor", "--json").stdout)["checks"]}
    assert checks["CDI"]["state"] == "warn"
    assert str(cdi_spec) in checks["CDI"]["what"]


def test_gpus_and_runtimes_that_the_engine_does_not_have_are_told(engine, image):
    if engine.facts().gpus:
        pytest.skip("this engine has the hook")
    words = {"docker": "capabilities", "podman": "not by --gpus all"}  # podman has no such way, and says so itself
    with pytest.raises(HostLimitError, match=words[engine.name]) as error:
        engine.run(spec(image, "true", gpus=("all",)), print)
    assert "NVIDIA container toolkit" in error.value.hint
    with pytest.raises(HostLimitError, match="no-such-runtime") as error:
        engine.run(spec(image, "true", runtime="no-such-runtime"), print)
    assert "container toolkit" in error.value.hint


def test_a_device_that_is_gone_between_plan_and_start_is_told_and_nothing_is_made(engine, image, chips):
    devices = devices_for(engine, chips, "1")
    node = Path(chips.nodes["chip1"])
    aside = node.with_name("aside")
    node.rename(aside)
    try:
        with pytest.raises(HostLimitError, match="chip1 is gone") as error:
            engine.run(container(image, "true", devices), print)
        node.write_text("a file in its place")
        with pytest.raises(HostLimitError, match="chip1 is gone"):
            engine.run(container(image, "true", devices), print)
    finally:
        aside.rename(node)
    assert error.value.slug == "device-gone"


BUSY = """
import os, sys
from orchestrator.engines.containers import require_nodes
from orchestrator.errors import HostLimitError
from orchestrator.facts.containers import ContainerSpec
spec = ContainerSpec(name="x", image="y", command=(), user="0:0", exclusive=(sys.argv[1],))
if os.geteuid() == 0:  # root may open what another made exclusive
    os.setgroups([])
    os.setuid(65534)
try:
    require_nodes(spec)
except HostLimitError as error:
    print(error.slug, error.message, sep="\\n")
"""


def test_a_device_in_the_hands_of_another_program_is_told():
    """A terminal that its user made exclusive: the kernel answers EBUSY, except to root."""
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()
    path = os.ttyname(slave)
    Path(path).chmod(0o666)

    def ask() -> str:
        argv = [sys.executable, "-c", BUSY, path]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    try:
        assert ask() == ""
        fcntl.ioctl(slave, termios.TIOCEXCL)
        words = ask()
    finally:
        os.close(slave)
        os.close(master)
    assert words.startswith("device-busy\n")
    assert f"{path} is in use" in words


# -- an invented target through the whole plan -------------------------------------------

HARNESS = r"""
import json, os, stat
def found():
    for folder, _, names in os.walk('/dev'):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and stat.S_ISCHR(os.stat(path).st_mode):
                yield path
def opens(path):
    try:
        os.close(os.open(path, os.O_RDWR))
        return True
    except OSError:
        return False
facts = {
    'devices': {path: opens(path) for path in sorted(found()) if 'mlorch-test' in path or 'inside' in path},
    'groups': os.getgroups(), 'visible': os.environ.get('CHIP_VISIBLE_DEVICES'),
    'spec': os.environ.get('CHIP_FROM_SPEC'),
}
json.dump({'status': 'done', 'container': facts}, open('/results/harness.json', 'w'))
"""


@pytest.fixture(scope="module")
def overlay(chips, tmp_path_factory):
    """The invented target and a benchmark for it: YAML files, not a line of Python in mlorch."""
    folder = write_overlay(tmp_path_factory.mktemp("recipes"), HARNESS)
    (folder / "target.yaml").write_text(json.dumps(chips.target()))
    return folder


def run(mlorch, overlay, *more: str, code: int | None = None):
    done = mlorch(
        "run", "faulty", "--target", "t-chip", "--scenario", "Offline", "--mode", "accuracy",
        "--recipes", str(overlay), *more,
    )  # fmt: skip
    assert code is None or done.returncode == code, done.stderr
    return done


def record_of(results: Path) -> dict:
    return json.loads(next(results.glob("*/run.json")).read_text())


def test_an_invented_target_runs_with_its_devices_and_the_record_says_how(mlorch, overlay, chips, tmp_path):
    run(mlorch, overlay, "--devices", "1", "-o", str(tmp_path / "r"))
    record = record_of(tmp_path / "r")
    assert record["error"]["slug"] == "loadgen-log", "this harness looks at its devices, and asks for no LoadGen"
    inside = record["container_facts"]
    assert inside["devices"] == {chips.nodes["chip1"]: True, chips.nodes["chipctl"]: True}
    assert (inside["visible"], chips.gid in inside["groups"]) == ("0", True)
    device_injection = record["container"]["device_injection"]
    assert (device_injection["method"], device_injection["whole"]) == ("nodes", False)
    assert [device["index"] for device in device_injection["devices"]] == ["1"]
    assert device_injection["passed_over"][0].startswith("cdi: ")
    assert chips.nodes["chip1"] in (next((tmp_path / "r").glob("*/report.html"))).read_text()


def test_the_same_target_by_cdi(mlorch, overlay, cdi_spec, tmp_path):
    run(mlorch, overlay, "-o", str(tmp_path / "r"))
    record = record_of(tmp_path / "r")
    assert record["container_facts"]["devices"] == {"/dev/inside0": True, "/dev/inside1": True}
    assert record["container"]["cdi_devices"] == [f"{KIND}=first", f"{KIND}=second"]
    assert record["container"]["device_injection"]["method"] == "cdi"
    assert record["container_facts"]["visible"] is None, "every device: nothing to choose from inside"


def test_the_dry_run_and_targets_show_say_the_way_and_why(mlorch, overlay, chips):
    done = run(mlorch, overlay, "--devices", "0", "--dry-run", code=0)
    assert f"--device {chips.nodes['chip0']}:{chips.nodes['chip0']}:rw" in done.stdout
    assert "devices by nodes: plain device nodes" in done.stderr
    assert "not by gpus: the engine cannot do --gpus" in done.stderr
    (document,) = json.loads(run(mlorch, overlay, "--dry-run", "--json", code=0).stdout)["containers"]
    assert document["devices"]["method"] == "nodes"
    shown = mlorch("targets", "show", "t-chip", "--recipes", str(overlay))
    assert "devices by nodes" in shown.stdout
    assert f"as {chips.nodes['chip1']}" in shown.stdout


@pytest.mark.parametrize(
    ("selection", "slug", "code"),
    [("7", "unknown-device", 2), ("uuid:MIG-1234", "no-parts", 2), ("x", "devices-syntax", 2),
     ("pci:0000:99:00.0", "unknown-device", 2)],
)  # fmt: skip
def test_a_choice_that_cannot_be_made_stops_before_anything(mlorch, overlay, tmp_path, selection, slug, code):
    done = run(mlorch, overlay, "--devices", selection, "-o", str(tmp_path / "r"), "--json", code=code)
    assert json.loads(done.stdout)["error"]["slug"] == slug
    assert not (tmp_path / "r").exists()


def test_a_device_without_rights_stops_before_anything(mlorch, overlay, chips, tmp_path):
    node = Path(chips.nodes["chip0"])
    node.chmod(0o600)
    try:
        done = run(mlorch, overlay, "-o", str(tmp_path / "r"), "--json", code=4)
    finally:
        node.chmod(0o660)
    assert json.loads(done.stdout)["error"]["slug"] == "device-rights"
    assert not (tmp_path / "r").exists()
