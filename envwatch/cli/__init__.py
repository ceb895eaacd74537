"""The command line: `main`, the global options, and the commands by name.

A command's module is imported when the command is used: `envwatch --help` stays fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from envwatch.cli.context import URL_VARIABLE, Options
from envwatch.cli.lazy import LazyGroup, placeholders
from envwatch.errors import ConfigError, EnvwatchError

EXIT_FAILED = 1
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: systemd is told not to restart on it

COMMANDS = (
    ("demo", "envwatch.cli.demo", "Try envwatch on a throw-away root, repository and channel."),
    ("run", "envwatch.cli.run", "Run the daemon in the foreground."),
    ("once", "envwatch.cli.once", "Look at every source, build what is asked for, and end."),
    ("plan", "envwatch.cli.plan", "Say what would change, touching nothing."),
    ("login", "envwatch.cli.login:login", "Keep a token for a server elsewhere."),
    ("logout", "envwatch.cli.login:logout", "Forget the token for a server."),
    ("env", "envwatch.cli.env", "Environments: look at them, hold, rebuild, use them."),
    ("build", "envwatch.cli.build", "Builds: their list, their logs, cancel one."),
    ("source", "envwatch.cli.source", "Sources: their list, look at them now."),
    ("notify", "envwatch.cli.notify", "Forges and notifiers: their list, a test message."),
    ("namespace", "envwatch.cli.namespace", "Namespaces: who owns environments."),
    ("audit", "envwatch.cli.audit", "Who did what."),
    ("token", "envwatch.cli.token", "Tokens: what git and other programs send to read and push."),
    ("import", "envwatch.cli.importing", "Bring environments here from Nebari or conda-store."),
    ("client", "envwatch.cli.client", "What people need so that their programs see everything."),
    ("check", "envwatch.cli.check", "Check environment files: for editors, hooks and CI."),
    ("completion", "envwatch.cli.completion", "Print what completes words in a shell."),
    ("config", "envwatch.cli.config", "Check and show the config."),
    ("doctor", "envwatch.cli.doctor", "Say what is wrong with this machine, and how to fix it."),
    ("verify", "envwatch.cli.keeping:verify", "Compare published files with their records."),
    ("repair", "envwatch.cli.keeping:repair", "Build anew what was found damaged."),
    ("gc", "envwatch.cli.keeping:gc", "Delete what retention does not keep."),
    ("backup", "envwatch.cli.backup:backup", "Write all that cannot be made again into a file."),
    ("restore", "envwatch.cli.backup:restore", "Make a root again from a backup."),
    ("rebuild-index", "envwatch.cli.keeping:rebuild_index", "Make the catalog again from disk."),
)


@click.group(
    cls=LazyGroup,
    commands=placeholders(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    envvar="ENVWATCH_CONFIG",
    help="The config file. Not given: ./envwatch.yaml, the user's, /etc/envwatch/config.yaml.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    envvar="ENVWATCH_ROOT",
    help="The folder that holds everything, instead of the one in the config.",
)
@click.option(
    "--url",
    envvar=URL_VARIABLE,
    help="A server elsewhere that env, build, source, namespace and token commands are for.",
)
@click.version_option(package_name="envwatch", message="envwatch %(version)s")
@click.pass_context
def command(ctx: click.Context, config: Path | None, root: Path | None, url: str | None) -> None:
    """GitOps for conda environments: commit an environment.yml, and it is live.

    The options below may stand behind a command as well.
    """
    named = [n for n in ctx.params if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE]
    here = "config" in named or "root" in named
    if here and "url" in named:
        raise click.UsageError("--url is a server elsewhere, -c and --root are for this machine")
    ctx.obj = Options(config, root, url if "url" in named else None, here)


def main(args: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 failed, 2 wrong usage, 78 bad config."""
    try:
        command.main(args, prog_name="envwatch")
    except EnvwatchError as e:
        if os.environ.get("ENVWATCH_DEBUG"):
            raise
        sys.exit(_told(e))
    except Exception as e:
        if os.environ.get("ENVWATCH_DEBUG"):
            raise
        click.echo(f"error: {type(e).__name__}: {e}", err=True)
        click.echo("hint: a fault in envwatch; ENVWATCH_DEBUG=1 shows where", err=True)
        sys.exit(EXIT_FAILED)


def _told(error: EnvwatchError) -> int:
    """Say it as a person reads it; the exit status."""
    # lines of a config start with their place: the same in a terminal, an editor and CI
    lines = error.message.splitlines()
    click.echo("\n".join(lines) if len(lines) > 1 else f"error: {error.message}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)
    return EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_FAILED
