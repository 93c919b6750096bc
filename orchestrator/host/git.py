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
import tempfile
from pathlib import Path

from orchestrator.errors import AssetError, UsageError
from orchestrator.host.command import NOT_FOUND, TIMED_OUT, run_program
from orchestrator.host.files import atomic_write_text, sha256_file
from orchestrator.host.folders import cache_home

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
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:ssh:file", "GIT_LFS_SKIP_SMUDGE": "1"}


def commit_of(url: str, ref: str) -> str:
    """The commit that a ref names now; a commit names itself, without the network.

    Raises `UsageError` [unknown-ref] where the repository has no such ref and
    `AssetError` [git] where it cannot be asked.
    """
    if _COMMIT.fullmatch(ref):
        return ref
    names = (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}")
    answer = _git("ls-remote", "--", url, *names)
    found = {name: commit for commit, _, name in (line.partition("\t") for line in answer.splitlines())}
    for name in names:
        if name in found and _COMMIT.fullmatch(found[name]):
            return found[name]
    raise UsageError(
        f"the repository {url} has no tag or branch `{ref}`",
        hint="give a tag, a branch or a whole commit id (40 digits)",
        slug="unknown-ref",
    )


def fetch(url: str, ref: str, cache: Path | None = None) -> Path:
    """The folder with the files of a ref's commit, read-only by agreement.

    Fetched once a commit; concurrent fetches do not meet. Raises as `commit_of`, and `AssetError`
    [source-changed] where somebody has edited the files since: they are not the commit's any more.
    """
    tree = _cached(url, commit_of(url, ref), cache or cache_home())
    if _note_of(tree).read_text(encoding="ascii") != _tree_sha256(tree):
        raise AssetError(
            f"{tree}: the files that were fetched from {url} have been edited",
            hint="move your edits to a folder of your own and name it with --recipes; delete this one to fetch it anew",
            slug="source-changed",
        )
    return tree


def _cached(url: str, commit: str, cache: Path) -> Path:
    """The folder with the files of a commit, fetched where there is none, or none whose hash was noted."""
    home = cache / "recipes" / hashlib.sha256(url.encode()).hexdigest()[:16]
    kept = home / commit
    if kept.is_dir() and _note_of(kept).is_file():
        return kept
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=home) as scratch:
        tree = Path(scratch) / "tree"
        _git("init", "--quiet", "--template=", str(tree))
        options = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
        _git("-C", str(tree), "fetch", *options, "--", url, commit)
        if _git("-C", str(tree), "rev-parse", "FETCH_HEAD").strip() != commit:
            raise AssetError(f"{url} gave another commit than {commit}", slug="git")
        _git("-C", str(tree), "checkout", "--quiet", "--detach", commit)
        shutil.rmtree(tree / ".git")
        if kept.is_dir() and not _note_of(kept).is_file():
            kept.rename(Path(scratch) / "unknown")
        atomic_write_text(_note_of(kept), _tree_sha256(tree), overwrite=True)
        try:
            tree.rename(kept)
        except OSError:
            if not kept.is_dir():  # else another process was faster, with the same files
                raise
    return kept


def export(url: str, commit: str, out: Path) -> None:
    """The files of a commit at ``out`` (not there yet), with modes that no umask has touched; raises as `fetch`.

    Where files in the cache are not those that were fetched any more, the tree is fetched anew.
    """
    if not _copied_unchanged(url, commit, out) and not _copied_unchanged(url, commit, out):
        raise AssetError(
            f"the files of {url} at {commit} change while they are copied",
            hint=f"leave {cache_home()} alone and run it again",
            slug="source-changed",
        )
    for path in (out, *out.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _copied_unchanged(url: str, commit: str, out: Path) -> bool:
    """Copy the cached tree; one that is not what was fetched is dropped from the cache, and nothing is copied."""
    cached = _cached(url, commit, cache_home())
    shutil.copytree(cached, out, symlinks=True)
    if _note_of(cached).read_text(encoding="ascii") == _tree_sha256(out):
        return True
    shutil.rmtree(out)
    with tempfile.TemporaryDirectory(prefix=".changed-", dir=cached.parent) as scratch:
        cached.rename(Path(scratch) / "tree")
    return False


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


def _git(*arguments: str) -> str:
    command = ["git", *(word for setting in _SAFE for word in ("-c", setting)), *arguments]
    # Nothing that would point git at another repository.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k == "GIT_SSL_CAINFO"}
    done = run_program(command, env=_ENVIRONMENT, inherited=kept, timeout_s=TIMEOUT_S)
    if done.code == NOT_FOUND:
        raise AssetError("git is not installed", slug="git", hint="install git, or give a folder of recipes")
    if done.code == TIMED_OUT:
        raise AssetError(f"git did not answer within {TIMEOUT_S} s", slug="git", hint="check the network")
    if done.code != 0:
        last = done.tail(1) or f"exit status {done.code}"
        message = f"git {arguments[2] if arguments[0] == '-C' else arguments[0]}: {last.removeprefix('fatal: ')}"
        raise AssetError(message, slug="git", hint="check the address and your access", detail=done.stderr[-2000:])
    return done.stdout
