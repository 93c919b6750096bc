"""Running on a real engine: the container is what its spec says, to the letter, and never outlives its run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from docker_parts import Bench, busybox, spec, step

from orchestrator.errors import HostLimitError, StepFailed, UsageError
from orchestrator.facts.containers import Mount

pytestmark = pytest.mark.engine
LABEL = "org.mlorch.test=t-docker"


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine(request, engines):
    """The same tests for every engine."""
    return engines(request.param)


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory):
    context = Bench(engine, tmp_path_factory.mktemp("image"), busybox())
    yield context.build(step("run", 'RUN --network=none ["/bin/busybox", "--install", "-s", "/bin"]')).image
    context.clean()


@pytest.fixture(autouse=True)
def _nothing_stays(engine):
    yield
    engine.wait_removed()
    assert engine.containers(LABEL) == []


def test_the_contract_holds_inside(engine, image, tmp_path):
    inputs, results = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    results.mkdir(mode=0o777)
    results.chmod(0o777)
    (inputs / "data").write_text("the data\n")
    script = """
    exec 2>&1; id -u; id -g; id -G
    grep -E 'Cap(Prm|Eff|Bnd)|NoNewPrivs|Seccomp:|Cpus_allowed_list' /proc/self/status
    touch /x || echo root is read-only
    touch /in/x || echo inputs are read-only
    cat /in/data; cp /in/data /out/copy; echo scratch > /scratch/x && cat /scratch/x
    ls /sys/class/net; pwd; echo $GREETING; df -k /dev/shm | tail -1; ulimit -n; ulimit -H -n
    """
    lines = []
    asked = spec(
        image, script, mounts=(
            Mount(source=str(inputs), target="/in"),
            Mount(source=str(results), target="/out", read_only=False),
        ),
        tmpfs={"/scratch": "rw,nosuid,nodev,noexec,mode=1777,uid=1234,gid=2345,size=1048576"},
        env={"GREETING": "hello"}, cpus=(0,),
        shm=32 << 20, groups=("3456",), workdir="/scratch", ulimits={"nofile": (512, 1024)},
    )  # fmt: skip
    outcome = engine.run(asked, lines.append)
    text = "\n".join(lines)
    assert outcome.exit_code == 0
    assert not outcome.out_of_memory
    assert lines[:2] == ["1234", "2345"]
    assert lines[2].split() == ["2345", "3456"]
    assert text.count("0000000000000000") == 3, "three capability sets, all empty"
    assert "NoNewPrivs:\t1" in lines
    assert "Seccomp:\t2" in lines
    assert "Cpus_allowed_list:\t0" in lines
    for line in ("root is read-only", "inputs are read-only", "the data", "scratch", "hello", "/scratch", "lo"):
        assert line in lines
    assert not any(line.startswith("eth") for line in lines)
    assert "32768" in next(line for line in lines if line.startswith("shm"))
    assert lines[-2:] == ["512", "1024"]
    assert (results / "copy").read_text() == "the data\n"
    assert (results / "copy").stat().st_uid == 1234
    assert not list(inputs.glob("x"))


def test_lines_arrive_as_they_are_written(engine, image):
    arrived = []
    script = (
        "printf 'first\\n'; sleep 1; printf 'gr\\303'; sleep 0.3; printf '\\274n\\n'; echo err >&2; printf 'no end'"
    )
    engine.run(spec(image, script), lambda line: arrived.append((time.monotonic(), line)))
    texts = [line for _, line in arrived]
    assert sorted(texts) == ["err", "first", "grün", "no end"], "whole lines, of either stream"
    assert [text for text in texts if text != "err"] == ["first", "grün", "no end"]
    assert arrived[1][0] - arrived[0][0] > 0.8


def test_a_quick_flood_loses_nothing(engine, image):
    lines = []
    assert engine.run(spec(image, "seq 1 50000"), lines.append).exit_code == 0
    assert lines == [str(n) for n in range(1, 50001)]


def test_too_much_memory_is_told(engine, image):
    # Not at once: on cgroups of version 1 containerd begins to watch a container's memory after it started.
    script = "sleep 1; dd if=/dev/zero of=/dev/null bs=100M count=1"
    outcome = engine.run(spec(image, script, memory=16 << 20), lambda _: None)
    assert outcome.out_of_memory
    assert outcome.exit_code == 137


def test_an_input_that_is_missing_is_an_error_and_stays_missing(engine, image, tmp_path):
    missing = tmp_path / "data" / "set"
    with pytest.raises(UsageError, match="is not there") as caught:
        engine.run(spec(image, "true", mounts=(Mount(source=str(missing), target="/in"),)), lambda _: None)
    assert caught.value.slug == "missing-mount"
    assert not missing.parent.exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_whatever_happens_to_us_the_container_is_gone(engine, image, error):
    def stop(_line):
        raise error

    began = time.monotonic()
    with pytest.raises((error, Exception)):
        engine.run(spec(image, "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"), stop)
    assert time.monotonic() - began < 15


def test_a_limit_that_the_host_cannot_give_is_told(engine, image):
    most = int(Path("/proc/sys/fs/nr_open").read_text()) + 1
    with pytest.raises(HostLimitError) as caught:
        engine.run(spec(image, "true", ulimits={"nofile": (most, most)}), lambda _: None)
    assert caught.value.exit_code == 4
    assert "rlimit" in caught.value.message
    known = engine.daemon_limits()
    assert not known or known["nofile"] < most


def test_a_device_that_is_not_there_is_told(engine, image):
    with pytest.raises(HostLimitError) as plain:
        engine.run(spec(image, "true", devices=("/dev/no-such-accelerator",)), lambda _: None)
    with pytest.raises(HostLimitError) as named:
        engine.run(spec(image, "true", cdi_devices=("vendor.test/accelerator=9",)), lambda _: None)
    assert (plain.value.slug, named.value.slug) == ("device-gone", "device")
    assert "no-such-accelerator" in plain.value.message


def test_a_command_or_an_image_that_is_not_there_is_told(engine, image):
    with pytest.raises(StepFailed, match="nothing-like-it"):
        engine.run(spec(image, "true", command=("/bin/nothing-like-it",)), lambda _: None)
    with pytest.raises(StepFailed) as caught:
        engine.run(spec("mlorch/t-docker-none:0", "true"), lambda _: None)
    assert caught.value.slug == "no-image"
