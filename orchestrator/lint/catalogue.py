"""The rules by name: how grave, why it is wrong, and what to do instead. Data; `docs/lint.md` is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; an error makes `mlorch recipes lint` fail."""

    level: Level
    why: str
    do: str


RULES: dict[str, Rule] = {
    # -- what an image stands on
    "dockerfile-syntax": Rule(
        level="error", why="the builder would stop here", do="see the reference of the Dockerfile format"
    ),
    "from-no-digest": Rule(
        level="error",
        why="a tag names another image tomorrow, so nobody can say what was measured",
        do="write IMAGE@sha256:… (`mlorch images lock` looks digests up)",
    ),
    "from-moving-tag": Rule(
        level="error",
        why="such a tag is meant to move, and expires: the same file builds something else, or nothing, next month",
        do="write the tag of a release, and its digest: IMAGE:TAG@sha256:…",
    ),
    "from-unset-arg": Rule(
        level="error",
        why="the base is decided by whoever calls the build and stands in no file",
        do="give the ARG a default with a digest",
    ),
    "from-own-tag": Rule(
        level="error",
        why="each build stands on the one before: layers pile up, and `useradd` fails the second time",
        do="give the result another tag than its base",
    ),
    # -- pins
    "git-moving": Rule(
        level="error",
        why="a branch, a tag or the default branch is another commit tomorrow",
        do="check a commit out after the clone: `git checkout <40 digits>`",
    ),
    "pin-unset": Rule(
        level="error",
        why="an empty value pins nothing: the command takes the default branch or the newest version",
        do="set the variable in an ARG or ENV above, with this very name",
    ),
    "pin-unused": Rule(
        level="error",
        why="it looks as if a version were pinned, and nothing below reads it",
        do="use it where the version is chosen, or remove it",
    ),
    "apt-unpinned": Rule(
        level="warning",
        why="another version comes as soon as the archive has one",
        do="write NAME=VERSION, or take packages from a snapshot (`mlorch images lock` pins exact ones)",
    ),
    "pip-unpinned": Rule(
        level="warning",
        why="another version comes as soon as the index has one",
        do="write NAME==VERSION, best with --require-hashes",
    ),
    "python-version": Rule(
        level="error", why="there is no such Python, so this cannot build", do="write it with its dot: python=3.10"
    ),
    "download-unchecked": Rule(
        level="warning",
        why="whoever serves the address decides what is in the image",
        do="compare with a known hash: ADD --checksum=sha256:… or `sha256sum -c`",
    ),
    "pipe-to-shell": Rule(
        level="error",
        why="what a server sends is run as root, unseen and unpinned; a broken transfer runs half of it",
        do="download it, compare its hash, then run it; better: install a pinned package",
    ),
    # -- secrets and rights
    "secret-in-env": Rule(
        level="error",
        why="the value stays in the image's configuration and history for everybody who pulls it",
        do="mount it for the one step that needs it: RUN --mount=type=secret,id=…",
    ),
    "secret-in-run": Rule(
        level="error",
        why="the command stands in the image's history for everybody who pulls it; consider the secret known",
        do="revoke it, then mount one: RUN --mount=type=secret,id=…",
    ),
    "key-copied": Rule(
        level="error",
        why="a private key in a layer stays there even when a later one deletes it",
        do="use RUN --mount=type=ssh or --mount=type=secret; revoke the key if the image was published",
    ),
    "docker-socket": Rule(
        level="error",
        why="who may write to the engine's socket is root on the host",
        do="run the step that needs an engine in a container of its own, started from outside",
    ),
    "sudo-nopasswd": Rule(
        level="error",
        why="every process of the container is root whenever it likes",
        do="do as root what needs root while building; run as a plain user (`--user`)",
    ),
    "password-set": Rule(
        level="error",
        why="everybody who pulls the image knows the password",
        do="leave accounts without one; nobody logs in to a container",
    ),
    "user-root": Rule(
        level="warning",
        why="results belong to root, and a way out of the container is root on the host",
        do="end with USER UID:GID, or start it with --user",
    ),
    "user-per-image": Rule(
        level="warning",
        why="an image a person is built, kept and measured for what `--user` gives for nothing",
        do="start the one image with --user UID:GID and --group-add",
    ),
    "world-writable": Rule(
        level="warning",
        why="every user of the container can change what is run and measured",
        do="give the files to the user that needs them: COPY --chown, chown",
    ),
    # -- order and size
    "copy-before-build": Rule(
        level="warning",
        why="every edit of a source runs the long steps below again",
        do="put it below them, and above them only the files that they read",
    ),
    "pin-before-packages": Rule(
        level="warning",
        why="a new value runs the installation of packages below again, which does not use it",
        do="declare it right above its first use",
    ),
    "apt-lists-kept": Rule(
        level="warning",
        why="package lists of that day stay in the layer: tens of megabytes nobody uses",
        do="end the step with `rm -rf /var/lib/apt/lists/*`, or mount a cache over it",
    ),
    "gpu-at-build": Rule(
        level="error",
        why="a build machine needs no accelerator, and the answer of one decides what others get",
        do="make the architecture an ARG, e.g. the compute capability",
    ),
    # -- exceptions
    "allow-unknown": Rule(level="error", why="it accepts nothing", do="name a rule of `docs/lint.md`"),
    "allow-no-reason": Rule(
        level="error",
        why="who reads it later has to know why it is right here",
        do="# mlorch lint: allow RULE because …",
    ),
    "allow-unused": Rule(
        level="warning", why="the instruction below does not break the rule any more", do="remove the comment"
    ),
}
"""In the order in which docs/lint.md shows them."""
