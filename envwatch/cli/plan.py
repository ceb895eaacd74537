"""`envwatch plan`: what would change, solved, with nothing of it done."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from pydantic import TypeAdapter

from envwatch.cli.context import Options
from envwatch.cli.control import ask
from envwatch.cli.house import LONG
from envwatch.cli.output import json_option, print_json, safe, say
from envwatch.cli.settings import settings_of
from envwatch.cli.waiting import busy
from envwatch.cli.words import diff_lines, failure_line, short
from envwatch.worker.preview import Move, Preview, Proposal

PREVIEWS = TypeAdapter(tuple[Preview, ...])
MOVES = {
    Move.NEW: "would be built",
    Move.CHANGED: "would be built anew",
    Move.REVERTED: "would go back to a known lock",
    Move.SAME: "is ready: no build",
}


@click.command("plan")
@click.argument("source", required=False, default="")
@json_option
@click.pass_obj
def command(options: Options, source: str, as_json: bool) -> None:
    """Say what a look at all sources, or at one, would change: solved, with nothing of it done.

    Exits with 1 if a file is refused or cannot be solved.
    """
    with busy("solving"):
        answer = ask(settings_of(options), "plan", source=source, timeout=LONG)
    previews = PREVIEWS.validate_python(answer["sources"])
    if as_json:
        print_json(previews)
    else:
        for preview in previews:
            for line in _lines(preview):
                click.echo(safe(line))
    if not any(p.proposals or p.retire for p in previews):
        say("nothing would change")
    sys.exit(0 if all(p.ok for p in previews) else 1)


def _lines(preview: Preview) -> Iterator[str]:
    yield f"source {preview.source} at {short(preview.revision)}"
    for proposal in preview.proposals:
        yield from _proposal(proposal)
    for key in preview.retire:
        yield f"  {key} would be retired: its file is gone"
    for message in preview.refused:
        yield f"  {message}"
    if preview.empty:
        yield "  it shows no environment file where there were some: nothing would be retired"


def _proposal(proposal: Proposal) -> Iterator[str]:
    against = f", against #{proposal.against}" if proposal.against else ""
    yield f"  {proposal.key} {MOVES[proposal.move]} ({proposal.path}{against})"
    for message in proposal.messages:
        yield f"    {message}"
    if proposal.failure:
        yield f"    {failure_line(proposal.failure, proposal.path)}"
    if proposal.diff is not None:
        changes = list(diff_lines(proposal.diff))
        yield from (f"    {line}" for line in changes or ["no change of packages"])
