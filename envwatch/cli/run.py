"""`envwatch run`: the daemon in the foreground, for systemd and containers."""

from __future__ import annotations

import click

from envwatch import daemon, logs
from envwatch.cli.context import Options
from envwatch.cli.output import say
from envwatch.cli.reading import check_owner
from envwatch.cli.settings import settings_of


@click.command("run")
@click.pass_obj
def command(options: Options) -> None:
    """Run the daemon in the foreground.

    It ends on SIGTERM and SIGINT, and reads its config again on SIGHUP. The log goes to standard
    error. Exits with 1 if another daemon holds the root.
    """
    settings = settings_of(options)
    check_owner(settings.root, superuser=False)
    logs.configure(settings.log_format)
    if not settings.sources:
        say(f"config: {options.config_file or 'none'}: it names no source, so nothing is built")
    daemon.run(settings, lambda: settings_of(options))
