"""What a command does about the work that it queued: tell of it, or see it to its end."""

from __future__ import annotations

import time
from collections.abc import Sequence

from envwatch.cli.house import Answer, House
from envwatch.cli.output import print_json, say
from envwatch.cli.waiting import busy, outcome, wait_for_builds
from envwatch.errors import DaemonAway
from envwatch.model import ArchiveState, BuildState, EnvKey

UNDER_WAY = (ArchiveState.QUEUED, ArchiveState.MAKING)


def settle(
    house: House, builds: Sequence[int], answer: Answer, *, wait: bool, as_json: bool
) -> int:
    """The exit status of a command that queued these builds."""
    if as_json:
        print_json(answer)
    if not wait:
        for build in builds:
            say(f"build {build} is asked for: see `envwatch build show {build}`")
        if builds and not house.works():
            say("no daemon runs: `envwatch run` or `envwatch once` builds it")
        return 0
    return 0 if see_through(house, builds) else 1


def settle_archive(house: House, key: EnvKey, answer: Answer, *, wait: bool, as_json: bool) -> int:
    """The exit status of a command that asked for an archive."""
    number, state = int(answer["generation"]), ArchiveState(answer["archive"])
    problem = ""
    if wait and state in UNDER_WAY:
        state, problem = _archived(house, key, number)
    if as_json:
        print_json({**answer, "archive": state})
    say(f"{key} #{number}: the archive is {state}{f': {problem}' if problem else ''}")
    return 1 if state is ArchiveState.FAILED else 0


def see_through(house: House, builds: Sequence[int]) -> bool:
    """Wait until these builds are over, or build them where nobody does; were all published?"""
    if not builds:
        say("nothing to build")
        return True
    if house.works():
        return wait_for_builds(house, builds)
    with busy("building"):
        house.work_off()
    ended = [house.record(build) for build in builds]
    for build in ended:
        say(outcome(build))
    return all(build.state is BuildState.READY for build in ended)


def _archived(house: House, key: EnvKey, number: int) -> tuple[ArchiveState, str]:
    """Wait for an archive; its state, and why it failed."""
    with busy(f"archive of {key} #{number}"):
        if not house.works():
            house.work_off()
        while (made := house.archive(key, number))[0] in UNDER_WAY:
            if not house.works():
                raise DaemonAway(
                    f"the archive of {key} #{number} is {made[0]}, and no daemon runs",
                    hint="`envwatch run` goes on with it",
                )
            time.sleep(house.pace)
    return made
