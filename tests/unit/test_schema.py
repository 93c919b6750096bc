"""The JSON Schema accepts what mlorch accepts and refuses what an editor should underline."""

from __future__ import annotations

import pytest
import yaml
from jsonschema import Draft202012Validator
from sample_recipes import FILES

from orchestrator.definitions.catalog import builtin_root, data_root, definition_files
from orchestrator.definitions.catalog.schema import SCHEMAS, schema
from orchestrator.definitions.kinds.recipes import KINDS
from orchestrator.definitions.yaml import decode, read_document
from orchestrator.errors import DefinitionError, UsageError
from orchestrator.operations.recipes import skeleton

WHOLE = Draft202012Validator(schema())
SAMPLES = {name: text for name, text in FILES.items() if name.startswith("recipes/") and name.endswith(".yaml")}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_schemas_are_schemas(kind):
    Draft202012Validator.check_schema(schema(kind))
    assert schema(kind)["title"] == f"{kind} of mlorch"


def test_the_whole_schema_has_one_branch_a_kind():
    assert len(schema()["oneOf"]) == len(KINDS)
    assert schema()["discriminator"]["propertyName"] == "kind"


def test_shipped_recipes_and_locks_fit_as_an_editor_reads_them():
    paths = list(definition_files(builtin_root()))
    assert paths
    for path in paths:
        assert [e.message for e in WHOLE.iter_errors(yaml.safe_load(path.read_text()))] == [], path
    locks = Draft202012Validator(schema("lock"))
    for path in (data_root() / "images").glob("*.lock.yaml"):
        assert [e.message for e in locks.iter_errors(yaml.safe_load(path.read_text()))] == [], path


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_text_and_native_scalars_both_fit(name):
    """`yaml.safe_load` reads numbers natively, BaseLoader leaves the text that our decoder takes."""
    for loader in (yaml.SafeLoader, yaml.BaseLoader):
        assert [e.message for e in WHOLE.iter_errors(yaml.load(SAMPLES[name], Loader=loader))] == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("recipes/benchmarks/classify.yaml", "model: net", "modell: net"),
        ("recipes/benchmarks/classify.yaml", "Offline: {}", "Offlin: {}"),
        ("recipes/benchmarks/classify.yaml", "performance_samples: 2", "performance_samples: two"),
        ("recipes/benchmarks/classify.yaml", "performance_samples: 2", "performance_samples: 0"),
        ("recipes/targets/chip.yaml", "linux/arm64", "linux/riscv"),
        ("recipes/layers/os.yaml", "libc6", "x; rm -rf /"),
        ("recipes/layers/os.yaml", "kind: bootstrap", "kind: bootstrp"),
        ("recipes/models/net.yaml", "kind: model", "kind: modle"),
    ],
)
def test_what_mlorch_refuses_an_editor_underlines(name, old, new):
    text = SAMPLES[name].replace(old, new)
    assert not WHOLE.is_valid(yaml.safe_load(text))
    if "modle" not in new:
        document = read_document("t.yaml", text)
        with pytest.raises(DefinitionError):
            decode(document, KINDS[document.node(("kind",)).value])


def test_an_unknown_kind_has_no_schema():
    with pytest.raises(UsageError) as caught:
        schema("modle")
    assert caught.value.hint == "did you mean `model`?"


@pytest.mark.parametrize("kind", KINDS)
def test_skeletons_are_valid_recipes(kind):
    text = skeleton(kind, "my-own")
    assert decode(read_document("t.yaml", text), KINDS[kind]).name == "my-own"
    assert WHOLE.is_valid(yaml.safe_load(text))
