"""Wheels as pip resolves them for the platform of an image: what an index says now, with the hash of each file.

An index may be anybody's. pip runs with limits (memory, bytes on disk, time), its report is read as input, and what
cannot stand in a lock is refused with the index's name.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.kinds.lock import Wheel
from orchestrator.definitions.locks import normalised
from orchestrator.errors import AssetError
from orchestrator.facts.neutral import one_line
from orchestrator.facts.redact import redacted_text, secret_values
from orchestrator.facts.references import SHA256
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.command import run_program
from orchestrator.host.folders import cache_home
from orchestrator.host.pip_config import pip_environment
from orchestrator.host.scratch import scratch_folder
from orchestrator.host.site import pip_variables
from orchestrator.host.untrusted import read_text
from orchestrator.http.client import split_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.host.site import SiteConfig

_MACHINE = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_GLIBC = 36
"""The minor version of the C library in the images; wheels for this or an older one fit."""
_TIMEOUT_S = 600
_LARGEST_REPORT = 64 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PINNABLE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+!-]*[A-Za-z0-9])?")
# A page without end would fill the memory of pip, which reads it whole, and a wheel without end the disk.
_BOUNDED_PIP = """
import resource, runpy
for what, most in ((resource.RLIMIT_AS, 4 << 30), (resource.RLIMIT_FSIZE, 32 << 30)):
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def python_pins(
    requirements: Sequence[str],
    platform: str,
    python_version: str,
    *,
    constraints: Sequence[str] = (),
    site: SiteConfig,
) -> tuple[Wheel, ...]:
    """The requirements and all that they need, as wheels for ``platform``; sorted by name.

    Raises:
        AssetError: `pip-failed`, e.g. no wheel fits; pip's own words in the detail. `bad-index`, what an index
            says of a distribution is no pin.
    """
    machine = _MACHINE[platform]
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC, 4, -1)]
    tags += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}", f"linux_{machine}"]
    with scratch_folder(cache_home() / "scratch", "pip-") as folder:
        limits, report = folder / "constraints.txt", folder / "report.json"
        limits.write_text("".join(f"{line}\n" for line in constraints), encoding="utf-8")
        argv = [sys.executable, "-c", _BOUNDED_PIP, "install", "--dry-run", "--ignore-installed", "--quiet"]
        argv += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python_version}"]
        argv += [f"--platform={tag}" for tag in tags]
        argv += [f"--target={folder}/none", f"--report={report}", f"--constraint={limits}", *requirements]
        env = {**pip_environment(os.environ), **pip_variables(site), "TMPDIR": str(folder)}
        done = run_program(argv, inherited=env, timeout_s=_TIMEOUT_S)
        if done.code != 0:
            raise AssetError(
                f"pip cannot resolve {', '.join(requirements)} for {platform} from {_asked(site)}",
                hint="pip has to be installed beside mlorch, and the index has to have a wheel for that platform",
                slug="pip-failed",
                detail=last_words(done.stderr),
            )
        found = _wheels(read_text(folder, report.name, _LARGEST_REPORT), _asked(site))
        _require_all(requirements, found, _asked(site))
        return found


def _asked(site: SiteConfig) -> str:
    """The indexes that pip asks, without the passwords in their addresses."""
    urls = [*site.pip.get("index-url", ()), *site.pip.get("extra-index-url", ())]
    return ", ".join(split_credentials(url)[0] for url in urls) or "pip's own index"


def _wheels(report: str, asked: str) -> tuple[Wheel, ...]:
    """The pins of pip's report (https://pip.pypa.io/en/stable/reference/installation-report), sorted by name.

    Names, versions and hashes in it are those of the index. Raises `AssetError` [bad-index].
    """
    try:
        items = strict_json(report)["install"]
        return tuple(sorted((_wheel(item) for item in items), key=lambda wheel: wheel.name))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise AssetError(
            f"what {asked} says of a distribution cannot be pinned: {one_line(why)[:300]}",
            hint="every file needs a name, a version and a sha256 there (PEP 503, PEP 691)",
            slug="bad-index",
        ) from None


def _require_all(requirements: Sequence[str], found: Sequence[Wheel], asked: str) -> None:
    """Raise `AssetError` [bad-index] where a distribution that was asked for came under another name."""
    names = {normalised(match[0]) for text in requirements if (match := _NAME.match(text))}
    missing = sorted(names - {wheel.name for wheel in found})
    if missing:
        raise AssetError(
            f"{asked} has files for {', '.join(missing)} that are other distributions by their own words",
            hint="a project that was renamed, or one in another's place: look at it before you pin it",
            slug="bad-index",
        )


def _wheel(item: Mapping[str, Any]) -> Wheel:
    metadata, archive = item["metadata"], item["download_info"]["archive_info"]
    name, version = normalised(str(metadata["name"])), str(metadata["version"])
    hashes = archive.get("hashes")
    if not isinstance(hashes, dict):
        algorithm, _, digest = str(archive.get("hash")).partition("=")
        hashes = {algorithm: digest}
    if not _PINNABLE.fullmatch(name) or not _PINNABLE.fullmatch(version):
        raise ValueError(f"`{name}` `{version}` is no name and version")
    if item.get("is_yanked"):
        raise ValueError(f"its authors have withdrawn {name} {version} (yanked); ask for another version")
    if not SHA256.fullmatch(str(hashes.get("sha256"))):
        raise ValueError(f"it gives no sha256 for {name} {version}")
    return Wheel(name=name, version=version, sha256=(hashes["sha256"],))


def last_words(text: str) -> str:
    """The end of what a tool printed, without the passwords of addresses."""
    return redacted_text(text[-2000:], secret_values(os.environ))
