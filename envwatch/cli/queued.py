"""What a command does about the work that it queued: tell of it, or see it to its end."""

from __future__ import annotations

import time
from collections.abc import Sequence

from envwatch.catalog import read_catalog
from envwatch.cli.control import Answer, answers
from envwatch.cli.output import print_json, say
from envwatch.cli.waiting import LOOK, busy, outcome, wait_for_builds
from envwatch.daemon import passes
from envwatch.errors import DaemonAway
from envwatch.model import ArchiveState, BuildState, EnvKey
from envwatch.settings import Settings
from envwatch.store import Store

UNDER_WAY = (ArchiveState.QUEUED, ArchiveState.MAKING)


def settle(
    settings: Settings, builds: Sequence[int], answer: Answer, *, wait: bool, as_json: bool
) -> int:
    """The exit status of a command that queued these builds."""
    if as_json:
        print_json(answer)
    if not wait:
        for build in builds:
            say(f"build {build} is asked for: see `envwatch build show {build}`")
        if builds and not answers(settings.root):
            say("no daemon runs: `envwatch run` or `envwatch once` builds it")
        return 0
    return 0 if _see_through(settings, builds) else 1


def settle_archive(
    settings: Settings, key: EnvKey, answer: Answer, *, wait: bool, as_json: bool
) -> int:
    """The exit status of a command that asked for an archive."""
    number, state = int(answer["generation"]), ArchiveState(answer["archive"])
    problem = ""
    if wait and state in UNDER_WAY:
        state, problem = _archived(settings, key, number)
    if as_json:
        print_json({**answer, "archive": state})
    say(f"{key} #{number}: the archive is {state}{f': {problem}' if problem else ''}")
    return 1 if state is ArchiveState.FAILED else 0


def _see_through(settings: Settings, builds: Sequence[int]) -> bool:
    store = Store(settings.root)
    if not builds:
        say("nothing to build")
        return True
    here = not answers(store.root)
    if here:
        with busy("building"):
            passes.work_off(settings)
    catalog = read_catalog(store.catalog)
    try:
        if not here:
            return wait_for_builds(catalog, store, builds)
        ended = [catalog.builds.get(build) for build in builds]
    finally:
        catalog.close()
    for build in ended:
        say(outcome(build))
    return all(build.state is BuildState.READY for build in ended)


def _archived(settings: Settings, key: EnvKey, number: int) -> tuple[ArchiveState, str]:
    """Wait for an archive; its state, and why it failed."""
    store = Store(settings.root)
    here = not answers(store.root)
    with busy(f"archive of {key} #{number}"):
        if here:
            passes.work_off(settings)
        catalog = read_catalog(store.catalog)
        try:
            while (made := catalog.generations.get(key, number)).archive in UNDER_WAY:
                if not answers(store.root):
                    raise DaemonAway(
                        f"the archive of {key} #{number} is {made.archive}, and no daemon runs",
                        hint="`envwatch run` goes on with it",
                    )
                time.sleep(LOOK)
        finally:
            catalog.close()
    return made.archive, made.archive_message
