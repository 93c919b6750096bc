"""A layer with files of a git repository: pinned by commit, planned without a network, laid out from that commit."""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import replace

import pytest
import sample_recipes
from layer_parts import NO_PARTS

from orchestrator.definitions.catalog import Root, check, gather
from orchestrator.definitions.kinds.lock import LayerLock
from orchestrator.definitions.locks import lock_text, require_locks
from orchestrator.definitions.yaml import decode, read_document
from orchestrator.errors import DefinitionError, StepFailed, UsageError
from orchestrator.facts.build import LayerStep, TreePin
from orchestrator.host.git import commit_of, export
from orchestrator.host.site import SiteConfig
from orchestrator.images.context import lay_out
from orchestrator.packages.drift import changes, drifted
from orchestrator.packages.fetch import Fetcher
from orchestrator.packages.locking import Origins, make_lock
from orchestrator.plan.build.planner import build_plan
from orchestrator.plan.build.resolve import resolve

pytestmark = pytest.mark.processes
AMD64 = "linux/amd64"

FETCH = Fetcher(SiteConfig())


def git(folder, *arguments: str) -> str:
    me = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", "-C", str(folder), *me, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "one")
    return folder


def commit(folder, text: str) -> str:
    (folder / "tool.sh").write_text(f"echo {text}\n")
    (folder / "tool.sh").chmod(0o775)
    (folder / "link").unlink(missing_ok=True)
    (folder / "link").symlink_to("/etc/passwd")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def recipes(repository, tmp_path):
    """The sample recipes with a repository in the code layer, and how to load them."""
    program = sample_recipes.FILES["recipes/layers/program.yaml"]
    source = f"git:\n  - url: file://{repository}\n    ref: main\n    to: /opt/tool\n"
    changes = {
        "recipes/layers/program.yaml": program + source,
        "dockerfiles/plain.Dockerfile.j2": "FROM {{ parent or 'scratch' }}\n",
        "images/pip.lock.yaml": None,
    }
    return sample_recipes.write(tmp_path / "site", changes=changes)


def catalog(folder):
    return gather((Root(path=folder, origin="path:test"),), ()).catalog


def lock_layer(folder, **more) -> LayerLock:
    entry = catalog(folder).layer("program")
    lock = make_lock(
        entry.definition,
        catalog(folder).lock("program"),
        platforms=[AMD64],
        origins=Origins(fetch=FETCH, commit=commit_of),
        **more,
    )
    (folder / "images/program.lock.yaml").write_text(lock_text(lock))
    return lock


def test_a_ref_without_a_commit_is_a_fault_of_the_lock(recipes):
    found = catalog(recipes)
    (problem,) = [p for p in check(found) if p.slug == "lock-missing"]
    assert "mlorch images lock program" in problem.hint
    with pytest.raises(DefinitionError) as caught:
        require_locks(found, [found.layer("program"), found.layer("os")], AMD64)
    assert caught.value.slug == "lock-missing"


def test_the_lock_has_the_commit_and_moves_only_when_asked(recipes, repository):
    first = git(repository, "rev-parse", "HEAD")
    lock = lock_layer(recipes)
    (pin,) = lock.platforms[AMD64].git
    assert (pin.ref, pin.commit) == ("main", first)
    path = recipes / "images/program.lock.yaml"
    assert decode(read_document(path), LayerLock) == lock

    second = commit(repository, "two")
    entry = catalog(recipes).layer("program")
    fresh = make_lock(entry.definition, lock, platforms=[AMD64], origins=Origins(fetch=FETCH, commit=commit_of))
    error = drifted(changes(lock, fresh), path)
    (problem,) = error.problems()
    assert f"was {first}, is {second}" in problem.message
    assert f"--update file://{repository}" in problem.hint
    assert path.read_text().splitlines()[problem.span.line - 1].strip() == f'- url: "file://{repository}"'
    kept = make_lock(entry.definition, lock, platforms=[AMD64], origins=Origins(fetch=FETCH))
    assert changes(lock, kept) == ()
    with pytest.raises(UsageError, match="nothing named"):
        make_lock(
            entry.definition,
            lock,
            platforms=[AMD64],
            origins=Origins(fetch=FETCH, commit=commit_of),
            update=["file:///other"],
        )


def test_a_plan_stands_on_the_commit_and_the_context_holds_its_files_with_plain_modes(recipes, repository, tmp_path):
    lock_layer(recipes)
    found = catalog(recipes)
    resolution = resolve(found, target="chip", benchmark="classify", platform=AMD64)
    resolution = replace(resolution, layers=tuple(e for e in resolution.layers if e.definition.name != "engine"))
    step = next(layer for layer in build_plan(found, resolution).layers if layer.name == "program")
    (tree,) = step.trees
    assert tree.path == "content/opt/tool"
    assert step.inputs[f"git:file://{repository}@main"] == tree.commit

    commit(repository, "two")
    export(tree.url, tree.commit, tmp_path / "out")
    assert (tmp_path / "out/tool.sh").read_text() == "echo one\n"
    assert (tmp_path / "out/tool.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/link").is_symlink()
    assert not (tmp_path / "out/.git").exists()


def test_laying_out_a_tree_touches_nothing_that_its_links_point_at(recipes, repository, tmp_path):
    target = tmp_path / "outside"
    target.write_text("mine")
    before = target.stat().st_mtime_ns
    (repository / "out").symlink_to(target)
    (repository / "nowhere").symlink_to("/not/there")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "links")
    tree = TreePin(path="content/opt/tool", url=f"file://{repository}", commit=git(repository, "rev-parse", "HEAD"))
    step = LayerStep(
        name="x",
        level="code",
        platform=AMD64,
        content_id="0" * 64,
        parent=None,
        dockerfile="FROM scratch\nADD content.tar /\n",
        trees=(tree,),
    )
    parts = replace(NO_PARTS, tree=lambda pin, out: export(pin.url, pin.commit, out))
    (tmp_path / "context").mkdir()
    lay_out(step, tmp_path / "context", parts, lambda _event: None)
    assert target.stat().st_mtime_ns == before
    with tarfile.open(tmp_path / "context/content.tar") as archive:
        kinds = {member.name: member.type for member in archive}
    assert kinds["opt/tool/tool.sh"] == tarfile.REGTYPE
    assert kinds["opt/tool/out"] == kinds["opt/tool/nowhere"] == tarfile.SYMTYPE


def test_no_repository_leads_another_one_out_of_the_context(repository, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (repository / "way").symlink_to(outside)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "a way out")
    url, head = f"file://{repository}", git(repository, "rev-parse", "HEAD")
    trees = tuple(TreePin(path=path, url=url, commit=head) for path in ("content/opt", "content/opt/way/in"))
    step = LayerStep(
        name="x", level="code", platform=AMD64, content_id="0" * 64, parent=None, dockerfile="", trees=trees
    )
    parts = replace(NO_PARTS, tree=lambda pin, out: export(pin.url, pin.commit, out))
    (tmp_path / "context").mkdir()
    with pytest.raises(StepFailed, match="leads out"):
        lay_out(step, tmp_path / "context", parts, lambda _event: None)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["http://example.test/x", "https://me:word@example.test/x", "ext::sh", "ssh://a:b@h/x", "-x", "https://h"]
)
def test_addresses_that_no_recipe_may_have(recipes, url):
    path = recipes / "recipes/layers/program.yaml"
    text = path.read_text()
    path.write_text(text.replace(text[text.index("url: ") : text.index("\n    ref")], f"url: {url!r}"))
    problems = gather((Root(path=recipes, origin="path:test"),), ()).problems
    assert any(problem.span.path == str(path) for problem in problems)
