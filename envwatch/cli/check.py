"""`envwatch check PATH…`: environment files, as a hook, a CI step or an editor's linter."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from envwatch import spec
from envwatch.cli import check_repo
from envwatch.cli.messages import has_errors, print_messages, say_count
from envwatch.cli.output import json_option
from envwatch.model import Level, Message
from envwatch.repowords import is_repo_file
from envwatch.yamltext import Limits

SUFFIXES = (".yml", ".yaml")


@click.command("check")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def command(paths: Sequence[Path], as_json: bool) -> None:
    """Check environment files and envwatch.yml, or all *.yml and *.yaml below a directory.

    Prints file:line:column: message. Exits with 1 if any of them would be refused.
    """
    messages = [m for path in paths for m in _messages(path)]
    print_messages(messages, as_json=as_json)
    say_count(messages, ", ".join(map(str, paths)))
    sys.exit(1 if has_errors(messages) else 0)


def _messages(path: Path) -> Iterator[Message]:
    if not _is_folder(path):
        yield from _of_file(path)
        return
    files = tuple(_files(path))
    if not files:
        yield Message(Level.WARNING, "no *.yml or *.yaml in it", str(path))
    for file in files:
        # other yaml is no news in a directory: notes are for files that were named
        yield from (m for m in _of_file(file) if m.level is not Level.NOTE)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # reading it says why


def _files(folder: Path) -> Iterator[Path]:
    """The yaml files below a folder, in order; hidden folders, as git's own, are left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, n) for n in sorted(names) if n.endswith(SUFFIXES))


def _of_file(path: Path) -> tuple[Message, ...]:
    try:
        if not path.is_file():
            # a pipe would wait for ever, a device never end
            problem = "not a file" if path.exists() else "there is no such file"
            return (Message(Level.ERROR, problem, str(path)),)
        with path.open("rb") as file:
            data = file.read(Limits().max_bytes + 1)
    except OSError as e:
        return (Message(Level.ERROR, f"cannot be read: {e.strerror}", str(path)),)
    if is_repo_file(path.name):
        return check_repo.messages(path, data)
    return spec.check(data, path=str(path))
