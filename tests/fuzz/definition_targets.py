"""What is fuzzed of definitions: recipes and Dockerfiles."""

from __future__ import annotations

from fuzz_target import Target, files


def _recipe(data: bytes) -> None:
    from orchestrator.definitions.kinds.lock import AssetLock, LayerLock
    from orchestrator.definitions.kinds.recipes import KINDS
    from orchestrator.definitions.kinds.settings import PublishedList, SettingsFile
    from orchestrator.definitions.variations import vary
    from orchestrator.definitions.yaml import decode, read_document
    from orchestrator.definitions.yaml.document import _decode_utf8

    document = read_document("fuzz.yaml", _decode_utf8("fuzz.yaml", data))
    kind = getattr(document.node(("kind",)), "value", "")
    if kind in KINDS and document.node(("version",)) is None:
        decode(vary(document).document, KINDS[kind])
    else:
        first = "layer" if document.node(("layer",)) else "name" if document.node(("name",)) else "images"
        model = {"layer": LayerLock, "name": AssetLock, "images": PublishedList}[first]
        decode(document, model if document.node(("version",)) else SettingsFile)


def _dockerfile(data: bytes) -> None:
    from orchestrator.lint.check import lint

    lint(data.decode("utf-8", "replace"), "Dockerfile", tag="t:1", contexts=("base",))


TARGETS = (
    Target(
        "yaml",
        files("recipes/**/*.yaml", "tests/fuzz/seeds/*.yaml"),
        _recipe,
        (
            b"kind: ",
            b"axes:",
            b"parts:",
            b"values:",
            b"set:",
            b"like: ",
            b"\n  - ",
            b"? ",
            b"|\n",
            b">-\n",
            b"<<: ",
        ),
    ),
    Target(
        "dockerfile",
        files("tests/lint/*.Dockerfile", "tests/golden/render/**/Dockerfile"),
        _dockerfile,
        (
            b"FROM ",
            b"RUN ",
            b"ARG A=",
            b"ENV ",
            b"COPY --from=",
            b" AS ",
            b"# mlorch lint: allow ",
            b"\\\n",
            b"# escape=`\n",
        ),
    ),
)
