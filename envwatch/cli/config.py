"""`envwatch config`: check, show, schema."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from envwatch import config
from envwatch.cli.context import Options
from envwatch.cli.messages import has_errors, print_messages, say_count
from envwatch.cli.output import json_option, print_json, say
from envwatch.cli.settings import settings_of


@click.group("config")
def command() -> None:
    """Check and show the config."""


@command.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def check(options: Options, path: Path | None, as_json: bool) -> None:
    """Say all that is wrong with the config, or with the one at PATH.

    Exits with 78 if it cannot be used.
    """
    file = path or options.config_file
    if file is None:
        config.default(root=options.root)
        say("no config: the defaults hold (`envwatch config show`)")
        return
    messages = config.check(file)
    print_messages(messages, as_json=as_json)
    say_count(messages, str(file))
    sys.exit(78 if has_errors(messages) else 0)


@command.command()
@click.pass_obj
def show(options: Options) -> None:
    """Print the settings in force as a config file, secrets masked."""
    say(f"config: {options.config_file or 'none, these are the defaults'}")
    click.echo(config.show(settings_of(options)), nl=False)


@command.command()
def schema() -> None:
    """Print the JSON Schema of the config, for editors.

    Put `# yaml-language-server: $schema=envwatch.schema.json` on the first line of the config.
    """
    print_json(config.schema())
