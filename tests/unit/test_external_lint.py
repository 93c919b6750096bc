"""What is wrong with the recipe of an external harness is told where it stands, before anything runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.definitions.catalog import builtin_root
from orchestrator.definitions.catalog.check import check
from orchestrator.definitions.catalog.load import gather

DOCS = Path(__file__).parents[2] / "docs" / "add-a-harness.md"
BLOCK = re.compile(r"^```yaml\n# recipes/(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HARNESS, BENCHMARK = "suite.yaml", "suite-fashion.yaml"


@pytest.fixture
def faults(tmp_path):
    """Faults of the recipes of the docs where one of them is changed: file, line and message of each."""

    def find(changed="", old="", new=""):
        paths = []
        for name, written in BLOCK.findall(DOCS.read_text()):
            assert name != changed or old in written
            text = written.replace(old, new, 1) if name == changed else written
            paths.append(tmp_path / name)
            paths[-1].write_text(text.replace("ref: COMMIT", "ref: " + "a" * 40))
        gathered = gather([builtin_root()], paths)
        problems = gathered.problems or check(gathered.catalog)
        return [(Path(p.span.path), p.span.line, p.message) for p in problems]

    return find


def test_the_recipes_of_the_docs_have_none(faults):
    assert faults() == []


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (HARNESS, "{words.scenario}", "{words.scenaro}", "there is no value `words.scenaro`"),
        (HARNESS, "{param.threads}", "{param.treads}", "there is no value `param.treads`"),
        (HARNESS, "of: mode", "of: modus", "there is no value `modus`"),
        (HARNESS, 'default: "{cpus}"', 'default: "{param.break}"', "there is no value `param.break`"),
        (HARNESS, "when: {mode: accuracy}", "when: {mod: accuracy}", "there is no value `mod`"),
        (HARNESS, 'text: "{target} has', 'text: "{target has', "a single `{`"),
        (HARNESS, "(\\\\S+) percent", "\\\\S+ percent", "it must have exactly one group: the number"),
        (HARNESS, "reason: it keeps its traces there", "reason: x", "reason"),
        (HARNESS, "timeout: 5m", "timeout: soon", "timeout"),
        (HARNESS, "path: /opt/suite/site.txt", "path: /results/run.json", "lies in /results"),
        (HARNESS, "path: /opt/suite/site.txt", "path: /proc/self/mem", "lies in /proc"),
        (HARNESS, "path: /opt/suite/site.txt", "path: /", "is no plain path"),
        (HARNESS, "path: user.conf", "path: a/./user.conf", "is no plain path"),
        (HARNESS, "path: /opt/suite/cache, kind: memory", "path: /, kind: results", "is no plain path"),
        (HARNESS, "path: /opt/suite/cache, kind: memory", "path: /results/out, kind: memory", "lies in /results"),
        (
            HARNESS,
            "  writable:",
            "  deviations: [{what: shm, value: 99t, reason: it shares a lot}]\n  writable:",
            "`program.deviations[0].value`: a size of `99t` cannot be meant",
        ),
        (HARNESS, "size: 16m", "size: 99t", "a size of `99t` cannot be meant"),
        (HARNESS, "timeout: 5m", "timeout: 0s", "`0s` is no time limit"),
        (HARNESS, "when: {mode: accuracy}", "when: {mode: acuracy}", "`mode` is never `acuracy`"),
        (HARNESS, "when: {mode: accuracy}", "when: {mode: []}", "`mode` is to be one of no values"),
        (HARNESS, "when: {mode: accuracy}", "when: {target: cpuu}", "`target` is never `cpuu`"),
        (HARNESS, "Offline: offline", "Ofline: offline", "`scenario` is never `Ofline`"),
        (BENCHMARK, "frameworks:", "parameters: {threads: 0}\nframeworks:", "`0` is no value for `threads`"),
        (BENCHMARK, "{metric: top1,", "{metric: top5,", "harness `suite` has no accuracy `top5`"),
        (BENCHMARK, "{metric: top1,", '{metric: top1, unit: "",', "says `top1` in percent, not as a number"),
        (BENCHMARK, "frameworks:", "parameters: {bach: 8}\nframeworks:", "harness `suite` has no parameter `bach`"),
    ],
)
def test_a_mistake_is_told_where_it_stands(faults, name, old, new, message):
    ((path, line, told),) = faults(name, old, new)
    assert message in told
    assert new.splitlines()[0] in path.read_text().splitlines()[line - 1]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (HARNESS, "role: run", "role: accuracy", "exactly one step has the role `run`"),
        (HARNESS, "form: external\n", "", "a harness of form mlorch has a `command` and no `program`"),
        (BENCHMARK, "harness: suite", "harness: loadgen-onnx", "harness `loadgen-onnx` needs the model's `input`"),
    ],
)
def test_what_does_not_go_together_is_told(faults, name, old, new, message):
    assert any(message in told for _, _, told in faults(name, old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[python3, tools/score.py,", "[{wen: {mode: accuracy}, words: [x]}, tools/score.py,", "unknown key `wen`"),
        ("[python3, tools/score.py,", "[[python3], tools/score.py,", "is not a text"),
        ("path: user.conf,", "path: ../user.conf,", "not the path of a file"),
        ("words:\n    scenario:", "words:\n    the-scenario:", "not a name for a template"),
    ],
)
def test_one_mistake_is_one_fault(faults, old, new, message):
    ((_, _, told),) = faults(HARNESS, old, new)
    assert message in told


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("path: /run.json, kind: results", "`/run.json` would be kept as run.json, and that is a name of mlorch's own"),
        ("path: /compile, kind: artifacts", "a name of mlorch's own"),
        (
            "path: /opt/suite-cache, kind: results, reason: one name}\n    - {path: /opt/suite/cache, kind: memory",
            "would both be kept as opt-suite-cache",
        ),
    ],
)
def test_folders_that_would_have_one_name_in_a_run_are_refused(faults, new, message):
    ((_, _, told),) = faults(HARNESS, "path: /opt/suite/cache, kind: memory", new)
    assert message in told
