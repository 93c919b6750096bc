"""Images in and out of podman's store: what one registry is asked with, archives and OCI layouts."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.engines.registry_trust import listed, scheme
from orchestrator.errors import StepFailed
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.folders import cache_home
from orchestrator.host.scratch import scratch_folder, secret_folder
from orchestrator.host.site import this_site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orchestrator.engines.access import EngineAccess
    from orchestrator.engines.model import RegistryAuth
    from orchestrator.engines.podman.cli import Podman

MOVE_S = 3600.0
_REFERENCE = "org.opencontainers.image.ref.name"
_IMAGE = "io.containerd.image.name"
_MAX_BYTES = 256 * 2**30
"""The most that an archive may unpack to: more is a bomb."""


def write_layout(folder: Path, manifests: Sequence[dict[str, Any]]) -> None:
    """The files that make an OCI layout of a folder with blobs."""
    index = {"schemaVersion": 2, "manifests": manifests}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")


def load_manifest(podman: Podman, layout: Path, manifest: dict[str, Any], name: str) -> None:
    """Load one image of an OCI layout under a name; the blobs stay where they are.

    podman names what it loads after the folder, whatever that is called, and refuses one with
    capitals. So the folder is called from beside it, by a name of our own that goes again.
    """
    with scratch_folder(cache_home() / "scratch", "layout-") as scratch:
        own = f"mlorch-load-{secrets.token_hex(8)}"
        folder = scratch / own
        folder.mkdir()
        (folder / "blobs").symlink_to((layout / "blobs").absolute())
        write_layout(folder, [{key: value for key, value in manifest.items() if key != "annotations"}])
        podman.ask("pull", "--quiet", f"oci:{own}", timeout_s=MOVE_S, cwd=scratch, image=name)
    temporary = f"localhost/{own}:latest"
    podman.ask("tag", temporary, name)
    podman.ask("untag", temporary, temporary)


def merge(one: Path, folder: Path, reference: str) -> dict[str, Any]:
    """Move the blobs of one image's layout into the common one; gives its entry of the index."""
    (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    for blob in (one / "blobs/sha256").iterdir():
        blob.replace(folder / "blobs/sha256" / blob.name)
    (entry,) = json.loads((one / "index.json").read_text(encoding="utf-8"))["manifests"]
    shutil.rmtree(one)
    tag = reference.rpartition(":")[2]
    return {**entry, "annotations": {_IMAGE: reference, _REFERENCE: tag}}


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same bytes whoever saves it, and whenever."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def unpack(archive: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Unpack an archive of images; gives the manifests of its index by the images' names.

    Raises:
        StepFailed: not such an archive, or one that is damaged or hostile (`bad-archive`).
    """
    try:
        with tarfile.open(archive) as tar:
            if sum(member.size for member in tar) > _MAX_BYTES:
                raise _bad(archive, f"it would unpack to more than {_MAX_BYTES >> 30} GiB")
            # The data filter refuses absolute paths, `..`, links that lead out and device nodes.
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _bad(archive, str(error)) from None
    try:
        found = strict_json((folder / "index.json").read_text(encoding="utf-8"))["manifests"]
        return {_name_of(item): dict(item, digest=str(item["digest"])) for item in found}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _bad(archive, f"its index.json cannot be read ({type(error).__name__})") from None


def _name_of(manifest: dict[str, Any]) -> str:
    """The image's whole name: containerd's annotation, else the OCI one where it is whole, else the digest's."""
    notes = manifest.get("annotations") or {}
    for name in (notes.get(_IMAGE), notes.get(_REFERENCE)):
        if isinstance(name, str) and "/" in name:
            return name
    return f"localhost/mlorch/loaded:{manifest['digest'].rpartition(':')[2]}"


def _bad(archive: Path, why: str) -> StepFailed:
    return StepFailed(
        f"{archive} is no archive of images that can be loaded: {why}",
        hint="`podman save --format oci-archive` and `docker save` (containerd image store) write one",
        slug="bad-archive",
    )


@contextmanager
def registry_options(reference: str, auth: RegistryAuth | None, access: EngineAccess) -> Iterator[list[str]]:
    """Options for one registry: its certificates, its credentials, plain HTTP where it speaks nothing else.

    A password on the command line could be read by every user of the host: it goes into a file.
    """
    site = access.site() if access.site is not None else this_site()
    host = reference.partition("/")[0]
    words: list[str] = []
    files: list[Path] = []
    if scheme(host, site) == "http":
        words.append("--tls-verify=false")
    else:
        files = listed(host, site, ".crt", ".cert", ".key")
    with secret_folder() as folder:
        (folder / "certs").mkdir()
        for path in files:
            shutil.copyfile(path, folder / "certs" / path.name)
        if site.ca_bundle is not None:
            shutil.copyfile(site.ca_bundle, folder / "certs/mlorch-site.crt")
        words += ["--cert-dir", str(folder / "certs")]
        if auth is not None:
            (folder / "auth.json").write_text(json.dumps({"auths": {host: _entry(auth)}}), encoding="ascii")
            words += ["--authfile", str(folder / "auth.json")]
        yield words


def _entry(auth: RegistryAuth) -> dict[str, str]:
    """Credentials as docker's configuration has them."""
    token = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
    return {"auth": token, **({"identitytoken": auth.identity_token} if auth.identity_token else {})}
