"""What this site needs in order to reach anything: its CA bundle, proxies, package indexes and archives.

Found in the environment and in the files of the host; handed to a build as secrets
and build arguments, so that nothing of it reaches an image, a label or a record.
"""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import AssetError, EngineError
from orchestrator.facts.steps import BuildSettings
from orchestrator.host.files import atomic_write_text
from orchestrator.host.mirrors import debian_mirrors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECRET_LIMIT = 500 * 1024
"""BuildKit refuses a secret above this many bytes (its MaxSecretSize)."""

_CA_VARIABLES = ("MLORCH_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
_CA_FILES = (
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
)
_CERTIFICATE = re.compile(r"-----BEGIN (TRUSTED )?CERTIFICATE-----.+?-----END \1?CERTIFICATE-----\n?", re.DOTALL)
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_PIP_LISTS = ("index-url", "extra-index-url", "find-links", "trusted-host")
_PIP_NUMBERS = ("timeout", "retries")
_DEBIAN_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteConfig:
    """What was found. Proxies and pip settings may carry credentials: they are not in its `repr`.

    ``pip`` maps options of pip to their values, http(s) addresses only; ``archives``
    are roots of Debian archives by kind (main, security); ``apt_sources`` is a
    deb822 file that the user named and that counts instead of them. ``notes`` say
    what was found and could not be used.
    """

    ca_bundle: Path | None = None
    ca_origin: str = ""
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    pip: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    pip_origins: tuple[str, ...] = ()
    archives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    apt_sources: Path | None = None
    notes: tuple[str, ...] = ()


def discover(env: Mapping[str, str], root: Path = Path("/")) -> SiteConfig:
    """Read the site from `env` and from the files below `root`.

    Raises:
        EngineError: `ca-bundle` or `apt-sources`, a file that an MLORCH_ variable names
            is missing or is not what it should be. What other programs' variables name
            is skipped with a note instead.
    """
    notes: list[str] = []
    ca_bundle, ca_origin = _ca_bundle(env, root, notes)
    pip, origins = _pip(env, root, notes)
    return SiteConfig(
        ca_bundle=ca_bundle,
        ca_origin=ca_origin,
        proxies=_proxies(env),
        pip=pip,
        pip_origins=origins,
        archives=_archives(env, root),
        apt_sources=_apt_sources(env),
        notes=tuple(notes),
    )


def build_settings(site: SiteConfig, folder: Path) -> BuildSettings:
    """The site as settings of a build; secrets are written into `folder`, mode 0600.

    Only certificates of the CA bundle are copied: a private key in the same file stays there.

    Raises:
        EngineError: `secret-size`, a file is larger than BuildKit takes.
        WriteFailed: `folder` cannot be written.
    """
    texts = {"site-ca": _certificates(site.ca_bundle), "pip-conf": _pip_conf(site), "apt-sources": _apt_text(site)}
    secrets: dict[str, Path] = {}
    for name, text in texts.items():
        if not text:
            continue
        size = len(text.encode())
        if size > SECRET_LIMIT:
            raise EngineError(
                f"the {name} secret has {size // 1024} KiB; BuildKit takes {SECRET_LIMIT // 1024} KiB at most",
                hint="set MLORCH_CA_BUNDLE to a bundle with only the certificates that this site needs"
                if name == "site-ca"
                else "shorten the file that it is made of",
                slug="secret-size",
            )
        secrets[name] = folder / name
        atomic_write_text(secrets[name], text, overwrite=True, mode=0o600)
    return BuildSettings(secrets=secrets, proxies=dict(site.proxies))


# -- CA ----------------------------------------------------------------------------


def _ca_bundle(env: Mapping[str, str], root: Path, notes: list[str]) -> tuple[Path | None, str]:
    for variable in _CA_VARIABLES:
        value = env.get(variable, "")
        if not value:
            continue
        if _certificates(Path(value)):
            return Path(value), variable
        if variable == "MLORCH_CA_BUNDLE":
            raise EngineError(
                f"MLORCH_CA_BUNDLE names {value}, which holds no readable PEM certificate",
                hint="name a file of PEM certificates, or unset the variable",
                slug="ca-bundle",
            )
        notes.append(f"{variable} names {value}, which holds no readable PEM certificate")
    for name in _CA_FILES:
        if _certificates(root / name):
            return root / name, "host"
    return None, ""


def _certificates(path: Path | None) -> str:
    """The certificates of a PEM file, each once, nothing else of it; empty where there are none."""
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = dict.fromkeys(match.group(0).strip() for match in _CERTIFICATE.finditer(text))
    return "".join(f"{certificate}\n" for certificate in found)


# -- proxies -----------------------------------------------------------------------


def _proxies(env: Mapping[str, str]) -> dict[str, str]:
    """Both spellings of every proxy variable that is set; where they differ the lower-case one counts, as for curl."""
    found: dict[str, str] = {}
    for name in _PROXIES:
        value = env.get(name) or env.get(name.upper())
        if value:
            found[name] = found[name.upper()] = value
    return found


# -- pip ---------------------------------------------------------------------------


def _pip(env: Mapping[str, str], root: Path, notes: list[str]) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """pip's settings in pip's order: global, user, environment's own, PIP_CONFIG_FILE, variables; later ones win."""
    raw: dict[str, str] = {}
    origins: list[str] = []
    for path in _pip_files(env, root):
        values = _pip_file(path, notes)
        if values:
            raw.update(values)
            origins.append(str(path))
    for option in (*_PIP_LISTS, *_PIP_NUMBERS):
        variable = "PIP_" + option.upper().replace("-", "_")
        if variable in env:
            raw[option] = env[variable]
            origins.append(variable)
    found: dict[str, tuple[str, ...]] = {}
    for option, value in raw.items():
        usable = tuple(word for word in value.split() if _usable(option, word))
        if usable:
            found[option] = usable
    if dropped := sorted(option for option, value in raw.items() if len(value.split()) > len(found.get(option, ()))):
        notes.append(f"pip settings that a build cannot use (no http address): {', '.join(dropped)}")
    return found, tuple(origins) if found else ()


def _usable(option: str, word: str) -> bool:
    if option in _PIP_NUMBERS:
        return word.isdigit()
    return option == "trusted-host" or word.lower().startswith(("http://", "https://"))


def _pip_files(env: Mapping[str, str], root: Path) -> Iterator[Path]:
    named = env.get("PIP_CONFIG_FILE", "")
    if named == "/dev/null":  # pip's way to say: no configuration files at all
        return
    folders = [folder for folder in env.get("XDG_CONFIG_DIRS", "").split(":") if folder]
    yield from (Path(folder) / "pip/pip.conf" for folder in reversed(folders))
    if not folders:
        yield root / "etc/xdg/pip/pip.conf"
    yield root / "etc/pip.conf"
    home = env.get("HOME", "")
    if home and not (named and Path(named).exists()):
        yield Path(home) / ".pip/pip.conf"
        yield Path(env.get("XDG_CONFIG_HOME") or Path(home) / ".config") / "pip/pip.conf"
    if env.get("VIRTUAL_ENV"):
        yield Path(env["VIRTUAL_ENV"]) / "pip.conf"
    if named:
        yield Path(named)


def _pip_file(path: Path, notes: list[str]) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except (configparser.Error, UnicodeDecodeError):
        notes.append(f"{path} is not a pip configuration")
        return {}
    values: dict[str, str] = {}
    for section in ("global", "install"):  # what pip install reads, the second over the first
        if parser.has_section(section):
            options = {key.replace("_", "-"): value for key, value in parser.items(section)}
            values.update({key: value for key, value in options.items() if key in (*_PIP_LISTS, *_PIP_NUMBERS)})
    return values


def _pip_conf(site: SiteConfig) -> str:
    if not site.pip:
        return ""
    lines = ["[global]"]
    for option, values in sorted(site.pip.items()):
        lines.append(f"{option} = {values[0]}")
        lines += [f"    {value}" for value in values[1:]]
    return "\n".join(lines) + "\n"


# -- apt ---------------------------------------------------------------------------


def _archives(env: Mapping[str, str], root: Path) -> dict[str, tuple[str, ...]]:
    try:
        found = debian_mirrors(root / "etc/apt", env)
    except AssetError:
        return {}
    usable = {
        kind: tuple(url for url in urls if url.startswith(("http://", "https://"))) for kind, urls in found.items()
    }
    return {kind: urls for kind, urls in usable.items() if urls}


def _apt_sources(env: Mapping[str, str]) -> Path | None:
    value = env.get("MLORCH_APT_SOURCES", "")
    if not value:
        return None
    path = Path(value)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise EngineError(
            f"MLORCH_APT_SOURCES names {path}, which cannot be read: {error.strerror}",
            hint="name a file in the deb822 form (Types:, URIs:, Suites: …), or unset the variable",
            slug="apt-sources",
        ) from error
    if not re.search(r"(?im)^URIs:", text):
        raise EngineError(
            f"{path} (MLORCH_APT_SOURCES) is not in the deb822 form",
            hint="write Types:, URIs:, Suites:, Components: and Signed-By: lines",
            slug="apt-sources",
        )
    return path


def _apt_text(site: SiteConfig) -> str:
    """The user's own sources, or an entry per kind of archive for the suites that locks are made of."""
    if site.apt_sources is not None:
        return site.apt_sources.read_text(encoding="utf-8", errors="replace")
    suites = {"main": "bookworm bookworm-updates", "security": "bookworm-security"}
    return "\n".join(
        f"Types: deb\nURIs: {' '.join(urls)}\nSuites: {suites[kind]}\nComponents: main\nSigned-By: {_DEBIAN_KEYS}\n"
        for kind, urls in sorted(site.archives.items())
    )
