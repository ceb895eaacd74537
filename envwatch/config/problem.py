"""One thing to say about a config, and what can be said about any file that it names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from envwatch.config.words import quoted
from envwatch.model import Level

Step = str | int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to say about the value (or the key) at `where`, the steps from the top."""

    where: tuple[Step, ...]
    text: str
    hint: str = ""
    level: Level = Level.ERROR
    at_key: bool = False


def file_problems(path: Path, where: tuple[Step, ...]) -> Iterator[Problem]:
    """What is wrong with a file that must be there and readable."""
    if not stat.S_ISREG(mode_of(path)):
        yield Problem(where, f"there is no file {quoted(str(path))}")
    elif not os.access(path, os.R_OK):
        hint = "let the user that runs envwatch read it"
        yield Problem(where, f"{quoted(str(path))} cannot be read", hint)


def mode_of(path: Path) -> int:
    """Kind and permissions; 0 for what is not there or cannot be reached."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0
