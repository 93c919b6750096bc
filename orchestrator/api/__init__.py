"""The verbs of the command line for Python programs; each gives the document that `--json` prints.

    from orchestrator import api

    api.build(target="cpu", benchmarks=["image-fashion"], push="registry.example:5000/team")
    for result in api.run(["image-fashion"], scenarios=["Offline"], mode="accuracy")["results"]:
        print(result["metrics"]["accuracy"]["value"], result["image_digest"])

`api.images`, `api.assets`, `api.recipes`, `api.campaign`, `api.submission` and `api.store` have the verbs of those
groups. Every call takes ``recipes``, ``locked`` and ``engine`` beside its own options. Failures are raised as the
classes of `orchestrator.errors`, an option that does not exist as TypeError. Talk is silent unless `talk=True` sends
it to stderr. Keys may be added to a document, never renamed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.api import assets, campaign, images, recipes, store, submission
from orchestrator.api.calls import (
    OF_EVERY_CALL,
    context_of,
    document_of,
    only_context,
    progress_of,
    pull_policy,
    request_of,
    results_in,
    selection_of,
    words,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from orchestrator.api.calls import Document

__all__ = [
    "assets",
    "benchmarks",
    "build",
    "campaign",
    "compare",
    "doctor",
    "engine_ensure",
    "engine_status",
    "engine_stop",
    "images",
    "plan",
    "recipes",
    "render",
    "report_results",
    "results",
    "run",
    "show_result",
    "sign_results",
    "store",
    "submission",
    "targets",
    "tune",
    "tuned",
    "verify_results",
]


def plan(*, target: str | None = None, **options: Any) -> Document:
    """What `build` would do and why: ``{"target", "platform", "layers": [...], "images": [...]}``.

    ``options`` are fields of `Selection` (``benchmarks``, ``platform``, ``arch``, ``base_source``, …) and of
    `PullPolicy` (``pull``, ``images``).

    Raises:
        UsageError, DefinitionError: unknown names, invalid recipes.
        RegistryError: an image in a registry is not what its name says.
    """
    from orchestrator.operations.plan import plan_document, plan_images

    context = context_of(progress_of(talk=False), options)
    policy = pull_policy(options)
    found = plan_images(context, selection_of(target, options), context.talk, pull_policy=policy)
    return document_of(plan_document(found.plans, found.outcomes))


def render(
    *, target: str | None = None, folder: str | os.PathLike[str] | None = None, contexts: bool = False,
    talk: bool = False, **options: Any,
) -> Document:  # fmt: skip
    """The Dockerfiles of a target: ``{"files": {path: text}}``, or ``{"files": [path]}`` where they go to ``folder``.

    ``contexts`` writes all that a build reads beside them, for which packages are fetched. ``options`` are the fields
    of `Selection`. Raises `UsageError`, `DefinitionError`, `WriteFailed`, and `AssetError` for a package that cannot be
    had.
    """
    from pathlib import Path

    from orchestrator.operations import render as files_of

    if contexts and folder is None:
        raise TypeError("`contexts` writes archives of packages: say where to, by `folder`")
    progress = progress_of(talk=talk)
    context = context_of(progress, options)
    chosen = [selection_of(target, options)]
    files = files_of.render(context, chosen)
    if folder is not None:
        if contexts:
            files_of.write_contexts(context, chosen, Path(folder), progress)
        files_of.write_files(files, Path(folder))
    return files_of.render_document(files, written=folder is not None)


def build(*, target: str | None = None, push: str = "", talk: bool = False, **options: Any) -> Document:
    """Make the images present: the same document as `plan`, with what was done; ``options`` as `plan`.

    ``push`` publishes them there too; what was published is in the document as `images.push` gives it.

    Raises:
        StepFailed, EngineError, RegistryError: as `mlorch build`; UsageError, DefinitionError as `plan`.
    """
    from orchestrator.operations.build import build_images
    from orchestrator.operations.images.publish import PublishRequest, publish_built, require_registry
    from orchestrator.operations.plan import plan_document

    progress = progress_of(talk=talk)
    context = context_of(progress, options)
    policy = pull_policy(options)
    selection = selection_of(target, options)
    if push:
        require_registry(context, selection, push)
    plans, outcomes = build_images(context, selection, progress, pull_policy=policy)
    document = document_of(plan_document(plans, outcomes))
    if push:
        published = publish_built(context, selection, plans, PublishRequest(registry=push), progress)
        document |= document_of(published)
    return document


def run(benchmarks: Sequence[str] = (), *, talk: bool = False, **options: Any) -> Document:
    """Run tests: ``{"results": [...]}``, one element a test, INVALID ones included.

    With ``suite`` also ``left_out``, ``failed`` (benchmarks, each with its reason) and ``report``.
    ``options`` are fields of `RunRequest` (``suite``, ``target``, ``scenarios``, ``mode``, ``duration``, ``official``,
    ``find``, ``devices``, ``results``, …) and of `PullPolicy` (``pull``, ``build``, ``images``).
    A test that fails or is INVALID raises nothing: its element says so, as exit code 1
    does on the command line.

    Raises:
        MlorchError: what stops the whole (unknown names, no engine, a host that cannot
            give what the target asks for); results of tests that ended before are kept.
    """
    from orchestrator.operations.run.order import run as run_tests
    from orchestrator.operations.run.request import API, RunRequest, checked
    from orchestrator.results.summary import document
    from orchestrator.runs.runner import Watcher

    progress = progress_of(talk=talk)
    policy = pull_policy(options)
    if options.get("duration") is not None:
        options["duration"] = str(options["duration"])
    context = context_of(progress, {name: options[name] for name in OF_EVERY_CALL if name in options})
    options.setdefault("results", context.settings.results_folder())
    named = words("benchmarks", benchmarks)
    request = checked(request_of(RunRequest, options, benchmarks=named, pull_policy=policy, caller=API))
    if request.suite:
        from orchestrator.operations.run.suite import suite_run

        suite = suite_run(context, request)
        results = [document(summary) for summary in suite.run(progress, Watcher())]
        return {"results": results, **suite.document()}
    done = run_tests(context, request, progress, Watcher())
    return {"results": [document(summary) for summary in done]}


def tune(
    benchmarks: Sequence[str], *, trials: int = 20, time: str | None = None, seed: int = 1, talk: bool = False,
    **options: Any,
) -> Document:  # fmt: skip
    """Search a harness's parameters: ``{"tuning": [...]}``, an element a scenario with every trial and what is kept.

    ``time`` as ``10m``: no trial is begun after it. ``options`` as those of `run`. Raises `MlorchError` as `run` does,
    and where no parameter may be searched.
    """
    from orchestrator.operations.run.request import RunRequest, checked
    from orchestrator.operations.tune import Budget
    from orchestrator.operations.tune import tune as search
    from orchestrator.runs.runner import Watcher

    progress = progress_of(talk=talk)
    policy = pull_policy(options)
    context = context_of(progress, {name: options[name] for name in OF_EVERY_CALL if name in options})
    options.setdefault("results", context.settings.results_folder())
    named = words("benchmarks", benchmarks)
    request = request_of(RunRequest, options, benchmarks=named, pull_policy=policy, caller=("api.tune",))
    found = search(context, checked(request), Budget(trials=trials, time=time, seed=seed), progress, Watcher())
    return {"tuning": [document_of(one) for one in found]}


def tuned(benchmarks: Sequence[str] = ()) -> Document:
    """What was tried on this system and is kept, as ``mlorch tune --show --json``; of all benchmarks by default."""
    from orchestrator.host.facts import host_facts
    from orchestrator.host.folders import data_home
    from orchestrator.operations.tune import tried

    found = tried(data_home(), host_facts().system_id, words("benchmarks", benchmarks))
    return {"tuning": [document_of(one) for one in found]}


def results(folder: str | os.PathLike[str] | None = None) -> Document:
    """The runs of a results folder, newest first, as ``mlorch results list --json`` gives them.

    None takes the folder of the settings, else ``./results``.
    """
    from orchestrator.operations.progress import Silent
    from orchestrator.operations.results import list_runs

    return list_runs(results_in(folder), Silent()).document()


def verify_results(
    runs: Sequence[str] = (), folder: str | os.PathLike[str] | None = None, *, key: str | os.PathLike[str] = ""
) -> Document:
    """Whether runs (all where none is named) are what was recorded, as ``mlorch results verify --json``.

    With ``key``, a public key in PEM, every record has to be signed with it.
    """
    from orchestrator.images.attest.signatures import verifier_of
    from orchestrator.operations.progress import Silent
    from orchestrator.operations.results import verified_document, verify_runs

    verifier = verifier_of(key)
    return document_of(verified_document(verify_runs(results_in(folder), words("runs", runs), Silent(), verifier)))


def sign_results(
    runs: Sequence[str] = (), folder: str | os.PathLike[str] | None = None, *, key: str | os.PathLike[str],
    password: Callable[[], str] | None = None,
) -> Document:  # fmt: skip
    """Sign the records of runs (of the latest session where none is named), as ``mlorch results sign --json``.

    ``key`` is a private key in PEM; ``password`` gives its password, called only where it has one.

    Raises:
        StepFailed: `verify`, the files of a run are not what was recorded; none is signed then.
        UsageError: `bad-key`, `key-password`; `unknown-run`.
    """
    from pathlib import Path

    from orchestrator.images.attest.signatures import load_signer
    from orchestrator.operations.progress import Silent
    from orchestrator.operations.signing import sign_runs

    signer = load_signer(Path(key), password or str)
    return {"results": document_of(sign_runs(results_in(folder), words("runs", runs), signer, Silent()))}


def show_result(run: str = "latest", folder: str | os.PathLike[str] | None = None) -> Document:
    """One run with its settings and where they came from, as ``mlorch results show --json``."""
    from orchestrator.operations.progress import Silent
    from orchestrator.operations.results import show_run, shown_document

    return document_of(shown_document(show_run(results_in(folder), run, Silent())))


def report_results(
    runs: Sequence[str] = (), folder: str | os.PathLike[str] | None = None, *,
    output: str | os.PathLike[str] = "", force: bool = False,
) -> Document:  # fmt: skip
    """Write one HTML file of runs (of the latest session where none is named): ``{"report", "runs"}``.

    Without ``output`` it is ``report-SESSION.html`` among the results. Raises `WriteFailed` [exists] where that file is
    there, unless ``force`` replaces it.
    """
    from pathlib import Path

    from orchestrator.operations.progress import Silent
    from orchestrator.operations.results import write_report

    given = Path(output) if output else None
    return document_of(write_report(results_in(folder), words("runs", runs), Silent(), output=given, force=force))


def compare(was: str, now: str, *, folder: str | os.PathLike[str] | None = None, **options: Any) -> Document:
    """Two runs or sets of runs, as ``mlorch results compare --json``; ``options`` are ``tolerance`` and ``if_any``."""
    from orchestrator.operations.compare import compare_runs

    return document_of(compare_runs(results_in(folder), was, now, **options))


def targets(name: str = "", **options: Any) -> Document:
    """Every target in its three states, or all of the one that is named, as ``mlorch targets list|show --json``."""
    from orchestrator.operations.targets import list_targets, show_target

    context = only_context(options)
    if name:
        return document_of(show_target(context, name))
    return {"targets": [document_of(each) for each in list_targets(context).presences]}


def benchmarks(name: str = "", *, round: str = "", **options: Any) -> Document:  # noqa: A002 (the option's name)
    """Every benchmark, or all of the one that is named, as ``mlorch benchmarks list|show --json``.

    ``round`` asks for the models and rules of a round of MLPerf Inference, such as v6.0.
    """
    from orchestrator.operations.benchmark_lists import list_benchmarks, list_models
    from orchestrator.operations.benchmarks import show_benchmark

    context = only_context(options)
    if name:
        return document_of(show_benchmark(context, name, round).whole_document())
    if round:
        return document_of(list_models(context, round))
    return document_of(list_benchmarks(context))


def doctor(*, engine: str = "", recipes: Sequence[str] = ()) -> Document:
    """What this machine can do and what is missing: ``{"checks": [...]}``; what is wrong raises nothing."""
    from orchestrator.operations.doctor import doctor as examine

    return {"checks": document_of(examine(progress_of(talk=False), recipes=words("recipes", recipes), engine=engine))}


def engine_ensure(*, yes: bool = False, talk: bool = False, **options: Any) -> Document:
    """Get an engine where none can build, as ``mlorch engine ensure --json``.

    Nobody is asked: without ``yes`` nothing is fetched or started. Raises `EngineError` [not-asked], or where it cannot
    be had.
    """
    from orchestrator.operations.engine import ensure_engine

    progress = progress_of(talk=talk)
    return document_of(ensure_engine(only_context(options, progress), yes=yes, confirm=None, talk=progress))


def engine_stop() -> Document:
    """Stop mlorch's own Docker engine, and no other: ``{"stopped": …}``, whether it ran. Raises `EngineError`."""
    from orchestrator.operations.engine import stop_engine

    return document_of(stop_engine())


def engine_status(**options: Any) -> Document:
    """The engine that would be used, as ``mlorch engine status --json``. Raises `EngineError` where none answers."""
    from orchestrator.operations.engine import engine_status as status

    context = only_context(options)
    return document_of(status(context, context.talk))
