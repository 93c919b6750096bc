"""pydantic's English rewritten for someone who writes YAML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from orchestrator.definitions.kinds import assets, base, detection, external, program_files, rounds, targets, texts
from orchestrator.definitions.yaml.text import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIP = 80


def _pattern(alias: Any) -> str:
    """The regular expression of a constrained text such as `definitions.Name`."""
    return str(next(m.pattern for m in get_args(alias)[1:] if getattr(m, "pattern", None)))


PATTERNS: dict[str, tuple[str, str]] = {
    _pattern(base.Name): ("not a name", "lower-case letters and digits, joined by `-`, `_` or `.`"),
    _pattern(base.Sha256): ("not a SHA-256 sum", "64 hexadecimal digits in lower case"),
    _pattern(base.Digest): ("not an image digest", "`sha256:` and 64 hexadecimal digits in lower case"),
    _pattern(base.Platform): ("not a platform", "`linux/amd64` or `linux/arm64`"),
    _pattern(base.DebName): ("not the name of a Debian package", "lower-case letters, digits, `+`, `-` and `.`"),
    _pattern(base.Requirement): ("not a pinned Python package", "one package at one version: `name==1.2.3`"),
    _pattern(base.RelativePath): (
        "not a relative path",
        "letters, digits and `._/@+~-`; no `..` and no leading `/`",
    ),
    _pattern(base.AbsolutePath): ("not an absolute path", "a leading `/`, letters, digits and `._/@+-`; no `..`"),
    _pattern(base.EnvName): ("not the name of a variable", "letters, digits and `_`, not beginning with a digit"),
    _pattern(base.EnvValue): ("has a line break or control character", "one line of printable characters"),
    _pattern(base.Commit): ("not a commit", "40 hexadecimal digits in lower case"),
    _pattern(base.ImageName): (
        "not the name of an image",
        "such as `registry.example:5000/path/name:tag`, without a digest",
    ),
    _pattern(base.GitUrl): (
        "not the address of a repository",
        "https://, ssh:// or file:///, a path, and no credentials",
    ),
    _pattern(base.GitRef): ("not a ref of git", "a tag, a branch or a commit"),
    _pattern(base.Size): ("not a size", "a whole number and `k`, `m`, `g` or `t`: `64m`"),
    _pattern(assets.WebUrl): ("not the address of a file", "https:// or http://, a host, a path, and no credentials"),
    _pattern(assets.FilePath): (
        "not the name of a file of a source",
        "as the source lists it; no `..`, no leading `/` or `-`, no control characters",
    ),
    _pattern(assets.Md5): ("not an MD5 sum", "32 hexadecimal digits in lower case"),
    _pattern(assets.AssetName): ("not a model or dataset", "`model/NAME` or `dataset/NAME`"),
    _pattern(assets.HubRepo): ("not a repository of the Hugging Face hub", "`OWNER/NAME`"),
    _pattern(assets.MetadataUri): (
        "not the address of MLCommons' metadata",
        "the address that their R2 downloader takes, which ends with `.uri`",
    ),
    _pattern(targets.NodePattern): (
        "not a device node that can be passed",
        "below /dev, letters, digits and `_.-`, globs as `*` and `[0-9]` after its first character; never /dev/mem",
    ),
    _pattern(targets.CdiKind): ("not a CDI kind", "a vendor and a class, such as `nvidia.com/gpu`"),
    _pattern(targets.Library): ("not the name of a shared library", "such as `libcuda.so.1`; no folder"),
    _pattern(detection.HexId): ("not a PCI id", "four hexadecimal digits in lower case: `10de`"),
    _pattern(detection.PciClass): ("not a PCI class", "two, four or six hexadecimal digits: `03`, `0302`"),
    _pattern(detection.ModuleName): ("not the name of a kernel module", "letters, digits, `_` and `-`"),
    _pattern(detection.FactName): ("not the name of a fact", "lower-case letters, digits and `_`"),
    _pattern(detection.HostPath): (
        "not a file of the kernel or of its devices",
        "below /sys, /proc, /dev, /etc, /run or /var/run, without `..`; globs and `{facts}` may stand in it",
    ),
    _pattern(base.ChoiceName): ("not the name of a choice", "letters, digits and `._+-`"),
    _pattern(texts.Template): ("has a control character", "lines of text; `{names}` in braces are filled in"),
    _pattern(texts.ValueName): ("not the name of a value", "lower-case words joined by `.`, such as `model.file`"),
    _pattern(base.Identifier): ("not a name for a template", "lower-case letters, digits and `_`, no hyphen"),
    _pattern(program_files.FilePath): (
        "not the path of a file",
        "below /config, or beginning with `/`; letters, digits and `._/@+~-`, no `..`",
    ),
    _pattern(rounds.Word): ("not a name of MLPerf", "letters and digits, joined by `-`, `_` or `.`"),
    _pattern(rounds.Version): ("not a version", "numbers with points between them: `6.0.17`"),
    _pattern(rounds.Line): ("has a line break or control character", "one line of text"),
    _pattern(external.MetricName): ("not the name of a metric", "letters, digits and `_@.-`, beginning with a letter"),
    _pattern(targets.GroupName): (
        "not the name of a group",
        "as in /etc/group: lower-case letters, digits, `_` and `-`",
    ),
}

_SIMPLE: dict[str, tuple[str, str]] = {
    "int_parsing": ("is not a whole number", ""),
    "int_parsing_size": ("is not a whole number of a sensible size", ""),
    "int_type": ("is not a whole number", ""),
    "float_parsing": ("is not a number", ""),
    "float_type": ("is not a number", ""),
    "finite_number": ("is not a finite number", ""),
    "bool_parsing": ("is neither true nor false", "write `true` or `false`"),
    "bool_type": ("is neither true nor false", "write `true` or `false`"),
    "string_type": ("is not a text", ""),
    "tuple_type": ("is not a list", ""),
    "dict_type": ("is not a mapping", ""),
    "model_type": ("is not a mapping", ""),
    "model_attributes_type": ("is not a mapping", ""),
}
_BOUNDS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
_BOUND_WORDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def dotted(loc: tuple[str | int, ...]) -> str:
    """A location as people write it: ``sources[0].digests.linux/amd64``."""
    text = ""
    for item in loc:
        text += f"[{item}]" if isinstance(item, int) else f".{item[:CLIP]}" if text else item[:CLIP]
    return text


def quoted(value: str) -> str:
    """A value of the file within a sentence, clipped."""
    return f"`{value if len(value) <= CLIP else value[:CLIP] + '…'}`"


def complaint(kind: str, error: Mapping[str, Any], written: str | None) -> tuple[str, str]:
    """What is wrong with a value and what to do, from pydantic's error.

    ``written`` is the scalar's text; None for a list, a mapping or a plain null.
    """
    context: Mapping[str, Any] = error.get("ctx") or {}
    shown = quoted(written) if written is not None else _what(error.get("input"))
    if error.get("input") is None and kind in _SIMPLE:
        return _empty(kind)
    if kind in _SIMPLE:
        message, hint = _SIMPLE[kind]
        if kind == "tuple_type" and written is not None:
            hint = f"write `[{written[:CLIP]}]`"
        return f"{shown} {message}", hint
    if kind == "literal_error":
        return _literal(shown, written, str(context.get("expected", "")))
    if kind == "string_pattern_mismatch":
        return _mismatch(shown, str(context.get("pattern")))
    return _limit(kind, shown, context) or _other(error)


def _mismatch(shown: str, pattern: str) -> tuple[str, str]:
    message, hint = PATTERNS.get(pattern, ("", ""))
    if message:
        return f"{shown} {'' if message.startswith('has') else 'is '}{message}", hint
    return f"{shown} has characters that cannot stand here", f"allowed is {_readable(pattern)}"


def _empty(kind: str) -> tuple[str, str]:
    if kind == "string_type":
        return "there is no value", 'write the value, or `""` for an empty text'
    if kind == "tuple_type":
        return "there is no value", "write `[]` for an empty list, or leave the key out"
    return "there is no value", "write a value, or leave the key out"


def _literal(shown: str, written: str | None, expected: str) -> tuple[str, str]:
    allowed = re.findall(r"'([^']*)'", expected)
    hint = f"write `{allowed[0]}`" if len(allowed) == 1 else suggestion(written or "", allowed, "one of")
    return f"{shown} is not possible here", hint


def _limit(kind: str, shown: str, context: Mapping[str, Any]) -> tuple[str, str] | None:
    if kind in _BOUNDS:
        name = _BOUNDS[kind]
        return f"{shown} is out of range", f"{_BOUND_WORDS[name]} {context.get(name)}"
    if kind == "string_too_short":
        least = context.get("min_length", 1)
        return ("the text is empty" if shown == "``" else f"{shown} is too short"), f"at least {least} characters"
    if kind == "string_too_long":
        return f"{shown} is too long", f"at most {context.get('max_length')} characters"
    if kind == "too_short":
        least = context.get("min_length", 1)
        return "too few entries", f"at least {least}"
    return None


def _other(error: Mapping[str, Any]) -> tuple[str, str]:
    message = str(error.get("msg", "this value does not fit")).removeprefix("Value error, ")
    return message[:1].lower() + message[1:], ""


def _what(value: object) -> str:
    return {dict: "a mapping", list: "a list", type(None): "an empty value"}.get(type(value), "this value")


def _readable(pattern: str) -> str:
    return f"`{pattern.removesuffix(chr(92) + 'Z')}$`" if pattern.endswith("\\Z") else f"`{pattern}`"
