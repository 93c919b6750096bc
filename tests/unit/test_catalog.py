"""The catalogue: what is found, what overrides what, what is refused and where it is said to be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sample_recipes import FILES, SUM, ZERO, layer, write

from orchestrator.definitions.catalog import Catalog, Root, builtin_root, check, gather, load
from orchestrator.definitions.yaml import render_problem
from orchestrator.errors import DefinitionError, Problem, UsageError

NET = "recipes/models/net.yaml"


def root(folder, origin: str = "builtin") -> Root:
    return Root(path=folder, origin=origin)


def sample(tmp_path, changes: dict[str, str | None] | None = None) -> Catalog:
    return load([root(write(tmp_path / "sample", changes=changes))])


def problems_of(tmp_path, changes: dict[str, str | None]) -> list[Problem]:
    """The faults that `check` finds in the sample with some changes."""
    gathered = gather([root(write(tmp_path / "sample", changes=changes))])
    assert gathered.problems == ()
    return list(check(gathered.catalog))


def where(problem: Problem) -> tuple[str, str, int]:
    """Slug, file and line of a problem."""
    return problem.slug, Path(problem.span.path).name, problem.span.line


def changed(name: str, old: str, new: str) -> dict[str, str | None]:
    assert old in FILES[name]
    return {name: FILES[name].replace(old, new)}


# -- shipped -----------------------------------------------------------------------------


def test_the_shipped_recipes_have_no_fault():
    gathered = gather([builtin_root()])
    shown = "\n".join(render_problem(problem) for problem in (*gathered.problems, *check(gathered.catalog)))
    assert shown == ""
    assert gathered.catalog.names("benchmark")


# -- finding and overriding --------------------------------------------------------------


def test_the_sample_is_found_and_right(tmp_path):
    catalog = sample(tmp_path)
    assert check(catalog) == ()
    assert catalog.names("layer") == ("config", "engine", "loads", "needs", "os", "program", "tools", "userland")
    entry = catalog.benchmark("classify")
    assert entry.definition.model == "net"
    assert entry.path.parent == tmp_path / "sample/recipes/benchmarks"
    assert [e.definition.name for e in catalog.entries()][:2] == ["chip", "config"]


def test_later_roots_win_whole_definitions_locks_and_templates(tmp_path):
    mine = write(
        tmp_path / "mine",
        only={
            "recipes/net.yaml": FILES["recipes/models/net.yaml"].replace("A network", "Mine"),
            "recipes/net/net.onnx": "weights",
            "dockerfiles/plain.Dockerfile.j2": "FROM mine\n",
            "dockerfiles/extra.j2": "",
            "images/engine.lock.yaml": FILES["images/engine.lock.yaml"].replace("linux/amd64", "linux/arm64"),
        },
    )
    catalog = load([root(write(tmp_path / "sample")), root(mine, "path:mine")])
    assert (catalog.model("net").definition.title, catalog.model("net").origin) == ("Mine", "path:mine")
    assert catalog.dataset("photos").origin == "builtin"
    assert catalog.template("plain.Dockerfile.j2").text == "FROM mine\n"
    with pytest.raises(DefinitionError) as caught:
        catalog.template("other")
    assert caught.value.hint == "there are: extra.j2, plain.Dockerfile.j2"
    assert list(catalog.lock("engine").platforms) == ["linux/arm64"]
    assert list(catalog.lock("os").platforms) == ["linux/amd64"]
    assert catalog.lock("userland") is None


def test_a_bare_folder_of_yaml_files_is_a_root(tmp_path):
    bare = write(
        tmp_path / "bare",
        only={
            "a.yaml": layer("extra", "side"),
            "deep/er/b.yml": layer("other", "side"),
            ".git/c.yaml": "not: a recipe\n",
            "images/extra.lock.yaml": "not: a recipe\n",
            "dockerfiles/d.yaml": "not: a recipe\n",
            "mlorch.yaml": "target: chip\n",
            "notes.txt": "",
        },
    )
    catalog = load([root(write(tmp_path / "sample")), root(bare, "path:bare")])
    assert {"extra", "other"} < set(catalog.names("layer"))


def test_one_name_twice_in_a_root_names_both_places(tmp_path):
    write(tmp_path / "sample", changes={"recipes/zz.yaml": FILES["recipes/models/net.yaml"]})
    with pytest.raises(DefinitionError) as caught:
        load([root(tmp_path / "sample")])
    (problem,) = caught.value.problems()
    assert where(problem) == ("duplicate-definition", "net.yaml", 2)
    assert "recipes/zz.yaml:2:7" in problem.hint


def test_all_faults_of_all_files_are_told_at_once(tmp_path):
    write(
        tmp_path / "sample",
        changes={
            "recipes/a.yaml": "kind: modle\nname: x\n",
            "recipes/b.yaml": "name: x\n",
            "recipes/c.yaml": layer("Bad Name", "frame"),
            "recipes/d.yaml": "a: [\n",
            "recipes/e.yaml": "",
        },
    )
    with pytest.raises(DefinitionError) as caught:
        load([root(tmp_path / "sample")])
    assert [where(p) for p in caught.value.problems()] == [
        ("unknown-kind", "a.yaml", 1),
        ("missing-key", "b.yaml", 1),
        ("bad-value", "c.yaml", 2),
        ("bad-value", "c.yaml", 4),
        ("yaml-syntax", "d.yaml", 1),
        ("empty-file", "e.yaml", 1),
    ]
    assert caught.value.exit_code == 3


def test_a_definition_that_cannot_be_decoded_makes_no_second_fault(tmp_path):
    gathered = gather([root(write(tmp_path / "sample", changes=changed("recipes/models/net.yaml", "onnx\n", "h5\n")))])
    assert len(gathered.problems) == 1
    assert check(gathered.catalog) == ()


@pytest.mark.parametrize("kind", ["target", "layer", "benchmark", "model", "dataset", "harness"])
def test_an_unknown_name_is_a_usage_error_with_the_nearest(tmp_path, kind):
    catalog = sample(tmp_path)
    known = catalog.names(kind)[0]
    with pytest.raises(UsageError) as caught:
        getattr(catalog, kind)(known + "s")
    assert caught.value.exit_code == 2
    assert caught.value.slug == f"unknown-{kind}"
    assert f"did you mean `{known}`" in caught.value.hint


def test_no_folder_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        load([root(tmp_path / "nowhere")])


# -- cross checks ------------------------------------------------------------------------

B, T, H = "recipes/benchmarks/classify.yaml", "recipes/targets/chip.yaml", "recipes/harnesses/drive.yaml"
M, D = "recipes/models/net.yaml", "recipes/datasets/photos.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "slug", "line", "hint"),
    [
        (B, "layer: config", "layer: confg", "unknown-layer", 5, "did you mean `config`?"),
        (B, "layer: config", "layer: engine", "wrong-level", 5, "there are: config"),
        (B, "model: net", "model: nett", "unknown-model", 6, "did you mean `net`?"),
        (B, "dataset: photos", "dataset: photo", "unknown-dataset", 7, "did you mean `photos`?"),
        (B, "harness: drive", "harness: driver", "unknown-harness", 8, "did you mean `drive`?"),
        (B, "[engine]", "[engines]", "unknown-framework", 9, "did you mean `engine`?"),
        (B, "[engine]", "[engine, motor]", "unknown-framework", 9, "there are: engine"),
        (T, "detect:", "prefer: [engines]\ndetect:", "unknown-framework", 8, "did you mean `engine`?"),
        (T, "detect:", "host: [clocks]\ndetect:", "unknown-hostchecks", 8, "none is defined"),
        (T, "base: os", "base: userland", "wrong-level", 5, "there are: os"),
        (T, "runtime: userland", "runtime: user", "unknown-layer", 6, "did you mean"),
        (T, "{engine: engine}", "{engine: engin}", "unknown-layer", 7, "did you mean `engine`?"),
        (H, "loadgen: loads", "loadgen: needs", "wrong-level", 4, "there are: loads"),
        (H, "deps: needs", "deps: x", "unknown-layer", 5, "there are:"),
        (H, "code: program", "code: config", "wrong-level", 6, "there are: program"),
        (D, "layer: tools", "layer: os", "wrong-level", 15, "there are: tools"),
        (D, "labels: y.npy", "labels: z.npy", "unknown-output", 20, "did you mean"),
        (D, "file: y.npy", "file: x.npy", "duplicate-output", 18, ""),
    ],
)
def test_references_between_definitions(tmp_path, file, old, new, slug, line, hint):
    write(tmp_path / "sample", changes=changed(file, old, new))
    with pytest.raises(DefinitionError) as caught:
        load([root(tmp_path / "sample")])
    problem = caught.value.problems()[0]
    assert where(problem) == (slug, Path(file).name, line)
    assert hint in problem.hint


def test_a_benchmark_whose_frameworks_no_target_has(tmp_path):
    changes = changed(T, "{engine: engine}", "{other: engine}")
    write(tmp_path / "sample", changes=changes)
    with pytest.raises(DefinitionError) as caught:
        load([root(tmp_path / "sample")])
    (problem,) = caught.value.problems()
    assert where(problem) == ("unsupported-framework", "classify.yaml", 9)
    assert "targets have: other" in problem.hint


def test_a_hash_that_is_not_the_files(tmp_path):
    problems = problems_of(tmp_path, {"recipes/models/net/net.onnx": "other"})
    assert [where(p) for p in problems] == [("hash-mismatch", "net.yaml", 10), ("hash-mismatch", "net.yaml", 14)]
    assert [p.span.column for p in problems] == [13, 13]
    assert not any(SUM in p.hint for p in problems)


def test_an_output_that_is_not_the_file_beside_the_recipe(tmp_path):
    wrong = changed(NET, f"- file: net.onnx\n    sha256: {SUM}", f"- file: net.onnx\n    sha256: {ZERO}")
    (problem,) = problems_of(tmp_path / "as-it-is", wrong)
    assert where(problem) == ("hash-mismatch", "net.yaml", 14)
    assert problem.hint == f"if the file is right, write sha256: {SUM}"
    wrong[NET] += "prepare: {script: net/net.onnx, layer: tools}\n"  # what a script makes of the file is another one
    assert problems_of(tmp_path / "prepared", wrong) == []


def test_files_that_are_not_there(tmp_path):
    problems = problems_of(
        tmp_path,
        {
            "recipes/datasets/photos/prepare.py": None,
            "recipes/datasets/photos/prepair.py": "",
            "recipes/layers/program/main.py": None,
            "recipes/models/net/net.onnx": None,
        },
    )
    assert [where(p) for p in problems] == [
        ("file-missing", "program.yaml", 7),
        ("file-missing", "net.yaml", 9),
        ("file-missing", "photos.yaml", 14),
    ]
    assert problems[2].hint == "did you mean `prepair.py`?"


def test_templates_that_are_not_there(tmp_path):
    name = "recipes/layers/config.yaml"
    (problem,) = problems_of(tmp_path, changed(name, "plain.Dockerfile.j2", "plane.Dockerfile.j2"))
    assert where(problem) == ("template-missing", "config.yaml", 5)
    assert problem.hint == "did you mean `plain.Dockerfile.j2`?"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"images/engine.lock.yaml": None}, ("lock-missing", "engine.yaml", 7)),
        (changed("images/engine.lock.yaml", "version: 1.20", "version: 1.2"), ("lock-missing", "engine.yaml", 7)),
        (changed("images/os.lock.yaml", "name: libc6", "name: libc7"), ("lock-missing", "os.yaml", 9)),
        (changed("images/os.lock.yaml", "layer: os", "layer: oss"), ("lock-name", "os.lock.yaml", 2)),
        (changed("images/os.lock.yaml", "size: 9", "size: -9"), ("bad-value", "os.lock.yaml", 6)),
    ],
)
def test_packages_must_be_in_the_lock(tmp_path, changes, expected):
    (problem,) = problems_of(tmp_path, changes)
    assert where(problem) == expected


# -- staying inside ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "..", "a\nb", ""])
def test_template_names_that_leave_the_tree(tmp_path, name):
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample/secret").write_text("secret")
    with pytest.raises(DefinitionError) as caught:
        sample(tmp_path).template(name)
    assert caught.value.slug == "template-outside"


def test_a_template_that_is_a_link_out_of_the_tree(tmp_path):
    catalog = sample(tmp_path)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "sample/dockerfiles/link.j2").symlink_to(tmp_path / "secret")
    (tmp_path / "sample/dockerfiles/folder").symlink_to(tmp_path)
    (tmp_path / "sample/dockerfiles/fine.j2").symlink_to("plain.Dockerfile.j2")
    for name in ("link.j2", "folder/secret"):
        with pytest.raises(DefinitionError) as caught:
            catalog.template(name)
        assert caught.value.slug == "template-outside"
    assert catalog.template("fine.j2").text == "FROM scratch\n"


def test_files_of_a_recipe_that_are_links_out_of_the_tree(tmp_path):
    catalog = sample(tmp_path)
    (tmp_path / "secret").write_text("secret")
    script = tmp_path / "sample/recipes/datasets/photos/prepare.py"
    script.unlink()
    script.symlink_to(tmp_path / "secret")
    (problem,) = check(catalog)
    assert where(problem) == ("file-outside", "photos.yaml", 14)


def _key(folder, secret):
    (folder / "key").symlink_to(secret)


@pytest.mark.parametrize(
    ("plant", "slug"),
    [
        (_key, "file-outside"),
        (lambda folder, secret: (folder / "all").symlink_to(secret.parent), "file-outside"),
        (lambda folder, _secret: (folder / "here").symlink_to("."), "file-outside"),
        (lambda folder, _secret: (folder / "loop").symlink_to("loop"), "file-outside"),
        (lambda folder, _secret: os.mkfifo(folder / "pipe"), "file-kind"),
    ],
)
def test_what_a_copied_folder_holds_does_not_lead_out_and_is_no_pipe(tmp_path, plant, slug):
    """A layer's `copy` of a folder took in the file behind a link: a key of the caller's, in an image."""
    catalog = sample(tmp_path)
    entry = catalog.get("dataset", "photos")
    (tmp_path / "secret").write_text("secret")
    folder = entry.path.parent / "tools/deep"
    folder.mkdir(parents=True)
    (folder / "fine").write_text("fine")
    (folder / "near").symlink_to("fine")
    assert catalog.file(entry, "tools") == folder.parent
    plant(folder, tmp_path / "secret")
    with pytest.raises(DefinitionError) as caught:
        catalog.file(entry, "tools")
    assert caught.value.problems()[0].slug == slug


def test_a_pipe_beside_a_recipe_is_not_read(tmp_path):
    catalog = sample(tmp_path)
    entry = catalog.get("dataset", "photos")
    os.mkfifo(entry.path.parent / "pipe")
    with pytest.raises(DefinitionError) as caught:
        catalog.file(entry, "pipe")
    assert caught.value.problems()[0].slug == "file-kind"


def test_a_recipe_that_is_a_link_out_of_the_tree_or_in_a_loop(tmp_path):
    (tmp_path / "secret.yaml").write_text("password: hunter2\n")
    write(tmp_path / "sample")
    (tmp_path / "sample/recipes/link.yaml").symlink_to(tmp_path / "secret.yaml")
    (tmp_path / "sample/recipes/loop.yaml").symlink_to("loop.yaml")
    gathered = gather([root(tmp_path / "sample")])
    assert [p.slug for p in gathered.problems] == ["file-outside", "unreadable"]
    assert all("hunter2" not in render_problem(p) for p in gathered.problems)


def test_builtin_files_are_those_of_the_package(tmp_path):
    changes = changed("recipes/layers/program.yaml", "source: program/main.py", "source: builtin:errors.py")
    catalog = sample(tmp_path, changes)
    assert catalog.file(catalog.layer("program"), "builtin:errors.py").name == "errors.py"
    (problem,) = problems_of(
        tmp_path, {"recipes/layers/program.yaml": changes["recipes/layers/program.yaml"].replace("errors.py", "no.py")}
    )
    assert where(problem) == ("file-missing", "program.yaml", 7)


def test_an_entry_knows_the_hash_of_its_file(tmp_path):
    import hashlib

    entry = sample(tmp_path).model("net")
    assert entry.sha256 == hashlib.sha256(entry.path.read_bytes()).hexdigest() != ZERO
