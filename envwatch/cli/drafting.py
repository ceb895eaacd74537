"""A file in an editor: looked at before it is committed, opened again where it is refused.

What was written lies on the disk from the first moment, and stays there until it is committed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from pydantic import TypeAdapter

from envwatch import diff
from envwatch.cli.house import LONG, Answer, House
from envwatch.cli.output import safe, say
from envwatch.cli.waiting import busy
from envwatch.cli.words import failure_line, package_lines, text_lines
from envwatch.diff import PackageDiff
from envwatch.errors import EnvwatchError, SpecError
from envwatch.model import EnvKey, Failure, FailureKind, Level, Message

Commit = Callable[[str], Answer]


@dataclass(frozen=True, slots=True)
class Proposed:
    """What a text would come to; `move` is a word, `environment` what it would be called."""

    move: str
    environment: str | None
    against: int | None
    diff: PackageDiff | None
    failure: Failure | None
    messages: tuple[Message, ...]

    @property
    def good(self) -> bool:
        """Would it be built? Nobody knows where a channel did not answer just now."""
        failed = self.failure is not None and self.failure.kind is not FailureKind.TRANSIENT
        errors = any(m.level is Level.ERROR for m in self.messages)
        return not (failed or errors or self.move == "refused")


PROPOSED = TypeAdapter(Proposed)


def by_hand(house: House, key: EnvKey, now: Answer, commit: Commit, *, yes: bool) -> Answer:
    """The commit of what was written. Raises EnvwatchError where there is none."""
    draft = _begin(key, now["text"])
    done = False
    try:
        while (answer := _once(house, key, now, draft, commit, yes=yes)) is None:
            pass
        done = True
        return answer
    finally:
        if done or draft.read_text() == now["text"]:
            draft.unlink()
        else:
            say(f"what you wrote is kept in {draft}")


def _once(  # what one turn needs
    house: House, key: EnvKey, now: Answer, draft: Path, commit: Commit, *, yes: bool
) -> Answer | None:
    """Open it, look at it, commit it; None where it shall be opened again."""
    click.edit(filename=str(draft), extension=".yml")
    text = draft.read_text()
    if text == now["text"]:
        raise EnvwatchError("nothing was saved, so nothing has changed")
    for line in text_lines(diff.lines(now["text"], text)):
        say(safe(line))
    try:
        solved(house, key, now["path"], text)
    except SpecError as e:
        _ask_again(e)
        return None
    if not yes and not _agreed():
        raise EnvwatchError("nothing has changed")
    try:
        return commit(text)
    except SpecError as e:
        _ask_again(e)
        return None


def solved(house: House, key: EnvKey, path: str, text: str) -> None:
    """Say what a text would come to. Raises SpecError where it could not be built."""
    proposed = _proposed(house, key, path, text)
    for line in _lines(proposed, key, path):
        say(safe(line))
    if not proposed.good:
        raise SpecError("it could not be built like this, so nothing has changed")


def _begin(key: EnvKey, text: str) -> Path:
    handle, path = tempfile.mkstemp(prefix=f"{key.label}-", suffix=".yml")
    with os.fdopen(handle, "w") as opened:
        opened.write(text)
    return Path(path)


def _proposed(house: House, key: EnvKey, path: str, text: str) -> Proposed:
    with busy("solving"):
        return PROPOSED.validate_python(
            house.ask("propose", namespace=key.namespace, text=text, path=path, timeout=LONG)
        )


def _lines(proposed: Proposed, key: EnvKey, path: str) -> Iterator[str]:
    yield from map(str, proposed.messages)
    if proposed.failure is not None:
        yield failure_line(proposed.failure, path)
    if proposed.environment not in (None, str(key)):
        yield f"alone it is {proposed.environment}: what becomes of {key} is seen after the commit"
    elif proposed.diff is not None:
        yield from package_lines(proposed.diff)


def _ask_again(error: SpecError) -> None:
    """Ask whether to open it again. Raises the error where not, and where nobody can be asked."""
    if not sys.stdin.isatty():
        raise error
    say(safe(str(error)))
    if not click.confirm("open it again?", default=True, err=True):
        raise EnvwatchError("nothing has changed")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise EnvwatchError("nobody can be asked whether to commit it", hint="say --yes")
    return click.confirm("commit it?", err=True)
