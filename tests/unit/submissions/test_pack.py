"""`submission pack`, `verify` and `redact`: the same bytes, refused with errors, and every change told or on record."""

from __future__ import annotations

import errno
import gzip
import io
import os
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from submission_parts import RESNET, good_tree, write

from orchestrator import api
from orchestrator.cli import run
from orchestrator.errors import StepFailed
from orchestrator.host.untrusted import hash_file
from orchestrator.images.attest.signatures import generate
from orchestrator.images.layout.archive import MOST_MEMBERS
from orchestrator.operations import submission_pack as packing
from orchestrator.submissions.pack import verify as verifying
from orchestrator.submissions.pack import write as writing
from orchestrator.submissions.pack.contents import contents_of
from orchestrator.submissions.pack.manifest import (
    NAME,
    BadManifest,
    Manifest,
    Packed,
    Redacted,
    Redaction,
    read_manifest,
    text_of,
)
from orchestrator.submissions.pack.redact import with_signature
from orchestrator.submissions.tree import FileFact, Folder, Tree

README = "closed/Acme/calibration.md"
CODE = "open/Acme/code/llama2-70b-99/README.md"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    return good_tree(tmp_path / "tree")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "packed" / "acme.tar.gz"


@pytest.fixture
def keys(tmp_path):
    """Two pairs: of the submitter, and of somebody else."""
    for name in ("mine", "theirs"):
        private, public = generate("")
        (tmp_path / f"{name}.key").write_bytes(private)
        (tmp_path / f"{name}.pub").write_bytes(public)
    return tmp_path


def pack(tree, out, *more: str) -> int:
    out.parent.mkdir(exist_ok=True)
    return run(["submission", "pack", str(tree), "-o", str(out), "--round", "v5.1", *more])


def verify(path, *more: str) -> int:
    return run(["submission", "verify", str(path), *more])


def redact(tree, *words: str) -> int:
    return run(["submission", "redact", str(tree), *words, "--by", "A. Cme", "--why", "names of customers"])


def unpacked(archive, folder):
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


# -- packing -------------------------------------------------------------------------------


def test_the_same_files_are_the_same_bytes(tree, out, tmp_path):
    assert pack(tree, out) == 0
    first = out.read_bytes()
    for path in tree.rglob("*"):
        os.utime(path, (1, 1))
    other = good_tree(tmp_path / "elsewhere" / "copy")
    for again in (tree, other):
        assert pack(again, out) == 0
        assert out.read_bytes() == first
    assert [path.name for path in out.parent.iterdir()] == ["acme.tar.gz"]
    with tarfile.open(out) as tar:
        assert tar.getnames()[0] == NAME
        assert {(one.mtime, one.uid, one.uname, one.mode) for one in tar} == {(0, 0, "", 0o644)}


@pytest.mark.processes
def test_sha256sum_reads_the_manifest_of_what_is_unpacked(tree, out, tmp_path):
    import subprocess

    assert pack(tree, out) == 0
    folder = unpacked(out, tmp_path / "unpacked")
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", NAME], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == sum(path.is_file() for path in folder.rglob("*")) - 1
    (folder / README).write_text("another")
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", NAME], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1


def test_what_is_unpacked_is_the_tree_and_the_check_finds_nothing_in_it(tree, out, tmp_path, capsys):
    assert pack(tree, out) == 0
    folder = unpacked(out, tmp_path / "unpacked")
    files = {path.relative_to(tree): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert files == {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert run(["submission", "check", str(folder), "--round", "v5.1"]) == 0
    assert [verify(each) for each in (out, tree, folder)] == [0, 0, 0]


def test_a_tree_with_errors_is_refused_unless_that_is_said(tree, out, capsys):
    (tree / RESNET / "Offline/accuracy/accuracy.txt").write_text("accuracy=10%\nhash=0123abc\n")
    assert pack(tree, out) == 1
    assert "[submission-errors]" in capsys.readouterr().err
    assert not out.exists()
    assert pack(tree, out, "--with-errors") == 0
    assert verify(out) == 0
    assert "packed with errors: accuracy 1\n" in capsys.readouterr().out
    assert api.submission.verify(tree)["errors"] == {"accuracy": 1}


def test_one_submitters_part_is_that_part(tree, out):
    write(tree / "open" / "Other" / "results" / "x.txt", "theirs")
    assert pack(tree, out, "--submitter", "Acme") == 0
    found = api.submission.verify(tree)
    assert (found["good"], found["submitter"]) == (True, "Acme")
    with tarfile.open(out) as tar:
        assert not [name for name in tar.getnames() if "Other" in name]


def test_what_lies_beside_the_divisions_is_left_out_and_told(tree, out, capsys):
    write(tree / ".git" / "config", "x")
    write(tree / "README.md", "ours")
    assert pack(tree, out, "--skip", "divisions") == 0
    assert "left out: .git " in capsys.readouterr().err
    with tarfile.open(out) as tar:
        assert "README.md" in tar.getnames()
        assert not [name for name in tar.getnames() if ".git" in name]


@pytest.mark.parametrize("kind", ["link", "pipe", "name"])
def test_what_is_no_file_is_refused(tree, out, capsys, kind):
    place = tree / "open" / "Acme" / "documentation"
    place.mkdir()
    if kind == "link":
        (place / "x.md").symlink_to("../code")
    elif kind == "pipe":
        os.mkfifo(place / "x.md")
    else:
        (place / "two\nlines.md").write_text("x")
    assert pack(tree, out, "--with-errors") == 1
    assert "[submission-unfit]" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("name", ["acme.zip", "tree/acme.tar.gz"])
def test_a_name_that_cannot_be_meant_is_refused(tree, tmp_path, name, capsys):
    assert pack(tree, tmp_path / name) == 2
    assert "[pack-name]" in capsys.readouterr().err


def test_a_disk_that_is_full_leaves_what_was_there_and_nothing_else(tree, out, monkeypatch, capsys):
    assert pack(tree, out) == 0
    before = out.read_bytes(), (tree / NAME).read_bytes()
    write(tree / README, "more\n")
    real = writing.Hashing.write

    def full(self, data):
        if self.count > 500:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(writing.Hashing, "write", full)
    assert pack(tree, out) == 1
    assert "Free some space" in capsys.readouterr().err
    assert (out.read_bytes(), (tree / NAME).read_bytes()) == before
    assert [path.name for path in out.parent.iterdir()] == ["acme.tar.gz"]


def test_a_file_that_changes_meanwhile_is_told(tree, out, monkeypatch):
    real = packing.write_archive

    def changes_first(*arguments):
        (tree / README).write_text("another")
        return real(*arguments)

    monkeypatch.setattr(packing, "write_archive", changes_first)
    out.parent.mkdir()
    with pytest.raises(StepFailed) as caught:
        api.submission.pack(tree, out, round="v5.1")
    assert caught.value.slug == "changed"
    assert not list(out.parent.iterdir())


def test_what_changes_after_the_check_is_told(tree, out, monkeypatch):
    real = packing.check_submission

    def then_changed(*arguments):
        found = real(*arguments)
        write(tree / "open/Acme/new.md", "x")
        return found

    monkeypatch.setattr(packing, "check_submission", then_changed)
    out.parent.mkdir()
    with pytest.raises(StepFailed) as caught:
        api.submission.pack(tree, out, round="v5.1")
    assert caught.value.slug == "changed"
    assert not list(out.parent.iterdir())


# -- verifying -----------------------------------------------------------------------------


def changed(tree):
    (tree / README).write_text("another")


def removed(tree):
    (tree / README).unlink()


def added(tree):
    write(tree / "open/Acme/new.md", "x")


def linked(tree):
    (tree / README).unlink()
    (tree / README).symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("change", "file", "why"),
    [
        (changed, README, "the content differs"),
        (removed, README, "the file is missing"),
        (added, "open/Acme/new.md", "no such file"),
        (linked, README, "is a link"),
    ],
)
def test_what_is_not_as_it_was_packed_is_named(tree, out, change, file, why):
    assert pack(tree, out) == 0
    change(tree)
    found = api.submission.verify(tree)
    assert not found["good"]
    assert {(one["file"], why in one["message"]) for one in found["faults"]} >= {(file, True)}
    assert {one["file"] for one in found["faults"]} == {file}
    assert api.submission.verify(out)["good"]


def test_an_archive_whose_file_was_changed_is_found(tree, out, tmp_path):
    assert pack(tree, out) == 0
    data = bytearray(gzip.decompress(out.read_bytes()))
    at = data.index(b"how\n")
    data[at : at + 3] = b"why"
    out.write_bytes(gzip.compress(bytes(data)))
    assert api.submission.verify(out)["faults"] == [
        {"file": README, "message": "the content differs from what the manifest says"}
    ]


def test_a_signature_is_by_the_key_and_by_no_other(tree, out, keys):
    assert pack(tree, out, "--key", str(keys / "mine.key")) == 0
    for each in (out, tree):
        assert api.submission.verify(each, key=keys / "mine.pub")["signed"] is True
        assert api.submission.verify(each, key=keys / "theirs.pub")["signed"] is False
        assert api.submission.verify(each)["signed"] is None
    assert verify(out, "--key", str(keys / "theirs.pub")) == 1
    text = (tree / NAME).read_text()
    (tree / NAME).write_text(text.replace('"round": "v5.1"', '"round": "v6.1"'))
    assert verify(tree) == 0
    assert verify(tree, "--key", str(keys / "mine.pub")) == 1


def test_what_nobody_signed_does_not_pass_a_key(tree, out, keys):
    assert pack(tree, out) == 0
    assert verify(out) == 0
    assert verify(out, "--key", str(keys / "mine.pub")) == 1


# -- redacting -----------------------------------------------------------------------------


def test_a_redaction_is_on_record_and_all_signatures_hold(tree, out, keys, tmp_path):
    key, pub = ("--key", str(keys / "mine.key")), ("--key", str(keys / "mine.pub"))
    assert pack(tree, out, *key) == 0
    (tree / README).write_text("taken out\n")
    assert verify(tree, *pub) == 1
    assert redact(tree, README, *key) == 0
    assert redact(tree, "open/Acme/code", "--remove", *key) == 0
    assert not (tree / CODE).exists()
    assert verify(tree, *pub) == 0
    first, second = api.submission.verify(tree)["redactions"]
    assert (first["by"], first["why"]) == ("A. Cme", "names of customers")
    assert [(one["path"], bool(one["now"])) for one in (*first["files"], *second["files"])] == [
        (README, True),
        (CODE, False),
    ]
    # Handed on, with what is on record; what it is packed for has not changed, so neither does what it says.
    assert pack(tree, out, "--with-errors") == 0
    assert verify(out, *pub) == 0
    assert api.submission.verify(out)["redactions"] == api.submission.verify(tree)["redactions"]
    (tree / README).write_text("and more\n")
    assert pack(tree, out, "--with-errors") == 1


def test_sha256sum_still_reads_it(tree, out):
    assert pack(tree, out) == 0
    assert redact(tree, README, "--remove") == 0
    lines = [line for line in (tree / NAME).read_text().splitlines() if not line.startswith("#")]
    assert not [line for line in lines if line.endswith(README)]
    assert all((tree / line[66:]).is_file() for line in lines)


def test_a_record_of_somebody_else_is_none_of_the_key(tree, out, keys):
    assert pack(tree, out, "--key", str(keys / "mine.key")) == 0
    assert redact(tree, README, "--remove", "--key", str(keys / "theirs.key")) == 0
    assert verify(tree) == 0
    assert verify(tree, "--key", str(keys / "mine.pub")) == 1


def test_what_was_signed_first_is_still_checked_behind_a_redaction(tree, out, keys):
    """A line of another file that was changed together with the redaction does not pass."""
    assert pack(tree, out, "--key", str(keys / "mine.key")) == 0
    other = "open/Acme/systems/rack.json"
    write(tree / other, (tree / other).read_text() + " ")
    manifest = read_manifest((tree / NAME).read_bytes())
    forged = Manifest(
        packed=manifest.packed,
        files={**manifest.files, other: hash_file(tree, other)[0]},
        signatures=manifest.signatures,
    )
    (tree / NAME).write_text(text_of(forged))
    assert redact(tree, README, "--remove", "--key", str(keys / "mine.key")) == 0
    assert verify(tree) == 0
    assert verify(tree, "--key", str(keys / "mine.pub")) == 1


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        ((README,), "not-redacted"),
        (("open/Acme/none.md",), "not-in-manifest"),
        (("../tree",), "not-in-manifest"),
        ((README, "--why", " "), "no-reason"),
    ],
)
def test_a_redaction_that_cannot_be_meant_is_refused(tree, out, words, slug, capsys):
    assert pack(tree, out) == 0
    before = (tree / NAME).read_bytes()
    assert run(["submission", "redact", str(tree), "--by", "A", "--why", "w", *words]) == 2
    assert f"[{slug}]" in capsys.readouterr().err
    assert (tree / NAME).read_bytes() == before


def test_a_signed_manifest_wants_signed_redactions(tree, out, keys, capsys):
    assert pack(tree, out, "--key", str(keys / "mine.key")) == 0
    assert redact(tree, README, "--remove") == 2
    assert "[not-signed]" in capsys.readouterr().err
    assert (tree / README).exists()


def test_nothing_is_removed_through_a_link(tree, out, tmp_path, capsys):
    assert pack(tree, out) == 0
    outside = tmp_path / "outside"
    write(outside / "README.md", (tree / CODE).read_text())
    folder = (tree / CODE).parent
    (tree / CODE).unlink()
    folder.rmdir()
    folder.symlink_to(outside)
    assert redact(tree, CODE, "--remove") == 1
    assert (outside / "README.md").exists()


def test_a_tree_without_a_manifest_is_told(tree, capsys):
    assert verify(tree) == 1
    assert "[no-manifest]" in capsys.readouterr().err
    with pytest.raises(StepFailed):
        api.submission.redact(tree, [README], by="A", why="w")


# -- what anybody may have written ---------------------------------------------------------


@pytest.fixture(scope="module")
def text():
    """A manifest with a redaction, signed."""
    from orchestrator.images.attest.signatures import load_signer

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "key").write_bytes(generate("")[0])
        signer = load_signer(Path(folder) / "key", str)
    packed = Packed(version=1, mlorch="1", round="v5.1", divisions=("closed", "open"), errors={})
    whole = Manifest(packed=packed, files={README: "a" * 64, CODE: "b" * 64, "open/Acme/systems/rack.json": "c" * 64})
    redaction = Redaction(
        by="A", when="2026-11-29T08:00:00Z", why="w", files=(Redacted(path=README, was="a" * 64, now=""),)
    )
    return text_of(with_signature(with_signature(whole, signer).redacted(redaction), signer))


def test_a_manifest_is_read_as_it_is_written(text):
    assert text_of(read_manifest(text.encode())) == text
    assert text.count("# signature ") == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# A submission", "# a submission"),
        ('"version": 1', '"version": 2'),
        ('"version": 1', '"version": 1, "more": 1'),
        ("  open/Acme/systems/rack.json", "  ../../etc/passwd"),
        ("  open/Acme/systems/rack.json", "  /etc/passwd"),
        ("  open/Acme/systems/rack.json", "  open/Acme/systems/zack.json\n"),
        ("  open/Acme/systems/rack.json", "  a.json"),
        (f'"path": "{README}"', '"path": "open/Acme/systems/rack.json"'),
        (f'"path": "{README}"', '"path": "../x"'),
        ('"now": ""', '"now": "abc"'),
        ('"now": ""', '"now": null'),
        ("\n", "\r\n"),
    ],
)
def test_a_manifest_that_mlorch_did_not_write_is_refused(text, old, new):
    assert old in text
    with pytest.raises(BadManifest):
        read_manifest(text.replace(old, new).encode())


def test_a_hundred_thousand_redactions_take_no_time(tmp_path, keys):
    """Whoever looks at each state of all the files does not come to an end."""
    packed = Packed(version=1, mlorch="1", round="v5.1", divisions=("closed",), errors={})
    files = {f"closed/Acme/{number}": "a" * 64 for number in range(20_000)}
    redaction = Redaction(by="A", when="2026-11-29T08:00:00Z", why="w", files=())
    many = Manifest(packed=packed, files=files, redactions=(redaction,) * 20_000, signatures=("x",) * 20_001)
    write(tmp_path / NAME, text_of(many))
    began = time.process_time()
    found = api.submission.verify(tmp_path, key=keys / "mine.pub")
    assert not found["signed"]
    assert time.process_time() - began < 20, "it took minutes"


@pytest.mark.parametrize("data", [b"", b"\xff", b"\n", b"# packed {}\n", b"[" * 100_000])
def test_what_is_no_manifest_at_all_is_refused(tree, data, capsys):
    (tree / NAME).write_bytes(data)
    assert verify(tree) == 1
    assert "[bad-manifest]" in capsys.readouterr().err


def test_what_verify_would_refuse_is_not_packed():
    """More files than an archive may have, and a path that is too long."""
    fact = FileFact(1, 0, 0, 0)
    long = "x" * 1100
    tree = Tree(Folder("", folders={"open": Folder("open", files={long: fact})}))
    assert contents_of(tree, ["open"]).unfit == ((f"open/{long}", "has a path of 1,105 characters"),)
    many = Tree(
        Folder("", folders={"open": Folder("open", files={str(number): fact for number in range(MOST_MEMBERS)})})
    )
    ((path, why),) = contents_of(many, ["open"]).unfit
    assert (path, why) == ("", "has 200,000 files; 199,999 are the most that an archive may have")


def archive(path, *members: tuple[tarfile.TarInfo, bytes]):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for member, data in members:
            member.size = len(data) if data else member.size
            tar.addfile(member, io.BytesIO(data))
    path.write_bytes(out.getvalue())
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, **more) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for key, value in more.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize(
    ("bad", "slug"),
    [
        (member("../x"), "hostile-archive"),
        (member("/etc/x"), "hostile-archive"),
        (member("open/x", tarfile.SYMTYPE, linkname="/etc/passwd"), "hostile-archive"),
        (member("open/x", tarfile.LNKTYPE, linkname="/etc/passwd"), "hostile-archive"),
        (member("open/x", tarfile.CHRTYPE), "hostile-archive"),
        (member("open/x"), "bad-archive"),
    ],
)
def test_an_archive_that_could_do_harm_is_refused(tmp_path, bad, slug):
    with pytest.raises(StepFailed) as caught:
        api.submission.verify(archive(tmp_path / "x.tar.gz", (bad, b"")))
    assert caught.value.slug == slug


def test_an_archive_that_would_unpack_to_too_much_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(verifying, "MOST_BYTES", 1000)
    bomb = archive(tmp_path / "x.tar.gz", (member("open/x"), bytes(100_000)))
    with pytest.raises(StepFailed) as caught:
        api.submission.verify(bomb)
    assert caught.value.slug == "hostile-archive"


@pytest.mark.parametrize("keep", [0, 10, 0.3, 0.9])
def test_an_archive_that_is_cut_short_is_told(tree, out, keep):
    assert pack(tree, out) == 0
    data = out.read_bytes()
    out.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(StepFailed) as caught:
        api.submission.verify(out)
    assert caught.value.slug == "bad-archive"


def test_no_archive_and_a_pipe_are_told(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, slug in (("none.tar.gz", "no-archive"), ("pipe", "bad-archive")):
        with pytest.raises(StepFailed) as caught:
            api.submission.verify(tmp_path / name)
        assert caught.value.slug == slug


def test_the_interface_takes_the_options_of_the_command(tree, out):
    out.parent.mkdir()
    made = api.submission.pack(tree, out, round="v5.1", submitter="Acme")
    assert (made["files"], made["signed"], made["errors"]) == (
        len(read_manifest((tree / NAME).read_bytes()).files),
        False,
        {},
    )
    done = api.submission.redact(tree, [README], by="A", why="w", remove=True)
    assert done["files"][0]["now"] == ""
    with pytest.raises(TypeError):
        api.submission.pack(tree, out, round="v5.1", nothing=1)
