"""The workflows that are written: valid by the systems' own schemas, made of commands that exist, never over a file."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from orchestrator.ci.workflows import ACTIONS, PATHS, Workflow, render
from orchestrator.cli import cli, run
from orchestrator.errors import UsageError

SCHEMAS = {"github": ("vendor.github-workflows",), "gitlab": ("vendor.gitlab-ci", "--data-transform", "gitlab-ci")}
KINDS = {
    "built": {},
    "pulled": {"registry": "registry.example:5000/team"},
    "bound": {"registry": "registry.example:5000/team", "images": "published.yaml", "runner": "gpu-1"},
}


def workflow(**more: str) -> Workflow:
    return Workflow(**{"install": "mlorch==0.1.0", "target": "cpu", "benchmark": "image-smoke", **more})


@pytest.mark.processes
@pytest.mark.parametrize("system", SCHEMAS)
def test_every_kind_of_it_is_valid_by_the_official_schema(system, tmp_path):
    paths = []
    for kind, more in KINDS.items():
        path = tmp_path / f"{kind}.yml"
        path.write_text(render(system, workflow(**more)))
        paths.append(str(path))
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *SCHEMAS[system], *paths]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "broken.yml"
    broken.write_text(
        (tmp_path / "built.yml").read_text().replace("runs-on:", "run-on:").replace("script:", "scripts:")
    )
    assert subprocess.run([*check[:-3], str(broken)], capture_output=True, check=False).returncode != 0


def lines_of(system: str, text: str) -> list[str]:
    """The shell lines of a workflow."""
    document = yaml.safe_load(text)
    if system == "github":
        steps = document["jobs"]["smoke"]["steps"]
        return [line for step in steps for line in step.get("run", "").splitlines()]
    job = document["mlorch-smoke"]
    return [line for part in (*job["before_script"], *job["script"]) for line in part.splitlines()]


@pytest.mark.parametrize("system", SCHEMAS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_command_in_it_exists_with_its_options(system, kind):
    lines = lines_of(system, render(system, workflow(**KINDS[kind])))
    ours = [shlex.split(line.partition(" || ")[0]) for line in lines if line.startswith("mlorch ")]
    assert [words[1] for words in ours] == (["run", "results"] if kind == "built" else ["images", "run", "results"])
    for words in ours:
        command, rest = cli, words[1:]
        while hasattr(command, "get_command"):
            context = command.make_context(words[0], list(rest), resilient_parsing=False)
            _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        command.make_context(words[1], list(rest))


@pytest.mark.parametrize("system", SCHEMAS)
def test_images_are_built_only_where_no_registry_is_named(system):
    built, bound = (render(system, workflow(**KINDS[kind])) for kind in ("built", "bound"))
    assert "--no-build" not in built
    assert "images pull" not in built
    assert "--no-build --images published.yaml" in bound
    assert "mlorch images pull --target cpu --benchmark image-smoke --images published.yaml" in bound
    assert "gpu-1" in bound


def test_actions_are_pinned_by_commit_with_their_tag_beside():
    text = render("github", workflow())
    used = re.findall(r"uses: (\S+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)\n", text)
    assert {(name, (commit, tag)) for name, commit, tag in used} == set(ACTIONS.items())
    assert text.count("uses:") == len(used)
    assert "contents: read" in text


@pytest.mark.parametrize(
    "more",
    [
        {"runner": "a\n  evil: true"},
        {"runner": "${{secrets.X}}"},
        {"install": "mlorch; rm -rf /"},
        {"install": "--index-url=https://evil.test/x"},
        {"images": "a b"},
        {"registry": 'x"; evil'},
        {"tolerance": "5"},
    ],
)
def test_no_value_can_leave_its_place(more):
    with pytest.raises(UsageError) as caught:
        workflow(**more)
    assert caught.value.slug == "bad-value"


@pytest.mark.parametrize("system", SCHEMAS)
def test_it_is_written_where_the_system_looks_and_never_over_a_file(system, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["ci", "init", system, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": PATHS[system], "system": system}
    path = tmp_path / PATHS[system]
    text = path.read_text()
    path.write_text("mine")
    assert run(["ci", "init", system, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["slug"] == "exists"
    assert path.read_text() == "mine"
    assert run(["ci", "init", system, "--force"]) == 0
    assert path.read_text() == text
    capsys.readouterr()
    assert run(["ci", "init", system, "-o", "-"]) == 0
    assert capsys.readouterr().out == text
    assert run(["ci", "init", system, "-o", "sub/other.yml"]) == 0
    assert (tmp_path / "sub/other.yml").read_text() == text


def test_names_that_are_not_there(capsys):
    assert run(["ci", "init", "github", "-o", "-", "--target", "cpux"]) == 2
    assert "did you mean `cpu`" in capsys.readouterr().err
    assert run(["ci", "init", "github", "-o", "-", "--benchmark", "image-fashio"]) == 2
    assert run(["ci", "init", "github", "-o", "-", "--registry", "https://me:word@x/y"]) == 2
    assert "word" not in capsys.readouterr().err
    assert run(["ci", "init", "github", "-o", "-", "--duration", "soon"]) == 2
    assert run(["ci", "init", "github", "-o", "-", "--scenario", "offlin"]) == 2


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_a_job_that_logs_in_logs_out_however_it_ends(system):
    """A runner of one's own keeps the password otherwise, for the next job of anybody."""
    text = render(system, workflow(registry="registry.example:5000/ml"))
    assert text.index("docker login registry.example:5000") < text.index("docker logout registry.example:5000")
    if system == "github":
        assert "if: ${{ always() }}\n        run: docker logout" in text
    else:
        assert "after_script:\n    - docker logout" in text
    assert "docker logout" not in render(system, workflow())
