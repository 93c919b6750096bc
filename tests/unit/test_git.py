"""Recipes from git, with the real program and repositories on this disk."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile

import pytest

from orchestrator.errors import AssetError, UsageError
from orchestrator.host.git import GitMirrors, commit_of, export, fetch, mirrored

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _me(monkeypatch):
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "a")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")


def git(folder, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """Two commits: the first tagged v1 (annotated), the second the tip of main."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for text, tag in (("one", "v1"), ("two", "")):
        (folder / "recipe.yaml").write_text(text)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", text)
        if tag:
            git(folder, "tag", "-a", tag, "-m", tag)
    return folder


def test_tags_branches_and_commits_give_the_tree_of_their_commit(repository, tmp_path):
    url, cache = f"file://{repository}", tmp_path / "cache"
    first, second = git(repository, "rev-parse", "v1^{commit}"), git(repository, "rev-parse", "main")
    assert (commit_of(url, "v1"), commit_of(url, "main"), commit_of(url, first)) == (first, second, first)
    assert (fetch(url, "v1", cache) / "recipe.yaml").read_text() == "one"
    place = fetch(url, "main", cache)
    assert (place / "recipe.yaml").read_text() == "two"
    assert place.name == second
    assert not (place / ".git").exists()


def test_a_commit_is_fetched_once_and_then_needs_no_repository(repository, tmp_path):
    url, cache = f"file://{repository}", tmp_path / "cache"
    commit = commit_of(url, "v1")
    place = fetch(url, commit, cache)
    repository.rename(tmp_path / "gone")
    assert fetch(url, commit, cache) == place
    with pytest.raises(AssetError):
        fetch(url, "v1", cache)


def test_what_a_killed_fetch_left_goes_with_the_next_one(repository, tmp_path, monkeypatch):
    """From a repository as from a mirror; nothing lies where nobody looks for it."""
    url, cache = f"file://{repository}", tmp_path / "cache"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no folder for temporary files"))
    for ref, mirrored_at in (("v1", {}), ("main", {f"file://{repository}": str(repository)})):
        kept = cache / "recipes" / hashlib.sha256(url.encode()).hexdigest()[:16]
        (kept / ".fetch-killed/tree").mkdir(parents=True)
        fetch(url, commit_of(url, ref), cache, mirrors=mirrored_at)
        assert not [path.name for path in kept.iterdir() if path.name.startswith(".")]


def test_a_moved_branch_is_another_folder(repository, tmp_path):
    url, cache = f"file://{repository}", tmp_path / "cache"
    before = fetch(url, "main", cache)
    (repository / "recipe.yaml").write_text("three")
    git(repository, "commit", "-q", "-a", "-m", "three")
    after = fetch(url, "main", cache)
    assert (before / "recipe.yaml").read_text() == "two"
    assert (after / "recipe.yaml").read_text() == "three"


def test_nothing_of_the_repository_runs(repository, tmp_path, monkeypatch):
    """Neither hooks of a template folder nor filters nor submodules nor the variables of a caller's git."""
    marker = tmp_path / "ran"
    hook = tmp_path / "template/hooks/post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(hook.parents[1]))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    (repository / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = file:///nowhere\n')
    (repository / ".gitattributes").write_text("* filter=evil\n")
    subprocess.run(["git", "-C", str(repository), "add", "-A"], check=True, env={"PATH": "/usr/bin:/bin", "HOME": "/"})
    monkeypatch.delenv("GIT_DIR")
    git(repository, "commit", "-q", "-m", "evil")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    place = fetch(f"file://{repository}", "main", tmp_path / "cache")
    assert (place / ".gitmodules").is_file()
    assert not marker.exists()


def test_what_cannot_be_had(repository, tmp_path):
    url, cache = f"file://{repository}", tmp_path / "cache"
    with pytest.raises(UsageError, match="no tag or branch") as caught:
        fetch(url, "v2", cache)
    assert caught.value.slug == "unknown-ref"
    with pytest.raises(AssetError, match="git") as failed:
        fetch(f"file://{tmp_path}/nowhere", "v1", cache)
    assert failed.value.slug == "git"
    with pytest.raises(AssetError):
        fetch(url, "f" * 40, cache)
    assert not list((cache / "recipes").rglob("tree")), "a failed fetch leaves nothing behind"


def test_transports_that_run_programs_are_refused_by_git_itself(tmp_path):
    marker = tmp_path / "ran"
    with pytest.raises(AssetError):
        commit_of(f"ext::sh -c touch% {marker}", "main")
    assert not marker.exists()


def test_no_git_on_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssetError, match="not installed"):
        commit_of("file:///x", "v1")


@pytest.mark.parametrize(
    "edit",
    [
        lambda tree: (tree / "recipe.yaml").write_text("ONE"),
        lambda tree: (tree / "recipe.yaml").chmod(0o755),
        lambda tree: (tree / "more.yaml").touch(),
        lambda tree: tree.with_name(f"{tree.name}.sha256").unlink(),
    ],
)
def test_files_that_were_changed_in_the_cache_are_never_handed_on(repository, tmp_path, edit):
    url = f"file://{repository}"
    commit = commit_of(url, "v1")
    export(url, commit, tmp_path / "first")
    edit(fetch(url, commit))
    export(url, commit, tmp_path / "second")
    (path,) = (tmp_path / "second").iterdir()
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("one", 0o644)


def test_recipes_that_were_edited_in_the_cache_are_refused_and_the_edits_stay(repository, tmp_path):
    url, cache = f"file://{repository}", tmp_path / "cache"
    tree = fetch(url, "v1", cache)
    (tree / "recipe.yaml").write_text("edited by hand")
    with pytest.raises(AssetError, match=r"have been edited") as caught:
        fetch(url, "v1", cache)
    assert caught.value.slug == "source-changed"
    assert str(tree) in caught.value.message
    assert (tree / "recipe.yaml").read_text() == "edited by hand"
    tree.rename(tmp_path / "mine")
    assert (fetch(url, "v1", cache) / "recipe.yaml").read_text() == "one"


def test_a_tree_of_which_nothing_was_noted_is_fetched_anew(repository, tmp_path):
    url, cache = f"file://{repository}", tmp_path / "cache"
    tree = fetch(url, "v1", cache)
    tree.with_name(f"{tree.name}.sha256").unlink()
    (tree / "recipe.yaml").write_text("of an older mlorch")
    assert (fetch(url, "v1", cache) / "recipe.yaml").read_text() == "one"


def test_changed_files_and_no_repository_to_fetch_from_is_an_error(repository, tmp_path):
    url = f"file://{repository}"
    commit = commit_of(url, "v1")
    (fetch(url, commit) / "recipe.yaml").write_text("other")
    repository.rename(tmp_path / "gone")
    with pytest.raises(AssetError) as caught:
        export(url, commit, tmp_path / "out")
    assert caught.value.slug == "git"
    assert not (tmp_path / "out").exists()


@pytest.fixture
def upstream(tmp_path):
    """A bare repository as a site mirrors it: of its files some blobs are missing, as of a partial mirror."""
    work = tmp_path / "work"
    for name, text in {
        "tool/main.py": "print(1)",
        "tool/sub/x.py": "x",
        "huge/data.bin": "much",
        "README": "r",
    }.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    (work / "tool/main.py").chmod(0o755)
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "all")
    bare = tmp_path / "mirrors" / "org" / "suite.git"
    bare.parent.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    return bare


URL = "https://git.example/org/suite"


def mirrors(tmp_path):
    return {"https://git.example/": f"{tmp_path}/mirrors/"}


def test_some_paths_of_a_commit_come_from_a_mirror_that_lacks_the_others(upstream, tmp_path):
    commit = git(upstream, "rev-parse", "main")
    blob = git(upstream, "rev-parse", "main:huge/data.bin")
    (upstream / "objects" / blob[:2] / blob[2:]).unlink()
    before = sorted(path.name for path in upstream.iterdir())
    out = tmp_path / "out"
    export(URL, commit, out, paths=("tool",), mirrors=mirrors(tmp_path))
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {"tool/main.py", "tool/sub/x.py"}
    assert (out / "tool/main.py").stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in upstream.iterdir()) == before, "nothing is written into the mirror"


def test_a_ref_is_looked_up_at_the_mirror_and_the_upstream_address_is_kept(upstream, tmp_path):
    assert commit_of(URL, "main", mirrors(tmp_path)) == git(upstream, "rev-parse", "main")
    tree = fetch(URL, "main", tmp_path / "cache", mirrors=mirrors(tmp_path))
    assert (tree / "README").read_text() == "r"


def test_paths_through_a_remote_are_fetched_alone(upstream, tmp_path):
    commit = git(upstream, "rev-parse", "main")
    out = tmp_path / "out"
    export(f"file://{upstream}", commit, out, paths=("tool/sub", "README"))
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == {
        "tool/sub/x.py",
        "README",
    }


@pytest.mark.parametrize(
    ("paths", "at", "message"),
    [
        (("nowhere",), "mirrors/", "has nothing at nowhere"),
        ((), "other/", "is not there"),
        ((":(glob)**",), "mirrors/", "has nothing at"),
    ],
)
def test_what_a_mirror_has_not_is_said(upstream, tmp_path, paths, at, message):
    commit = git(upstream, "rev-parse", "main")
    with pytest.raises(AssetError, match=message.replace("(", ".")):
        export(URL, commit, tmp_path / "out", paths=paths, mirrors={"https://git.example/": f"{tmp_path}/{at}"})


@pytest.mark.parametrize(
    "ask",
    [
        lambda url, path, known: fetch(url, "main", path / "cache", mirrors=known),
        lambda url, path, known: export(url, "0" * 40, path / "out", mirrors=known),
    ],
)
def test_a_mirror_that_is_not_there_is_told_with_who_named_it(tmp_path, ask):
    known = GitMirrors({"https://git.example/": f"{tmp_path}/nowhere/"})
    known.source = "`mirrors: git:` (/site/mlorch.yaml:4:3)"
    with pytest.raises(AssetError) as caught:
        ask("https://git.example/org/suite", tmp_path, known)
    assert "nowhere/org/suite" in caught.value.message
    assert "exists." not in caught.value.message, "that is git's last line: advice, not the reason"
    assert "`mirrors: git:` (/site/mlorch.yaml:4:3) says that https://git.example/org/suite" in caught.value.hint


def test_the_longest_prefix_counts():
    known = {"https://git.example/": "/all/", "https://git.example/org/": "/org/"}
    assert mirrored("https://git.example/org/suite", known) == "/org/suite"
    assert mirrored("https://git.example/two/suite", known) == "/all/two/suite"
    assert mirrored("https://elsewhere.example/x", known) == "https://elsewhere.example/x"


def test_a_mirror_names_no_program_that_is_started(repository, tmp_path):
    """Its config is somebody else's, as its files are; git would start the filters that both of them name."""
    odd = os.fsdecode(b"\xff\xfe")
    (repository / ".gitattributes").write_text("* filter=theirs\n")
    (repository / odd).write_text("a name that is no UTF-8")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "hostile")
    started = tmp_path / "started"
    for name in ("filter.theirs.smudge", "filter.theirs.process", "core.fsmonitor", "core.sshCommand"):
        git(repository, "config", name, f"touch {started}; cat")
    commit = git(repository, "rev-parse", "HEAD")
    tree = fetch(URL, commit, tmp_path / "cache", mirrors={URL: str(repository)})
    assert {path.name for path in tree.iterdir()} == {".gitattributes", "recipe.yaml", odd}
    assert not started.exists()


def test_a_mirror_may_lie_in_a_folder_of_any_name(repository, tmp_path):
    odd = tmp_path / 'a:b "c" \\d'
    repository.rename(odd)
    tree = fetch(URL, git(odd, "rev-parse", "v1^{commit}"), tmp_path / "cache", mirrors={URL: str(odd)})
    assert (tree / "recipe.yaml").read_text() == "one"


# -- the caller's own git --------------------------------------------------------------------


def test_the_same_commit_is_the_same_bytes_under_any_config_of_the_host(repository, tmp_path, monkeypatch):
    """Line ends, filters and attributes of the caller's config changed them: one commit, two content ids."""
    (repository / "unix.txt").write_bytes(b"one\ntwo\n")
    (repository / ".gitattributes").write_text("*.yaml filter=loud\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "texts")
    url = f"file://{repository}"
    plain = fetch(url, "main", tmp_path / "plain")
    home = tmp_path / "home"
    home.mkdir()
    (home / "attributes").write_text("*.txt text eol=crlf\n")
    (home / ".gitconfig").write_text(
        "[core]\n\tautocrlf = true\n\teol = crlf\n"
        f"\tattributesFile = {home}/attributes\n"
        '[filter "loud"]\n\tsmudge = tr a-z A-Z\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.autocrlf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    whole = fetch(url, "main", tmp_path / "whole")
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "mlorch"))
    export(url, git(repository, "rev-parse", "main"), tmp_path / "some", paths=("unix.txt", "recipe.yaml"))
    for name in ("unix.txt", "recipe.yaml"):
        assert (plain / name).read_bytes() == (whole / name).read_bytes() == (tmp_path / "some" / name).read_bytes()
    assert b"\r" not in (whole / "unix.txt").read_bytes()


def test_how_a_ci_system_gives_access_is_kept(repository, tmp_path, monkeypatch):
    """GIT_CONFIG_* with an address and its token, GIT_SSH_COMMAND, GIT_ASKPASS: all that was set was dropped."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{repository.parent}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://git.example/")
    assert commit_of(f"https://git.example/{repository.name}", "main") == git(repository, "rev-parse", "main")
    asked = tmp_path / "asked"
    program = tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\necho "$@" >> {asked}\nexit 255\n')
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(program))
    with pytest.raises(AssetError) as caught:
        commit_of("ssh://git@git.example/r", "main")
    assert "git.example" in asked.read_text()
    assert "Could not read from remote repository" in caught.value.message, "git's own words"


@pytest.mark.parametrize(
    "name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"]
)
def test_what_points_at_another_repository_is_dropped(repository, tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "/nowhere")
    assert (fetch(f"file://{repository}", "main", tmp_path / "cache") / "recipe.yaml").is_file()
