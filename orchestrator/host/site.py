"""What this site needs in order to reach anything: its CA bundle, proxies, package indexes and archives.

Found in the environment and in the files of the host; handed to a build as secrets
and build arguments, so that nothing of it reaches an image, a label or a record.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError
from orchestrator.facts.build_settings import BuildSettings
from orchestrator.facts.redact import redacted_text
from orchestrator.host.files import atomic_write_text
from orchestrator.host.folders import docker_settings, runtime_folder
from orchestrator.host.git import GitMirrors
from orchestrator.host.mirrors import debian_mirrors
from orchestrator.host.pip_config import LISTS, NUMBERS, read_pip_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECRET_LIMIT = 500 * 1024
"""BuildKit refuses a secret above this many bytes (its MaxSecretSize)."""

_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
_CA_FILES = (
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
)
_CERTIFICATE = re.compile(r"-----BEGIN (TRUSTED )?CERTIFICATE-----.+?-----END \1?CERTIFICATE-----\n?", re.DOTALL)
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_WEB = ("http://", "https://")
SYSTEM_CERTIFICATES = ("/etc/docker/certs.d", "/etc/containers/certs.d")
_SHORTER = {"site-ca": "set MLORCH_CA_BUNDLE to a bundle with only the certificates that this site needs"}
_DEBIAN_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


GIT_MIRRORS = "MLORCH_GIT_MIRRORS"
SETTINGS = ("ca_bundle", "pip_index", "debian_mirror", "debian_security_mirror")
"""Settings of mlorch that say something of the site; each has a variable too, `MLORCH_…`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteConfig:
    """What was found. Proxies and pip's options may carry credentials: they are not in its `repr`.

    ``pip`` maps options of pip to the words of their values; ``archives`` are roots of Debian
    archives by kind (main, security); ``apt_sources`` is a deb822 file that the user named and
    that counts instead of them in a build. ``notes`` say what was found and could not be used.
    """

    ca_bundle: Path | None = None
    ca_origin: str = ""
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    pip: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    pip_origins: tuple[str, ...] = ()
    archives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    apt_sources: Path | None = None
    registry_logins: tuple[Path, ...] = ()
    """Files where `docker login` and `podman login` may have left credentials, in the order that counts."""
    registry_certificates: tuple[Path, ...] = ()
    """Folders with a folder of certificates for each registry: mlorch's own, then those of the engines."""
    git_mirrors: Mapping[str, str] = field(default_factory=dict)
    """Prefixes of git addresses, and what stands for each here: another address, or a folder of repositories."""
    notes: tuple[str, ...] = ()


def this_site() -> SiteConfig:
    """The site as this process's environment has it: for callers that were given none. Raises as `discover`."""
    return discover(os.environ)


def discover(
    env: Mapping[str, str],
    root: Path = Path("/"),
    *,
    settings: Mapping[str, str] | None = None,
    git_mirrors: Sequence[str] = (),
    git_mirrors_source: str = "",
) -> SiteConfig:
    """Read the site from `env`, from `settings` (of `SETTINGS`, by name) and from the files below `root`.

    ``git_mirrors`` are ``PREFIX=ADDRESS``, ``git_mirrors_source`` is the place in the file that names them.

    A variable `MLORCH_…` counts more than a setting; a setting more than what the host has for
    all programs, but for `PIP_INDEX_URL`.

    Raises:
        EngineError: `ca-bundle` or `apt-sources`, a file that mlorch's settings name
            is missing or is not what it should be. What other programs' variables name
            is skipped with a note instead.
    """
    given = {name: env.get(_variable(name)) or (settings or {}).get(name, "") for name in SETTINGS}
    notes: list[str] = []
    ca_bundle, ca_origin = _ca_bundle(given["ca_bundle"], env, root, notes)
    pip, pip_origins = _pip(given["pip_index"], env, root, notes)
    archives = debian_mirrors(root / "etc/apt", main=given["debian_mirror"], security=given["debian_security_mirror"])
    return SiteConfig(
        ca_bundle=ca_bundle,
        ca_origin=ca_origin,
        proxies=_proxies(env),
        pip=pip,
        pip_origins=pip_origins,
        archives=archives if "main" in archives else {},
        apt_sources=_apt_sources(env),
        registry_logins=_registry_logins(env),
        registry_certificates=_registry_certificates(env),
        git_mirrors=_git_mirrors(env.get(GIT_MIRRORS, "").split(), git_mirrors, git_mirrors_source),
        notes=tuple(notes),
    )


def _has_secret(address: str) -> bool:
    """Whether an address has a password or a token, as `MirrorAddress` has it; ``ssh://git@host`` has none."""
    return re.match(r"https?://[^/]*@|[a-z+]+://[^/]*:[^/]*@", address) is not None


def _git_mirrors(variable: Sequence[str], settings: Sequence[str], settings_source: str) -> GitMirrors:
    """Those of the variable, else of the settings. Raises `EngineError` [git-mirrors] for what is no PREFIX=ADDRESS."""
    found = GitMirrors()
    found.source = GIT_MIRRORS if variable else f"`mirrors: git:` ({settings_source})" if settings_source else ""
    for text in variable or settings:
        prefix, equals, address = text.partition("=")
        if _has_secret(address):
            raise EngineError(
                f"the git mirror of {redacted_text(prefix)} has a password in its address, where every user sees it",
                hint="leave it out, and let git ask its credential helper (`git config credential.helper`)",
                slug="git-mirrors",
            )
        if not equals or not prefix or not address.startswith(("/", "https://", "ssh://", "file:///")):
            raise EngineError(
                f"`{text[:80]}` says of no git mirror where it is",
                hint="write PREFIX=ADDRESS, e.g. https://github.com/=/srv/git/",
                slug="git-mirrors",
            )
        found[prefix] = address
    return found


def _variable(setting: str) -> str:
    return f"MLORCH_{setting.upper()}"


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
                hint=_SHORTER.get(name, "shorten the file that it is made of"),
                slug="secret-size",
            )
        secrets[name] = folder / name
        atomic_write_text(secrets[name], text, overwrite=True, mode=0o600)
    return BuildSettings(secrets=secrets, proxies=dict(site.proxies))


# -- CA ----------------------------------------------------------------------------


def _ca_bundle(given: str, env: Mapping[str, str], root: Path, notes: list[str]) -> tuple[Path | None, str]:
    """The bundle of mlorch's settings, else that of other programs' variables, else the host's; and whose it is."""
    if given:
        if _certificates(Path(given)):
            return Path(given), _variable("ca_bundle")
        raise EngineError(
            f"MLORCH_CA_BUNDLE names {given}, which holds no readable PEM certificate",
            hint="name a file of PEM certificates (`ca_bundle` in mlorch.yaml, or the variable), or name none",
            slug="ca-bundle",
        )
    for variable in _CA_VARIABLES:
        value = env.get(variable, "")
        if value and _certificates(Path(value)):
            return Path(value), variable
        if value:
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


def _pip(
    index: str, env: Mapping[str, str], root: Path, notes: list[str]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """pip's options with the index that mlorch was given, and where they are from; none where a build can use none."""
    pip, origins = read_pip_config(env, root, notes)
    if index and (_variable("pip_index") in env or "PIP_INDEX_URL" not in env):
        pip["index-url"] = (index,)
        origins = (*origins, _variable("pip_index"))
    usable = _for_builds(pip)
    unusable = sorted(option for option in (*LISTS, *NUMBERS) if pip.get(option) != usable.get(option))
    if unusable:
        notes.append(f"pip settings that a build cannot use (no http address): {', '.join(unusable)}")
    return pip, origins if usable else ()


def _for_builds(pip: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The options that mean something inside a build: what lies on this host is not there."""
    found: dict[str, tuple[str, ...]] = {}
    for option, words in pip.items():
        usable = tuple(word for word in words if _usable(option, word))
        if usable:
            found[option] = usable
    return found


def _usable(option: str, word: str) -> bool:
    if option in NUMBERS:
        return word.isdigit()
    if option == "trusted-host":
        return True
    return option in LISTS and word.lower().startswith(_WEB)


def pip_variables(site: SiteConfig) -> dict[str, str]:
    """Variables that give a pip on this host the index of mlorch's settings; the rest it finds itself."""
    index = site.pip.get("index-url")
    return {"PIP_INDEX_URL": index[0]} if index else {}


def _pip_conf(site: SiteConfig) -> str:
    usable = _for_builds(site.pip)
    if not usable:
        return ""
    lines = ["[global]"]
    for option, values in sorted(usable.items()):
        lines.append(f"{option} = {values[0]}")
        lines += [f"    {value}" for value in values[1:]]
    return "\n".join(lines) + "\n"


# -- apt ---------------------------------------------------------------------------


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
    stanzas = []
    for kind, urls in sorted(site.archives.items()):
        reachable = [url for url in urls if url.startswith(_WEB)]
        if reachable:
            stanzas.append(
                f"Types: deb\nURIs: {' '.join(reachable)}\nSuites: {suites[kind]}\n"
                f"Components: main\nSigned-By: {_DEBIAN_KEYS}\n"
            )
    return "\n".join(stanzas)


# -- registries --------------------------------------------------------------------


def _registry_logins(env: Mapping[str, str]) -> tuple[Path, ...]:
    """In the order in which docker and podman look for them."""
    found = [docker_settings(env) / "config.json"]
    if named := env.get("REGISTRY_AUTH_FILE"):
        found.insert(0, Path(named))
    if runtime := runtime_folder(env):
        found.append(runtime / "containers/auth.json")
    return tuple(found)


def _registry_certificates(env: Mapping[str, str]) -> tuple[Path, ...]:
    home = env.get("XDG_CONFIG_HOME", "")
    config = Path(home) if home.startswith("/") else Path(env.get("HOME") or "/") / ".config"
    return (config / "mlorch/certs.d", config / "docker/certs.d", *map(Path, SYSTEM_CERTIFICATES))
