"""What anybody may ask about an environment: it needs the link alone, not the catalog."""

from __future__ import annotations

from pathlib import Path

import click

from envwatch import shell
from envwatch.cli.context import Options
from envwatch.cli.keys import key_argument
from envwatch.cli.settings import settings_of
from envwatch.errors import NotFound
from envwatch.model import EnvKey
from envwatch.store import Store


@click.command()
@key_argument
@click.pass_obj
def path(options: Options, key: EnvKey) -> None:
    """Print the path that people use: a link that follows what is current.

    Exits with 1 if nothing is published there.
    """
    click.echo(_link(options, key))


@click.command("shell-hook")
@key_argument
@click.pass_obj
def shell_hook(options: Options, key: EnvKey) -> None:
    """Print the lines that activate it, without any conda.

    For sh, bash, dash, ksh and zsh: eval "$(envwatch env shell-hook NAMESPACE/NAME)"
    """
    click.echo(shell.activation_lines(_link(options, key)), nl=False)


def _link(options: Options, key: EnvKey) -> Path:
    link = Store(settings_of(options).root).link(key)
    if not link.is_symlink():
        raise NotFound(
            f"{key}: there is no link `{link}`",
            hint="nothing is published yet, it is retired, or you may not look into its namespace",
        )
    return link
