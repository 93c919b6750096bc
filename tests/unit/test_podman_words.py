"""podman without podman: the words that it is given, the words that it gives back, and which engine is chosen."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from orchestrator.definitions.settings import Settings
from orchestrator.engines import ENGINES, engine_factory, engine_name
from orchestrator.engines.builds import BuildLog, passing
from orchestrator.engines.consent import Consent
from orchestrator.engines.limits import own_limits
from orchestrator.engines.model import numbers
from orchestrator.engines.podman import cli as podman_cli
from orchestrator.engines.podman import runs as podman_runs
from orchestrator.engines.podman.argv import Host, create_words, tmpfs_options
from orchestrator.engines.podman.build import adapt, network_of
from orchestrator.engines.podman.cli import complaint, facts_of, refused
from orchestrator.engines.podman.progress import events, failure
from orchestrator.engines.printers import printer
from orchestrator.engines.private import podman as own
from orchestrator.errors import EngineError, HostLimitError, StepFailed, UsageError
from orchestrator.facts.build import LayerStep
from orchestrator.facts.containers import ContainerSpec, Mount
from orchestrator.host.process import owner_label, this_process

SPEC = ContainerSpec(
    name="mlorch-x", image="localhost/mlorch/x:1", command=("python3", "-m", "harness"), user="1000:1001",
    mounts=(Mount(source="/data/a b,c", target="/data"),), tmpfs={"/scratch": "rw,mode=1777,uid=1000,gid=1001,size=9"},
    env={"A": "b"}, labels={"org.mlorch.run": "x", "org.mlorch.owner": "1:2:3:4"}, cpus=(0, 2), memory_nodes=(0,),
    memory=1 << 30, shm=1 << 20, ulimits={"memlock": (-1, -1)}, groups=("44",), capabilities=("SYS_NICE",),
    devices=("/dev/kfd",), cdi_devices=("vendor.com/gpu=0",), workdir="/scratch",
)  # fmt: skip
ROOT = Host(rootless=False, limits={"nofile": None, "nproc": None})
STEP = LayerStep(name="layer", level="side", platform="linux/amd64", content_id="0" * 64, parent=None, dockerfile="")


def pairs(words: list[str]) -> set[tuple[str, str]]:
    return set(itertools.pairwise(words))


def test_a_container_has_what_its_spec_says_and_nothing_that_podman_would_add():
    words = create_words(SPEC, ROOT)
    assert pairs(words) >= {
        ("--user", "1000:1001"), ("--network", "none"), ("--cap-drop", "ALL"), ("--cap-add", "SYS_NICE"),
        ("--security-opt", "no-new-privileges"), ("--log-driver", "none"), ("--pids-limit", "4096"),
        ("--ipc", "private"), ("--cpuset-cpus", "0,2"), ("--cpuset-mems", "0"), ("--memory", str(1 << 30)),
        ("--memory-swap", str(1 << 30)), ("--shm-size", str(1 << 20)), ("--ulimit", "memlock=-1:-1"),
        ("--group-add", "44"), ("--device", "/dev/kfd:/dev/kfd:rw"), ("--device", "vendor.com/gpu=0"),
        ("--mount", 'type=bind,"source=/data/a b,c",target=/data,readonly'), ("--pull", "never"),
        ("--tmpfs", "/scratch:rw,mode=1777,size=9,U,notmpcopyup"), ("--workdir", "/scratch"),
    }  # fmt: skip
    assert {"--read-only", "--read-only-tmpfs=false", "--http-proxy=false"} <= set(words)
    assert words[-4:] == ["localhost/mlorch/x:1", "python3", "-m", "harness"]
    assert not any(word.startswith(("nofile", "nproc")) for word in words)


def test_a_plain_user_keeps_the_own_ids_and_groups_and_has_no_bridge():
    words = create_words(replace(SPEC, network="bridge"), replace(ROOT, rootless=True))
    assert ("--userns", "keep-id") in pairs(words)
    assert ("--group-add", "keep-groups") in pairs(words)
    assert "--network" not in words
    assert "--userns" not in create_words(SPEC, ROOT)
    alone = create_words(SPEC, replace(ROOT, rootless=True, subordinate=False))
    assert ("--user", "0:0") in pairs(alone)
    assert "--userns" not in alone
    assert ("--network", "bridge") in pairs(create_words(replace(SPEC, network="bridge"), ROOT))


def test_limits_that_the_host_refuses_are_as_high_as_it_allows():
    words = create_words(
        replace(SPEC, ulimits={"nofile": (5, 6)}), Host(rootless=False, limits={"nofile": 9, "nproc": 7})
    )
    assert [word for word in words if "=" in word and word.startswith("n")] == ["nofile=5:6", "nproc=7:7"]
    assert own_limits().keys() >= {"nofile", "nproc"}


@pytest.mark.parametrize(
    ("options", "user", "wanted"),
    [
        ("rw,uid=1,gid=2", "1:2", "rw,U,notmpcopyup"),
        ("rw,uid=1", "1", "rw,U,notmpcopyup"),
        ("rw,uid=9,gid=2", "1:2", "rw,notmpcopyup"),  # another's: podman has no word for that
        ("size=1", "1:2", "size=1,notmpcopyup"),
    ],
)
def test_a_tmpfs_belongs_to_the_containers_user(options, user, wanted):
    assert tmpfs_options(options, user) == wanted


DOCKERFILE = """# COPY --link is a comment
FROM scratch AS work
COPY --link --chmod=755 busybox /bin/busybox
ADD --link=true a.tar /
RUN --network=none --mount=type=bind,source=a,target=/b \\
    COPY --link x; echo --network=none
run --network=none ["sh", "-c", "echo --link"]
FROM scratch
COPY --chmod=755 --link --from=work /out/ /
ENV X="--link"
"""


def test_words_that_an_old_podman_does_not_know_go_and_nothing_else():
    old, new = adapt(DOCKERFILE, "4.3.1"), adapt(DOCKERFILE, "5.4.2")
    assert old.splitlines() == [
        "# COPY --link is a comment",
        "FROM scratch AS work",
        "COPY --chmod=755 busybox /bin/busybox",
        "ADD a.tar /",
        "RUN --mount=type=bind,source=a,target=/b \\",
        "    COPY --link x; echo --network=none",
        'run ["sh", "-c", "echo --link"]',
        "FROM scratch",
        "COPY --chmod=755 --from=work /out/ /",
        'ENV X="--link"',
    ]
    assert new.count("--network=none") == 3
    assert "COPY --chmod=755 busybox" in new


def test_steps_have_no_network_where_none_of_them_wants_one():
    offline = 'FROM x\nRUN --network=none a\nRUN --network=none ["b"]\n'
    assert network_of(offline, "default", "4.3.1") == "none"
    assert network_of(offline + "RUN pip install x\n", "default", "4.3.1") == "host"
    assert network_of(offline, "default", "5.0.0") == "host", "newer ones keep the word of each step"
    assert network_of(offline, "none", "5.0.0") == "none"


OUTPUT = """[1/2] STEP 1/2: FROM scratch AS work
[1/2] STEP 2/2: RUN pip install x
Collecting x
--> 2a7ca244eff
[2/2] STEP 1/1: COPY --from=work /out/ /
--> Using cache 0a95ec57f601e86cafb4a3b84dc9b1d3943ea056f42a796d6716eefcfda12ee9
[2/2] COMMIT localhost/mlorch/x:1
Getting image source signatures
--> d7caab44215
[Warning] one or more build args were not consumed: [TARGETARCH TARGETOS TARGETPLATFORM]
Successfully tagged localhost/mlorch/x:1
d7caab44215d035fad93036b18d78163f22bbf4162d205dae857645406c22d85
"""


def test_plain_output_is_told_as_events(tmp_path):
    log = BuildLog(path=tmp_path / "log")
    told = [(event.kind, event.step, event.text) for event in events(OUTPUT.splitlines(keepends=True), log)]
    pip, copy = "[1/2 2/2] RUN pip install x", "[2/2 1/1] COPY --from=work /out/ /"
    assert told == [
        ("start", "[1/2 1/2] FROM scratch AS work", ""), ("done", "[1/2 1/2] FROM scratch AS work", ""),
        ("start", pip, ""), ("log", pip, "Collecting x"), ("done", pip, ""),
        ("start", copy, ""), ("cached", copy, ""),
        ("start", "exporting", ""), ("log", "exporting", "Getting image source signatures"), ("done", "exporting", ""),
    ]  # fmt: skip


def explained(tmp_path, *lines: str, code: int = 125):
    log = BuildLog(path=tmp_path / "log")
    list(events(lines, log))
    return failure(STEP, log, code)


def test_a_step_that_fails_is_told_with_its_last_lines(tmp_path):
    error = explained(
        tmp_path, "STEP 1/2: FROM x", 'STEP 2/2: RUN ["sh", "-c", "exit 3"]', "the last words",
        'Error: building at STEP "RUN sh -c exit 3": while running runtime: exit status 3',
    )  # fmt: skip
    assert (error.slug, error.detail) == ("build-failed", "the last words")
    assert error.message.endswith('failed at: [2/2] RUN ["sh", "-c", "exit 3"]: exit code: 3')


@pytest.mark.parametrize(
    ("line", "code", "kind", "slug"),
    [
        ("Error: creating build container: localhost/x:1: image not known", 125, StepFailed, "no-base"),
        ("Error: committing container: write /x: no space left on device", 125, EngineError, "engine-disk-full"),
        ("half a line", -9, EngineError, "engine-lost"),
        ("Error: something else", 125, StepFailed, "build-failed"),
    ],
)
def test_how_a_build_may_end(tmp_path, line, code, kind, slug):
    error = explained(tmp_path, "STEP 1/1: FROM x", line, code=code)
    assert isinstance(error, kind)
    assert error.slug == slug


def test_a_base_that_cannot_be_had_is_named_and_a_layer_that_was_removed_is_told_as_that(tmp_path):
    first = "Error: creating build container: "
    far = f"{first}initializing source docker://127.0.0.1:9/debian@sha256:aa: pinging container registry: refused"
    error = explained(tmp_path, "STEP 1/1: FROM x", far)
    assert error.slug == "no-base"
    assert error.message.endswith("127.0.0.1:9/debian@sha256:aa: pinging container registry: refused")
    log = BuildLog(path=tmp_path / "log")
    list(events(["STEP 1/1: FROM x", f"{first}localhost/x:1: image not known"], log))
    assert failure(replace(STEP, parent="localhost/x:1"), log, 125).slug == "parent-removed"


def test_a_networks_passing_trouble_is_tried_again(tmp_path):
    assert passing(explained(tmp_path, "STEP 1/1: FROM x", "Error: reading blob: read tcp: connection reset by peer"))


@pytest.mark.parametrize(
    ("said", "code", "kind", "slug"),
    [
        ("Error: runc: error setting rlimit type 7: operation not permitted", 125, HostLimitError, None),
        ("Error: stat /dev/nothing: no such file or directory", 125, HostLimitError, "device"),
        ("Error: setting up CDI devices: unresolvable CDI devices a.b/c=9", 125, HostLimitError, "device"),
        ("Error: statfs /nope: no such file or directory", 125, UsageError, "missing-mount"),
        ("Error: localhost/x:1: image not known", 125, StepFailed, "no-image"),
        ('Error: no container with name or ID "x" found: no such container', 125, StepFailed, "container-gone"),
        ("Error: No such container: 0f1e", 125, StepFailed, "container-gone"),
        ("Error: container is marked for removal and cannot be started", 125, StepFailed, "container-gone"),
        ("Error: write: no space left on device", 125, EngineError, "engine-disk-full"),
        ("", -9, EngineError, "engine-lost"),
        ("podman: No such file or directory", 127, EngineError, "engine-lost"),
        ("Error: whatever", 125, StepFailed, "engine-refused"),
    ],
)
def test_what_podman_complains_of_is_one_of_our_errors(said, code, kind, slug):
    error = refused(said, code=code)
    assert isinstance(error, kind)
    assert slug is None or error.slug == slug


def test_its_last_error_counts_and_not_its_warnings():
    said = 'time="x" level=warning msg="y"\nError: the cause\n'
    assert complaint(said) == "the cause"
    assert complaint("only words\n") == "only words"


def test_facts_come_from_its_own_account():
    info = {
        "host": {"arch": "amd64", "os": "linux", "buildahVersion": "1.28.2", "cgroupVersion": "v2", "cpus": 2,
                 "security": {"seccompEnabled": True, "rootless": True}},
        "store": {"graphDriverName": "overlay", "graphRoot": "/s"}, "version": {"Version": "4.3.1"},
    }  # fmt: skip
    facts = facts_of(info, "/usr/bin/podman", private=False)
    assert (facts.host, facts.builder, facts.cgroup_version) == ("exec:///usr/bin/podman", "buildah 1.28.2", "2")
    assert (facts.rootless, facts.cdi, facts.buildx, facts.security) == (True, True, None, ("seccomp", "rootless"))
    assert engine_factory("podman").unmet_requirement(facts) == ""
    assert "too old" in engine_factory("podman").unmet_requirement(replace(facts, version="3.4.4"))
    assert "buildah" in engine_factory("podman").builder(facts)[0]
    assert not facts_of({}, "p", private=True).cdi
    assert numbers("4.3.1+ds1") == (4, 3, 1)


def test_the_engine_is_what_was_asked_for_or_an_error():
    known = tuple(ENGINES)
    assert engine_name(Settings(), "", known) == "docker"
    assert engine_name(Settings(engine="podman"), "", known) == "podman"
    assert engine_name(Settings(engine="podman"), "docker", known) == "docker"
    with pytest.raises(UsageError, match="--engine") as caught:
        engine_name(Settings(), "apptainer", known)
    assert caught.value.slug == "unknown-engine"
    with pytest.raises(UsageError, match="MLORCH_ENGINE"):
        engine_name(Settings(engine="x", sources={"engine": "MLORCH_ENGINE"}), "", known)


def test_without_a_program_it_is_told_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError) as caught:
        podman_cli.find()
    assert caught.value.slug == "no-engine"
    assert "engine ensure --engine podman" in caught.value.hint


def test_nothing_is_unpacked_unasked(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(
        "orchestrator.engines.private.packages.find_origin",
        lambda **_: type("Origin", (), {"uris": ("http://archive.test",), "suite": "bookworm"}),
    )
    monkeypatch.setattr("orchestrator.engines.private.ensure.check_folder", lambda *_, **__: None)
    with pytest.raises(EngineError) as caught:
        own.ensure(Consent(yes=False, confirm=None, say=print))
    assert caught.value.slug == "not-asked"
    assert "archive.test" in caught.value.message
    with pytest.raises(EngineError, match="declined"):
        own.ensure(Consent(yes=False, confirm=lambda _text: False, say=print))
    assert not own.home().exists()


def test_its_own_files_name_folders_of_its_own(tmp_path, monkeypatch):
    home = own.home()
    (home / "root/usr/sbin").mkdir(parents=True)
    (home / "root/usr/sbin/runc").write_text("")
    own.write_settings(home)
    assert own.program().stat().st_mode & 0o111
    script = own.program().read_text()
    for name in ("containers.conf", "storage.conf", "registries.conf", "root/usr/bin/podman"):
        assert str(home / name) in script
    assert 'lock_type = "file"' in (home / "containers.conf").read_text()
    assert str(home / "storage") in (home / "storage.conf").read_text()
    assert json.loads((home / "home/.config/containers/policy.json").read_text())["default"]
    assert podman_cli.find().program == str(own.program())


def test_podman_is_asked_for_leftovers_only_where_a_run_began():
    assert engine_factory("podman").sweepable() is None
    with podman_runs.begun("mlorch-x") as folder:
        assert podman_runs.running()
        assert folder.name == "mlorch-x"

        class Asked:
            def containers(self, label):
                return []

        podman_runs.RunSweep(Asked()).containers("org.mlorch.run")
        assert folder.exists(), "its process lives"
        gone = replace(this_process(), pid=999_999_999)
        (folder / "owner").write_text(owner_label(gone))
        podman_runs.RunSweep(Asked()).containers("org.mlorch.run")
        assert not folder.exists()
    assert not podman_runs.running()


def test_the_printed_words_are_those_that_the_engine_creates_with():
    assert printer("podman").argv(SPEC)[3:][-4:] == create_words(SPEC, ROOT)[-4:]
    assert set(create_words(SPEC, ROOT)) - set(printer("podman").argv(SPEC)) <= {"--group-add", "44"}
