"""`envwatch notify list`."""

from __future__ import annotations

import click

from envwatch.catalog.recipients import RecipientRecord
from envwatch.cli.context import Options
from envwatch.cli.output import json_option, print_json, print_table, safe
from envwatch.cli.reading import reading
from envwatch.cli.words import when
from envwatch.telling import RecipientState

WELL = (RecipientState.NEW, RecipientState.OK)


@click.command("list")
@json_option
@click.pass_obj
def command(options: Options, as_json: bool) -> None:
    """List forges and notifiers, and below them why they could not be told."""
    with reading(options) as (catalog, _):
        found = catalog.recipients.all()
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "role", "kind", "state", "delivered", "waiting", "last", "next try"),
        [_row(r) for r in found],
        styles=["" if r.state in WELL else "red" for r in found],
    )
    for r in found:
        if r.message:
            hint = f" ({r.hint})" if r.hint else ""
            click.echo(safe(f"{r.name}: {r.message}{hint}"))


def _row(r: RecipientRecord) -> tuple[str, ...]:
    counts = (str(r.delivered), str(r.waiting))
    return (r.name, r.role, r.kind, r.state, *counts, when(r.ok_at), when(r.next_at))
