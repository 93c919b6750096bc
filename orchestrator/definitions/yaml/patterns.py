"""What a text has to look like that a pattern of the definitions refused, in words. Read only where one was."""

from __future__ import annotations

from typing import Any, get_args

from orchestrator.definitions.kinds import (
    assets,
    base,
    campaigns,
    checker,
    detection,
    external,
    parts,
    program_files,
    rounds,
    settings,
    sources,
    submissions,
    targets,
    texts,
    tunables,
)


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
    _pattern(base.Line): ("has a line break or control character", "one line of printable characters"),
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
    _pattern(parts.Word): ("not a word of a part's name", "lower-case letters and digits: `h100`, `80gb`"),
    _pattern(parts.Number): ("not what tells a processor apart", "letters and digits: `9654`, `8480`"),
    _pattern(sources.WebUrl): ("not the address of a file", "https:// or http://, a host, a path, and no credentials"),
    _pattern(sources.FilePath): (
        "not the name of a file of a source",
        "as the source lists it; no `..`, no leading `/` or `-`, no control characters",
    ),
    _pattern(submissions.SystemName): (
        "not the name of a system",
        "letters, digits, `.`, `_` and `-`, first a letter or digit",
    ),
    _pattern(campaigns.AxisName): ("not the name of an axis", "an option of `mlorch run`, or what `--set` takes"),
    _pattern(campaigns.Time): ("not a time", "a whole number and `s`, `m`, `h` or `d`: `30m`"),
    _pattern(checker.Key): ("not the name of a key", "a letter, then letters, digits, `_`, `.` and `-`"),
    _pattern(checker.FileName): ("not the name of a file or folder", "letters, digits, `.`, `_` and `-`; no `/`"),
    _pattern(checker.Place): (
        "not a place in a tree",
        "a relative path with `{division}`, `{submitter}`, `{system}`, `{model}` and `{scenario}`; no `..`",
    ),
    _pattern(checker.NamePattern): ("not the pattern of a name", "such as `{system}*.json`, with one `*` at most"),
    _pattern(sources.Md5): ("not an MD5 sum", "32 hexadecimal digits in lower case"),
    _pattern(assets.ScriptPath): (
        "not the path of a script",
        "beside the recipe, or `builtin:` and the path of one that comes with mlorch; no `..`",
    ),
    _pattern(assets.AssetName): ("not a model or dataset", "`model/NAME` or `dataset/NAME`"),
    _pattern(sources.HubRepo): ("not a repository of the Hugging Face hub", "`OWNER/NAME`"),
    _pattern(sources.MetadataUri): (
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
    _pattern(external.UserName): (
        "not the name of a user",
        "as in /etc/passwd: lower-case letters, digits, `_` and `-`",
    ),
    _pattern(external.MetricName): ("not the name of a metric", "letters, digits and `_@.-`, beginning with a letter"),
    _pattern(targets.GroupName): (
        "not the name of a group",
        "as in /etc/group: lower-case letters, digits, `_` and `-`",
    ),
    _pattern(tunables.Choice): ("not a value to try", "letters, digits and `._/+-`, at most 80 of them"),
    _pattern(settings.Url): ("not an address", "https:// or http://, a host, and no credentials"),
    _pattern(settings.RegistryName): (
        "not a registry",
        "a host, its port if need be, a path: `registry.example:5000/ml`",
    ),
    _pattern(settings.BaseSourceOption): (
        "not a source of base images",
        "`bootstrap`, `registry`, `registry:IMAGE@sha256:…` or `oci:PATH`",
    ),
    _pattern(settings.EngineHost): (
        "not the address of an engine",
        "unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST, without a password",
    ),
    _pattern(settings.MirrorAddress): (
        "not the address of a mirror",
        "https://, ssh:// or file:///, a path, and no credentials",
    ),
    _pattern(settings.DataName): ("not a model or dataset", "its name, or `model/NAME` or `dataset/NAME`"),
}
