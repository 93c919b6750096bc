"""Settings: which file counts, what overrides what, and where every value came from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.definitions.settings import (
    GitSpec,
    pinned,
    read_settings,
    recipe_spec,
    recipe_specs,
    roots,
    settings_files,
)
from orchestrator.errors import DefinitionError, MlorchError, UsageError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config/mlorch").mkdir(parents=True)
    (tmp_path / "project/deep").mkdir(parents=True)
    return tmp_path


def read(folder: Path, **environ: str):
    return read_settings(folder / "project/deep", {"XDG_CONFIG_HOME": str(folder / "config"), **environ})


def test_nothing_given_is_all_defaults(folder):
    settings = read(folder)
    assert settings.given() == {}


def test_user_file_project_file_environment(folder):
    user = folder / "config/mlorch/mlorch.yaml"
    user.write_text("target: chip\nengine: podman\nrecipes: [mine]\npip_index: https://index.example/simple\n")
    project = folder / "project/mlorch.yaml"
    project.write_text("# ours\nengine: docker\nrecipes: [ours, 'https://host.example/r.git@v1']\nresults: out\n")
    settings = read(folder, MLORCH_TARGET="other")
    assert (settings.target, settings.sources["target"]) == ("other", "MLORCH_TARGET")
    assert (settings.engine, settings.sources["engine"]) == ("docker", f"{project}:2:1")
    assert settings.sources["pip_index"] == f"{user}:4:1"
    assert settings.results == str(folder / "project/out")
    assert settings.recipes == (
        str(folder / "config/mlorch/mine"),
        str(folder / "project/ours"),
        "https://host.example/r.git@v1",
    )
    assert settings.pip_index == "https://index.example/simple"


def test_the_nearest_project_file_counts_alone(folder):
    (folder / "project/mlorch.yaml").write_text("target: far\nengine: docker\n")
    (folder / "project/deep/mlorch.yaml").write_text("target: near\n")
    assert read(folder).given() == {"target": "near"}


def test_every_place_that_could_hold_settings_is_watched(folder):
    files = settings_files(folder / "project/deep", {"XDG_CONFIG_HOME": str(folder / "config")})
    assert files[0] == str(folder / "config/mlorch/mlorch.yaml")
    assert files[1] == "/mlorch.yaml"
    assert files[-2:] == (str(folder / "project/mlorch.yaml"), str(folder / "project/deep/mlorch.yaml"))


def test_faults_are_told_at_their_places(folder):
    path = folder / "project/mlorch.yaml"
    path.write_text("engin: docker\npip_index: https://user:secret@index.example/\ntarget: [a]\n")
    with pytest.raises(DefinitionError) as caught:
        read(folder)
    assert [(p.slug, p.span.line) for p in caught.value.problems()] == [
        ("unknown-key", 1),
        ("bad-value", 2),
        ("bad-value", 3),
    ]


def test_a_file_of_another_user_is_not_obeyed(folder, monkeypatch):
    path = folder / "project/mlorch.yaml"
    path.write_text("recipes: [evil]\n")
    stranger = path.stat().st_uid + 1
    if path.stat().st_uid == 0:
        os.chown(path, 12345, -1)
        stranger = 54321
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    with pytest.raises(DefinitionError) as caught:
        read(folder)
    assert caught.value.slug == "foreign-settings"


@pytest.fixture
def of_root(folder, monkeypatch):
    """The caller is root, and the project's file another user's."""
    path = folder / "project/mlorch.yaml"
    path.write_text("recipes: [evil]\n")
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, 12345, -1)
        owner = 12345
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return owner


def test_root_obeys_no_file_of_another_user(folder, of_root):
    with pytest.raises(DefinitionError) as caught:
        read(folder)
    (problem,) = caught.value.problems()
    assert problem.slug == "foreign-settings"
    assert f"MLORCH_SAFE_FOLDERS={folder}/project" in problem.hint


def test_root_may_allow_a_folder_or_be_the_user_who_called_sudo(folder, of_root):
    wanted = (str(folder / "project/evil"),)
    assert read(folder, SUDO_UID=str(of_root)).recipes == wanted
    assert read(folder, MLORCH_SAFE_FOLDERS=f"{folder}/project").recipes == wanted
    assert read(folder, MLORCH_SAFE_FOLDERS="*").recipes == wanted
    with pytest.raises(DefinitionError):
        read(folder, SUDO_UID=str(of_root + 1), MLORCH_SAFE_FOLDERS=f"{folder}/other")
    if Path("/etc").stat().st_uid == (folder / "config").stat().st_uid:  # else the user's own file is no file of root's
        (folder / "config/mlorch/mlorch.yaml").write_text(f"safe_folders: [{folder}/project]\n")
        assert read(folder).recipes == wanted


def test_a_safe_folder_of_nobody_is_no_folder(folder, of_root):
    with pytest.raises(MlorchError):
        read(folder, MLORCH_SAFE_FOLDERS="~no-such-user-here/x")


def test_a_project_cannot_call_itself_safe(folder):
    (folder / "project/mlorch.yaml").write_text(f"safe_folders: [{folder}/project]\n")
    with pytest.raises(DefinitionError) as caught:
        read(folder)
    assert caught.value.slug == "foreign-settings"


def test_a_link_of_another_user_to_a_good_file_is_not_obeyed(folder, monkeypatch):
    """Who owns the link chooses which of my files counts."""
    (folder / "good.yaml").write_text("recipes: [mine]\n")
    link = folder / "project/mlorch.yaml"
    link.symlink_to(folder / "good.yaml")
    real = Path.lstat

    def lstat(path):
        found = real(path)
        return os.stat_result((*found[:4], 54321, *found[5:])) if path == link else found

    monkeypatch.setattr(Path, "lstat", lstat)
    with pytest.raises(DefinitionError):
        read(folder)


@pytest.mark.parametrize(
    ("text", "url", "ref"),
    [
        ("https://host.example/a/b.git@v1.2", "https://host.example/a/b.git", "v1.2"),
        ("ssh://git@host.example:22/a@feature/x", "ssh://git@host.example:22/a", "feature/x"),
        ("git@host.example:a/b.git@main", "git@host.example:a/b.git", "main"),
        ("file:///srv/r.git@0123456", "file:///srv/r.git", "0123456"),
    ],
)
def test_git_addresses_with_their_refs(text, url, ref):
    assert recipe_spec(text) == GitSpec(url=url, ref=ref)


@pytest.mark.parametrize("text", ["recipes", "./a@b", "/srv/recipes", "../x", "--upload-pack=x"])
def test_everything_else_is_a_folder(text):
    assert recipe_spec(text) == Path(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://host.example/r.git", "no ref"),
        ("https://host.example/r.git@", "no ref"),
        ("https://host.example/r.git@--upload-pack=x", "cannot be a ref"),
        ("https://host.example/r.git@a..b", "cannot be a ref"),
        ("https://host.example/r.git@a b", "cannot be a ref"),
        ("https://host.example/$(id)@v1", "characters"),
        ("https://host.example/a\nb@v1", "characters"),
        ("https://-oProxyCommand=x/r@v1", "no host"),
        ("https:///r@v1", "no host"),
        ("https://user:secret@host.example/r@v1", "credentials"),
        ("https://token@host.example/r@v1", "credentials"),
        ("http://host.example/r@v1", "not allowed"),
        ("git://host.example/r@v1", "not allowed"),
        ("ext::sh -c id@v1", "remote helpers"),
        ("git@host.example:-r@v1", "characters"),
        ("file://host/r@v1", "three slashes"),
    ],
)
def test_addresses_that_are_refused(text, words):
    with pytest.raises(UsageError) as caught:
        recipe_spec(text)
    assert words in caught.value.message
    assert "secret" not in caught.value.message + caught.value.hint
    assert caught.value.exit_code == 2


def test_refs_become_commits_and_roots_say_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    specs = recipe_specs(["mine", "https://host.example/r@main"])
    pins = pinned(specs, lambda url, ref: {"main": "c" * 40}[ref])
    assert pins == ("mine", "https://host.example/r@" + "c" * 40)
    found = roots(pins, lambda url, ref: tmp_path / ref[:4])
    assert [root.origin for root in found] == [
        "builtin",
        f"path:{tmp_path}/mine",
        "git:https://host.example/r@" + "c" * 40,
    ]
    assert found[2].path == tmp_path / "cccc"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        roots([str(tmp_path / "nowhere")], lambda url, ref: tmp_path)


def test_settings_that_are_no_file_are_told_and_never_opened(folder):
    for make in (Path.mkdir, os.mkfifo):
        path = folder / "project/mlorch.yaml"
        make(path)
        with pytest.raises(DefinitionError) as caught:
            read(folder)
        (problem,) = caught.value.problems()
        assert (problem.slug, problem.span.path) == ("settings-file", str(path))
        path.rmdir() if path.is_dir() else path.unlink()
