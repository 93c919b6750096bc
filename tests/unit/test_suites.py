"""`mlorch run --suite`: what of it runs on a target, what is left out and why, and that a failure stops no other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from orchestrator import cli
from orchestrator.errors import AssetError, EngineError, HostLimitError, NothingSelectedError, UsageError
from orchestrator.operations.context import Context
from orchestrator.operations.run import suite as run_suite
from orchestrator.operations.run.request import RunRequest
from orchestrator.operations.run.suite import SuiteRun
from orchestrator.operations.suites import Chosen, LeftOut, benchmarks_of_suite

REFERENCE = {"detect", "image-fashion", "image-smoke", "language-embed", "llm-chat", "recommend", "speech-command"}


@pytest.fixture(scope="module")
def catalog():
    return Context().catalog


def chosen(catalog, target="cpu", **words) -> Chosen:
    return benchmarks_of_suite(catalog, RunRequest(suite=words.pop("suite", "reference"), **words), target)


def reasons(found: Chosen) -> dict[str, str]:
    return {each.benchmark: each.reason for each in found.left_out}


def test_the_reference_workloads_are_seven_and_one_waits_until_its_terms_are_accepted(catalog):
    found = chosen(catalog)
    assert {*found.names, *reasons(found)} == REFERENCE
    (why,) = reasons(found).items()
    assert why[0] == "recommend"
    assert "GroupLens' own terms" in why[1]
    assert "`mlorch run recommend --suite reference`" in why[1]


def test_who_names_a_benchmark_accepts_its_terms_and_names_come_first(catalog):
    found = chosen(catalog, benchmarks=("recommend", "language-similarity"))
    assert found.names[:2] == ("recommend", "language-similarity")
    assert set(found.names) == {*REFERENCE, "language-similarity"}
    assert found.left_out == ()


def test_what_a_target_has_no_layer_for_is_left_out_with_the_reason(catalog):
    found = chosen(catalog, target="neuron")
    assert found.names == ("image-fashion",)
    assert "no layer for llamacpp" in reasons(found)["llm-chat"]


def test_a_scenario_that_a_benchmark_does_not_have_leaves_it_out(catalog):
    found = chosen(catalog, scenarios=("Interactive",))
    assert found.names == ("llm-chat",)
    assert reasons(found)["detect"] == "benchmark `detect` has no scenario Interactive"


def test_a_suite_of_which_nothing_runs_says_why(catalog):
    with pytest.raises(NothingSelectedError, match="nothing of the suite `reference` runs on target `neuron`") as error:
        chosen(catalog, target="neuron", scenarios=("Interactive",))
    assert "llm-chat: benchmark `llm-chat` does not support" in error.value.hint


def test_an_unknown_suite_is_refused_with_those_that_there_are(catalog):
    with pytest.raises(UsageError) as error:
        chosen(catalog, suite="referense")
    assert (error.value.slug, error.value.hint) == ("unknown-suite", "did you mean `reference`? known: reference")


def test_data_whose_terms_ask_for_a_name_is_of_no_default_benchmark(catalog):
    for entry in catalog.benchmarks():
        what = entry.definition
        sources = [s for a in (catalog.model(what.model), catalog.dataset(what.dataset)) for s in a.definition.sources]
        assert not (what.default and any(source.licence.by_name for source in sources)), what.name


def test_a_benchmark_that_is_like_another_is_not_in_its_suites(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text("kind: benchmark\nname: mine\ntitle: Mine\nlike: image-fashion\n")
    assert cli.run(["benchmarks", "show", "mine", "--recipes", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["suites"] == []


# -- one after the other ---------------------------------------------------------------------


@dataclass
class Heard:
    lines: list[str] = field(default_factory=list)

    def say(self, text, *, style=""):
        self.lines.append(text)

    warn = say


@pytest.fixture
def suite(monkeypatch, tmp_path):
    """A suite of three whose tests yield their benchmark's name; ``ends`` says what stops one of them."""
    asked, reports, ends, held = [], [], {}, []

    def run(_context, request, _progress, _watcher, processors):
        (name,) = request.benchmarks
        asked.append(request)
        held.append(processors)
        yield f"{name} accuracy"
        if name in ends:
            raise ends[name]
        yield f"{name} Offline"

    def write_report(path, summaries):
        reports.append((path, list(summaries)))
        return path

    monkeypatch.setattr(run_suite, "run", run)
    monkeypatch.setattr(run_suite, "write_report", write_report)
    out = LeftOut(benchmark="d", reason="no layer")
    request = RunRequest(suite="three", target="cpu", results=tmp_path)
    made = SuiteRun(context=None, request=request, chosen=Chosen(suite="three", names=("a", "b", "c"), left_out=(out,)))
    return SimpleNamespace(run=made, asked=asked, reports=reports, ends=ends, heard=Heard(), folder=tmp_path, held=held)


@pytest.mark.parametrize("error", [AssetError("no data"), HostLimitError("too little memory"), UsageError("no such")])
def test_a_benchmark_that_fails_stops_no_other_and_is_told(suite, error):
    suite.ends["b"] = error
    done = list(suite.run.run(suite.heard, None))
    assert done == ["a accuracy", "a Offline", "b accuracy", "c accuracy", "c Offline"]
    assert suite.run.failed == [("b", error)]
    assert suite.heard.lines[0] == "d is left out: no layer"
    assert f"b did not run to its end: {error.message} [{error.slug}]" in suite.heard.lines
    document = suite.run.document()
    assert document["left_out"] == [{"benchmark": "d", "reason": "no layer"}]
    assert [each["benchmark"] for each in document["failed"]] == ["b"]


def test_all_records_share_a_session_and_one_report_has_every_test(suite):
    done = list(suite.run.run(suite.heard, None))
    (session,) = {request.session for request in suite.asked}
    assert [request.suite for request in suite.asked] == [""] * 3, "a record's command line repeats its own benchmark"
    assert suite.reports == [(suite.folder / f"report-{session}.html", done)]
    assert suite.run.document()["report"] == str(suite.run.report)
    assert len({id(processors) for processors in suite.held}) == 1, "reserved once for all of them"


def test_an_engine_that_is_gone_ends_the_suite_and_the_report_has_what_was_done(suite):
    suite.ends["b"] = EngineError("gone")
    with pytest.raises(EngineError):
        list(suite.run.run(suite.heard, None))
    assert len(suite.asked) == 2
    ((_, reported),) = suite.reports
    assert reported == ["a accuracy", "a Offline", "b accuracy"]
