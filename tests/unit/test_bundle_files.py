"""Bundles: written whole or not at all, the same bytes every time, and taken in whole."""

from __future__ import annotations

import errno
import json

import pytest
from bundle_parts import (
    FakeEngine,
    bundle,
    everything_below,
    layout,
    members,
    plan,
    reading,
    relisted,
    sha,
)

from orchestrator import __version__
from orchestrator.errors import StepFailed, UsageError
from orchestrator.host.scratch import scratch_folder
from orchestrator.images.attest.documents import find_documents
from orchestrator.images.attest.evidence import scratch
from orchestrator.images.bundle import write as writing
from orchestrator.images.bundle.load import load_definitions, load_documents, load_images
from orchestrator.images.bundle.read import checked

# -- writing -----------------------------------------------------------------------------


def test_the_same_contents_are_the_same_bytes_and_all_of_them_are_listed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = bundle(tmp_path / "a"), bundle(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    contents = reading(first)
    names = {member.name for member, _ in members(first)}
    assert names == contents.files.keys() | {"mlorch-bundle.json"}
    assert "definitions/1/recipes/x.yaml" in names
    assert not any("secret" in name for name in names)
    assert str(tmp_path) not in first.read_bytes().decode(errors="replace")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b.tar", "root0", "root1", "store"]


def test_a_disk_that_is_full_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    path = bundle(tmp_path)
    before, old = everything_below(tmp_path), path.read_bytes()
    real = writing.Hashing.write

    def full(self, data):
        if self.count > 5_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(writing.Hashing, "write", full)
    with pytest.raises(StepFailed) as caught:
        bundle(tmp_path)
    assert caught.value.slug == "write"
    assert "Free some space" in caught.value.hint
    assert everything_below(tmp_path) == before
    assert path.read_bytes() == old


def test_an_engine_that_saves_something_else_is_told(tmp_path):
    files = layout(plan())
    blob = next(name for name, data in files.items() if name.startswith("blobs/") and not data.startswith(b"{"))
    files[blob] = files[blob][:-1] + b"?"
    with pytest.raises(StepFailed) as caught:
        bundle(tmp_path, files=files)
    assert caught.value.slug == "save-failed"
    assert not (tmp_path / "b.tar").exists()
    with pytest.raises(StepFailed):
        bundle(tmp_path, plan("other"), layout(plan()))


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    with scratch_folder(tmp_path, ".mlorch-bundle-") as gone:
        pass  # the name of one that this machine made, and whose lock nobody has
    theirs = [tmp_path / name for name in (".b.tar.old", ".b.tar.d", ".other")]
    with scratch_folder(tmp_path, ".mlorch-bundle-") as used:
        for path in (gone, *theirs):
            path.mkdir()
            (path / "new").write_text("half")
        bundle(tmp_path)
        assert not gone.exists()
        assert used.exists(), "another bundle is written into the same folder"
        assert all((path / "new").exists() for path in theirs), "a name like the bundle's is anybody's"


def test_of_two_bundles_to_one_name_at_once_the_later_one_stays_whole_and_says_so(tmp_path):
    said, other = [], plan("other")

    def say(line):
        if line == "saving the images":
            bundle(tmp_path, other)  # somebody else is quicker
        said.append(line)

    path = bundle(tmp_path, say=say)
    assert reading(path).plans[0].image == plan().image
    assert f"another command wrote {path} meanwhile; it is replaced" in said
    said.clear()
    bundle(tmp_path, say=said.append)
    assert not [line for line in said if "meanwhile" in line]
    assert not list(tmp_path.glob(".*"))


def test_no_folder_is_made_unasked(tmp_path):
    with pytest.raises(UsageError) as caught:
        writing.write(tmp_path / "no/such/b.tar", None, FakeEngine({}))
    assert caught.value.slug == "missing-path"


# -- taking in ------------------------------------------------------------------------------


def test_what_is_there_already_is_not_taken_in_again_and_names_are_ours(tmp_path):
    path = bundle(tmp_path)
    engine = FakeEngine({})
    with checked(path) as found:
        assert load_images(found, engine) == (plan().image,)
        with scratch() as left:
            pass
        left.mkdir()  # as one that was killed when the engine had taken everything in
        (left / "images.tar").write_bytes(b"gigabytes")
        assert load_images(found, engine) == ()
        assert not left.exists()
        assert engine.loaded == [plan().image]
        assert load_documents(found) == 1
        (image,) = found.images.values()
    assert find_documents(image.digest).sbom == b"{}"


def test_an_engine_that_ends_with_another_image_is_told(tmp_path):
    class Forgetful(FakeEngine):
        def image(self, reference):
            return None

    with checked(bundle(tmp_path)) as found, pytest.raises(StepFailed) as caught:
        load_images(found, Forgetful({}))
    assert caught.value.slug == "load-failed"


def test_recipes_are_taken_along_whole(tmp_path):
    with checked(bundle(tmp_path)) as found:
        folders = load_definitions(found, tmp_path / "taken")
        assert [(folder / "recipes/x.yaml").read_text() for folder in folders] == [
            "kind: layer # 0\n",
            "kind: layer # 1\n",
        ]
        assert load_definitions(found, tmp_path / "taken") == folders


def test_the_list_reads_back_as_it_was_written(tmp_path):
    path = bundle(tmp_path)
    contents = reading(path)
    (plan_of,) = contents.plans
    assert [layer["content_id"] for layer in plan_of.layers] == [step.content_id for step in plan().layers]
    assert (
        json.loads(next(data for m, data in members(path) if m.name == "mlorch-bundle.json"))["mlorch"] == __version__
    )


# -- signed -------------------------------------------------------------------------------------


def test_a_key_covers_all_that_is_in_a_bundle(tmp_path):
    """Recipes say what a container may do: they must not be swapped under a signature of the images."""
    from orchestrator.images.attest.signatures import generate, load_signer, load_verifier
    from orchestrator.operations.images.bundle import _require_signed_list

    private, public = generate("")
    (tmp_path / "k.key").write_bytes(private)
    (tmp_path / "k.pub").write_bytes(public)
    verifier = load_verifier(tmp_path / "k.pub")
    signed = bundle(tmp_path, signer=load_signer(tmp_path / "k.key", lambda: ""))
    with checked(signed) as found:
        _require_signed_list(found, verifier)
    recipe = b"kind: layer # with every device\n"

    def swap(document, found):
        name = "definitions/1/recipes/x.yaml"
        index = next(i for i, (member, _) in enumerate(found) if member.name == name)
        found[index] = (found[index][0], recipe)
        document["files"][name] = {"sha256": sha(recipe), "size": len(recipe)}

    swapped = relisted(signed, swap)
    unsigned = bundle(tmp_path / "again")
    for path in (swapped, unsigned):
        with checked(path) as found, pytest.raises(StepFailed) as caught:
            _require_signed_list(found, verifier)
        assert caught.value.slug == "signature"
