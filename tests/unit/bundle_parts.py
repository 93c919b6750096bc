"""A small whole bundle made without an engine, and ways to spoil it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from orchestrator.assets.store import Stored
from orchestrator.engines import ImageFacts
from orchestrator.errors import StepFailed
from orchestrator.facts.build import BuildPlan, LayerStep
from orchestrator.images.attest.evidence import packages_in
from orchestrator.images.bundle.contents import bundled_plan
from orchestrator.images.bundle.read import checked
from orchestrator.images.bundle.write import Order, write
from orchestrator.images.layout.archive import opened
from orchestrator.images.layout.oci import images_of
from orchestrator.plan.build.content import content_id
from orchestrator.plan.build.layers import labels

STANZA = b"Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n"
METADATA = b"Metadata-Version: 2.1\nName: Some_Engine\nVersion: 1.20\n\nA text: of no interest\n"
INSIDE = {
    "var/lib/dpkg/status.d/libc6": STANZA,
    "usr/local/lib/python3.11/dist-packages/some_engine-1.20.dist-info/METADATA": METADATA,
}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def plan(more: str = "") -> BuildPlan:
    """A base with a package, and a benchmark above it with a wheel."""
    below = {"base": "bootstrap", "deb:libc6": f"2.36-9 {'a' * 64}", "dockerfile": "b" * 64, "more": more}
    base = LayerStep(
        name="os", level="base", platform="linux/amd64", content_id=content_id(below), parent=None,
        dockerfile="FROM scratch\n", inputs=below, base_source="bootstrap",
    )  # fmt: skip
    above = {"parent": base.content_id, "wheel:some-engine": f"1.20 {'c' * 64}", "file:files/0/x": f"{'d' * 64} 644"}
    top = LayerStep(
        name="classify-chip", level="benchmark", platform="linux/amd64", content_id=content_id(above),
        parent=base.image, dockerfile="FROM os\n", inputs=above,
    )  # fmt: skip
    return BuildPlan(target="chip", benchmark="classify", platform="linux/amd64", layers=(base, top))


def layout(made: BuildPlan, layers: list[dict[str, bytes]] | None = None, **config) -> dict[str, bytes]:
    """The files of a layout with the image of a plan."""
    stored = [tar_of(files) for files in (layers if layers is not None else [INSIDE, {"opt/x": b"x" * 5000}])]
    packed = [gzip.compress(data, mtime=0) for data in stored]
    described = {
        "architecture": "amd64", "os": "linux", "config": {"Labels": labels(made.layers[-1])},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha(data)}" for data in stored]}, **config,
    }  # fmt: skip
    body = json.dumps(described).encode()
    kind = "application/vnd.oci.image"
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", "digest": f"sha256:{sha(body)}", "size": len(body)},
        "layers": [
            {"mediaType": f"{kind}.layer.v1.tar+gzip", "digest": f"sha256:{sha(data)}", "size": len(data)}
            for data in packed
        ],
    }).encode()  # fmt: skip
    listed = {
        "mediaType": f"{kind}.manifest.v1+json", "digest": f"sha256:{sha(manifest)}", "size": len(manifest),
        "annotations": {"io.containerd.image.name": made.image},
    }  # fmt: skip
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [listed]}).encode()
    return files | {f"blobs/sha256/{sha(data)}": data for data in (manifest, body, *packed)}


class FakeEngine:
    """Saves one layout, and remembers what it was given to load."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.loaded, self.held = files, [], {}

    def save(self, references, out: Path) -> None:
        with out.open("xb") as stream:
            stream.write(tar_of(self.files))

    def load(self, archive: Path):
        from orchestrator.images.layout.archive import opened
        from orchestrator.images.layout.oci import images_of

        with opened(archive) as found:
            for image in images_of(found):
                self.loaded.append(image.reference)
                self.held[image.reference] = ImageFacts(
                    image=image.reference, image_id=image.digest, digest=image.digest, size=1, created="", labels={}
                )
        return tuple(self.loaded)

    def image(self, reference: str):
        return self.held.get(reference)


def bundle(
    folder: Path, made: BuildPlan | None = None, files: dict[str, bytes] | None = None, signer=None, **more
) -> Path:
    """A bundle with an image, an asset, documents and two folders of recipes."""
    made = made or plan()
    place = folder / "store/model/net/0123"
    for name in ("files/net.onnx", "licences/1-net.txt"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"weights")
    roots = []
    for number in range(2):
        root = folder / f"root{number}"
        (root / "recipes").mkdir(parents=True, exist_ok=True)
        (root / "recipes/x.yaml").write_text(f"kind: layer # {number}\n")
        (root / "recipes/.secret").write_text("no")
        roots.append(root)
    order = Order(
        plans=(bundled_plan(made, ""),),
        assets=(Stored(kind="model", name="net", key="0123", path=place, size=7),),
        definitions=tuple(roots),
        documents=lambda _reference, _digest: {"sbom.json": b"{}", "provenance.json": b"{}"},
        signer=signer,
        **more,
    )
    folder.mkdir(exist_ok=True)
    out = folder / "b.tar"
    write(out, order, FakeEngine(files or layout(made)))
    return out


def members(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as tar:
        return [(member, tar.extractfile(member).read() if member.isreg() else b"") for member in tar]


def rewritten(path: Path, change) -> Path:
    """The bundle with its members as ``change`` (of a list of member and data) leaves them."""
    found = members(path)
    change(found)
    out = path.with_name("changed.tar")
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, data in found:
            if member.isreg():
                member.size = len(data)
            tar.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return out


def relisted(path: Path, change) -> Path:
    """The bundle with its list of contents as ``change`` leaves it, and with files that fit the list again."""

    def work(found):
        index = next(i for i, (member, _) in enumerate(found) if member.name == "mlorch-bundle.json")
        document = json.loads(found[index][1])
        change(document, found)
        index = next(i for i, (member, _) in enumerate(found) if member.name == "mlorch-bundle.json")
        found[index] = (found[index][0], json.dumps(document).encode())

    return rewritten(path, work)


def reading(path: Path):
    with checked(path) as found:
        return found.contents


def refusal(path: Path) -> StepFailed:
    with pytest.raises(StepFailed) as caught, checked(path):
        pass
    assert caught.value.hint
    return caught.value


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def inside(tmp_path, layers):
    """An image of these layers, and the packages in it."""
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of(layout(plan(), layers)))
    with opened(path) as archive:
        (image,) = images_of(archive)
        return image, packages_in(image, archive, path)
