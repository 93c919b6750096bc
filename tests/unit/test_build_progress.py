"""What a build says, read from its client's words; and what is tried again."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from orchestrator.engines import builds
from orchestrator.engines.docker import buildx
from orchestrator.engines.docker.buildx import json_documents, plain_documents
from orchestrator.engines.docker.client import Client, _overlay
from orchestrator.errors import EngineError, StepFailed
from orchestrator.facts.build import LayerStep
from orchestrator.facts.build_settings import BuildSettings

PLAIN = """#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 51B done
#1 DONE 0.0s

#4 [2/3] COPY a /a
#4 CACHED

#5 [3/3] RUN make
#5 0.212 compiling
#5 1.300 12.5 % done
#5 ERROR: process "make" did not complete successfully: exit code: 2
------
 > [3/3] RUN make:
ERROR: failed to solve
"""


def said(documents, tmp_path):
    log = builds.BuildLog(path=tmp_path / "log")
    return [(event.kind, event.text) for event in buildx.events(documents, log)], log


def test_plain_lines_tell_what_documents_would(tmp_path):
    rest: list[str] = []
    events, log = said(plain_documents(PLAIN.splitlines(keepends=True), rest), tmp_path)
    assert ("cached", "") in events
    assert ("log", "compiling") in events
    assert ("log", "12.5 % done") in events
    assert events[-1] == ("error", 'process "make" did not complete successfully: exit code: 2')
    assert log.names[log.failed] == "[3/3] RUN make"
    assert "ERROR: failed to solve" in rest


def test_documents_may_span_lines_and_share_the_stream_with_words(tmp_path):
    data = base64.b64encode("grün\nzwei\n".encode()).decode()
    document = {"vertexes": [{"digest": "d", "name": "RUN"}], "logs": [{"vertex": "d", "data": data}]}
    text = json.dumps(document, indent=2) + "\n" + json.dumps(document) + "\nWARNING: } {\nERROR: broken\n"
    rest: list[str] = []
    events, _ = said(json_documents(text.splitlines(keepends=True), rest), tmp_path)
    assert [text for _, text in events] == ["grün", "zwei"] * 2
    assert rest == ["WARNING: } {", "ERROR: broken"]


class FailingClient:
    """A docker client whose builds fail as told, one text a build, then succeed."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.buildx = self
        self.asked = []

    def build(self, context, **options):
        from python_on_whales.exceptions import DockerException

        self.asked.append(options)
        if self.texts:
            text = self.texts.pop(0)
            yield json.dumps({"vertexes": [{"digest": "d", "name": "RUN fetch", "error": "exit code: 1"}]}) + "\n"
            data = base64.b64encode(text.encode()).decode()
            yield json.dumps({"logs": [{"vertex": "d", "data": data}]}) + "\n"
            raise DockerException(["docker"], 1)


@pytest.fixture
def layer_build(tmp_path, monkeypatch):
    monkeypatch.setattr(builds, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(builds, "LONGEST_PAUSE_S", 0.0)
    step = LayerStep(
        name="layer",
        level="side",
        platform="linux/amd64",
        content_id="c" * 64,
        parent=None,
        dockerfile="FROM scratch\n",
    )
    settings = BuildSettings(secrets={"ca": tmp_path / "ca"})
    return builds.BuildRequest(step=step, context=tmp_path, labels={"a": "b"}, settings=settings)


def test_a_passing_fault_is_tried_again_and_said(layer_build):
    client, events = FailingClient("read tcp: connection reset by peer"), []
    buildx.build(client, layer_build, "0.13", events.append)
    assert len(client.asked) == 2
    retries = [event.text for event in events if event.kind == "retry"]
    assert len(retries) == 1
    assert "connection reset by peer" in retries[0]
    assert "attempt 2 of 3" in retries[0]
    assert "connection reset" in layer_build.log_path.read_text(), "the log keeps the first attempt"


def test_it_gives_up_after_three(layer_build):
    client, events = FailingClient(*["Temporary failure resolving 'mirror.test'"] * 9), []
    with pytest.raises(StepFailed) as caught:
        buildx.build(client, layer_build, "0.13", events.append)
    assert len(client.asked) == 3
    assert "Temporary failure resolving" in caught.value.detail
    assert "RUN fetch" in caught.value.message


@pytest.mark.parametrize("text", ["syntax error near line 3", "404 Not Found"])
def test_what_will_not_pass_is_not_tried_again(layer_build, text):
    client = FailingClient(text, text)
    with pytest.raises(StepFailed) as caught:
        buildx.build(client, layer_build, "0.13", lambda _event: None)
    assert len(client.asked) == 1
    assert str(layer_build.log_path) in caught.value.hint


def test_a_full_disk_is_the_engines_fault(layer_build):
    with pytest.raises(EngineError) as caught:
        buildx.build(FailingClient("write /x: no space left on device"), layer_build, "0.13", lambda _event: None)
    assert caught.value.slug == "engine-disk-full"


@pytest.mark.parametrize(
    ("parent", "slug", "words"),
    [("localhost/mlorch/base:a", "parent-removed", "docker system prune"), (None, "no-base", "--base-source")],
)
def test_a_layer_below_that_was_removed_meanwhile_is_no_fault_of_a_registry(layer_build, parent, slug, words):
    said = "ERROR: failed to solve: localhost/mlorch/base:a: failed to resolve source metadata for "
    client = FailingClient(f"{said}localhost/mlorch/base:a: dial tcp [::1]:443: connect: connection refused")
    request = replace(layer_build, step=replace(layer_build.step, parent=parent))
    with pytest.raises(StepFailed) as caught:
        buildx.build(client, request, "0.13", lambda _event: None)
    assert caught.value.slug == slug
    assert "localhost/mlorch/base:a" in caught.value.message
    assert words in caught.value.hint


def test_a_build_asks_for_what_keeps_images_clean_and_the_same(layer_build, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")  # of the user: the same id must give the same image
    client = FailingClient()
    buildx.build(client, layer_build, "0.13", lambda _event: None)
    asked = client.asked[0]
    assert asked["provenance"] is False
    assert asked["tags"] == [layer_build.step.image]
    assert asked["builder"] == "default"
    assert asked["secrets"] == [f"id=ca,src={layer_build.settings.secrets['ca']}"]
    assert asked["build_args"] == {"SOURCE_DATE_EPOCH": "1700000000"}


def test_proxies_lay_over_the_users_own_docker_settings(tmp_path):
    user, folder = tmp_path / "user", tmp_path / "own"
    (user / "cli-plugins").mkdir(parents=True)
    folder.mkdir()
    (user / "config.json").write_text(json.dumps({"auths": {"r": {}}, "proxies": {"default": {"httpProxy": "old"}}}))
    _overlay(user, folder, {"http_proxy": "http://u:p@h", "HTTP_PROXY": "http://u:p@h", "no_proxy": "lan"}, {"r"})
    settings = json.loads((folder / "config.json").read_text())
    assert settings == {"auths": {"r": {}}, "proxies": {"default": {"httpProxy": "http://u:p@h", "noProxy": "lan"}}}
    assert (folder / "cli-plugins").resolve() == user / "cli-plugins"
    assert json.loads((user / "config.json").read_text())["proxies"]["default"]["httpProxy"] == "old"


def test_a_client_that_is_not_there_has_no_buildx():
    assert Client(command=None).buildx_version() is None


# -- a container's lines -------------------------------------------------------------------


def test_lines_are_whole_wherever_chunks_end_and_streams_do_not_mix():
    from orchestrator.engines.containers import lines

    chunks = [(b"gr\xc3", None), (None, b"warn"), (b"\xbcn\r\nlast", None), (None, b"ing\n\n"), (b" \xff", None)]
    assert list(lines(chunks)) == ["grün", "warning", "", "last \ufffd"]


def test_a_line_without_end_is_cut_and_not_kept_in_memory():
    from orchestrator.engines.containers import lines

    found = list(lines([(b"x" * 40_000, None)] * 5))
    assert "".join(found) == "x" * 200_000
    assert max(map(len, found)) <= 64 * 1024
