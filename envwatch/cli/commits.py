"""What the commands that make a commit have in common: a message, an author, what follows it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from envwatch.cli.house import LONG, Answer, House
from envwatch.cli.keys import wait_option
from envwatch.cli.output import json_option, print_json, safe, say
from envwatch.cli.queued import settle
from envwatch.errors import EnvwatchError
from envwatch.model import EnvKey

F = TypeVar("F", bound=Callable[..., Any])

LONGEST = 2**20  # bytes: more is refused anyway
_AUTHOR = re.compile(r"\s*(?P<name>[^<>]+?)\s*<(?P<email>[^<>\s]+)>\s*")


@dataclass(frozen=True, slots=True)
class How:
    """What every commit has, and what shall follow it; the author only where one was named."""

    message: str
    author: tuple[str, str] | None
    wait: bool
    as_json: bool


def _author(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, str] | None:
    if value is None:
        return None
    found = _AUTHOR.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"`{value}` is not `Name <address>`", ctx, param)
    return found["name"], found["email"]


def commit_options(command: F) -> Callable[..., None]:
    """Adds the options of every commit; the command is given them as `how`."""

    @wraps(command)
    def packed(
        *args: Any,
        message: str,
        author: tuple[str, str] | None,
        wait: bool,
        as_json: bool,
        **others: Any,
    ) -> None:
        command(*args, how=How(message, author, wait, as_json), **others)

    author = click.option(
        "--author",
        callback=_author,
        metavar="NAME <EMAIL>",
        help="Who. Not given: GIT_AUTHOR_NAME and GIT_AUTHOR_EMAIL, or who is logged in.",
    )
    message = click.option("-m", "--message", default="", help="Why, as the commit says it.")
    return message(author(wait_option(json_option(packed))))


def tell(house: House, answer: Answer, how: How) -> None:
    """What became of it; where it is waited for, until it is live. Exits if that fails."""
    for line in _lines(answer):
        say(safe(line))
    builds: list[int] = []
    if answer["changed"] and answer["live"] and (how.wait or not house.works()):
        # without a daemon nobody else would look
        looked = house.ask("sync", source=answer["source"], wait=True, timeout=LONG)
        builds = list(_builds(house, answer, looked["builds"]))
    if how.wait:
        sys.exit(settle(house, builds, answer, wait=True, as_json=how.as_json))
    if how.as_json:
        print_json(answer)


def _builds(house: House, answer: Answer, unbuilt: Sequence[int]) -> Iterator[int]:
    """What the commit asked for, though it be ready by now.

    Others of the same source may have failed long ago: they are nothing to wait for.
    """
    for outcome in answer["outcomes"]:
        newest = house.environment(EnvKey(**outcome["key"])).row.build_id
        if newest is None:
            continue
        if newest in unbuilt or house.record(newest).revision == answer["revision"]:
            yield newest


def _lines(answer: Answer) -> list[str]:
    if not answer["changed"]:
        return [f"{answer['path']} is like this already: no commit"]
    made = f"{answer['path']}: commit {answer['revision'][:12]} on `{answer['branch']}`"
    lines = [made] if answer["live"] else [f"{made}, which waits for a merge"]
    lines += [f"{m['path']}:{m['line']}: {m['level']}: {m['text']}" for m in answer["messages"]]
    return lines + [_outcome(o) for o in answer["outcomes"] if answer["live"]]


def _outcome(outcome: Answer) -> str:
    key = f"{outcome['key']['namespace']}/{outcome['key']['name']}"
    return f"{key}: {outcome['what']}{': ' + outcome['url'] if outcome['url'] else ''}"


def read_text(file: Path) -> str:
    """The whole of a file; `-` is standard input."""
    try:
        with click.open_file(str(file), "rb") as opened:
            data: bytes = opened.read(LONGEST)
        return data.decode()
    except OSError as e:
        raise EnvwatchError(f"{file}: cannot be read: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise EnvwatchError(f"{file}: is not UTF-8") from e
