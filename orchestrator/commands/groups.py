"""A group of commands that lists when nothing else is asked: `mlorch targets` is `mlorch targets list`."""

from __future__ import annotations

import click

from orchestrator.errors import UsageError


class ListGroup(click.Group):
    """Runs `list` where the first word is an option or nothing; suggests the nearest command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in self.get_help_option_names(ctx)):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            from orchestrator.source import nearest

            near = nearest(args[0], self.commands)
            hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(self.commands)}"
            raise UsageError(f"`{ctx.command_path}` has no command `{args[0]}`", hint=hint, slug="unknown-command")
        return super().resolve_command(ctx, args)
