"""`envwatch source deliveries`."""

from __future__ import annotations

import click

from envwatch.catalog.records import DeliveryRecord
from envwatch.cli.context import Options
from envwatch.cli.house import open_house
from envwatch.cli.output import json_option, print_json, print_table
from envwatch.cli.words import UNKNOWN, short, when


@click.command("deliveries")
@click.argument("name")
@json_option
@click.pass_obj
def command(options: Options, name: str, as_json: bool) -> None:
    """List the web hooks that came for a source, and what was decided.

    The newest come first. `more` is how often the same one came again, or how many like it were
    refused and are not listed.
    """
    with open_house(options) as house:
        found = house.deliveries(name)
    if as_json:
        print_json(found)
        return
    print_table(
        ("at", "decided", "status", "from", "event", "ref", "commit", "more", "delivery", "remark"),
        [_row(delivery) for delivery in found],
        styles=["red" if delivery.status >= 400 else "" for delivery in found],
    )


def _row(delivery: DeliveryRecord) -> tuple[str, ...]:
    return (
        when(delivery.at),
        delivery.decision,
        str(delivery.status),
        delivery.forge,
        delivery.event or UNKNOWN,
        delivery.ref or UNKNOWN,
        short(delivery.revision),
        str(delivery.repeats or UNKNOWN),
        delivery.name or UNKNOWN,
        delivery.reason or UNKNOWN,
    )
