"""What a host and its engine have for devices: CDI specs, nodes, libraries, words of an engine; over planted trees."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from run_parts import a_target

from orchestrator.commands.targets import device_injection_lines
from orchestrator.engines import EngineFacts, cdi
from orchestrator.engines.containers import holders, require_nodes
from orchestrator.engines.docker import facts as docker_facts
from orchestrator.engines.refusals import refusal
from orchestrator.errors import HostLimitError
from orchestrator.facts.containers import ContainerSpec
from orchestrator.facts.devices import DeviceInventory, FoundDevice
from orchestrator.facts.record import ContainerRun
from orchestrator.facts.runs import DeviceInjection, InjectedDevice
from orchestrator.host.accelerators import devices_by_nodes
from orchestrator.host.nodes import host_libraries, node_facts
from orchestrator.operations import doctor
from orchestrator.operations.targets import device_inventory, with_pretended_device
from orchestrator.plan.run.devices import plan_devices
from orchestrator.runs.tuning import key_of

WHY = {"reason": "the tests need it"}


def edits(*paths: str) -> dict:
    return {"deviceNodes": [{"path": path} for path in paths]}


def a_spec(*names: str, kind: str = "example.com/chip") -> dict:
    listed = [{"name": name, "containerEdits": edits(f"/dev/chip{name}")} for name in names]
    return {"cdiVersion": "0.6.0", "kind": kind, "devices": listed, "containerEdits": edits("/dev/chipctl")}


def facts(**more) -> EngineFacts:
    given = {
        "name": "docker", "host": "unix:///x", "version": "26", "api_version": "1.45", "platform": "linux/amd64",
        "buildx": None, "containerd_store": True, "cdi": True,
    }  # fmt: skip
    return EngineFacts(**{**given, **more})


def names(specs) -> list[str]:
    return [device.name for device in specs.devices]


# -- CDI specs ---------------------------------------------------------------------------


def test_a_spec_is_read_from_json_and_from_yaml(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(a_spec("0", "1")))
    (tmp_path / "b.yaml").write_text(
        '---\ncdiVersion: 0.5.0\nkind: vendor.com/net\ndevices:\n- name: "0"\n  containerEdits:\n    deviceNodes:\n'
        "    - path: /dev/inside\n      hostPath: /dev/outside\n- name: all\n  containerEdits: {}\n"
        "containerEdits:\n  env: [A=b]\n  hooks:\n  - hookName: createContainer\n    path: /usr/bin/hook\n"
    )  # fmt: skip
    specs = cdi.read_specs([str(tmp_path), "/no/such/folder"])
    assert names(specs) == ["example.com/chip=0", "example.com/chip=1", "vendor.com/net=0", "vendor.com/net=all"]
    assert specs.faults == ()
    first, *_, net, every = specs.devices
    assert (first.nodes, first.shared, first.spec) == (("/dev/chip0",), ("/dev/chipctl",), str(tmp_path / "a.json"))
    assert (net.nodes, net.kind, net.short) == (("/dev/outside",), "vendor.com/net", "0")
    assert every.nodes == ()


def test_a_later_folder_wins_and_a_name_given_twice_in_one_is_refused(tmp_path):
    early, late = tmp_path / "etc", tmp_path / "run"
    for folder in (early, late):
        folder.mkdir()
    (early / "a.json").write_text(json.dumps(a_spec("0")))
    (late / "a.json").write_text(json.dumps(a_spec("0", "1")))
    specs = cdi.read_specs([str(early), str(late)])
    assert {device.spec for device in specs.devices} == {str(late / "a.json")}
    (late / "b.json").write_text(json.dumps(a_spec("1")))
    specs = cdi.read_specs([str(early), str(late)])
    assert names(specs) == ["example.com/chip=0"]
    assert specs.faults == (f"{late}: two files name example.com/chip=1, so engines refuse it",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Expecting"),
        ("[]", "cdiVersion is missing"),
        ('{"cdiVersion": "0.6.0"}', "kind is None"),
        ('{"cdiVersion": "0.6.0", "kind": "chip", "devices": [{"name": "0"}]}', "kind is 'chip'"),
        ('{"cdiVersion": "0.6.0", "kind": "a.b/c"}', "it names no devices"),
        ('{"cdiVersion": "0.6.0", "kind": "a.b/c", "devices": [{"name": "a b"}]}', "a device is called 'a b'"),
        ('{"cdiVersion": "0.6.0", "kind": "a.b/c", "devices": ["x"]}', "a device is called ''"),
        (" " * (2**20 + 1), "larger than"),
    ],
)
def test_a_file_that_is_no_spec_is_named_and_hides_no_other(tmp_path, text, words):
    (tmp_path / "bad.json").write_text(text)
    (tmp_path / "good.json").write_text(json.dumps(a_spec("0")))
    (tmp_path / "notes.txt").write_text("not read")
    specs = cdi.read_specs([str(tmp_path)])
    assert names(specs) == ["example.com/chip=0"]
    (fault,) = specs.faults
    assert str(tmp_path / "bad.json") in fault
    assert words in fault


def test_a_name_counts_where_both_the_engine_and_a_spec_know_it(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(a_spec("0", "1")))
    folders = (str(tmp_path),)
    assert names(cdi.known(facts(cdi=False, cdi_folders=folders))) == []
    assert names(cdi.known(facts(cdi_folders=folders))) == ["example.com/chip=0", "example.com/chip=1"]
    listed = cdi.known(facts(cdi_folders=folders, cdi_devices=("example.com/chip=1", "example.com/chip=9")))
    assert [(device.name, device.nodes) for device in listed.devices] == [
        ("example.com/chip=1", ("/dev/chip1",)), ("example.com/chip=9", ()),
    ]  # fmt: skip
    assert names(cdi.known(facts(host="tcp://far:2376", cdi_folders=folders))) == []


def test_a_spec_of_what_is_gone_is_told_with_how_to_write_it_anew(tmp_path):
    library = tmp_path / "libcuda.so.550"
    library.touch()
    spec = {
        "cdiVersion": "0.6.0",
        "kind": "nvidia.com/gpu",
        "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/null"}]}}],
        "containerEdits": {"mounts": [{"hostPath": str(library), "containerPath": "/lib/libcuda.so"}]},
    }
    (tmp_path / "nvidia.json").write_text(json.dumps(spec))
    engine = facts(cdi_folders=(str(tmp_path),))
    assert cdi.stale(cdi.known(engine).devices) == ()
    cdi.require_fresh(["nvidia.com/gpu=0"], engine)
    assert doctor.cdi(engine).state == "ok"
    library.unlink()  # the driver was updated
    check = doctor.cdi(engine)
    assert check.state == "bad"
    assert f"{library}, which is not here" in check.what
    assert f"nvidia-ctk cdi generate --output={tmp_path / 'nvidia.json'}" in check.what
    with pytest.raises(HostLimitError, match="does not fit this host"):
        cdi.require_fresh(["nvidia.com/gpu=0"], engine)
    cdi.require_fresh(["example.com/chip=1"], engine)


# -- nodes and libraries of a host -------------------------------------------------------


def test_nodes_in_the_order_of_their_numbers_are_devices(tmp_path):
    (tmp_path / "dev/dri").mkdir(parents=True)
    for name in ("renderD128", "renderD9", "renderD130", "card0"):
        (tmp_path / "dev/dri" / name).touch()
    target = a_target(passthrough={"nodes": [{"name": "/dev/dri/renderD*", "each": True, **WHY}]})
    found = devices_by_nodes(target, tmp_path)
    assert [(device.index, device.nodes) for device in found] == [
        (0, ("/dev/dri/renderD9",)), (1, ("/dev/dri/renderD128",)), (2, ("/dev/dri/renderD130",)),
    ]  # fmt: skip


def test_facts_of_nodes_follow_links_and_leave_out_what_is_not_there(tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/file").touch(mode=0o640)
    (tmp_path / "dev/link").symlink_to("/dev/null")
    found = node_facts(["/dev/file", "/dev/link", "/dev/gone"], tmp_path)
    assert (found["/dev/file"].kind, found["/dev/file"].mode) == ("-", 0o640)
    null = Path("/dev/null").stat()
    assert (found["/dev/link"].kind, found["/dev/link"].major) == ("c", os.major(null.st_rdev))
    assert found["/dev/link"].mode == stat.S_IMODE(null.st_mode)
    assert "/dev/gone" not in found


def test_libraries_are_found_where_a_loader_would_look(tmp_path):
    folder = tmp_path / "usr/lib/x86_64-linux-gnu"
    folder.mkdir(parents=True)
    (folder / "libchip.so.535").write_text("x")
    (folder / "libchip.so.1").symlink_to("libchip.so.535")
    found = host_libraries(["libchip.so.1", "libnone.so.1"], "x86_64", tmp_path)
    assert found == {"libchip.so.1": str(folder / "libchip.so.535")}


def test_a_dry_run_shows_absent_hardware_as_with_one_device():
    given = {
        "nodes": [{"name": "/dev/chip[0-9]*", "each": True, **WHY}, {"name": "/dev/ctl", **WHY}],
        "groups": [{"name": "chips", **WHY}], "libraries": [{"name": "libchip.so.1", **WHY}],
    }  # fmt: skip
    target = a_target(name="chip", passthrough=given)
    site = with_pretended_device(DeviceInventory(), target)
    devices_ = plan_devices(target, site, "", "1:1")
    assert devices_.nodes == ("/dev/chip0", "/dev/ctl")
    assert devices_.groups == ("chips",)
    assert devices_.mounts[0].source == "/usr/lib/x86_64-linux-gnu/libchip.so.1"
    assert "none here" in "\n".join(device_injection_lines(devices_.device_injection))
    here = DeviceInventory(found=(FoundDevice(target="chip", index=0),))
    assert with_pretended_device(here, target) is here
    assert with_pretended_device(DeviceInventory(), a_target()) == DeviceInventory()


def test_a_target_without_devices_costs_no_look_at_the_host(monkeypatch):
    monkeypatch.setattr(cdi, "read_specs", lambda _: pytest.fail("not needed"))
    assert device_inventory([a_target()], (), None) == DeviceInventory()


# -- at the start ------------------------------------------------------------------------


def a_container(**more) -> ContainerSpec:
    return ContainerSpec(**{"name": "c", "image": "i", "command": (), "user": "1:1", **more})


def test_a_node_that_is_gone_or_something_else_is_told(tmp_path):
    require_nodes(a_container(devices=("/dev/null",), expects=("/dev/zero",), exclusive=("/dev/null",)))
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "none"):
        with pytest.raises(HostLimitError, match="is gone") as error:
            require_nodes(a_container(expects=(str(path),)))
        assert error.value.slug == "device-gone"


def test_a_busy_node_names_who_has_it(tmp_path, monkeypatch):
    def busy(path, flags):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(os, "open", busy)
    with pytest.raises(HostLimitError, match="/dev/null is in use by") as error:
        require_nodes(a_container(exclusive=("/dev/null",)))
    assert error.value.slug == "device-busy"
    assert "--devices" in error.value.hint


def test_a_node_that_this_process_may_not_open_is_left_to_the_container(monkeypatch):
    def shut(path, flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", shut)
    require_nodes(a_container(exclusive=("/dev/null",)))


def test_holders_are_programs_with_the_file_open(tmp_path):
    for pid, target in (("12", "/dev/chip0"), ("7", "/dev/other"), ("self", "/dev/chip0")):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "fd/3").symlink_to(target)
        (tmp_path / pid / "comm").write_text(f"prog{pid}\n")
    assert holders("/dev/chip0", tmp_path) == ["prog12 (12)"]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', "NVIDIA container toolkit"),
        ('could not select device driver "cdi" with capabilities: []', "features.cdi"),
        ("CDI device injection failed: unresolvable CDI devices vendor.com/gpu=9", "write it anew"),
        ('CDI device injection failed: failed to stat CDI host device "/dev/x"', "write it anew"),
        ('error gathering device information while adding custom device "/dev/x": no such file', "is gone"),
        ("unknown or invalid runtime name: habana", "container toolkit"),
    ],
)
def test_an_engines_refusal_of_a_device_says_what_to_do(said, hint):
    error = refusal(said)
    assert (error.slug, error.exit_code) == ("device", 4)
    assert hint in error.hint
    assert said in error.message


def test_other_words_of_an_engine_are_not_about_devices():
    assert refusal("no such thing").slug == "engine-refused"


def test_gpus_need_the_hook_that_the_engine_looks_for(tmp_path, monkeypatch):
    monkeypatch.setattr(docker_facts, "_PATH", str(tmp_path))
    assert not docker_facts.takes_gpus("unix:///x", ["runc", "nvidia"])
    hook = tmp_path / "nvidia-container-runtime-hook"
    hook.touch(mode=0o755)
    assert docker_facts.takes_gpus("unix:///x", ["runc"])
    assert docker_facts.takes_gpus("tcp://far:2376", ["nvidia"])
    assert not docker_facts.takes_gpus("tcp://far:2376", ["runc"])


# -- afterwards --------------------------------------------------------------------------


def test_a_record_tells_the_devices_in_words():
    def run(**more) -> ContainerRun:
        return ContainerRun(name="c", command=(), user="1:1", network="none", read_only=True, **more)

    chip = InjectedDevice(index="2", name="a.b/c=2", uuid="GPU-2", product="Chip One")
    assert run().given_devices == "none"
    assert run(devices=("/dev/x",)).given_devices == "/dev/x"
    passed = run(cdi_devices=("a.b/c=2",), device_injection=DeviceInjection(method="cdi", devices=(chip,)))
    assert passed.given_devices == "a.b/c=2: Chip One 2 (GPU-2)"
    assert run(gpus=("all",)).given_devices == "--gpus all"
    assert run(runtime="habana").given_devices == "by the runtime habana"


def test_a_finding_on_some_devices_is_not_one_on_all():
    assert key_of("b", "t", "Server") == key_of("b", "t", "Server", "all") == "b/t/Server"
    assert key_of("b", "t", "Server", "0,2") == "b/t/Server/0,2"
