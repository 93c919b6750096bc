"""`mlorch run` before any engine is asked: what is selected, refused and printed."""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter

import pytest

from orchestrator import cli
from orchestrator.host.process import this_user
from orchestrator.operations.run.request import known_name


def printed(capsys, *arguments: str) -> list[str]:
    """The lines on stdout of a run that must succeed."""
    assert cli.run(["run", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True, scope="module")
def _imported():
    """Its import silences a warning in a way that is not safe in a thread while pytest makes warnings errors."""
    import docker  # noqa: F401


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")
    monkeypatch.setenv("HF_TOKEN", "hf_neverprintthis")


def test_bare_run_is_accuracy_and_four_scenarios_of_each_default_benchmark(capsys, tmp_path):
    prepared, lines = _pairs(printed(capsys, "--dry-run", "--target", "cpu"))
    names = [next(w for w in shlex.split(line) if w.startswith("mlorch-2")).split("-cpu-")[1][:-5] for line in lines]
    one = ["offline-accuracy", *(f"{s}-performance" for s in ("offline", "server", "singlestream", "multistream"))]
    assert names == one * 2
    engine = os.environ["DOCKER_HOST"]
    assert all(line.startswith(f"docker --host {engine} run --rm --name mlorch-") for line in lines)
    assert all(line.startswith("mkdir -p ") for line in prepared)
    assert "hf_neverprintthis" not in "".join((*prepared, *lines))
    assert list(tmp_path.iterdir()) == []


def _pairs(lines):
    """The lines that prepare, and those that start a container."""
    return lines[::2], lines[1::2]


def test_a_folder_that_a_user_has_is_mounted_as_it_lies(capsys, tmp_path):
    (tmp_path / "mine").mkdir()
    words = ("image-fashion", "-t", "cpu", "-s", "offline", "-m", "accuracy", "--dry-run")
    _, start = printed(capsys, *words, "--data", f"fashion-mnist={tmp_path}/mine")
    assert f"type=bind,source={tmp_path}/mine,target=/data/fashion-mnist,readonly" in shlex.split(start)


def test_the_lines_of_a_dry_run_can_be_pasted_into_a_shell(capsys, tmp_path):
    (prepare,), (start,) = _pairs(
        printed(capsys, "image-fashion", "-t", "cpu", "-s", "offline", "-m", "accuracy", "--dry-run")
    )
    prepare, _, chown = prepare.partition(" && chown ")
    *make, then, touch, record, and_then, printf, form, settings, into, place = shlex.split(prepare)
    assert (make[:2], then, touch, and_then) == (["mkdir", "-p"], "&&", "touch", "&&")
    assert (printf, form, into) == ("printf", "%s", ">")
    assert f"source={record},target=/results/run.json,readonly" in start
    assert json.loads(settings)["mode"] == "accuracy"
    mounts = [word for word in shlex.split(start) if word.startswith("type=bind,")]
    writable = [dict(part.partition("=")[::2] for part in word.split(",")) for word in mounts if "readonly" not in word]
    assert make[2:] == [mount["source"] for mount in writable]
    assert f"{tmp_path}/results/" in place
    assert place in [f"{mount['source']}/settings.json" for mount in writable]
    user = this_user()
    assert shlex.split(chown) == ([user.inside, *make[2:]] if user.inside != user.owner else [])
    assert f"--user {user.inside}" in start


def test_dry_run_document_says_settings_and_where_they_came_from(capsys):
    arguments = [
        "image-fashion",
        "-t",
        "cpu",
        "-s",
        "server",
        "-m",
        "performance",
        "--target-qps",
        "9",
        "--duration",
        "30s",
    ]
    document = json.loads("\n".join(printed(capsys, *arguments, "--dry-run", "--json")))
    (container,) = document["containers"]
    assert container["settings"]["scenario"] == "Server"
    assert container["settings"]["loadgen"]["target_qps"] == 9
    assert container["settings"]["loadgen"]["min_duration_ms"] == 30_000
    assert container["provenance"]["loadgen.target_qps"] == "command line"
    assert container["argv"][:4] == ["docker", "--host", os.environ["DOCKER_HOST"], "run"]


@pytest.mark.parametrize(
    ("arguments", "code", "slug", "said"),
    [
        (["image-fashon"], 2, "unknown-benchmark", "image-fashion"),
        (["-t", "cpuu"], 2, "unknown-target", "cpu"),
        (["-s", "Sever"], 2, "unknown-scenario", "Server"),
        (["image-fashion", "-s", "interactive"], 2, "unknown-scenario", "it has Offline, Server, SingleStream"),
        (["--duration", "10"], 2, "duration", "write 10s for seconds"),
        (["--target-qps", "0"], 2, "target-qps", "without it the rate is measured"),
        (["-m", "acuracy"], 2, "unknown-mode", "accuracy"),
        (["-m", "perf"], 2, "unknown-mode", "did you mean `performance`?"),
        (["-s", "off"], 2, "unknown-scenario", "did you mean `Offline`?"),
        (["--target-qps", "1k"], 2, "target-qps", "as a number: 1000;"),
        (["--target-qps", "1,500.5/s"], 2, "target-qps", "as a number: 1500.5;"),
        (["--target-qps", "2.5M"], 2, "target-qps", "as a number: 2500000;"),
        (["--target-qps", "fast"], 2, "target-qps", "a number, such as 50"),
        (["--duration", "soon"], 2, "duration", "30s"),
        (["--official", "--duration", "10s"], 2, "official-duration", "600"),
        (["--target-qps", "-1"], 2, "target-qps", "is no rate"),
        (["--find", "--target-qps", "5"], 2, "usage", "exclude"),
        (["--suite", "referense"], 2, "unknown-suite", "did you mean `reference`?"),
        (["-t", "gpu"], 2, "unknown-target", "did you mean `cuda`?"),
        (["--pull", "--dry-run"], 2, "no-registries", "no registry is configured"),
        (["image-fashion"], 4, "no-engine", "engine"),
        (["image-fashion", "-o", "/no/such/place/results"], 2, "missing-path", "/no/such/place"),
    ],
)
def test_what_is_refused_and_how(capsys, monkeypatch, tmp_path, arguments, code, slug, said):
    target = [] if "-t" in arguments else ["-t", "cpu"]
    assert cli.run(["run", *target, *arguments, "--json"]) == code
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert error["exit_code"] == code
    assert error["slug"] == slug
    assert said in error["message"] + error["hint"]
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_names_are_found_whatever_their_case():
    assert known_name("scenario", "single-stream", ("Offline", "SingleStream")) == "SingleStream"
    assert known_name("scenario", "ALL", ("Offline", "all")) == "all"


def test_a_dry_run_reads_the_settings_once_and_the_machine_once(capsys, monkeypatch):
    from orchestrator.definitions import settings
    from orchestrator.host import accelerators, detect, facts

    counts = Counter()

    def counted(module, name):
        real = getattr(module, name)

        def call(*arguments, **options):
            counts[name] += 1
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    counted(settings, "read_settings")
    counted(facts, "host_facts")
    counted(accelerators, "this_machine")
    monkeypatch.setattr(detect, "this_machine", accelerators.this_machine)
    printed(capsys, "image-fashion", "--dry-run")
    assert counts == {"read_settings": 1, "this_machine": 1, "host_facts": 1}
