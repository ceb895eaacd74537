"""Commands that change the file of an environment: each is one commit, made by the daemon."""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from envwatch.cli.context import Options
from envwatch.cli.control import LONG, Answer, answers, ask, caller
from envwatch.cli.keys import key_argument, wait_option
from envwatch.cli.output import json_option, print_json, safe, say
from envwatch.cli.queued import settle
from envwatch.cli.settings import settings_of
from envwatch.errors import EnvwatchError
from envwatch.model import EnvKey
from envwatch.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

LONGEST = 2**20  # bytes: more is refused anyway
_AUTHOR = re.compile(r"\s*(?P<name>[^<>]+?)\s*<(?P<email>[^<>\s]+)>\s*")


def _author(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, str]:
    """Name and address: as given, as git has them in the environment, else the login."""
    login = caller()
    name = os.environ.get("GIT_AUTHOR_NAME") or login
    email = os.environ.get("GIT_AUTHOR_EMAIL") or f"{login}@{socket.gethostname()}"
    if value is None:
        return name, email
    found = _AUTHOR.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"`{value}` is not `Name <address>`", ctx, param)
    return found["name"], found["email"]


@dataclass(frozen=True, slots=True)
class How:
    """What every commit has, a message and an author, and what shall follow it."""

    message: str
    author: tuple[str, str]
    wait: bool
    as_json: bool


def _commit_options(command: F) -> Callable[..., None]:
    """Adds the options of every commit; the command is given them as `how`."""

    @wraps(command)
    def packed(
        *args: Any, message: str, author: tuple[str, str], wait: bool, as_json: bool, **others: Any
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


_file_type = click.Path(path_type=Path, allow_dash=True)


@click.command()
@key_argument
@click.option("--file", type=_file_type, help="The new text; `-` reads it. Not given: an editor.")
@click.option("--seen", default="", metavar="REVISION", help="The revision it was written for.")
@_commit_options
@click.pass_obj
def edit(
    options: Options,
    key: EnvKey,
    file: Path | None,
    seen: str,
    how: How,
) -> None:
    """Change the file of an environment by a commit.

    Without --file it is opened in $EDITOR. What would be refused by a look is refused at once, and
    so is a change of a file that somebody else has changed meanwhile.
    """
    settings = settings_of(options)
    now = ask(settings, "file", namespace=key.namespace, name=key.name)
    text = _read(file) if file else _edited(now["text"])
    where = {"path": now["path"], "source": now["source"], "seen": seen or now["revision"]}
    try:
        answer = _commit(settings, key, text, how, **where)
    except EnvwatchError:
        if file is None:
            say(f"what you wrote is kept in {_kept(key, text)}")
        raise
    _tell(settings, answer, how)


@click.command()
@key_argument
@click.option("--file", type=_file_type, required=True, help="Its text; `-` reads it.")
@click.option("--path", default="", help="Where it shall lie. Not given: NAME/environment.yml.")
@_commit_options
@click.pass_obj
def create(
    options: Options,
    key: EnvKey,
    file: Path,
    path: str,
    how: How,
) -> None:
    """Make an environment: a commit that adds its file to the source of its namespace."""
    settings = settings_of(options)
    where = {"path": path or f"{key.name}/environment.yml", "name": key.name}
    answer = _commit(settings, key, _read(file), how, **where)
    _tell(settings, answer, how)


@click.command()
@key_argument
@_commit_options
@click.pass_obj
def delete(options: Options, key: EnvKey, how: How) -> None:
    """Remove the file of an environment by a commit: it is retired.

    Link and kernels go; its history and its files stay, and it is back when the file is.
    """
    settings = settings_of(options)
    now = ask(settings, "file", namespace=key.namespace, name=key.name)
    where = {"path": now["path"], "source": now["source"], "seen": now["revision"]}
    answer = _commit(settings, key, None, how, **where)
    _tell(settings, answer, how)


def _commit(settings: Settings, key: EnvKey, text: str | None, how: How, **where: str) -> Answer:
    name, email = how.author
    wanted = {
        "namespace": key.namespace,
        "text": text,
        "author": {"name": name, "email": email},
        "message": how.message,
        **where,
    }
    return ask(settings, "edit", timeout=LONG, wanted=wanted)


def _tell(settings: Settings, answer: Answer, how: How) -> None:
    """What became of it; where it is waited for, until it is live."""
    for line in _lines(answer):
        say(safe(line))
    builds: list[int] = []
    if answer["changed"] and answer["live"] and (how.wait or not answers(settings.root)):
        # without a daemon nobody else would look
        builds = ask(settings, "sync", source=answer["source"], wait=True, timeout=LONG)["builds"]
    if how.wait:
        sys.exit(settle(settings, builds, answer, wait=True, as_json=how.as_json))
    if how.as_json:
        print_json(answer)


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


def _read(file: Path) -> str:
    try:
        with click.open_file(str(file), "rb") as opened:
            data: bytes = opened.read(LONGEST)
        return data.decode()
    except OSError as e:
        raise EnvwatchError(f"{file}: cannot be read: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise EnvwatchError(f"{file}: is not UTF-8") from e


def _edited(text: str) -> str:
    written = click.edit(text, extension=".yml")
    if written is None:
        raise EnvwatchError("nothing was saved, so nothing has changed")
    return written


def _kept(key: EnvKey, text: str) -> str:
    handle, path = tempfile.mkstemp(prefix=f"{key.label}-", suffix=".yml")
    with os.fdopen(handle, "w") as opened:
        opened.write(text)
    return path
