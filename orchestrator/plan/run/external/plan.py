"""Plan one test of a harness that is not ours: its values, files, containers and what it must leave. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.program_files import folder_name
from orchestrator.facts.external import ExternalRun, FigureReading, PlannedFile
from orchestrator.plan.run.external.files import config_files
from orchestrator.plan.run.external.steps import lasting_files, planned_steps, seeding_steps, with_program_needs
from orchestrator.plan.run.external.texts import Filler, condition_holds, parameters_of, words_of
from orchestrator.plan.run.loadgen_settings import expected_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.definitions.kinds.external import AccuracyFigure, Deviation, Program
    from orchestrator.definitions.values import Value
    from orchestrator.plan.run.external.values import ExternalTest


def plan_external(test: ExternalTest) -> tuple[ExternalRun, dict[str, Value]]:
    """The steps and expectations of one test, and the parameters that it runs with.

    Raises:
        DefinitionError: `template`, a text of the recipe that cannot be filled.
        UsageError: `unknown-parameter`, `bad-parameter`.
    """
    program = test.program
    parameters = parameters_of(test.harness, program, test.values, test.chosen)
    values = {**test.values, **{f"param.{name}": value for name, value in parameters.items()}}
    words, wordless = words_of(program, values)
    values |= words
    filler = Filler(f"harness `{test.harness}`", values, wordless)
    files = config_files(program, filler, test)
    spec = with_program_needs(program, filler, test, files)
    steps = (*seeding_steps(program, test), *planned_steps(program, spec, filler, test, lasting_files(program, files)))
    names = [step.name for step in steps]
    accuracy = program.accuracy if program.accuracy and program.accuracy.step in names else None
    run = ExternalRun(
        steps=steps,
        files=tuple(PlannedFile(name=one.name, text=one.text, executable=one.executable) for one in files),
        folders=tuple(folder_name(one.path) for one in program.writable if one.kind == "results"),
        logs_folder=program.logs.folder,
        logs_pick=program.logs.pick,
        keep_trace=program.logs.trace,
        expected=expected_settings(test.scenario, test.mode, test.settings),
        exit_codes=program.expect.exit_codes,
        needed_files=program.expect.files,
        console_has=program.expect.console_has,
        console_lacks=program.expect.console_lacks,
        accuracy_step="" if accuracy is None else accuracy.step,
        figures=() if accuracy is None else _figures(accuracy.figures, values),
        data_samples=int(values.get("data.samples", 0)),
        deviations=_told_deviations(program),
    )
    return run, parameters


def _told_deviations(program: Program) -> tuple[str, ...]:
    """What the program gets beyond the run contract, for people, each with its reason."""
    found = [_deviation_line(one) for one in program.deviations]
    for folder in program.writable:
        execution = " (exec)" if folder.exec else ""
        seeded = " (a copy of the image's)" if folder.seeded else ""
        found.append(f"writable {folder.path}{execution}{seeded}: {folder.reason}")
    return tuple(found)


def _deviation_line(deviation: Deviation) -> str:
    """A deviation as people read it, and as the record has it."""
    only = f" (step {', '.join(deviation.steps)})" if deviation.steps else ""
    return f"{deviation.what} {deviation.value}{only}: {deviation.reason}"


def _figures(figures: Iterable[AccuracyFigure], values: Mapping[str, Value]) -> tuple[FigureReading, ...]:
    return tuple(_reading(figure) for figure in figures if condition_holds(figure.when, values))


def _reading(figure: AccuracyFigure) -> FigureReading:
    return FigureReading(
        name=figure.name,
        unit=figure.unit,
        pattern=figure.pattern or "",
        file=figure.file or "",
        key=figure.key,
        samples=figure.samples or "",
    )
