"""LoadGen's configuration files as the official checker reads them: what is set for a model and scenario. Pure."""

from __future__ import annotations


def number_set(text: str, model: str, scenario: str, key: str) -> int | None:
    """What the first line `MODEL.SCENARIO.KEY = NUMBER` that holds says, `*` for any; None where none does.

    Blanks do not count; a line of another form says nothing.
    """
    for line in text.splitlines():
        name, _, value = line.replace(" ", "").partition("=")
        parts = name.split(".")
        if len(parts) != 3 or name.startswith("#") or not (value.isascii() and value.isdigit()):
            continue
        if parts[0] in {model, "*"} and parts[1] in {scenario, "*"} and parts[2] == key:
            return int(value)
    return None


def conf_name(model: str) -> str:
    """The name that these files have for a checker's model: without how accurate it is."""
    return model.replace("-99.9", "").replace("-99", "")
