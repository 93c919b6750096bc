"""A container's rights, limits and mounts in every dialect: what is printed, what is called, and that they agree.

One spec with every field set. Exact texts pin what holds for every container; for each field another
value must give another line. So whoever drops a flag, a field or a restriction breaks a test here.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from orchestrator.engines import apptainer, nerdctl
from orchestrator.engines.access import EngineAccess
from orchestrator.engines.docker import containers as docker
from orchestrator.engines.docker.containers import create
from orchestrator.engines.options import SECCOMP, container_options, seccomp_profile
from orchestrator.engines.podman import argv as podman
from orchestrator.engines.podman.argv import Host, create_words
from orchestrator.engines.printers import PRINTERS, printer
from orchestrator.facts.containers import ContainerSpec, Mount

FULL = ContainerSpec(
    name="mlorch-x",
    image="localhost/mlorch/x:1",
    command=("python3", "-m", "harness"),
    user="1000:1001",
    mounts=(Mount(source="/data/a,b", target="/data"), Mount(source="/r/1", target="/results", read_only=False)),
    tmpfs={"/scratch": "rw,mode=1777,uid=1000,gid=1001,size=9", "/tmp": "rw,size=8"},
    env={"A": "b", "HOME": "/scratch"},
    labels={"org.mlorch.run": "x"},
    network="bridge",
    cpus=(0, 2),
    memory_nodes=(0, 1),
    memory=1 << 30,
    shm=1 << 20,
    pids=99,
    ulimits={"memlock": (-1, -1), "nofile": (5, 6)},
    groups=("44", "45"),
    capabilities=("SYS_NICE",),
    devices=("/dev/kfd", "/dev/dri/renderD128"),
    cdi_devices=("vendor.com/gpu=0", "vendor.com/gpu=1"),
    gpus=("0", "GPU-1"),
    runtime="habana",
    expects=("/dev/kfd",),
    exclusive=("/dev/kfd",),
    ipc="shareable",
    workdir="/scratch",
)
BARE = ContainerSpec(name="bare", image="another:2", command=("true",), user="5:6", read_only=False)
BEFORE_THE_START = {"expects", "exclusive"}
"""Fields that are looked at before the start (`orchestrator.engines.containers`) and that no engine is asked for."""
ROOT = Host(rootless=False, limits={"nofile": None, "nproc": None})


def sdk_body(spec: ContainerSpec) -> dict:
    """What Docker's SDK would send to the engine to create the container; no engine is asked."""
    from docker import APIClient

    sent = {}

    class Recording(APIClient):
        def create_container_from_config(self, config, name=None, platform=None):
            sent.update(config, name=name, platform=platform)
            return {"Id": "1"}

    assert create(Recording(base_url="unix:///nowhere", version="1.45"), spec) == "1"
    return {key: value for key, value in sent.items() if value not in (None, {}, [], False)}


DIALECTS = {
    "docker's SDK": sdk_body,
    "docker": docker.argv,
    "podman": lambda spec: [*create_words(spec, ROOT), *podman.notes(spec)],
    "nerdctl": lambda spec: [*nerdctl.argv(spec), *nerdctl.notes(spec)],
    "apptainer": lambda spec: [*apptainer.argv(spec), *apptainer.notes(spec)],
}

DOCKER = """
docker run --rm --name mlorch-x --user 1000:1001 --network bridge --read-only
--cap-drop ALL --security-opt no-new-privileges:true --security-opt seccomp=PROFILE --log-driver none --init=false
--pids-limit 99 --ipc shareable --cpuset-cpus 0,2 --cpuset-mems 0,1
--memory 1073741824 --memory-swap 1073741824 --shm-size 1048576
--ulimit memlock=-1:-1 --ulimit nofile=5:6
--group-add 44 --group-add 45 --cap-add SYS_NICE
--device /dev/kfd:/dev/kfd:rw --device /dev/dri/renderD128:/dev/dri/renderD128:rw
--device vendor.com/gpu=0 --device vendor.com/gpu=1 --gpus "device=0,GPU-1" --runtime habana
--mount type=bind,"source=/data/a,b",target=/data,readonly --mount type=bind,source=/r/1,target=/results
--tmpfs /scratch:rw,mode=1777,uid=1000,gid=1001,size=9 --tmpfs /tmp:rw,size=8
--env A=b --env HOME=/scratch --label org.mlorch.run=x --workdir /scratch
localhost/mlorch/x:1 python3 -m harness
"""
PODMAN = """
--pull never --http-proxy=false --unsetenv container
--name mlorch-x --user 1000:1001 --network bridge --read-only --read-only-tmpfs=false
--cap-drop ALL --security-opt no-new-privileges --security-opt seccomp=PROFILE --log-driver none --init=false
--pids-limit 99 --ipc shareable --cpuset-cpus 0,2 --cpuset-mems 0,1
--memory 1073741824 --memory-swap 1073741824 --shm-size 1048576
--ulimit memlock=-1:-1 --ulimit nofile=5:6
--group-add 44 --group-add 45 --cap-add SYS_NICE
--device /dev/kfd:/dev/kfd:rw --device /dev/dri/renderD128:/dev/dri/renderD128:rw
--device vendor.com/gpu=0 --device vendor.com/gpu=1
--mount type=bind,"source=/data/a,b",target=/data,readonly --mount type=bind,source=/r/1,target=/results
--tmpfs /scratch:rw,mode=1777,size=9,U,notmpcopyup --tmpfs /tmp:rw,size=8,notmpcopyup
--env A=b --env HOME=/scratch --label org.mlorch.run=x --workdir /scratch
localhost/mlorch/x:1 python3 -m harness
"""
APPTAINER = """
prlimit --memlock=unlimited:unlimited --nofile=5:6 taskset --cpu-list 0,2
apptainer exec --containall --no-privs --no-home --no-eval --net --network none
--add-caps SYS_NICE
--mount 'type=bind,"source=/data/a,b",destination=/data,ro' --mount type=bind,source=/r/1,destination=/results
--scratch /scratch --bind /dev/kfd --bind /dev/dri/renderD128 --env A=b --pwd /scratch
oci-archive:x-1.oci.tar /usr/bin/env HOME=/scratch python3 -m harness
"""


def with_profile(line: str) -> list[str]:
    return line.replace("PROFILE", str(SECCOMP)).split()


def test_one_profile_for_all_engines_refuses_by_name_what_leads_out_of_a_container():
    profile = json.loads(seccomp_profile())
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    refused = {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ERRNO"
        and rule["errnoRet"] == 1
        and "args" not in rule
        and "excludes" not in rule
        for name in rule["names"]
    }
    assert {"unshare", "setns", "mount", "keyctl", "add_key", "bpf", "userfaultfd", "io_uring_setup"} <= refused
    assert not refused & allowed
    assert {"read", "clone", "execve", "mmap", "futex", "socket", "sched_setaffinity"} <= allowed
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert str(SECCOMP) in docker.argv(BARE)[docker.argv(BARE).index("--log-driver") - 1]


def test_the_words_of_docker():
    assert docker.argv(FULL) == with_profile(DOCKER)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("unix:///var/run/docker.sock", ["docker", "run"]),
        ("unix:///run/mlorch-1/docker.sock", ["docker", "--host", "unix:///run/mlorch-1/docker.sock", "run"]),
        ("ssh://lab", ["docker", "--host", "ssh://lab", "run"]),
    ],
)
def test_a_line_of_docker_names_an_engine_that_is_not_the_default_one(host, words):
    """Pasted into a shell it would start the container elsewhere, where the images are not."""
    line = printer("docker", EngineAccess(host=host)).line(FULL)
    assert line.split()[: len(words)] == words
    assert line.split()[len(words)] == "--rm"


def test_what_dockers_sdk_sends_says_the_same():
    body = sdk_body(FULL)
    assert body.pop("HostConfig") == {
        "NetworkMode": "bridge", "ReadonlyRootfs": True, "CapDrop": ["ALL"], "CapAdd": ["SYS_NICE"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp_profile()}"],
        "LogConfig": {"Type": "none", "Config": {}}, "Init": False,
        "PidsLimit": 99, "IpcMode": "shareable", "CpusetCpus": "0,2", "CpusetMems": "0,1",
        "Memory": 1 << 30, "MemorySwap": 1 << 30, "ShmSize": 1 << 20,
        "Ulimits": [{"Name": "memlock", "Soft": -1, "Hard": -1}, {"Name": "nofile", "Soft": 5, "Hard": 6}],
        "GroupAdd": ["44", "45"], "Runtime": "habana",
        "Devices": [
            {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rw"}
            for path in ("/dev/kfd", "/dev/dri/renderD128")
        ],
        "DeviceRequests": [
            {"Driver": "cdi", "DeviceIDs": ["vendor.com/gpu=0", "vendor.com/gpu=1"], "Count": 0,
             "Capabilities": [], "Options": {}},
            {"Driver": "", "DeviceIDs": ["0", "GPU-1"], "Count": 0, "Capabilities": [["gpu"]], "Options": {}},
        ],
        "Mounts": [
            {"Type": "bind", "Source": "/data/a,b", "Target": "/data", "ReadOnly": True},
            {"Type": "bind", "Source": "/r/1", "Target": "/results", "ReadOnly": False},
        ],
        "Tmpfs": {"/scratch": "rw,mode=1777,uid=1000,gid=1001,size=9", "/tmp": "rw,size=8"},
    }  # fmt: skip
    assert body == {
        "name": "mlorch-x", "Image": "localhost/mlorch/x:1", "Cmd": ["python3", "-m", "harness"], "User": "1000:1001",
        "Env": ["A=b", "HOME=/scratch"], "Labels": {"org.mlorch.run": "x"}, "WorkingDir": "/scratch",
        "AttachStdout": True, "AttachStderr": True,
    }  # fmt: skip


def test_the_words_of_podman():
    assert create_words(FULL, ROOT) == with_profile(PODMAN)


def test_the_words_of_nerdctl_are_dockers_but_for_two():
    expected = DOCKER.replace("docker run --rm", "nerdctl run --rm --pull never").replace("leges:true", "leges")
    assert nerdctl.argv(FULL) == with_profile(expected)


def test_the_line_of_apptainer():
    assert printer("apptainer").line(replace(FULL, network="none")) == " ".join(APPTAINER.split())


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", sorted({field.name for field in fields(ContainerSpec)} - BEFORE_THE_START))
def test_every_field_of_a_spec_counts(dialect, name):
    """Another value of any field gives another translation; what an engine cannot keep is in its notes."""
    other = {name: getattr(BARE, name)}
    spec = FULL if name == "network" else replace(FULL, network="none")
    assert getattr(spec, name) != other[name]
    translate = DIALECTS[dialect]
    if (dialect, name) in UNTOLD:
        assert translate(replace(spec, **other)) == translate(spec)
        return
    assert translate(replace(spec, **other)) != translate(spec)


UNTOLD = {
    ("apptainer", "name"),  # a process of the caller's, without a name,
    ("apptainer", "user"),  # with the caller's ids and groups,
    ("apptainer", "groups"),
    ("apptainer", "labels"),  # and nothing that could carry a label
}
"""What apptainer's notes say of every container, and not only of those that ask for it."""


@pytest.mark.parametrize("option", list(container_options(FULL)), ids=lambda option: option.name)
def test_no_option_is_on_one_side_alone(option):
    """Neither the printed line nor the call can have what the other has not."""
    assert all(option.words)
    assert option.words
    assert option.api
    assert all(value not in (None, "", [], {}) for value in option.api.values())


def test_shared_memory_of_the_host_has_its_size_already():
    spec = replace(FULL, ipc="host")
    assert sdk_body(spec)["HostConfig"]["IpcMode"] == "host"
    assert "ShmSize" not in sdk_body(spec)["HostConfig"]
    for words in (docker.argv(spec), create_words(spec, ROOT), nerdctl.argv(spec)):
        assert "--shm-size" not in words
        assert words[words.index("--ipc") + 1] == "host"


def test_all_gpus_are_asked_for_as_such():
    spec = replace(FULL, gpus=("all",), cdi_devices=())
    (request,) = sdk_body(spec)["HostConfig"]["DeviceRequests"]
    assert (request["Count"], request["DeviceIDs"], request["Capabilities"]) == (-1, [], [["gpu"]])
    words = docker.argv(spec)
    assert words[words.index("--gpus") + 1] == "all"


def test_a_bare_spec_is_locked_down_in_every_dialect():
    bare = replace(BARE, read_only=True)
    locked = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt"]
    for words in (docker.argv(bare), create_words(bare, ROOT), nerdctl.argv(bare)):
        assert [word for word in locked if word not in words] == []
        assert words[words.index("--pids-limit") + 1] == "4096"
        assert not any(
            word.startswith(("--device", "--gpus", "--runtime", "--cap-add", "--privileged")) for word in words
        )
    host = sdk_body(bare)["HostConfig"]
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["CapDrop"]) == ("none", True, ["ALL"])
    assert "Privileged" not in host
    assert {"--containall", "--no-privs", "--net"} <= set(apptainer.argv(bare))


@pytest.mark.parametrize("name", PRINTERS)
def test_every_line_leaves_out_the_owner_and_every_note_says_something(name):
    shown = printer(name)
    owned = replace(FULL, labels={**FULL.labels, "org.mlorch.owner": "1:2:3:4"})
    assert "1:2:3:4" not in shown.line(owned)
    assert name in shown.argv(owned)
    assert all(note.strip() for note in shown.notes(owned))


def test_nerdctl_says_what_it_takes():
    notes = " ".join(nerdctl.notes(replace(FULL, mounts=(Mount(source="/a:b", target="/c"),))))
    for word in ("docker save localhost/mlorch/x:1", "2.0", "colon", "CDI", "habana", "CNI"):
        assert word in notes
