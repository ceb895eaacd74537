"""`envwatch run`: the daemon in the foreground, for systemd and containers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from envwatch import daemon, logs
from envwatch.cli.context import Options
from envwatch.cli.output import say
from envwatch.cli.reading import check_owner
from envwatch.cli.settings import settings_of


@click.command("run")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="The config file; the same option before the command means the same.",
)
@click.pass_obj
def command(options: Options, config: Path | None) -> None:
    """Run the daemon in the foreground.

    It ends on SIGTERM and SIGINT, and reads its config again on SIGHUP. The log goes to standard
    error. Exits with 1 if another daemon holds the root.
    """
    chosen = replace(options, config=config or options.config)
    settings = settings_of(chosen)
    check_owner(settings.root, superuser=False)
    logs.configure(settings.log_format)
    if not settings.sources:
        say(f"config: {chosen.config_file or 'none'}: it names no source, so nothing is built")
    daemon.run(settings, lambda: settings_of(chosen))
