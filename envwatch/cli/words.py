"""Numbers, times and changes as a person reads them on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from envwatch.diff import LineKind, PackageDiff
from envwatch.model import Commit, Failure, Level, Message

UNKNOWN = "-"
SIGNS = {LineKind.SAME: " ", LineKind.ADDED: "+", LineKind.REMOVED: "-", LineKind.GAP: "…"}


def when(moment: datetime | None) -> str:
    """`2026-01-31 12:30:05Z`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if moment else UNKNOWN


def took(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `2 min 5 s`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def short(revision: str) -> str:
    """A revision as people say it."""
    return revision[:10] or UNKNOWN


def commit_text(commit: Commit | None) -> str:
    """Who changed what; empty where there are no commits, as in a directory."""
    return f"{commit.author}: {commit.subject}" if commit and commit.author else ""


def number(generation: int | None) -> str:
    return f"#{generation}" if generation is not None else UNKNOWN


def failure_line(failure: Failure, path: str) -> str:
    """`file:line:column: message (hint)`."""
    place = (failure.path or path, failure.line, failure.column)
    return str(Message(Level.ERROR, failure.message, *place, hint=failure.hint))


def diff_lines(changes: PackageDiff) -> Iterator[str]:
    """One line for each package that changed, with a sign that says how."""
    yield from (f"+ {p.name} {p.version} {p.build}".rstrip() for p in changes.added)
    yield from (f"- {p.name} {p.version} {p.build}".rstrip() for p in changes.removed)
    for sign, moved in (("↑", changes.upgraded), ("↓", changes.downgraded)):
        yield from (f"{sign} {c.name} {c.old.version} → {c.new.version}" for c in moved)
    yield from (
        f"~ {c.name} {c.new.version} {c.old.build} → {c.new.build}" for c in changes.rebuilt
    )


def package_lines(changes: PackageDiff) -> Iterator[str]:
    """The same below their title."""
    lines = [f"  {line}" for line in diff_lines(changes)]
    yield "packages:" if lines else "packages: no change"
    yield from lines


def text_lines(lines: Iterable[tuple[LineKind, str]]) -> Iterator[str]:
    """A text against what it was, each line with a sign that says how it differs."""
    yield from (f"{SIGNS[kind]} {line}".rstrip() for kind, line in lines)


def diff_count(changes: PackageDiff | None) -> str:
    """`+2 -1 ↑3`; empty where there is nothing to compare with."""
    if changes is None:
        return ""
    counts = (
        ("+", changes.added),
        ("-", changes.removed),
        ("↑", changes.upgraded),
        ("↓", changes.downgraded),
        ("~", changes.rebuilt),
    )
    return " ".join(f"{sign}{len(some)}" for sign, some in counts if some) or "no change"
