"""Known defects of the official checkers, each with an id: what they do, and what is done here instead.

Where one changes a value or a verdict, `--as-official` keeps it, so that the summary is the official one to the byte.
"""

from __future__ import annotations

from typing import NamedTuple


class Defect(NamedTuple):
    """Something that an official checker does and that nobody can have meant."""

    id: str
    official: str
    here: str
    kept: bool
    """Whether `--as-official` does it too."""
    rules: tuple[str, ...] = ()
    """What is found otherwise because of it."""
    columns: tuple[str, ...] = ()
    """Of the summary, that have another value because of it."""


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "early-stopping-told",
        "A test whose early stopping was not satisfied is told, and its result taken.",
        "It is refused.",
        kept=True,
        rules=("early-stopping",),
    ),
    Defect(
        "latency-told",
        "A 99th percentile beyond the limit is told, and the result taken, where a test ends without early stopping.",
        "It is refused.",
        kept=True,
        rules=("latency-99",),
    ),
    Defect(
        "accuracy-samples-told",
        "An accuracy test over a part of the data set is told, and the result taken.",
        "It is refused; in the open division, which takes any accuracy, it is a warning.",
        kept=True,
        rules=("accuracy-samples",),
    ),
    Defect(
        "any-scenario",
        "The logs of one scenario are taken in the folder of any other one, with the figure of the one that ran.",
        "Only a scenario that may stand for the other is taken.",
        kept=True,
        rules=("scenario-run",),
    ),
    Defect(
        "units-of-tokens",
        "The table of units forgets figures in tokens: Llama 3.1 8B Interactive (`Queries/s`) and Whisper "
        "(`Samples/s`).",
        "A figure that LoadGen counts in tokens is in `Tokens/s`.",
        kept=True,
        columns=("Units",),
    ),
    Defect(
        "errors-by-order",
        "The column `errors` counts the results of a model that were looked at before, in the file system's order.",
        "In the order of the names.",
        kept=True,
        columns=("errors",),
    ),
    Defect(
        "links-from-the-root",
        "The file of a link is looked for from the root of the tree, so that a good relative link refuses the "
        "submitter.",
        "It is looked for from where the link lies, and within the tree.",
        kept=True,
        rules=("broken-links",),
    ),
    Defect(
        "delta-by-letter",
        "How far TEST01's accuracy may differ is looked up by the first letter of the metric, and so never found: "
        "1 % holds where 2 % is written for FID_SCORE.",
        "By the metric.",
        kept=True,
        rules=("compliance-accuracy",),
    ),
    Defect(
        "root-files-end-all",
        "A file beside the divisions ends the check with no row, and with an error in its own message.",
        "It is an error, and everything else is checked.",
        kept=True,
        rules=("root-files",),
    ),
    Defect(
        "summary-not-quoted",
        "A quote or a comma within a field of the summary breaks its row.",
        "The summary is CSV.",
        kept=True,
    ),
    Defect(
        "equal-issue-by-conf",
        "v4.1 compares what the log says of equal issue with the text `true`, so that it never counts; a line "
        "of `user.conf` or `mlperf.conf` does, whatever was run.",
        "The log counts too.",
        kept=True,
        rules=("equal-issue",),
    ),
    Defect(
        "verdict-of-tokens",
        "v4.1 looks at the latencies of tokens in place of LoadGen's verdict: a run that was called INVALID passes.",
        "It is refused.",
        kept=True,
        rules=("validity-tokens",),
    ),
    Defect(
        "units-by-folder",
        "v4.1 and v5.0 look for the units of figures in tokens by the folder's name, which in the open "
        "division is any.",
        "By the model.",
        kept=True,
        columns=("Units",),
    ),
    Defect(
        "invalid-passes",
        "v6.0 and v6.1 take a run that LoadGen called INVALID, and one in which it logged errors.",
        "It is refused.",
        kept=True,
        rules=("validity", "loadgen-errors"),
    ),
    Defect(
        "interactive-as-server",
        "v6.0 and v6.1 hold Interactive to the limits of Server on the latencies of tokens, as that is what "
        "LoadGen ran.",
        "To its own.",
        kept=True,
        rules=("token-latency",),
    ),
    Defect(
        "package-columns",
        "In the summary of v6.0 and v6.1 `compliance` is the division, `errors` 0, `Scenario` as the folder "
        "is called, `inferred` 1 wherever that is not LoadGen's word for it, and `Location` the folder of the "
        "test, behind the path of the tree.",
        "As in the rounds before. The path of the tree is never there.",
        kept=True,
        columns=("Scenario", "Location", "compliance", "inferred"),
    ),
    Defect(
        "removed-models",
        "v6.0 takes open results of DLRM v2, which is no model of the round, as its tables still have it.",
        "It is refused.",
        kept=False,
    ),
    Defect(
        "stops-at-the-first",
        "After the first thing that is wrong with a result the others are not told.",
        "Every rule is looked at.",
        kept=False,
    ),
    Defect(
        "dies",
        "A missing `status` or `weight_data_types`, a number in place of a name, text that is no UTF-8, a log of an "
        "accuracy test with a broken line, since v6.0 a missing log or description of a system: the check ends "
        "without a summary.",
        "Each is an error with its place.",
        kept=False,
    ),
    Defect(
        "stale-compliance",
        "Where the logs of a compliance test cannot be read, the verdict of the test before counts, or the check ends.",
        "It is refused.",
        kept=False,
    ),
    Defect(
        "zero-is-unsaid",
        "A result of 0 (too few queries for an estimate) has no row, and nothing says so but the exit status.",
        "It is an error.",
        kept=False,
        rules=("result",),
    ),
    Defect(
        "ends-at-a-warning",
        "The first line of PTDaemon's log that is only told ends its check: errors within the test that come after it "
        "are taken.",
        "Every line counts.",
        kept=True,
        rules=("power-log",),
    ),
    Defect(
        "800-seconds",
        "Doubt of the analyser counts only beyond 800 seconds from both ends of a test: milliseconds are taken for "
        "seconds.",
        "The same, as MLCommons may have to change it.",
        kept=True,
    ),
)


def defects_of_rule(rule: str) -> tuple[str, ...]:
    """The ids of the defects because of which a rule finds something else than an official checker."""
    return tuple(defect.id for defect in DEFECTS if rule in defect.rules)


def defects_of_column(column: str) -> tuple[str, ...]:
    """The ids of the defects because of which a column of the summary has another value."""
    return tuple(defect.id for defect in DEFECTS if column in defect.columns)
