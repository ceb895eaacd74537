"""Where jobs run. An executor takes a `Job` and brings back what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from envwatch.model import BuildState, Job, Phase, Progress, Result
from envwatch.settings import BuildLimits

# told what is new, answers the state to stop with when the job is to be stopped
Beat = Callable[[Progress | None, tuple[Phase, ...]], BuildState | None]


class Ending(StrEnum):
    """How a child ended: with a record, by itself without one, or because it was stopped."""

    RESULT = "result"
    DIED = "died"
    STOPPED = "stopped"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`stop` is the state asked for where the job was stopped; `detail` says which limit."""

    ending: Ending
    result: Result | None = None
    stop: BuildState | None = None
    detail: str = ""


class Executor(Protocol):
    def start(self) -> None:
        """Get ready, so that the first job need not wait."""

    def run(self, job: Job, *, log: Path, limits: BuildLimits, beat: Beat) -> Outcome:
        """Run one job to its end; its output goes to `log`."""

    def stop(self) -> None:
        """End whatever still runs."""
