"""Data in a folder of the user's own: used where it is, hashed once, refused where it is not what the recipe says."""

from __future__ import annotations

from pathlib import Path

import pytest
from asset_verb_parts import FOLDER, LOCAL, Site, folder_of_data, imagenet, manifest

from orchestrator.assets import given as given_module


@pytest.fixture
def site(tmp_path, capsys):
    return Site(tmp_path, capsys)


@pytest.fixture
def mounted(tmp_path):
    return folder_of_data(tmp_path)


def test_a_users_folder_is_used_where_it_is_and_hashed_once(site, mounted, monkeypatch):
    imagenet(site)
    hashed = []
    real = given_module.hash_file
    monkeypatch.setattr(given_module, "hash_file", lambda *words: hashed.append(words[1]) or real(*words))
    for _ in range(3):
        status, got, _ = site("get", "imagenet", "--data", f"imagenet={mounted}", "--json")
        assert status == 0
        (facts,) = got["assets"]
        assert (facts["state"], facts["folder"]) == ("given", str(mounted))
    assert sorted(hashed) == ["a.jpg", "b.jpg", "list.txt"]
    assert site("verify", "imagenet", "--data", f"dataset/imagenet={mounted}")[0] == 0
    assert len(hashed) == 6


def test_the_folder_may_stand_in_the_settings(site, mounted, tmp_path, monkeypatch):
    imagenet(site)
    (tmp_path / "mlorch.yaml").write_text("data: {imagenet: mnt}\n")
    monkeypatch.chdir(tmp_path)
    status, got, _ = site("get", "imagenet", "--json")
    assert (status, got["assets"][0]["folder"]) == (0, str(mounted))


@pytest.mark.parametrize("with_manifest", [True, False])
def test_a_missing_file_is_named(site, mounted, with_manifest):
    imagenet(site, with_manifest=with_manifest)
    if not with_manifest:  # without a list only what was seen before has a name
        assert site("get", "imagenet", "--data", f"imagenet={mounted}")[0] == 0
    (mounted / "val/b.jpg").unlink()
    status, _, text = site("get", "imagenet", "--data", f"imagenet={mounted}")
    assert status == 1
    assert "val/b.jpg" in text
    assert "[data-missing]" in text


def test_without_any_list_the_number_of_files_is_told(site, mounted):
    imagenet(site)
    (mounted / "val/b.jpg").unlink()
    status, _, text = site("get", "imagenet", "--data", f"imagenet={mounted}")
    assert status == 1
    assert "has 2 files where the recipe says 3" in text
    assert "val/ with pictures" in text


@pytest.mark.parametrize("with_manifest", [True, False])
def test_a_file_with_other_bytes_is_found_and_never_taken(site, mounted, with_manifest):
    imagenet(site, with_manifest=with_manifest)
    (mounted / "val/b.jpg").write_bytes(b"other!!")
    for _ in range(2):
        status, _, text = site("get", "imagenet", "--data", f"imagenet={mounted}")
        assert status == 1
        assert "[data-wrong]" in text
        assert ("val/b.jpg" in text) == with_manifest


def test_bytes_that_rot_behind_equal_times_are_found_by_verify(site, mounted):
    import os

    imagenet(site)
    assert site("get", "imagenet", "--data", f"imagenet={mounted}")[0] == 0
    place = mounted / "val/b.jpg"
    before = place.stat()
    place.write_bytes(b"another"[::-1])
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert site("get", "imagenet", "--data", f"imagenet={mounted}")[0] == 0
    status, _, text = site("verify", "imagenet", "--data", f"imagenet={mounted}")
    assert status == 1
    assert "val/b.jpg" in text


def test_a_file_too_many_is_named(site, mounted):
    imagenet(site, with_manifest=True)
    (mounted / "val/extra.jpg").write_bytes(b"x")
    status, _, text = site("get", "imagenet", "--data", f"imagenet={mounted}")
    assert status == 1
    assert "val/extra.jpg" in text


def test_data_that_nobody_hands_on_says_where_it_is(site):
    imagenet(site)
    status, _, text = site("get", "imagenet")
    assert status == 1
    assert "https://image-net.org" in text
    assert "--data imagenet=FOLDER" in text
    assert "[data-missing]" in text


def test_a_users_folder_is_locked_and_then_known(site, mounted):
    site.write("dataset", "imagenet", [LOCAL], [{"folder": "."}])
    status, _, text = site("get", "imagenet", "--data", f"imagenet={mounted}")
    assert status == 1
    assert "[asset-unlocked]" in text
    status, done, _ = site("lock", "imagenet", "--data", f"imagenet={mounted}", "--json")
    assert (status, done["bytes"]) == (0, sum(map(len, FOLDER.values())))
    assert manifest(FOLDER) in Path(done["path"]).read_text()
    assert site("get", "imagenet", "--data", f"imagenet={mounted}")[0] == 0
    (mounted / "list.txt").write_bytes(b"a 2\nb 1\n")
    assert site("get", "imagenet", "--data", f"imagenet={mounted}")[0] == 1


@pytest.mark.parametrize(
    ("text", "slug"), [("imagenet", "bad-data"), ("imagenett=/", "unknown-asset"), ("imagenet=/none", "no-data")]
)
def test_a_data_option_that_means_nothing_is_refused(site, text, slug):
    imagenet(site)
    status, _, said = site("get", "imagenet", "--data", text)
    assert status == 2
    assert f"[{slug}]" in said
