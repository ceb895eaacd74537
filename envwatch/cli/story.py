"""The history of one environment in words: what happened when, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from envwatch.catalog.schema import Mode, Reason
from envwatch.cli.house import House
from envwatch.cli.output import print_json, print_table, safe
from envwatch.cli.words import commit_text, diff_count, failure_line, short, took, when
from envwatch.model import BuildState, Commit, EnvKey, GitState
from envwatch.views.values import BuildRow, EnvironmentPage, GenerationRow

REASONS = {
    Reason.COMMIT: "a commit changed what is asked for",
    Reason.REVERT: "a commit brought back what an older generation was made for",
    Reason.RESTORED: "its file came back",
    Reason.REBUILD: "a person asked for it",
    Reason.UPDATE: "the newest packages were asked for",
    Reason.RETRY: "the attempt before failed",
    Reason.REPAIR: "its files were damaged",
    Reason.INTERRUPTED: "the daemon ended during the attempt before",
}
MODES = {
    Mode.SOLVE: "solved",
    Mode.UPDATE: "solved afresh",
    Mode.LOCK: "from its known lock, with no solve",
    Mode.REUSE: "on its known lock and files, with no solve and no install",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: a build, a generation, an event."""

    at: datetime
    what: str
    text: str


def story(house: House, key: EnvKey) -> tuple[Moment, ...]:
    """All that is known of an environment, newest first. Raises NotFound."""
    first = house.environment(key)
    rest = (house.environment(key, page=n) for n in range(2, first.pages + 1))
    moments = {m: None for page in (first, *rest) for m in _moments(page)}
    return tuple(sorted(moments, key=lambda m: m.at, reverse=True))


def print_story(moments: Sequence[Moment], *, as_json: bool) -> None:
    if as_json:
        print_json(moments)
        return
    print_table(("when", "what", ""), [(when(m.at), m.what, m.text) for m in moments])


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and values in two columns; what is empty is left out."""
    shown = [(name, value) for name, value in facts if value]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        click.echo(f"{name.ljust(width)}  {safe(value)}")


def reasons(page: EnvironmentPage) -> tuple[str, ...]:
    """Why it is built as it is, or why it is not built again."""
    return (_standing(page), *_newest_build(page), *_not_built(page))


def _moments(page: EnvironmentPage) -> Iterator[Moment]:
    for made in page.generations:
        yield Moment(made.generation.published_at, "generation", _generation_text(made))
    for row in page.builds:
        ended = row.build.ended_at or row.build.started_at or row.build.queued_at
        yield Moment(ended, "build", _build_text(row))
    for event in page.events:
        if event.type != "published":  # the generation says it, and more
            yield Moment(event.at, event.type, event.message)


def _generation_text(made: GenerationRow) -> str:
    generation = made.generation
    parts = [f"#{generation.number} from build {generation.build_id}"]
    parts += [f"packages {diff_count(made.diff)}"] if made.diff else []
    parts += ["current"] if made.current else []
    return ", ".join([*parts, *_commit(made.commit, generation.revision)])


def _build_text(row: BuildRow) -> str:
    build = row.build
    by = f" by {build.requested_by}" if build.requested_by else ""
    parts = [f"build {build.id} {build.state}", f"{build.reason}{by}"]
    parts += [f"took {took(row.seconds)}"] if row.seconds is not None else []
    parts += [failure_line(build.failure, build.path)] if build.failure else []
    return ", ".join([*parts, *_commit(row.commit, build.revision)])


def _commit(commit: Commit | None, revision: str) -> list[str]:
    return [f"{short(revision)} {commit_text(commit)}".strip()] if revision else []


def _standing(page: EnvironmentPage) -> str:
    row, record = page.row, page.record
    asked = f"{row.path} in source {row.source} at {short(record.revision)}"
    if row.retired_at:
        return f"retired {when(row.retired_at)}: {asked} was the last that asked for it"
    if row.git is GitState.INVALID:
        return f"its file is refused, so what was published goes on: {row.invalid}"
    if row.git is GitState.IN_SYNC:
        return f"#{row.current} is what {asked} asks for"
    if row.current is None:
        return f"nothing is published yet of what {asked} asks for"
    if row.held:
        return f"a person holds it at #{row.current}, which is not what {asked} asks for"
    return f"#{row.current} is not what {asked} asks for"


def _newest_build(page: EnvironmentPage) -> Iterator[str]:
    if not page.builds:
        return
    build = page.builds[0].build
    by = f" ({build.requested_by})" if build.requested_by else ""
    yield f"build {build.id}, {build.state}: {REASONS[build.reason]}{by}; {MODES[build.mode]}"
    if build.failure:
        yield failure_line(build.failure, build.path)
    if build.retry_at:
        yield f"it is tried again at {when(build.retry_at)}"
    elif build.state in (BuildState.FAILED, BuildState.TIMED_OUT):
        yield "it is tried again when its file changes, or on `envwatch env rebuild`"


def _not_built(page: EnvironmentPage) -> Iterator[str]:
    """Looks since the newest build that found nothing to build."""
    last = page.builds[0].build.queued_at if page.builds else None
    for event in page.events:
        if event.type in ("no change", "in-sync", "restored") and (not last or event.at > last):
            yield f"{when(event.at)}: {event.message}: comments, order or place changed, no more"
