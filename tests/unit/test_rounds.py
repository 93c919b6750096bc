"""MLPerf's rounds as data: put together from differences, with faults at their place."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_recipes import FILES, write

from orchestrator.definitions.catalog import Root, builtin_root, load
from orchestrator.definitions.catalog.rounds import (
    loadgen_layer,
    loadgen_version,
    model_rules,
    unknown_to_loadgen,
)
from orchestrator.errors import DefinitionError, UsageError
from orchestrator.plan.build.frameworks import benchmark_in
from orchestrator.plan.build.resolve import resolve


@pytest.fixture(scope="module")
def catalog():
    return load([builtin_root()])


# -- put together from differences -------------------------------------------------------------

FIRST = """\
kind: round
name: r1
title: The first
sources: {checker: somewhere}
loadgen:
  from: "1.0"
  to: "1.9"
  why: so it is
  server_latency_ms: 10
  knows:
    net: {latency_ms: 15}
    talk: {ttft_ms: 100, tpot_ms: 10}
    talk-interactive: {since: "1.5", ttft_ms: 50, tpot_ms: 5}
seeds: {qsl_rng_seed: 1, sample_index_rng_seed: 2, schedule_rng_seed: 3}
min_duration_ms: 600000
min_queries: {Server: 100, Offline: 1}
metrics: {acc: share of right answers}
compliance_tests: {TEST01: that nothing is made up}
added:
  net-99:
    title: A network
    dataset: Photos
    loadgen: net
    scenarios:
      datacenter: [Server, Offline]
      edge: {required: [SingleStream], optional: [Offline]}
    accuracy:
      acc: {reference: 80, factor: 0.99}
    latency_ms: {Server: 15}
    performance_samples: 8
    compliance: [TEST01]
  net-99.9:
    like: net-99
    accuracy:
      acc: {reference: 80, factor: 0.999, max_factor: 1.1}
"""
SECOND = """\
kind: round
name: r2
title: The second
since: r1
sources: {checker: elsewhere}
loadgen: {from: "2.0", to: "2.1", why: so it is}
seeds: {qsl_rng_seed: 4, sample_index_rng_seed: 5, schedule_rng_seed: 6}
removed: [net-99.9]
changed:
  net-99:
    dataset_samples: 100
    scenarios:
      datacenter: [Offline]
added:
  talk:
    title: Words
    dataset: Texts
    loadgen: talk
    scenarios:
      datacenter: {required: [Offline], optional: [Server, Interactive]}
    accuracy:
      acc: {min: 33}
    performance_samples: 8
    compliance: []
"""
ROUNDS = {"recipes/rounds/r1.yaml": FIRST, "recipes/rounds/r2.yaml": SECOND}
PINNED = FILES["recipes/layers/loads.yaml"] + "python: [mlcommons-loadgen==2.1]\n"


def of(folder: Path, changes: dict[str, str | None] | None = None):
    return load([Root(write(folder / "sample", changes={**ROUNDS, **(changes or {})}), "path:sample")])


def faults(folder: Path, changes: dict[str, str | None]):
    with pytest.raises(DefinitionError) as caught:
        of(folder, changes)
    return caught.value.problems()


def test_a_round_is_the_one_before_with_its_changes(tmp_path):
    rules = of(tmp_path).round_rules("r2")
    assert (rules.since, rules.seeds["qsl_rng_seed"], rules.loadgen.range) == (("r1",), 4, "2.0 to 2.1")
    assert tuple(rules.models) == ("net-99", "talk")
    net, talk = rules.models.values()
    assert (net.title, net.dataset_samples, net.categories) == ("A network", 100, ("datacenter",)), "replaced whole"
    assert net.min_queries == {"Offline": 1}, "of what is run only"
    assert (net.min_duration_ms, rules.models["talk"].min_duration_ms) == (600_000, 600_000)
    assert talk.loadgen_limits["Interactive"].document() == {"ttft_ms": 50, "tpot_ms": 5}
    assert talk.accuracy[0].document() == {
        "min": 33,
        "max": None,
        "reference": None,
        "factor": None,
        "max_factor": None,
    }


def test_a_model_like_another_differs_in_what_it_says(tmp_path):
    one, other = of(tmp_path).round_rules("r1").models.values()
    assert (other.dataset, other.loadgen_name, other.limits) == (one.dataset, one.loadgen_name, one.limits)
    assert (one.accuracy[0].minimum, one.accuracy[0].maximum) == (79.2, None)
    assert (other.accuracy[0].minimum, other.accuracy[0].maximum) == (79.92, 88.0)


def test_a_system_of_both_categories_runs_what_either_asks_for(tmp_path):
    net = of(tmp_path).round_rules("r1").models["net-99"]
    assert net.scenarios["datacenter-edge"].required == ("SingleStream", "Server", "Offline")
    assert net.scenarios["datacenter-edge"].optional == (), "what one category requires is not optional"


# -- what cannot be meant --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "old", "new", "place", "slug", "words"),
    [
        ("r2", "since: r1", "since: r3", (4, 8), "unknown-round", "there are: r1"),
        ("r2", "since: r1", "since: r2", (4, 8), "round-circle", "r2 since r2"),
        ("r1", "title: The first", "title: The first\nsince: r2", (4, 8), "round-circle", "r1 since r2 since r1"),
        ("r2", "[net-99.9]", "[net-99.9, ney-99]", (8, 21), "unknown-round-model", "did you mean `net-99`"),
        ("r2", "  net-99:", "  nets-99:", (10, 3), "unknown-round-model", "did you mean `net-99`"),
        ("r2", "[net-99.9]", "[net-99.9, net-99]", (10, 3), "model-twice", "changed and removed"),
        ("r2", "  talk:", "  net-99:", (15, 3), "model-twice", "under `changed`"),
        ("r1", "like: net-99", "like: net-98", (33, 11), "unknown-round-model", "did you mean `net-99`"),
        ("r2", "    dataset_samples: 100", "    like: net-99", (11, 5), "model-like", "only a new model"),
        ("r1", "like: net-99", "like: net-99.9", (33, 11), "unknown-round-model", "did you mean `net-99`"),
        ("r1", "    dataset: Photos\n", "", (20, 3), "missing-key", "`dataset` is missing"),
        ("r1", "  net-99.9:\n    like: net-99\n", "  net-99.9:\n", (32, 3), "missing-key", "or `like:` another"),
        (
            "r1",
            "edge: {required: [SingleStream]",
            "edge: {required: [SingleSteam]",
            (26, 25),
            "bad-value",
            "SingleStream",
        ),
        ("r1", "      edge:", "      edges:", (26, 7), "bad-value", "edge"),
        (
            "r1",
            "latency_ms: {Server: 15}\n    perf",
            "latency_ms: {Serve: 15}\n    perf",
            (29, 18),
            "bad-value",
            "Server",
        ),
        ("r1", "acc: {reference: 80, factor: 0.99}", "acd: {min: 1}", (28, 7), "unknown-metric", "did you mean `acc`"),
        ("r1", "[TEST01]", "[TEST01, TEST02]", (31, 26), "unknown-compliance-test", "did you mean `TEST01`"),
        ("r1", "{reference: 80, factor: 0.99}", "{factor: 0.99}", (28, 12), "bad-value", "needs the `reference`"),
        ("r1", "{reference: 80, factor: 0.99}", "{reference: 80}", (28, 12), "bad-value", "no target"),
        ("r1", "{reference: 80, factor: 0.99}", "{}", (28, 12), "bad-value", "needs a `reference` and a `factor`"),
        ("r1", "80, factor: 0.99}", "80, factor: 0.99, min: 3}", (28, 12), "bad-value", "both a lower bound"),
        ("r2", "{min: 33}", "{min: .nan}", (22, 18), "bad-value", "not a number"),
        ("r1", "loadgen: net\n", "loadgen: nett\n", (23, 14), "loadgen-model", "did you mean `net`"),
        ("r1", "edge: {required: [SingleStream]", "edge: {requird: [SingleStream]", (26, 14), "unknown-key", "did you"),
        ("r1", "datacenter: [Server, Offline]", "datacenter: [Serve, Offline]", (25, 20), "bad-value", "`Server`"),
        ("r1", 'to: "1.9"', 'to: "0.9"', (6, 3), "bad-value", "`from` 1.0 is after `to` 0.9"),
        ("r1", 'to: "1.9"', 'to: "1.x"', (7, 7), "bad-value", "not a version"),
        ("r1", "qsl_rng_seed: 1", "qsl_rng_seed: -1", (14, 23), "bad-value", "0"),
        ("r1", "sources: {checker: somewhere}", "sources: {}", (4, 10), "bad-value", "at least 1"),
    ],
)
def test_faults_of_a_round_stand_at_their_place(tmp_path, file, old, new, place, slug, words):
    name = f"recipes/rounds/{file}.yaml"
    assert old in ROUNDS[name]
    changes = {name: ROUNDS[name].replace(old, new, 1)}
    problem = faults(tmp_path, changes)[0]
    assert problem.slug == slug
    assert (problem.span.line, problem.span.column) == place
    assert Path(problem.span.path).stem == file
    assert words in f"{problem.message} {problem.hint}"


def test_interactive_needs_a_name_of_its_own_in_loadgen(tmp_path):
    text = FIRST.replace('    talk-interactive: {since: "1.5", ttft_ms: 50, tpot_ms: 5}\n', "")
    (problem,) = faults(tmp_path, {"recipes/rounds/r1.yaml": text})
    assert problem.slug == "loadgen-model"
    assert "`talk-interactive`" in problem.message
    said = SECOND.replace("    loadgen: talk\n", "    loadgen: talk\n    loadgen_defaults: run by another client\n")
    of(tmp_path / "said", {"recipes/rounds/r1.yaml": text, "recipes/rounds/r2.yaml": said})


def test_a_round_after_a_broken_one_is_not_blamed(tmp_path):
    problems = faults(tmp_path, {"recipes/rounds/r1.yaml": FIRST.replace("title: The first", "titel: The first")})
    assert {Path(problem.span.path).stem for problem in problems} == {"r1"}


# -- a benchmark and its round ---------------------------------------------------------------


def benchmark(more: str) -> dict[str, str | None]:
    lock = "version: 1\nlayer: loads\nplatforms:\n  linux/amd64: {}\n"
    return {
        "recipes/benchmarks/classify.yaml": FILES["recipes/benchmarks/classify.yaml"] + more,
        "recipes/layers/loads.yaml": PINNED,
        "images/loads.lock.yaml": lock,
    }


@pytest.mark.parametrize(
    ("more", "place", "slug", "words"),
    [
        ("round: r3\n", (17, 8), "unknown-round", "there are: r1, r2"),
        (
            "round: r1\n",
            (17, 8),
            "loadgen-round",
            "LoadGen 2.1 does not have the seeds of r1, which accepts 1.0 to 1.9",
        ),
        ("round: r2\nstands_for: net-98\n", (18, 13), "unknown-round-model", "did you mean `net-99`"),
        ("round: r2\nstands_for: net\n", (18, 13), "unknown-round-model", "LoadGen's name; the checker says `net-99`"),
        ("round: r2\nofficial: yes\n", (18, 11), "official-model", "stands_for"),
        ("stands_for: net-99\n", (1, 1), "unknown-round", "there is no round `v6.1`"),
    ],
)
def test_a_benchmark_must_fit_its_round(tmp_path, more, place, slug, words):
    (problem,) = faults(tmp_path, benchmark(more))
    assert (problem.slug, (problem.span.line, problem.span.column)) == (slug, place)
    assert words in f"{problem.message} {problem.hint}"


def test_a_model_that_this_loadgen_does_not_know_yet_is_refused(tmp_path):
    rounds = {
        "recipes/rounds/r2.yaml": SECOND + "",
        "recipes/rounds/r1.yaml": FIRST.replace("net: {", 'net: {since: "2.2", '),
    }
    rounds["recipes/rounds/r2.yaml"] = SECOND.replace('to: "2.1"', 'to: "2.9"')
    (problem,) = faults(tmp_path, {**rounds, **benchmark("round: r2\nstands_for: net-99\nofficial: yes\n")})
    assert problem.slug == "loadgen-model"
    assert problem.message == "LoadGen 2.1 does not know `net` and would take its defaults"
    assert "from LoadGen 2.2 on" in problem.hint


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.1+ours", "2.0.7"])
def test_a_benchmark_fits_its_round(tmp_path, version):
    changes = benchmark("round: r2\nstands_for: net-99\nofficial: yes\n")
    changes["recipes/layers/loads.yaml"] = PINNED.replace("2.1", version)
    assert benchmark_in(of(tmp_path, changes), "classify").definition.round == "r2"


@pytest.mark.parametrize("version", ["1.9.9", "2.1.1", "2.2+ours", "3", "two"])
def test_a_loadgen_outside_of_the_range_does_not(tmp_path, version):
    changes = benchmark("round: r2\n")
    changes["recipes/layers/loads.yaml"] = PINNED.replace("2.1", version)
    (problem,) = faults(tmp_path, changes)
    assert problem.slug == "loadgen-round"


def test_the_loadgen_of_a_layer_below_counts(tmp_path):
    changes = benchmark("round: r1\n")
    changes["recipes/layers/below.yaml"] = PINNED.replace("name: loads", "name: below")
    changes["recipes/layers/loads.yaml"] = FILES["recipes/layers/loads.yaml"] + "over: below\n"
    assert [problem.slug for problem in faults(tmp_path, changes)] == ["loadgen-round"]


def test_without_rounds_the_default_one_asks_for_nothing(tmp_path):
    none: dict[str, str | None] = {"recipes/rounds/r1.yaml": None, "recipes/rounds/r2.yaml": None}
    assert of(tmp_path, none).benchmark("classify").definition.round == "v6.1"


def test_another_round_is_asked_for_when_planning(tmp_path):
    catalog = of(tmp_path, benchmark("round: r2\nstands_for: net-99\n"))
    found = resolve(catalog, target="chip", benchmark="classify", round_name="r2")
    assert found.benchmark.definition.round == "r2"
    with pytest.raises(UsageError, match="does not have the seeds of r1, which accepts") as caught:
        resolve(catalog, target="chip", benchmark="classify", round_name="r1")
    assert caught.value.slug == "loadgen-round"
    with pytest.raises(UsageError) as caught:
        resolve(catalog, target="chip", benchmark="classify", round_name="r9")
    assert caught.value.slug == "unknown-round"


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("v4.1", "loadgen-v4.1"),
        ("v5.0", "loadgen-v5.0"),
        ("v5.1", "loadgen-v5.1"),
        ("v6.0", "loadgen-v6.0"),
        ("v6.1", "loadgen"),
    ],
)
def test_a_harness_that_names_no_loadgen_takes_the_rounds(catalog, name, layer):
    what = benchmark_in(catalog, "image-smoke", name).definition
    assert (what.round, loadgen_layer(catalog, what)) == (name, layer)
    found = resolve(catalog, target="cpu", benchmark="image-smoke", round_name=name)
    assert layer in [entry.definition.name for entry in found.layers]
    rules = catalog.round_rules(name)
    for model in rules.models.values():
        assert unknown_to_loadgen(rules, model, loadgen_version(catalog, layer)) == ()


def test_a_round_without_a_layer_of_loadgen_is_told(tmp_path):
    unnamed = FILES["recipes/harnesses/drive.yaml"].replace("loadgen: loads\n", "")
    changes = {"recipes/harnesses/drive.yaml": unnamed, **benchmark("round: r2\n")}
    (problem,) = faults(tmp_path, changes)
    assert (problem.slug, "nor r2 names a layer with LoadGen" in problem.message) == ("loadgen-layer", True)
    assert "r2 accepts LoadGen" in problem.hint


def test_the_layer_of_a_round_must_have_a_loadgen_of_it(tmp_path):
    named = SECOND.replace("loadgen: {from", "loadgen: {layer: loads, from")
    changes = {**benchmark(""), "recipes/rounds/r2.yaml": named}
    of(tmp_path, changes)
    changes["recipes/layers/loads.yaml"] = PINNED.replace("2.1", "2.2")
    (problem,) = faults(tmp_path, changes)
    assert (problem.slug, problem.span.line, problem.span.column) == ("loadgen-round", 6, 18)
    changes["recipes/rounds/r2.yaml"] = named.replace("layer: loads", "layer: load")
    (problem,) = faults(tmp_path, changes)
    assert (problem.slug, problem.hint) == ("unknown-layer", "did you mean `loads`?")


def test_a_harness_without_loadgen_needs_a_round_that_has_one(tmp_path):
    bare = FILES["recipes/harnesses/drive.yaml"].replace("loadgen: loads\n", "")
    changes = {**benchmark("round: r2\n"), "recipes/harnesses/drive.yaml": bare}
    (problem,) = faults(tmp_path, changes)
    assert (problem.slug, problem.span.line) == ("loadgen-layer", 8)
    changes["recipes/rounds/r2.yaml"] = SECOND.replace("loadgen: {from", "loadgen: {layer: loads, from")
    catalog = of(tmp_path, changes)
    assert loadgen_layer(catalog, catalog.benchmark("classify").definition) == "loads"
    changes["recipes/benchmarks/classify.yaml"] = FILES["recipes/benchmarks/classify.yaml"]
    assert [each.slug for each in faults(tmp_path, changes)] == ["unknown-round"], "the default one is needed then"


@pytest.mark.parametrize(
    ("name", "model", "words"),
    [
        ("v6.1", "llama2-70b-99", "it is in v4.1, v5.0, v5.1, v6.0; did you mean `llama2-70b-99.9`"),
        ("v6.0", "resnet50", "that is LoadGen's name; the checker says `resnet`"),
        ("v6.0", "bert", "the checker says `bert-99` or `bert-99.9`"),
        ("v6.0", "wisper", "did you mean `whisper`"),
    ],
)
def test_a_model_that_a_round_has_not(catalog, name, model, words):
    with pytest.raises(UsageError) as caught:
        model_rules(catalog, name, model)
    assert caught.value.slug == "unknown-round-model"
    assert words in caught.value.hint


# -- what the checker asks of a tree -------------------------------------------------------------

CHECKER = """\
checker:
  statuses: [available, preview]
  layout:
    results: "{division}/results/{model}"
    code: "{division}/code"
  units: {Server: Queries/s, Offline: Samples/s}
  result_keys: {Server: rate}
  accuracy_lines: {acc: '^acc=([0-9.]+)'}
  delta_percent: 1
  delta_percent_high: 0.1
  checks: {seeds: tell}
"""


def test_the_checker_of_a_round_is_the_one_before_with_its_changes(tmp_path):
    later = 'checker:\n  statuses: [rdi]\n  layout: {code: "{division}/src"}\n  units: {Interactive: Words/s}\n'
    later += "  checks: {validity: skip}\n"
    rounds = of(tmp_path, {
        "recipes/rounds/r1.yaml": FIRST.replace("metrics: {", CHECKER + "metrics: {"),
        "recipes/rounds/r2.yaml": SECOND.replace("removed:", later + "removed:"),
    })  # fmt: skip
    first, second = rounds.round_rules("r1"), rounds.round_rules("r2")
    assert first.checker.answer("validity") == "refuse", "what is not said is refused"
    assert (second.checker.answer("seeds"), second.checker.answer("validity")) == ("tell", "skip")
    assert second.checker.statuses == ("rdi",), "a list replaces the one before"
    assert (second.checker.layout.results, second.checker.layout.code) == (
        "{division}/results/{model}",
        "{division}/src",
    )
    assert second.checker.units == {"Server": "Queries/s", "Offline": "Samples/s", "Interactive": "Words/s"}
    assert first.models["net-99.9"].submission.delta_percent == {"acc": 0.1}
    assert second.models["talk"].submission.result_keys == {"Server": "rate"}


def test_a_round_that_says_nothing_of_its_checker_has_empty_rules(tmp_path):
    checker = of(tmp_path).round_rules("r2").checker
    assert (checker.program, checker.columns, checker.answer("seeds")) == (None, (), "refuse")


@pytest.mark.parametrize(
    ("was", "wrong", "said"),
    [
        ("{seeds: tell}", "{seed: tell}", "seed"),
        ("{seeds: tell}", "{seeds: shout}", "shout"),
        ("'^acc=([0-9.]+)'", "'^acc=[0-9.]+'", "exactly one group"),
        ("'^acc=([0-9.]+)'", "'^acc=([0-9.]+'", "no regular expression"),
        ('"{division}/code"', '"../code"', "code"),
        ('"{division}/code"', '"/code"', "code"),
        ('"{division}/code"', '"{place}/code"', "code"),
    ],
)
def test_what_a_checker_cannot_mean_is_told_with_its_line(tmp_path, was, wrong, said):
    text = FIRST.replace("metrics: {", CHECKER.replace(was, wrong) + "metrics: {")
    problem = faults(tmp_path, {"recipes/rounds/r1.yaml": text})[0]
    assert said in f"{problem.message} {problem.hint}"
    assert text.splitlines()[problem.span.line - 1].count(wrong.strip("{}").split(":")[0]) >= 1
