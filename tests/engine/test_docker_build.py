"""Building on a real engine: what a build is given, what it says, and how it ends."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from docker_parts import Bench, busybox, history, sh, spec, step

from orchestrator.engines.builds import BuildRequest
from orchestrator.engines.docker import buildx
from orchestrator.engines.docker.client import whales
from orchestrator.errors import StepFailed
from orchestrator.facts.build_settings import BuildSettings

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine(request, engines):
    """The same tests for every engine."""
    return engines(request.param)


@pytest.fixture(scope="module")
def program():
    return busybox()


@pytest.fixture
def context(engine, tmp_path, program):
    context = Bench(engine, tmp_path, program)
    yield context
    context.clean()


def command_lines() -> bytes:
    """The arguments of every process of this host."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            found.append((entry / "cmdline").read_bytes() if entry.name.isdigit() else b"")
        except OSError:
            continue
    return b"\n".join(found)


def test_a_build_sees_its_secret_and_the_image_has_its_labels_only(context, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    made = step(
        "secret", sh("busybox wc -c < /run/secrets/word > /size").replace("none", "none --mount=type=secret,id=word")
    )
    facts = context.build(made, BuildSettings(secrets={"word": secret}), note="kept")
    assert facts.labels == {"org.mlorch.test": made.name, "note": "kept"}
    assert facts.digest.startswith("sha256:")
    assert context.engine.image(made.image) == facts
    assert made.image in [each.image for each in context.engine.images(f"org.mlorch.test={made.name}")]
    assert "open sesame" not in history(context.engine, made.image)


def test_proxies_reach_the_build_and_nobodys_list_of_processes(context):
    proxy = f"http://user:hunter2-{os.getpid()}@proxy.test:3128"
    seen = []

    def on_event(event):
        if event.kind == "log":
            seen.append((event.text, proxy.encode() in command_lines()))

    made = step("proxy", sh("busybox env | busybox grep -i proxy; busybox sleep 1"))
    facts = context.build(made, BuildSettings(proxies={"https_proxy": proxy, "HTTPS_PROXY": proxy}), on_event)
    assert (f"https_proxy={proxy}", False) in seen
    assert (f"HTTPS_PROXY={proxy}", False) in seen
    assert "hunter2" not in history(context.engine, made.image) + str(facts)


def test_a_build_that_fails_tells_its_story(context):
    made = step("fails", sh("echo one; echo two >&2"), sh("echo the last words; exit 3"))
    with pytest.raises(StepFailed) as caught:
        context.build(made)
    assert caught.value.slug == "build-failed"
    kinds = [event.kind for event in context.events]
    assert {"start", "done", "log", "error"} <= set(kinds)
    assert kinds.count("error") == 1
    assert {"one", "two", "the last words"} <= {event.text for event in context.events if event.kind == "log"}
    assert "the last words" in caught.value.detail
    assert "exit code: 3" in caught.value.message
    log = Path(caught.value.hint.rpartition(" ")[2])
    assert "the last words" in log.read_text()
    assert context.engine.image(made.image) is None


def test_a_base_that_is_nowhere_is_told(context):
    made = step("baseless")
    made = replace(made, dockerfile=f"FROM localhost/mlorch/t-docker-nowhere:{made.content_id}\nENV A=b\n", parent="p")
    with pytest.raises(StepFailed) as caught:
        context.build(made)
    assert caught.value.slug == "no-base"
    assert "t-docker-nowhere" in caught.value.message


def test_stages_copies_and_flags_make_the_same_image(context):
    """What rendered Dockerfiles use: stages, `--link`, a step without a network, labels and settings of the image."""
    made = step("stages")
    text = (
        "FROM scratch AS work\nCOPY --chmod=755 busybox /bin/busybox\n" + sh("mkdir /out; echo made > /out/file") + "\n"
        "FROM scratch\nCOPY --link --chmod=755 busybox /bin/busybox\nCOPY --link --from=work /out/ /\n"
        'ENV GREETING="hello $you"\nUSER 65534:65534\nWORKDIR /w\n'
    ).replace("mkdir", "busybox mkdir")
    facts = context.build(replace(made, dockerfile=text), inputs='{"a": "$b \'c\' \\"}')
    assert facts.labels["inputs"] == '{"a": "$b \'c\' \\"}'
    lines = []
    look = spec(made.image, "busybox cat /file; echo $GREETING; busybox id -u", user="")
    context.engine.run(look, lines.append)
    assert lines == ["made", "hello", "65534"]


@pytest.mark.parametrize("version", ["0.12.1", "0.13.1"])
def test_old_and_new_clients_tell_the_same_story(engines, tmp_path, program, version):
    context = Bench(engines("docker"), tmp_path, program)  # podman has no client apart from itself
    made = step("story", sh("echo one; echo two >&2"), sh("echo the last words; exit 3"))
    asked = BuildRequest(step=made, context=context.context(made), labels={}, settings=BuildSettings())
    with whales(context.engine.client, context.engine.host, {}) as client, pytest.raises(StepFailed) as caught:
        buildx.build(client, asked, version, context.events.append)
    kinds = {event.kind for event in context.events}
    assert {"start", "done", "log", "error"} <= kinds
    assert {"one", "two", "the last words"} <= {event.text for event in context.events if event.kind == "log"}
    assert "the last words" in caught.value.detail
    assert "exit code: 3" in caught.value.message
    assert str(asked.log_path) in caught.value.hint
    assert "the last words" in asked.log_path.read_text()


def test_an_interrupted_build_ends_at_once_and_leaves_no_client(context):
    made = step("interrupt", sh("echo begun; busybox sleep 120"))

    def interrupt(event):
        if event.kind == "log" and event.text == "begun":
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        context.build(made, on_event=interrupt)
    until = time.monotonic() + 10
    while str(context.folder).encode() in command_lines() and time.monotonic() < until:
        time.sleep(0.05)
    assert str(context.folder).encode() not in command_lines()
    assert time.monotonic() - began < 30
    assert context.engine.image(made.image) is None
