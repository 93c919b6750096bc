"""Recipes from git repositories: the tree of one commit, kept in the cache, nothing of it run.

A branch or tag is resolved to its commit first, and only commits are fetched and
kept, so what a record names can be fetched again. No submodules, no hooks, no
history, no transport but https, ssh and file.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import AssetError, UsageError
from orchestrator.host.files import atomic_write_text, sha256_file
from orchestrator.host.folders import cache_home

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S = 300
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SAFE = (
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.ssh.allow=always",
    "protocol.file.allow=always",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    "init.defaultBranch=main",
)


def commit_of(url: str, ref: str) -> str:
    """The commit that a ref names now; a commit names itself, without the network.

    Raises `UsageError` [unknown-ref] where the repository has no such ref and
    `AssetError` [git] where it cannot be asked.
    """
    if _COMMIT.fullmatch(ref):
        return ref
    answer = _git(["ls-remote", "--", url, f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}"])
    found = {name: commit for commit, _, name in (line.partition("\t") for line in answer.splitlines())}
    for name in (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}"):
        if name in found and _COMMIT.fullmatch(found[name]):
            return found[name]
    raise UsageError(
        f"the repository {url} has no tag or branch `{ref}`",
        hint="give a tag, a branch or a whole commit id (40 digits)",
        slug="unknown-ref",
    )


def fetch(url: str, ref: str, cache: Path | None = None) -> Path:
    """The folder with the files of a ref's commit, read-only by agreement.

    Fetched once a commit; concurrent fetches do not meet. Raises as `commit_of`.
    """
    commit = commit_of(url, ref)
    home = (cache or cache_home()) / "recipes" / hashlib.sha256(url.encode()).hexdigest()[:16]
    place = home / commit
    if place.is_dir():
        return place
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=home) as scratch:
        tree = Path(scratch) / "tree"
        _git(["init", "--quiet", "--template=", str(tree)])
        _git(
            [
                "-C",
                str(tree),
                "fetch",
                "--quiet",
                "--depth=1",
                "--no-tags",
                "--no-recurse-submodules",
                "--",
                url,
                commit,
            ]
        )
        if _git(["-C", str(tree), "rev-parse", "FETCH_HEAD"]).strip() != commit:
            raise AssetError(f"{url} gave another commit than {commit}", slug="git")
        _git(["-C", str(tree), "checkout", "--quiet", "--detach", commit])
        shutil.rmtree(tree / ".git")
        atomic_write_text(_note_of(place), _tree_sha256(tree), overwrite=True)
        try:
            tree.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was faster, with the same files
                raise
    return place


def export(url: str, commit: str, out: Path) -> None:
    """The files of a commit at ``out`` (not there yet), with modes that no umask has touched; raises as `fetch`.

    Where files in the cache are not those that were fetched any more, the tree is fetched anew.
    """
    kept = fetch(url, commit)
    for _ in range(2):
        shutil.copytree(kept, out, symlinks=True)
        noted = _note_of(kept)
        if noted.is_file() and noted.read_text(encoding="ascii") == _tree_sha256(out):
            break
        shutil.rmtree(out)
        with tempfile.TemporaryDirectory(prefix=".changed-", dir=kept.parent) as scratch:
            kept.rename(Path(scratch) / "tree")
        kept = fetch(url, commit)
    else:
        raise AssetError(
            f"the files of {url} at {commit} change while they are copied",
            hint=f"leave {kept.parent} alone and run it again",
            slug="source-changed",
        )
    for path in (out, *out.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _note_of(kept: Path) -> Path:
    """Where the hash of a kept tree is noted: beside it."""
    return kept.with_name(f"{kept.name}.sha256")


def _tree_sha256(folder: Path) -> str:
    """A hash of the files below a folder: names, bytes, executable bits, where links lead."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            facts = f"link {os.readlink(path)}"  # noqa: PTH115 (a text that need not be a path)
        elif path.is_dir():
            continue
        else:
            facts = f"{bool(path.stat().st_mode & 0o100)} {sha256_file(path)}"
        digest.update(f"{path.relative_to(folder)}\0{facts}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _git(arguments: Sequence[str]) -> str:
    command = ["git", *(word for setting in _SAFE for word in ("-c", setting)), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 (a list of words; addresses and refs were checked by `settings`)
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise AssetError("git is not installed", slug="git", hint="install git, or give a folder of recipes") from None
    except subprocess.TimeoutExpired:
        raise AssetError(f"git did not answer within {TIMEOUT_S} s", slug="git", hint="check the network") from None
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        message = f"git {arguments[2] if arguments[0] == '-C' else arguments[0]}: {last[0].removeprefix('fatal: ')}"
        raise AssetError(message, slug="git", hint="check the address and your access", detail=done.stderr[-2000:])
    return done.stdout


def _environment() -> dict[str, str]:
    """The caller's, without what would point git at another repository, and without prompts."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name == "GIT_SSL_CAINFO"
    }
    return {
        **kept,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "https:ssh:file",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C",
    }
