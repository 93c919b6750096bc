"""Images in and out of podman's store: names, registries, archives."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engines.model import BuildEvent
from orchestrator.engines.podman.cli import complaint, refused
from orchestrator.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.engines.access import EngineAccess
    from orchestrator.engines.inventory import ImageFacts
    from orchestrator.engines.model import RegistryAuth
    from orchestrator.engines.podman.cli import Podman

_MOVE_S = 3600.0
_REFERENCE = "org.opencontainers.image.ref.name"
_IMAGE = "io.containerd.image.name"
_LAYOUT = '{"imageLayoutVersion": "1.0.0"}'
_MAX_BYTES = 256 * 2**30
"""The most that an archive may unpack to: more is a bomb."""


class PodmanImages:
    """The half of the engine that moves images: `orchestrator.engines.ImageMoves`."""

    __slots__ = ()
    podman: Podman
    access: EngineAccess

    def tag(self, reference: str, new: str) -> None:
        """Give the image `reference` a second name."""
        self._ask(reference, "tag", reference, new)

    def pull(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> ImageFacts:
        """Get an image from its registry; podman checks every digest.

        Raises:
            RegistryError, EngineError: as `orchestrator.engines.registry_messages.from_engine`.
        """
        on_event(BuildEvent(kind="start", step=f"pull {reference}"))
        self._remote("pull", reference, auth)
        on_event(BuildEvent(kind="done", step=f"pull {reference}"))
        facts = self._held(reference)
        if facts is None:
            raise StepFailed(f"podman pulled {reference} but does not hold it", slug="not-loaded")
        return facts

    def push(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> str:
        """Send an image to the registry that its name says; gives the manifest's digest there.

        It is not the digest that the store has: podman keeps layers as they are and sends them
        compressed. Raises as `pull`, and `registry-full`.
        """
        on_event(BuildEvent(kind="start", step=f"push {reference}"))
        with tempfile.TemporaryDirectory(prefix="mlorch-") as folder:
            file = Path(folder) / "digest"
            self._remote("push", reference, auth, "--digestfile", str(file))
            digest = file.read_text(encoding="ascii").strip()
        on_event(BuildEvent(kind="done", step=f"push {reference}"))
        return digest

    def remove_image(self, reference: str) -> None:
        """Remove a name of an image, and the image with its last name; one that is gone is fine."""
        if self._held(reference) is not None:
            self._ask(reference, "rmi", reference)

    def save(self, references: Sequence[str], out: Path) -> None:
        """Write images with all their layers as an OCI layout in a tar, each blob once."""
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as text:
            folder = Path(text) / "layout"
            manifests: list[dict[str, Any]] = []
            for number, reference in enumerate(references):
                one = Path(text) / f"image{number}"
                self._ask(reference, "save", "--quiet", "--format", "oci-dir", "--output", str(one), reference)
                manifests.append(_merge(one, folder, reference))
            index = {"schemaVersion": 2, "manifests": manifests}
            (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
            (folder / "oci-layout").write_text(_LAYOUT, encoding="utf-8")
            with tarfile.open(Path(text) / "tar", "w") as tar:
                for path in sorted(folder.rglob("*")):
                    tar.add(path, arcname=str(path.relative_to(folder)), recursive=False, filter=_plain)
            (Path(text) / "tar").replace(out)

    def load(self, archive: Path) -> tuple[str, ...]:
        """Take the images of such an archive in (podman's or Docker's); gives their names.

        Raises:
            StepFailed: not such an archive, or one that is damaged or hostile (`bad-archive`).
        """
        with tempfile.TemporaryDirectory(prefix="mlorch-load-") as text:
            folder = Path(text)
            _unpack(archive, folder)
            named = [(_name_of(item), item) for item in _manifests(archive, folder)]
            for name, item in named:
                load_manifest(self.podman, folder, item, name)
        return tuple(name for name, _ in named)

    def _held(self, reference: str) -> ImageFacts | None:
        return self.podman.images_by_reference([reference])[reference]

    def _ask(self, image: str, *words: str) -> None:
        done = self.podman.call(*words, timeout_s=_MOVE_S)
        if done.code:
            raise refused(done.stderr or done.stdout, code=done.code, image=image)

    def _remote(self, verb: str, reference: str, auth: RegistryAuth | None, *more: str) -> None:
        """One pull or push, with what this registry is believed with and who asks."""
        from orchestrator.engines.registry_messages import from_engine

        with _registry_options(reference, auth, self.access) as words:
            done = self.podman.call(verb, "--quiet", *words, *more, reference, timeout_s=_MOVE_S)
        if done.code in {124, 127} or done.code < 0:
            raise refused(done.stderr, code=done.code, image=reference)
        if done.code:
            raise from_engine(reference, complaint(done.stderr or done.stdout), pushing=verb == "push")


def load_manifest(podman: Podman, layout: Path, manifest: dict[str, Any], name: str) -> None:
    """Load one image of an OCI layout under a name; the blobs stay where they are.

    podman names what it loads after the folder, whatever that is called, and refuses one with
    capitals. So the folder is called from beside it, by a name of our own that goes again.
    """
    with tempfile.TemporaryDirectory(prefix="mlorch-layout-") as text:
        own = f"mlorch-load-{secrets.token_hex(8)}"
        folder = Path(text) / own
        folder.mkdir()
        (folder / "blobs").symlink_to((layout / "blobs").absolute())
        (folder / "oci-layout").write_text(_LAYOUT, encoding="utf-8")
        entry = {key: value for key, value in manifest.items() if key != "annotations"}
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}), encoding="utf-8")
        done = podman.call("pull", "--quiet", f"oci:{own}", timeout_s=_MOVE_S, cwd=Path(text))
    if done.code:
        raise refused(done.stderr or done.stdout, code=done.code, image=name)
    temporary = f"localhost/{own}:latest"
    podman.ask("tag", temporary, name)
    podman.ask("untag", temporary, temporary)


def _merge(one: Path, folder: Path, reference: str) -> dict[str, Any]:
    """Move the blobs of one image's layout into the common one; gives its entry of the index."""
    (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    for blob in (one / "blobs/sha256").iterdir():
        blob.replace(folder / "blobs/sha256" / blob.name)
    (entry,) = json.loads((one / "index.json").read_text(encoding="utf-8"))["manifests"]
    shutil.rmtree(one)
    tag = reference.rpartition(":")[2]
    return {**entry, "annotations": {_IMAGE: reference, _REFERENCE: tag}}


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same bytes whoever saves it, and whenever."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            if sum(member.size for member in tar) > _MAX_BYTES:
                raise _bad(archive, f"it would unpack to more than {_MAX_BYTES >> 30} GiB")
            # The data filter refuses absolute paths, `..`, links that lead out and device nodes.
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _bad(archive, str(error)) from None


def _manifests(archive: Path, folder: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads((folder / "index.json").read_text(encoding="utf-8"))["manifests"]
        return [dict(item, digest=str(item["digest"])) for item in found]
    except (OSError, ValueError, KeyError, TypeError) as error:
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
def _registry_options(reference: str, auth: RegistryAuth | None, access: EngineAccess) -> Iterator[list[str]]:
    """Options for one registry: its certificates, its credentials, plain HTTP where it speaks nothing else.

    A password on the command line could be read by every user of the host: it goes into a file.
    """
    from orchestrator.engines.registry_trust import scheme
    from orchestrator.host.site import this_site

    site = access.site() if access.site is not None else this_site()
    host = reference.partition("/")[0]
    if scheme(host, site) == "http":
        words = ["--tls-verify=false"]
        files = []
    else:
        words = []
        files = [path for folder in site.registry_certificates for path in _listed(folder / host)]
    bundle = site.ca_bundle
    with tempfile.TemporaryDirectory(prefix="mlorch-registry-") as text:  # 0700
        folder = Path(text)
        (folder / "certs").mkdir()
        for path in dict.fromkeys(files):
            shutil.copyfile(path, folder / "certs" / path.name)
        if bundle is not None:
            shutil.copyfile(bundle, folder / "certs/mlorch-site.crt")
        words += ["--cert-dir", str(folder / "certs")]
        if auth is not None:
            (folder / "auth.json").write_text(json.dumps({"auths": {host: _entry(auth)}}), encoding="ascii")
            words += ["--authfile", str(folder / "auth.json")]
        yield words


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in {".crt", ".cert", ".key"})
    except OSError:
        return []


def _entry(auth: RegistryAuth) -> dict[str, str]:
    """Credentials as docker's configuration has them."""
    token = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
    return {"auth": token, **({"identitytoken": auth.identity_token} if auth.identity_token else {})}
