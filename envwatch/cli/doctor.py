"""`envwatch doctor`: what is wrong with this machine, and how to fix it."""

from __future__ import annotations

import sys

import click

from envwatch.cli.context import Options
from envwatch.cli.logins import logins
from envwatch.cli.machine import Verdict, examine
from envwatch.cli.output import json_option, print_json, print_table
from envwatch.cli.settings import settings_of

STYLES = {Verdict.OK: "", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


@click.command("doctor")
@json_option
@click.pass_obj
def command(options: Options, as_json: bool) -> None:
    """Say what is wrong with this machine, and how to fix it.

    Run it as the user that runs envwatch. Exits with 1 if something must be repaired.
    """
    settings = settings_of(options)
    findings = (*examine(settings), *logins(settings))
    if as_json:
        print_json(findings)
    else:
        # a remedy stands under its finding, where the eye is
        rows = []
        styles = []
        for finding in findings:
            rows.append((finding.verdict.value, finding.subject, finding.text))
            rows += [("", "", f"→ {finding.hint}")] if finding.hint else []
            styles += [STYLES[finding.verdict]] + ([""] if finding.hint else [])
        print_table(("", "what", "found"), rows, styles=styles)
    sys.exit(1 if any(f.verdict is Verdict.FAIL for f in findings) else 0)
