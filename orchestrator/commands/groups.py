"""Groups of commands: one that lists when nothing else is asked, one whose commands are modules."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTIONS = {
    "help": "write `mlorch --help`, or `mlorch COMMAND --help`",
    "version": "write `mlorch --version`",
}
"""What other programs have as commands, and this one as options."""


class Group(click.Group):
    """Shows what each command does in a whole sentence; suggests the nearest command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            from orchestrator.definitions.yaml import suggestion

            message = f"`{ctx.command_path}` has no command `{args[0]}`"
            hint = _OPTIONS.get(args[0]) or suggestion(args[0], known)
            raise UsageError(message, hint=hint, slug="unknown-command")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command's first sentence whole: click would cut it to fit a line."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(self.get_command(ctx, name))) for name in self.list_commands(ctx)])


class ListGroup(Group):
    """Runs `list` where the first word is an option or nothing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in self.get_help_option_names(ctx)):
            args = ["list", *args]
        return super().parse_args(ctx, args)


class LazyCommands(Group):
    """A group whose commands are modules of `orchestrator.commands`, imported when they are named.

    ``summaries`` maps a command's name to its line in the help, ``modules`` to its module, with `:NAME` where it
    is not the module's `command`.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], summaries: Mapping[str, str], **more: Any) -> None:
        super().__init__(*args, **more)
        self._modules, self._summaries = modules, summaries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self._modules:
            return None
        module, _, name = self._modules[cmd_name].partition(":")
        command = getattr(import_module(f"orchestrator.commands.{module}"), name or "command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))


def _summary(command: click.Command | None) -> str:
    """The first paragraph of a command's help, on one line."""
    text = (command.help or "") if command else ""
    return " ".join(text.split("\n\n")[0].split())
