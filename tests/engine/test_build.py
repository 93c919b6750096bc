"""Builds on the real engine: once, explained, without a trace of the site, and with a story when they fail."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from orchestrator.engines import BuildEvent
from orchestrator.engines.docker.engine import find_host
from orchestrator.errors import StepFailed
from orchestrator.facts.build_settings import BuildSettings

pytestmark = pytest.mark.engine


def fresh() -> str:
    """A text that no earlier build has seen."""
    return secrets.token_hex(8)


def test_a_layer_is_built_once_and_found_afterwards(site):
    site.layer("t-once", "FROM {{ parent }}\nRUN --network=none echo " + fresh() + " > /made\n")
    first, second = site.build("t-once"), site.build("t-once")
    assert [outcome.state for outcome in first][-1] == "built"
    assert {outcome.state for outcome in second} == {"hit"}
    assert second[-1].digest == first[-1].digest
    assert second[-1].digest.startswith("sha256:")


def test_the_reason_names_the_input_that_changed(site):
    template = "FROM {{ parent }}\nRUN --network=none echo " + fresh() + " > /made\n"
    site.layer("t-why", template)
    site.build("t-why")
    site.layer("t-why", template + "ENV A=b\n")
    outcome = site.build("t-why")[-1]
    assert outcome.reason == "changed: dockerfile"
    assert [change["input"] for change in outcome.changed] == ["dockerfile"]


def test_two_processes_build_a_layer_once(site):
    site.layer("t-race", "FROM {{ parent }}\nRUN --network=none sleep 2; echo " + fresh() + " > /made\n")
    code = f"""
import json, sys
sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]}
from pathlib import Path
from conftest import Site
from orchestrator.engines.docker.engine import connect
print(Site(folder=Path({str(site.folder)!r}), engine=connect()).build("t-race")[-1].state)
"""
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    states = sorted(process.communicate(timeout=120)[0].strip() for process in running)
    assert states == ["built", "hit"]


def test_a_failed_step_tells_its_last_lines_and_where_the_log_is(site):
    site.layer(
        "t-fail", "FROM {{ parent }}\nRUN --network=none echo first; echo the reason " + fresh() + " >&2; exit 7\n"
    )
    with pytest.raises(StepFailed) as caught:
        site.build("t-fail")
    error = caught.value
    assert error.exit_code == 1
    assert "t-fail" in error.message
    assert "the reason" in error.detail
    log = Path(error.hint.rpartition(" ")[2])
    assert "the reason" in log.read_text()


def test_events_follow_the_build(site):
    site.layer("t-events", "FROM {{ parent }}\nRUN --network=none echo hello-" + fresh() + "\n")
    events: list[BuildEvent] = []
    site.build("t-events", events=events)
    assert any(event.kind == "log" and event.text.startswith("hello-") for event in events)
    assert any(event.kind == "done" and "echo hello-" in event.step for event in events)


def test_a_file_that_is_edited_during_a_build_is_refused_and_the_next_build_has_it(site):
    site.layer(
        "t-edit", "FROM {{ parent }}\nADD content.tar /\n", copy="[{source: t-edit/note.txt, to: /opt/note.txt}]"
    )
    note = site.folder / "recipes/t-edit/note.txt"
    note.parent.mkdir()
    planned, edited = fresh(), fresh()
    note.write_text(planned)

    def edit(step, state):
        if (step.name, state) == ("t-edit-cpu", "build"):
            note.write_text(edited)

    with pytest.raises(StepFailed) as caught:
        site.build("t-edit", on_layer=edit)
    assert caught.value.slug == "source-changed"
    assert str(note) in caught.value.message
    outcome = site.build("t-edit")[-1]
    assert outcome.state == "built"
    assert edited.encode() in everything(site.engine, outcome.image)
    note.write_text(planned)
    again = site.build("t-edit")[-1]
    assert again.state == "built", "no image went by the id of the bytes that were planned first"
    assert planned.encode() in everything(site.engine, again.image)


def test_an_edit_behind_a_link_is_built(site):
    site.layer(
        "t-link", "FROM {{ parent }}\nADD content.tar /\n", copy="[{source: t-link/note.txt, to: /opt/note.txt}]"
    )
    outside = site.folder / "shared/note.txt"
    outside.parent.mkdir()
    outside.write_text(fresh())
    (site.folder / "recipes/t-link").mkdir()
    (site.folder / "recipes/t-link/note.txt").symlink_to(outside)
    first = site.build("t-link")[-1]
    outside.write_text(fresh())
    second = site.build("t-link")[-1]
    assert (second.state, second.content_id == first.content_id) == ("built", False)
    assert [change["input"] for change in second.changed] == ["file:content/opt/note.txt"]


# -- nothing of the site stays -------------------------------------------------------------


def everything(engine, reference: str) -> bytes:
    """All that an image is: configuration, history and every file of every layer, decompressed."""
    stream = engine.sdk.get_image(reference)
    found = [
        json.dumps(engine.sdk.inspect_image(reference)).encode(),
        json.dumps(engine.sdk.history(reference)).encode(),
    ]
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        for member in archive:
            if member.isfile():
                data = archive.extractfile(member).read()
                found.append(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    return b"\0".join(found)


def test_ca_proxies_mirrors_and_secrets_of_the_host_leave_no_trace(site, tmp_path, monkeypatch):
    marks = {name: f"mark-{name}-{fresh()}" for name in ("ca", "pip", "proxy", "token")}
    monkeypatch.setenv("HF_TOKEN", marks["token"])
    ca = tmp_path / "ca.crt"
    ca.write_text(f"# {marks['ca']}\n")
    pip = tmp_path / "pip.conf"
    pip.write_text(f"[global]\nindex-url = https://user:{marks['pip']}@example.test/simple\n")
    settings = BuildSettings(
        secrets={"site-ca": ca, "pip-conf": pip}, proxies={"HTTP_PROXY": f"http://u:{marks['proxy']}@example.test:3128"}
    )
    mounts = (
        "--mount=type=secret,id=site-ca,target=/run/mlorch/ca.crt "
        "--mount=type=secret,id=pip-conf,target=/run/mlorch/pip.conf"
    )
    site.layer(
        "t-trace",
        f"FROM {{{{ parent }}}}\nRUN --network=none {mounts} "
        "grep -q mark-ca /run/mlorch/ca.crt && grep -q mark-pip /run/mlorch/pip.conf "
        f'&& test -n "$HTTP_PROXY" && echo {fresh()} > /made\n',
    )
    outcome = site.build("t-trace", settings=settings)[-1]
    assert outcome.state == "built", "the step saw the secrets, so the search below means something"
    content = everything(site.engine, outcome.image)
    for name, mark in marks.items():
        assert mark.encode() not in content, f"{name} of the host is in the image"
    with tarfile.open(fileobj=io.BytesIO(b"".join(site.engine.sdk.get_image(outcome.image)))) as archive:
        names = [name for name in archive.getnames() if "run/mlorch" in name]
    assert names == []


def test_the_images_that_ship_hold_nothing_of_this_host(mlorch, engine):
    made = mlorch("build", "--json", timeout=900)
    assert made.returncode == 0, made.stderr
    reference = json.loads(made.stdout)["images"][0]
    content = everything(engine, reference)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_INDEX_URL", "HTTPS_PROXY"):
        value = os.environ.get(name)
        if value and not value.startswith("/etc/ssl/"):
            assert value.encode() not in content, f"{name} of this host is in the image"
    host_only = certificates_of_this_site()
    for certificate in host_only:
        assert certificate not in content


def certificates_of_this_site() -> list[bytes]:
    """Certificates that the host trusts and Debian does not ship: those of the site."""
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if not bundle.is_file():
        return []
    shipped = b"".join(path.read_bytes() for path in Path("/usr/share/ca-certificates").rglob("*.crt"))
    flat = shipped.replace(b"\n", b"")
    bodies = [
        part.split(b"-----END")[0].strip() for part in bundle.read_bytes().split(b"-----BEGIN CERTIFICATE-----")[1:]
    ]
    return [body for body in bodies if body.replace(b"\n", b"") not in flat]


# -- what changes what ---------------------------------------------------------------------


def layers_built(mlorch, *arguments: str) -> list[str]:
    done = mlorch("build", "--benchmark", "image-fashion", "--json", *arguments, timeout=900)
    assert done.returncode == 0, done.stderr
    return [layer["name"] for layer in json.loads(done.stdout)["layers"] if layer["state"] == "built"]


def test_a_second_build_builds_nothing(mlorch):
    layers_built(mlorch)
    assert layers_built(mlorch) == []


def test_the_benchmarks_own_configuration_rebuilds_its_own_layer_only(mlorch, tmp_path):
    layers_built(mlorch)
    shipped = Path(__file__).parents[2] / "recipes" / "benchmarks" / "image-fashion.yaml"
    (tmp_path / "image-fashion.yaml").write_text(
        "\n".join(
            f"title: Another title {fresh()}" if line.startswith("title:") else line
            for line in shipped.read_text().splitlines()
        )
    )
    assert layers_built(mlorch, "--recipes", str(tmp_path)) == ["image-fashion-cpu"]


def test_harness_code_rebuilds_the_code_layer_and_what_is_above_only(mlorch, tmp_path):
    layers_built(mlorch)
    code = tmp_path / "recipes" / "code"
    code.mkdir(parents=True)
    (code / "extra.py").write_text(f"MARK = {fresh()!r}\n")
    shipped = (Path(__file__).parents[2] / "recipes" / "layers" / "harness-code.yaml").read_text()
    changed = shipped.replace("copy:\n", "copy:\n  - source: code/extra.py\n    to: /opt/mlorch/extra.py\n", 1)
    (tmp_path / "recipes" / "harness-code.yaml").write_text(changed)
    assert layers_built(mlorch, "--recipes", str(tmp_path)) == ["harness-code", "image-fashion-cpu"]


# -- other bases ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_base_from_an_oci_archive_is_as_good(site, engine, tmp_path):
    base = site_base(site)
    archive = tmp_path / "base.tar"
    with archive.open("wb") as out:
        for chunk in engine.sdk.get_image(base):
            out.write(chunk)
    site.layer("t-oci", "FROM {{ parent }}\nRUN --network=none test -e /usr/bin/python3 && echo " + fresh() + "\n")
    outcomes = site.build("t-oci", base_source=f"oci:{archive}")
    assert outcomes[-1].state == "built"
    (step, *_) = site.plans("t-oci", base_source=f"oci:{archive}")[0].layers
    assert step.dockerfile.splitlines()[2] == "FROM base AS work"


def site_base(site) -> str:
    """The reference of the bootstrapped base, built if need be."""
    site.layer("t-base", "FROM {{ parent }}\n")
    return site.build("t-base")[0].image


def test_a_package_that_the_mirrors_dropped_is_pinned_anew_for_this_machine_and_said(tmp_path, mlorch):
    """The shipped lock of the runtime names a version that no mirror has, as after a security update."""
    shipped = Path(__file__).parents[2]
    site = tmp_path / "site"
    for folder in ("recipes", "dockerfiles", "images"):
        shutil.copytree(shipped / folder, site / folder)
    lock = site / "images" / "base-bookworm.lock.yaml"
    text, changed = re.subn(
        r'(name: "tzdata"\n\s+version: "[^"]+)("\n(?:.*\n){1,2}?\s+path: "[^"]+tzdata_)'
        r'([^"]+"\n\s+sha256: )"[0-9a-f]{64}"',
        r'\g<1>.gone\g<2>gone-\g<3>"' + "0" * 64 + '"',
        lock.read_text(),
    )
    assert changed  # once a platform of the lock
    lock.write_text(text)
    env = {**os.environ, "MLORCH_HOME": str(tmp_path / "home"), "DOCKER_HOST": find_host()}
    code = "import sys; from orchestrator.definitions.catalog import roots; from pathlib import Path\n"
    code += f"roots.data_root = lambda: Path({str(site)!r})\nfrom orchestrator.cli import main; main(sys.argv[1:])"
    build = [sys.executable, "-c", code, "build", "--benchmark", "image-fashion"]
    refused = subprocess.run([*build, "--locked"], env=env, capture_output=True, text=True, timeout=300, check=False)
    assert refused.returncode == 3
    assert re.search(
        r"base-bookworm.lock.yaml:\d+:\d+: error: .*`tzdata` was \S+\.gone, is \S+ \[lock-drift\]", refused.stderr
    )
    assert "mlorch images lock base-bookworm --update tzdata" in refused.stderr
    relocked = subprocess.run(
        [*build, "--no-locked"], env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert relocked.returncode == 0, relocked.stderr[-3000:]
    assert "locked anew for this machine" in relocked.stderr


def test_a_registry_that_does_not_answer_is_told_as_that_and_not_as_a_lost_engine(mlorch):
    digest = "sha256:" + "a" * 64
    done = mlorch("build", "-b", "image-fashion", "--base-source", f"registry:127.0.0.1:9/debian@{digest}", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["slug"], error["exit_code"]) == (1, "no-base", 1)
    assert f"127.0.0.1:9/debian@{digest}" in error["message"]
    assert "bootstrap" in error["hint"]


def test_a_base_by_a_tag_is_refused_as_it_can_move(mlorch):
    done = mlorch("build", "-b", "image-fashion", "--base-source", "registry:example.test/debian:12", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["slug"]) == (2, "moving-reference")


def test_the_next_base_source_is_tried_where_the_first_cannot_be_had(mlorch, tmp_path):
    shipped = (Path(__file__).parents[2] / "recipes" / "layers" / "base-bookworm.yaml").read_text()
    changed = shipped.replace("image: debian", "image: 127.0.0.1:9/debian")
    changed = changed.replace("digests: {}", 'digests: {linux/amd64: "sha256:' + "a" * 64 + '"}')
    assert changed.count("127.0.0.1:9") == 1
    (tmp_path / "base-bookworm.yaml").write_text(changed)
    done = mlorch("build", "-b", "image-fashion", "--recipes", str(tmp_path), "--json", timeout=900)
    assert done.returncode == 0, done.stderr
    assert "trying bootstrap" in done.stderr
    assert json.loads(done.stdout)["layers"][0]["image"].startswith("localhost/mlorch/base-bookworm:")
