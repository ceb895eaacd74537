"""`envwatch.yml`: what a repository says of its environments, as it is written.

A single value that is wrong spoils the environment that it is said of, and no other; what is
wrong outside of one environment spoils the file. An unknown key is a warning, as it is in an
environment file: the same file is read by envwatches of several ages, and a slip in a label must
not hold up a commit. What the operator allows is decided elsewhere.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

from envwatch import entries
from envwatch.errors import SpecError
from envwatch.model import Level, Message, Requirement
from envwatch.repowords import (
    COMMON_KEYS,
    KEYS,
    NOTHING,
    Reader,
    Words,
    listed,
    other_keys,
    resolved,
)
from envwatch.sections import Found, described
from envwatch.yamltext import Kind, Node, load, shown

TOP_KEYS = ("environments", "defaults", "layers")
MOST_ENVIRONMENTS = 200
MOST_FILES = 16


@dataclass(frozen=True, slots=True)
class Declared:
    """One entry of `environments`. `files` are paths from the top of the source; empty where it
    speaks of a file that is called so. `problem` is the first thing that is wrong."""

    name: str
    files: tuple[Requirement, ...]
    words: Words
    line: int = 0
    column: int = 0
    problem: Message | None = None


@dataclass(frozen=True, slots=True)
class RepoFile:
    """One `envwatch.yml`. Nothing of it is used where it is `broken`."""

    path: str
    environments: tuple[Declared, ...] = ()
    defaults: Words = NOTHING
    layers: tuple[Requirement, ...] = ()
    messages: tuple[Message, ...] = ()
    broken: Message | None = None

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)


def read(data: bytes, *, path: str) -> RepoFile:
    """Everything that the file says, and everything there is to say about it."""
    found = Found(path)
    try:
        root = load(data, path=path)
    except SpecError as e:
        found.refuse(e)
        return RepoFile(path, messages=tuple(found.messages), broken=found.messages[0])
    if not _is_ours(root, found):
        return RepoFile(path, messages=tuple(found.messages), broken=found.messages[0])
    defaults = Reader(root.get("defaults"), found).words(COMMON_KEYS, "defaults")
    layers = _paths(root.get("layers"), "layers", found, most=MOST_ENVIRONMENTS)
    other_keys(root, TOP_KEYS, found)
    entries_, said = _environments(root.get("environments"), found)
    broken = next((m for m in found.messages if m.level is Level.ERROR), None)
    messages = tuple(sorted((*found.messages, *said), key=lambda m: (m.line, m.column)))
    return RepoFile(path, entries_, defaults, layers, messages, broken)


# ---------------------------------------------------------------- the file


def _is_ours(root: Node, found: Found) -> bool:
    if root.kind is not Kind.MAPPING:
        found.error(root, f"`envwatch.yml` must be a mapping, not {described(root)}")
        return False
    if (node := root.get("dependencies")) is not None:
        hint = "call the file otherwise: this name is for what is said of environments"
        found.error(node, "an `envwatch.yml` has no `dependencies`", hint)
        return False
    return True


def _environments(
    section: Node | None, found: Found
) -> tuple[tuple[Declared, ...], tuple[Message, ...]]:
    """The entries, and all that there is to say about single ones."""
    if section is None or section.null:
        return (), ()
    if section.kind is not Kind.MAPPING:
        hint = "write `name:`, and below it what is said of it"
        found.error(section, f"`environments` must be a mapping, not {described(section)}", hint)
        return (), ()
    if len(section.entries) > MOST_ENVIRONMENTS:
        count = len(section.entries)
        found.error(section, f"{count} environments, at most {MOST_ENVIRONMENTS} are read")
        return (), ()
    declared, said = [], []
    for key, value in section.entries:
        own = Found(found.path)
        entry = _declared(key, value, own)
        declared.append(replace(entry, problem=_first_error(own)))
        said += own.messages
    return tuple(declared), tuple(said)


def _first_error(found: Found) -> Message | None:
    errors = (m for m in found.messages if m.level is Level.ERROR)
    return min(errors, key=lambda m: (m.line, m.column), default=None)


def _declared(key: Node, value: Node, found: Found) -> Declared:
    found.passes(key, entries.check_name)
    if not value.null and value.kind is not Kind.MAPPING:
        found.error(value, f"`{shown(key.text)}` must be a mapping, not {described(value)}")
        return Declared(key.text, (), Words(), key.line, key.column)
    files = _paths(value.get("files"), "files", found, most=MOST_FILES)
    words = Reader(value, found).words(KEYS, key.text)
    return Declared(key.text, files, words, key.line, key.column)


def _paths(node: Node | None, key: str, found: Found, *, most: int) -> tuple[Requirement, ...]:
    """Paths from the top of the source; those that are wrong are said and left out."""
    paths: dict[str, Requirement] = {}
    for item in listed(node, key, found, most=most):
        try:
            path = resolved(item.text, found.path)
        except SpecError as e:
            found.error(item, e.message, e.hint)
            continue
        if path in paths:
            line = paths[path].line
            found.error(item, f"`{shown(item.text)}` is already on line {line}", "remove one")
        paths.setdefault(path, Requirement(path, item.line, item.column))
    return tuple(paths.values())
