"""Recipes from git repositories: the tree of one commit, kept in the cache, nothing of it run.

A branch or tag is resolved to its commit first, and only commits are fetched and
kept, so what a record names can be fetched again. No submodules, no hooks, no
history, no transport but https, ssh and file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestrator.errors import AssetError, UsageError
from orchestrator.facts.redact import redacted_text
from orchestrator.host.command import NOT_FOUND, TIMED_OUT, run_program
from orchestrator.host.files import atomic_write_text, sha256_file
from orchestrator.host.folders import cache_home
from orchestrator.host.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NO_MIRRORS: Mapping[str, str] = MappingProxyType({})


class GitMirrors(dict[str, str]):
    """Beginnings of addresses, what stands for each here, and who said so: a place in a file, or a variable."""

    source = ""


TIMEOUT_S = 300
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHA256_DIGITS = 64
_SAFE = (
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.ssh.allow=always",
    "protocol.file.allow=always",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    "init.defaultBranch=main",
    "core.autocrlf=false",
    "core.eol=lf",
    "core.attributesFile=/dev/null",
    "core.symlinks=true",
)
_ENVIRONMENT = {
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "https:ssh:file",
    "GIT_LFS_SKIP_SMUDGE": "1",
}
_NO_CONFIG = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "0",
    "GIT_CONFIG_PARAMETERS": "",
    "GIT_ATTR_NOSYSTEM": "1",
    "HOME": "/nonexistent",  # before git 2.32 there is no GIT_CONFIG_GLOBAL
    "XDG_CONFIG_HOME": "/nonexistent",
}
"""For what becomes files: line ends, filters and attributes of the host's or the caller's config would change bytes."""
_ELSEWHERE = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_ATTR_SOURCE", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_DEFAULT_HASH",
        "GIT_DIR", "GIT_EXEC_PATH", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_QUARANTINE_PATH", "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE", "GIT_TEMPLATE_DIR", "GIT_WORK_TREE",
    }
)  # fmt: skip
"""Variables that point git at another repository, or change how one is read (`git rev-parse --local-env-vars`)."""


def mirrored(url: str, mirrors: Mapping[str, str]) -> str:
    """Where this site fetches ``url`` from: the longest prefix of ``mirrors`` is replaced. Records keep ``url``."""
    prefix = max((known for known in mirrors if url.startswith(known)), key=len, default="")
    return mirrors[prefix] + url.removeprefix(prefix) if prefix else url


@contextlib.contextmanager
def _naming_the_mirror(url: str, mirrors: Mapping[str, str]) -> Iterator[None]:
    """Where a mirror is asked, its errors say which one, and who named it."""
    source = mirrored(url, mirrors)
    try:
        yield
    except AssetError as error:
        if source == url:
            raise
        who = getattr(mirrors, "source", "") or "`mirrors: git:` of mlorch.yaml, or MLORCH_GIT_MIRRORS,"
        hint = f"{who} says that {url} is fetched from {source}: put the repository there, or change that line"
        raise AssetError(error.message, slug=error.slug, hint=redacted_text(hint), detail=error.detail) from None


def commit_of(url: str, ref: str, mirrors: Mapping[str, str] = NO_MIRRORS) -> str:
    """The commit that a ref names now; a commit names itself, without the network.

    Raises `UsageError` [unknown-ref] where the repository has no such ref and
    `AssetError` [git] where it cannot be asked.
    """
    if _COMMIT.fullmatch(ref):
        return ref
    names = (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}")
    with _naming_the_mirror(url, mirrors):
        answer = _git("ls-remote", "--", _address(mirrored(url, mirrors)), *names)
    found = {name: commit for commit, _, name in (line.partition("\t") for line in answer.splitlines())}
    for name in names:
        if name in found and _COMMIT.fullmatch(found[name]):
            return found[name]
    raise UsageError(
        f"the repository {redacted_text(url)} has no tag or branch `{ref}`",
        hint="give a tag, a branch or a whole commit id (40 digits)",
        slug="unknown-ref",
    )


def fetch(url: str, ref: str, cache: Path | None = None, *, mirrors: Mapping[str, str] = NO_MIRRORS) -> Path:
    """The folder with the files of a ref's commit, read-only by agreement.

    Fetched once a commit; concurrent fetches do not meet. Raises as `commit_of`, and `AssetError`
    [source-changed] where somebody has edited the files since: they are not the commit's any more.
    """
    tree = _cached(_Wanted(url, commit_of(url, ref, mirrors)), cache or cache_home(), mirrors)
    if _note_of(tree).read_text(encoding="ascii") != _tree_sha256(tree):
        raise AssetError(
            f"{tree}: the files that were fetched from {redacted_text(url)} have been edited",
            hint="move your edits to a folder of your own and name it with --recipes; delete this one to fetch it anew",
            slug="source-changed",
        )
    return tree


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The files of a commit, or those below some of its paths."""

    url: str
    commit: str
    paths: tuple[str, ...] = ()

    def folder(self, cache: Path) -> Path:
        home = cache / "recipes" / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        if not self.paths:
            return home / self.commit
        return home / f"{self.commit}-{hashlib.sha256(' '.join(self.paths).encode()).hexdigest()[:12]}"


def _cached(wanted: _Wanted, cache: Path, mirrors: Mapping[str, str]) -> Path:
    """The folder with the files of a commit, fetched where there is none, or none whose hash was noted."""
    kept = wanted.folder(cache)
    if kept.is_dir() and _note_of(kept).is_file():
        return kept
    with scratch_folder(kept.parent, ".fetch-") as scratch:
        tree = scratch / "tree"
        source = mirrored(wanted.url, mirrors)
        with _naming_the_mirror(wanted.url, mirrors):
            if source.startswith("/"):
                _from_folder(Path(_address(source)), wanted, tree)
            else:
                _from_remote(source, wanted, tree)
        if kept.is_dir() and not _note_of(kept).is_file():
            kept.rename(scratch / "unknown")
        atomic_write_text(_note_of(kept), _tree_sha256(tree), overwrite=True)
        try:
            tree.rename(kept)
        except OSError:
            if not kept.is_dir():  # else another process was faster, with the same files
                raise
    return kept


def _from_remote(url: str, wanted: _Wanted, tree: Path) -> None:
    """Fetch one commit; where only some paths are wanted, without the bytes of the others if the server can do that."""
    _git("init", "--quiet", "--template=", str(tree))
    options = ["--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"]
    if wanted.paths:
        options.append("--filter=blob:none")
    _git("-C", str(tree), "remote", "add", "origin", url)
    _git("-C", str(tree), "fetch", *options, "origin", wanted.commit)
    if _git("-C", str(tree), "rev-parse", "FETCH_HEAD").strip() != wanted.commit:
        raise AssetError(f"{redacted_text(url)} gave another commit than {wanted.commit}", slug="git")
    if wanted.paths:
        # Here the missing bytes are fetched, which may take the caller's access; the files are those of `_write_files`.
        _git("-C", str(tree), "checkout", "--quiet", "FETCH_HEAD", "--", *wanted.paths)
    _write_files(tree / ".git", wanted, tree)
    shutil.rmtree(tree / ".git")


def _write_files(repository: Path, wanted: _Wanted, tree: Path, env: Mapping[str, str] = NO_MIRRORS) -> None:
    """Write the files of a commit, or those below its paths, as every machine would: no config of the host counts."""
    at = (f"--git-dir={repository}", f"--work-tree={tree}")
    for path in tree.iterdir():
        if path != repository:
            _remove(path)
    (repository / "index").unlink(missing_ok=True)
    kept = {**_NO_CONFIG, **env}
    _git(*at, "read-tree", wanted.commit, env=kept)
    _git(*at, "checkout", "--quiet", wanted.commit, "--", *(wanted.paths or (".",)), env=kept)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _from_folder(repository: Path, wanted: _Wanted, tree: Path) -> None:
    """Take the files out of a repository on this machine, whose history may lack what is not wanted.

    Beside ``tree``, which lies in a folder of this process's own, a git folder is made for that.
    """
    if not repository.is_dir():
        raise AssetError(
            f"the mirror {repository} of {redacted_text(wanted.url)} is not there",
            slug="git",
        )
    tree.mkdir()
    git_folder = repository / ".git" if (repository / ".git").is_dir() else repository
    # A git folder of our own that only borrows the objects: the repository's config may name programs (filters, an
    # upload-pack to fetch what is not there), and nothing is written into somebody's repository.
    borrower = tree.with_name("borrower")
    objects = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": _one_of_a_list(str(git_folder / "objects"))}
    form = "sha256" if len(wanted.commit) == _SHA256_DIGITS else "sha1"
    _git("init", "--quiet", "--template=", f"--object-format={form}", str(borrower))
    at = (f"--git-dir={borrower}/.git", f"--work-tree={tree}")
    _git(*at, "cat-file", "-e", f"{wanted.commit}^{{commit}}", env=objects)
    _git(*at, "read-tree", wanted.commit, env=objects)
    if not _git(*at, "ls-files", "-z", "--", *(wanted.paths or (".",)), env=objects):
        raise AssetError(
            f"{redacted_text(wanted.url)} has nothing at {', '.join(wanted.paths)} in {wanted.commit[:12]}",
            slug="git",
        )
    _write_files(borrower / ".git", wanted, tree, objects)


def _one_of_a_list(path: str) -> str:
    """A path as it stands in a list that colons separate: git reads C's quotes there."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _address(source: str) -> str:
    """A folder may be named without the ``.git`` that a bare repository has."""
    if source.startswith("/") and not Path(source).is_dir() and Path(f"{source}.git").is_dir():
        return f"{source}.git"
    return source


def export(
    url: str, commit: str, out: Path, *, paths: tuple[str, ...] = (), mirrors: Mapping[str, str] = NO_MIRRORS
) -> None:
    """The files of a commit (those below ``paths``) at ``out``, which is not there yet; raises as `fetch`.

    Their modes are as no umask has touched them. Where files in the cache are not those that were fetched any
    more, the tree is fetched anew.
    """
    wanted = _Wanted(url, commit, paths)
    if not _copied_unchanged(wanted, out, mirrors) and not _copied_unchanged(wanted, out, mirrors):
        raise AssetError(
            f"the files of {redacted_text(url)} at {commit} change while they are copied",
            hint=f"leave {cache_home()} alone and run it again",
            slug="source-changed",
        )
    for path in (out, *out.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _copied_unchanged(wanted: _Wanted, out: Path, mirrors: Mapping[str, str]) -> bool:
    """Copy the cached tree; one that is not what was fetched is dropped from the cache, and nothing is copied."""
    cached = _cached(wanted, cache_home(), mirrors)
    shutil.copytree(cached, out, symlinks=True)
    if _note_of(cached).read_text(encoding="ascii") == _tree_sha256(out):
        return True
    shutil.rmtree(out)
    with scratch_folder(cached.parent, ".fetch-") as scratch:
        cached.rename(scratch / "tree")
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


def _git(*arguments: str, env: Mapping[str, str] = NO_MIRRORS) -> str:
    command = ["git", *(word for setting in _SAFE for word in ("-c", setting)), *arguments]
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    done = run_program(command, env={**_ENVIRONMENT, **env}, inherited=kept, timeout_s=TIMEOUT_S)
    if done.code == NOT_FOUND:
        raise AssetError("git is not installed", slug="git", hint="install git, or give a folder of recipes")
    if done.code == TIMED_OUT:
        raise AssetError(f"git did not answer within {TIMEOUT_S} s", slug="git", hint="check the network")
    if done.code != 0:
        # git's last line is often advice ("and the repository exists."): its first `fatal:` says what was wrong.
        fatal = next((line for line in done.stderr.splitlines() if line.startswith("fatal: ")), "")
        last = fatal or done.tail(1) or f"exit status {done.code}"
        verb = next(word for word in arguments if not word.startswith(("-", "/")))
        message = redacted_text(f"git {verb}: {last.removeprefix('fatal: ')}")
        detail = redacted_text(done.stderr)[-2000:]
        raise AssetError(message, slug="git", hint="check the address and your access", detail=detail)
    return done.stdout
