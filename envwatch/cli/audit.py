"""`envwatch audit`: who did what."""

from __future__ import annotations

import click

from envwatch.cli.context import Options
from envwatch.cli.output import json_option, print_json, print_table
from envwatch.cli.reading import reading
from envwatch.cli.words import when


@click.command("audit")
@click.option("--namespace", default="", metavar="NS", help="Only what concerns one namespace.")
@click.option("--limit", default=100, show_default=True, help="How many, the newest first.")
@json_option
@click.pass_obj
def command(options: Options, namespace: str, limit: int, as_json: bool) -> None:
    """List who did what, the newest first."""
    with reading(options) as (catalog, _):
        found = catalog.audits.all(namespace=namespace, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            when(a.at),
            f"{a.person} ({a.token})" if a.token else a.person,
            a.action,
            "/".join(part for part in (a.namespace, a.name) if part),
            a.detail,
        )
        for a in found
    ]
    print_table(("when", "who", "what", "where", "detail"), rows)
