"""Commands that look at builds and their logs."""

from __future__ import annotations

import sys

import click

from envwatch.cli.context import Options
from envwatch.cli.house import House, open_house
from envwatch.cli.names import namespaces
from envwatch.cli.output import json_option, print_json, print_table, safe
from envwatch.cli.story import REASONS, print_facts
from envwatch.cli.tail import Tail
from envwatch.cli.words import (
    commit_text,
    diff_lines,
    failure_line,
    number,
    short,
    took,
    when,
)
from envwatch.errors import NotFound
from envwatch.model import BuildState
from envwatch.units import size
from envwatch.views.values import BuildPage, BuildRow

ID = click.IntRange(min=1)


@click.command("list")
@click.option(
    "--state",
    "states",
    metavar="STATE",
    type=click.Choice([s.value for s in BuildState]),
    multiple=True,
    help="Only builds in this state; may be given again.",
)
@click.option(
    "--namespace",
    default="",
    metavar="NS",
    shell_complete=namespaces,
    help="Only those of one namespace.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most."
)
@json_option
@click.pass_obj
def listed(
    options: Options, states: tuple[str, ...], namespace: str, limit: int, as_json: bool
) -> None:
    """List builds, newest first."""
    with open_house(options) as house:
        found = house.builds(tuple(BuildState(s) for s in states), namespace, limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("build", "environment", "state", "why", "commit", "queued", "took", "generation"),
        [_row(row) for row in found],
        styles=["red" if row.build.failure else "" for row in found],
    )


@click.command()
@click.argument("build", metavar="ID", type=ID)
@json_option
@click.pass_obj
def show(options: Options, build: int, as_json: bool) -> None:
    """Show one build: its state, phases, failure, packages."""
    with open_house(options) as house:
        page = house.build(build)
    if as_json:
        print_json(page)
        return
    print_facts(_facts(page, house))
    if page.diff:
        click.echo(f"\npackages against #{page.previous}:")
        for line in diff_lines(page.diff):
            click.echo(f"  {safe(line)}")


@click.command()
@click.argument("build", metavar="ID", type=ID)
@click.option("--follow", is_flag=True, help="Go on until the build is over; exit 1 if it failed.")
@click.pass_obj
def log(options: Options, build: int, follow: bool) -> None:
    """Print the log of a build."""
    with open_house(options) as house:
        tail = Tail(house, house.record(build))
        if follow:
            sys.exit(tail.follow())
        if not tail.print():
            record = tail.build
            raise NotFound(
                f"build {build} of {record.key} is {record.state} and has no log",
                hint="`--follow` waits for it" if not record.state.over else "",
            )


def _row(row: BuildRow) -> tuple[str, ...]:
    build = row.build
    return (
        str(build.id),
        str(build.key),
        build.state,
        build.reason,
        short(build.revision),
        when(build.queued_at),
        took(row.seconds),
        number(build.generation),
    )


def _facts(page: BuildPage, house: House) -> tuple[tuple[str, str], ...]:
    build, progress = page.build, page.build.progress
    reused = "the files of an older generation" if build.reused else ""
    steps = [f"{p.state} {took(p.seconds)}" for p in build.phases]
    return (
        ("build", str(build.id)),
        ("environment", str(build.key)),
        ("state", build.state),
        ("progress", f"{progress.done} of {progress.total}" if progress and progress.total else ""),
        ("place in queue", str(page.place) if page.place else ""),
        ("why", REASONS[build.reason]),
        ("asked by", build.requested_by),
        ("cancelled by", build.cancelled_by),
        ("file", f"{build.source} {build.path} at {short(build.revision)}"),
        ("commit", commit_text(page.commit)),
        ("failed", failure_line(build.failure, build.path) if build.failure else ""),
        ("remarks", "; ".join(str(m) for m in build.messages)),
        ("retry", when(build.retry_at) if build.retry_at else ""),
        ("attempt", str(build.attempt) if build.attempt > 1 else ""),
        ("queued", when(build.queued_at)),
        ("took", took(page.seconds) if page.seconds is not None else ""),
        ("phases", ", ".join(steps)),
        ("generation", number(build.generation) if build.generation else ""),
        ("uses", reused),
        ("size", size(build.size) if build.size else ""),
        ("log", house.log_place(build)),
    )
