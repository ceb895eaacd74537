"""`envwatch once`: one full pass, then the end: for cron and CI."""

from __future__ import annotations

import sys

import click

from envwatch import logs
from envwatch.cli.context import Options
from envwatch.cli.output import json_option, print_json, safe, say
from envwatch.cli.reading import check_owner
from envwatch.cli.settings import settings_of
from envwatch.daemon import passes
from envwatch.daemon.passes import Pass


@click.command("once")
@json_option
@click.pass_obj
def command(options: Options, as_json: bool) -> None:
    """Look at every source, build what is asked for, and end: for cron and CI.

    Exits with 1 if a source could not be read, a file was refused or a build failed.
    """
    settings = settings_of(options)
    check_owner(settings.root, superuser=False)
    logs.configure(settings.log_format)
    done = passes.once(settings)
    if as_json:
        print_json(done)
    _summarise(done)
    sys.exit(0 if done.ok else 1)


def _summarise(done: Pass) -> None:
    for name in done.failed_sources:
        say(f"source {safe(name)} could not be read: see `envwatch source list`")
    for message in done.refused_files:
        say(safe(message))
    for build in done.failed_builds:
        say(f"build {build} failed: see `envwatch build show {build}`")
    counts = (
        (len(done.published), "published"),
        (len(done.failed_builds), "failed"),
        (len(done.refused_files), "refused"),
        (len(done.failed_sources), "sources unread"),
    )
    say(", ".join(f"{n} {what}" for n, what in counts if n) or "nothing to do")
