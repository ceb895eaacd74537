"""`envwatch source list`."""

from __future__ import annotations

import click

from envwatch.catalog.schema import SourceState
from envwatch.cli.context import Options
from envwatch.cli.house import open_house
from envwatch.cli.output import json_option, print_json, print_table, safe
from envwatch.cli.words import short, when
from envwatch.views.values import SourceRow

WELL = (SourceState.NEW, SourceState.OK)


@click.command("list")
@json_option
@click.pass_obj
def command(options: Options, as_json: bool) -> None:
    """List sources, and below them why files were refused."""
    with open_house(options) as house:
        found = house.sources()
    if as_json:
        print_json(found)
        return
    print_table(
        ("source", "namespace", "state", "from", "commit", "used", "ignored", "refused", "seen"),
        [_row(row) for row in found],
        styles=["" if row.record.state in WELL else "red" for row in found],
    )
    for row in found:
        for line in _problems(row):
            click.echo(safe(line))


def _row(row: SourceRow) -> tuple[str, ...]:
    source = row.record
    return (
        source.name,
        source.namespace,
        source.state,
        f"{source.place}@{source.branch}" if source.branch else source.place,
        short(source.revision),
        str(row.understood),
        str(row.ignored),
        str(row.refused),
        when(source.looked_at),
    )


def _problems(row: SourceRow) -> list[str]:
    source = row.record
    hint = f" ({source.hint})" if source.hint else ""
    lines = [f"{source.name}: {source.message}{hint}"] if source.message else []
    return lines + [f"{source.name}: {m}" for file in row.files for m in file.messages]
