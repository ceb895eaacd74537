"""What anybody may ask about an environment: it needs the link alone, not the catalog."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

import click

from envwatch import shell
from envwatch.cli.context import Options
from envwatch.cli.copies import link_of, store_of
from envwatch.cli.env_pulling import fetch_copy
from envwatch.cli.house import open_house
from envwatch.cli.keys import key_argument
from envwatch.cli.output import say
from envwatch.model import EnvKey


@click.command()
@key_argument
@click.pass_obj
def path(options: Options, key: EnvKey) -> None:
    """Print the path that people use: a link that follows what is current.

    With --url that of the pulled copy. Exits with 1 if there is none.
    """
    click.echo(link_of(options, key))


@click.command("shell-hook")
@key_argument
@click.pass_obj
def shell_hook(options: Options, key: EnvKey) -> None:
    """Print the lines that activate it, without any conda.

    For sh, bash, dash, ksh and zsh: eval "$(envwatch env shell-hook NAMESPACE/NAME)"
    """
    click.echo(shell.activation_lines(link_of(options, key)), nl=False)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@key_argument
@click.argument("command", metavar="[--] CMD...", nargs=-1, type=click.UNPROCESSED, required=True)
@click.pass_obj
def run(options: Options, key: EnvKey, command: Sequence[str]) -> None:
    """Run a program in it: its variables set, its scripts of activation run.

    With --url it is the pulled copy, which is made where there is none. Ends as the program ends.
    """
    words = command[1:] if command[0] == "--" else command
    if not words:
        raise click.UsageError("say what to run")
    if options.server and not store_of(options).link(key).is_symlink():
        say(f"{key} is not on this machine yet: it is pulled")
        with open_house(options) as house:
            fetch_copy(house, store_of(options), key, None)
    script = f'{shell.activation_lines(link_of(options, key))}exec "$@"\n'
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # scripts of activation are often written for bash
    program = shutil.which("bash") or "/bin/sh"
    os.execv(program, (program, "-c", script, "envwatch", *words))  # noqa: S606  # it takes our place
