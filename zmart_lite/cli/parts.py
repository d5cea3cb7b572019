"""Which module adds which commands, so that none is imported before one of its commands is called."""

from importlib import import_module

import click

from zmart_lite.cli.top import Commands, load_config

PARTS = {
    "database": ("backfill", "db", "events", "reconcile", "webhook"),
    "chain": ("backfill", "db", "events", "reconcile", "webhook"),
    "devnet": ("airdrop", "localnet", "revert", "snapshot", "warp"),
    "devnet_state": ("chain",),
    "doctor": ("doctor",),
    "operating": ("alerts", "job"),
    "simulating": ("simulate",),
    "watching": ("status",),
}
"""The modules that add commands, in the order in which they do, and the commands that need them: ``chain`` adds one to
the group ``db``, so that it needs ``database`` before it."""


class PartedCommands(Commands):
    """Imports the modules that a command needs. A list of all, as for help, needs each of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._import(tuple(PARTS))
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        self._import(tuple(part for part, names in PARTS.items() if cmd_name in names))
        return super().get_command(ctx, cmd_name)

    def _import(self, parts: tuple[str, ...]) -> None:
        done: set[str] = self.__dict__.setdefault("imported", set())
        for part in parts:
            if part not in done:
                done.add(part)
                import_module(f"{__package__}.{part}").add_commands(self, load_config)
