"""Rules about the order of steps and about machines with accelerators. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.lint.bases import PIN_NAME
from orchestrator.lint.shell import reads
from orchestrator.lint.view import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.lint.dockerfile import Instruction
    from orchestrator.lint.shell import Command, Word
    from orchestrator.lint.view import File, Pair, Script, View

_PACKAGES = frozenset({"apt", "apt-get", "dnf", "yum", "microdnf", "zypper", "apk", "conda", "mamba"})
_LONG = frozenset({*_PACKAGES, "make", "cmake", "ninja", "cargo", "bazel", "bazelisk", "meson", "rustup"})
_LONG_WORDS = frozenset({"install", "build", "create", "upgrade", "-j", "--build", "all"})
_TOOLS = frozenset(
    [
        "nvidia-smi",
        "rocminfo",
        "rocm-smi",
        "amd-smi",
        "rocm_agent_enumerator",
        "hl-smi",
        "xpu-smi",
        "clinfo",
        "neuron-ls",
        "neuron-top",
        "tpu-info",
        "qaic-util",
        "vainfo",
        "nvidia-ctk",
        "deviceQuery",
    ]
)
_ASKS = re.compile(r"torch\.cuda\.(?:is_available|get_device|device_count|current_device)|torch\.xpu\.|jax\.devices")
_HASH = re.compile(r"[0-9a-f]{7,64}|v?[0-9]+(?:\.[0-9]+)+\S*")


def copies(file: File) -> Iterator[Finding]:
    """Whole source folders that are copied above a long step which does not read them."""
    for view in file.views:
        for one in view.body:
            broad = _broad_source(one)
            if broad is None:
                continue
            below = [script for script in view.scripts if script.run.line > one.line]
            long = next((script for script in below if any(_takes_long(each) for each in script.commands)), None)
            if long is not None:
                message = f"`{broad.text}` is copied above the long step of line {long.run.line}"
                yield Finding(rule="copy-before-build", span=one.span(broad.offset, len(broad.text)), message=message)


def _broad_source(one: Instruction) -> Word | None:
    """The first source of a copy from the context that is a whole folder."""
    if one.keyword not in {"COPY", "ADD"} or one.flag("from") is not None:
        return None
    return next((word for word in one.words()[:-1] if _is_folder(word.text)), None)


def _is_folder(text: str) -> bool:
    """Whether a source is everything, a folder by its look, or a glob."""
    name = text.rstrip("/").rpartition("/")[2]
    return text in {".", "./", "*", "./*"} or text.endswith("/") or ("." not in name and not text.startswith("$"))


def _takes_long(command: Command) -> bool:
    """Packages, clones and compilers, unless what was copied is what they work on."""
    name = command.name
    if name == "git":
        return command.has("clone")
    if name in {"pip", "pip3", "uv"} or (name.startswith("python") and command.has("pip")):
        return command.has("install") and not any(_is_own_code(word.text) for word in command.arguments)
    if name in {"make", "ninja"}:
        return True
    return name in _LONG and any(word.text in _LONG_WORDS for word in command.arguments)


def _is_own_code(text: str) -> bool:
    """Whether an argument of pip is a list of requirements, or a folder that was copied."""
    return text in {"-r", "-e", "--requirement", "--editable", "."} or text.startswith(("./", "/"))


def pins(file: File) -> Iterator[Finding]:
    """ENV and ARG with a version or hash that stand above an installation of packages which does not read them."""
    for view in file.views:
        for pair in view.pairs:
            if not (PIN_NAME.search(pair.name) and _is_pin(view, pair)):
                continue
            step = next((s for s in view.scripts if s.run.line > pair.instruction.line and _installs(s)), None)
            if step is None or _used_until(view, pair.name, step):
                continue
            message = f"`{pair.name}` stands above the packages of line {step.run.line}, which do not read it"
            yield Finding(rule="pin-before-packages", span=pair.span, message=message)


def _is_pin(view: View, pair: Pair) -> bool:
    value = pair.value if pair.value is not None else view.args.get(pair.name) or ""
    return pair.value is None or _HASH.fullmatch(value) is not None


def _installs(script: Script) -> bool:
    return any(c.name in _PACKAGES and c.has("install", "add", "create") for c in script.commands)


def _used_until(view: View, name: str, step: Script) -> bool:
    """Whether a variable is read by the step itself or between its declaration and it."""
    above = [one for one in view.body if one.line <= step.run.line]
    return any(reads(text, name) for one in above for text in (one.text, *(here.text for here in one.here)))


def accelerators(file: File) -> Iterator[Finding]:
    """Tools that ask an accelerator while the image is built."""
    for script in file.scripts:
        for command in script.commands:
            if command.name in _TOOLS and not _only_copies(command):
                message = f"`{command.name}` asks the machine that builds"
                yield Finding(rule="gpu-at-build", span=script.span(command.program[0]), message=message)
        if found := _ASKS.search(script.text):
            message = f"`{found[0]}` asks the machine that builds"
            yield Finding(rule="gpu-at-build", span=script.run.span(), message=message)


def _only_copies(command: Command) -> bool:
    """``command -v rocminfo`` asks for the program, not the device."""
    return command.has("--version", "--help") or any(word.text in {"-v", "which"} for word in command.words[:2])
