"""`envwatch completion`: what completes commands, options and names in a shell."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}
VARIABLE = "_ENVWATCH_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what completes commands, options, namespaces and environments in a shell.

    Into ~/.bashrc: eval "$(envwatch completion bash)"; for fish: envwatch completion fish | source
    """
    click.echo(SHELLS[shell](ctx.find_root().command, {}, "envwatch", VARIABLE).source())
