"""What is written into a request to merge: what it would change, as Markdown. Pure.

Much of it comes from whoever opened the request, and is taken for nothing but text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from envwatch.diff import PackageDiff
from envwatch.model import EnvKey, Message
from envwatch.telling import EnvFacts, Status, StatusState
from envwatch.units import count

LONGEST = 60_000  # characters: GitHub takes 65 536
MOST_ROWS = 100  # packages of one environment
LONGEST_CELL = 500
WORDS = {StatusState.FAILURE: "**failed**: ", StatusState.CANCELLED: "given up: "}

Link = Callable[[EnvKey], str]


def marker(context: str) -> str:
    """What tells this comment from all others. Nobody sees it."""
    return f"<!-- {re.sub(r'[^A-Za-z0-9/._-]', '-', context)} -->"


def marker_in(text: str) -> str:
    """That of a comment."""
    return text.partition("\n")[0]


def comment(
    context: str,
    revision: str,
    found: Sequence[tuple[Status, EnvFacts | None]],
    notes: Iterable[Message],
    link: Link,
) -> str:
    """The text for one commit. `found` are its statuses, each with its environment."""
    lines = [marker(context), "### What merging this would change", ""]
    lines += _table(context, found, link) if found else ["No environment would change."]
    lines += ["", *(f"- {_text(str(note))}" for note in notes)]
    end = ["", f"<sub>envwatch, for {revision[:12]}</sub>"]
    for _, env in found:
        details = _details(env) if env is not None and env.change is not None else []
        if sum(map(len, [*lines, *details])) < LONGEST:
            lines += details
    return "\n".join([*lines, *end]) + "\n"


def _table(context: str, found: Sequence[tuple[Status, EnvFacts | None]], link: Link) -> list[str]:
    rows = [
        f"| {_name(context, status, env, link)} "
        f"| {WORDS.get(status.state, '')}{_text(status.description)} |"
        for status, env in found
    ]
    return ["| environment | change |", "|---|---|", *rows]


def _name(context: str, status: Status, env: EnvFacts | None, link: Link) -> str:
    name = _text(status.context.removeprefix(f"{context}/"))
    url = link(env.key) if env is not None else ""
    return f"[{name}]({url})" if url else name


def _details(env: EnvFacts) -> list[str]:
    rows = list(_rows(env.change)) if env.change is not None else []
    if not rows:
        return []
    more = [f"| … | and {len(rows) - MOST_ROWS} more | |"] if len(rows) > MOST_ROWS else []
    return [
        "",
        f"<details><summary>{_text(str(env.target))}: {count(len(rows), 'package')}</summary>",
        "",
        "| package | before | after |",
        "|---|---|---|",
        *rows[:MOST_ROWS],
        *more,
        "",
        "</details>",
    ]


def _rows(change: PackageDiff) -> Iterable[str]:
    for each in (*change.upgraded, *change.downgraded):
        yield _row(each.name, each.old.version, each.new.version)
    for each in change.rebuilt:
        old, new = (f"{p.version} {p.build}" for p in (each.old, each.new))
        yield _row(each.name, old, new)
    for package in change.added:
        yield _row(package.name, "", package.version)
    for package in change.removed:
        yield _row(package.name, package.version, "")


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(_text, cells))} |"


def _text(text: str) -> str:
    """As it is read, on one line: no link, no table, no picture, and nobody is called by `@`."""
    line = " ".join(text.split())
    line = line if len(line) <= LONGEST_CELL else f"{line[: LONGEST_CELL - 1]}…"
    for character in "\\`*_{}[]()#!|~":
        line = line.replace(character, f"\\{character}")
    # the character between is seen by no reader, and breaks what would call people or issues
    line = re.sub(r"([@#])(?=\w)", "\\1\u200b", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
