"""Reads yaml that comes from outside: bounded, without surprises, every value with its place.

Built on the events of PyYAML's Python parser: its C parser dies on 31 kB of brackets, and its
loaders take alias bombs, tags and duplicate keys without a word. Scalars stay text: `3.10` is
never 3.1 and `no` is never false, unless the caller says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn, Protocol

import yaml

from envwatch.errors import SpecError

NULLS = ("", "~", "null", "Null", "NULL")
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
CONFLICT = re.compile(r"^(<{7}|>{7})(?:[ \t]|$)", re.MULTILINE)
# what yaml calls not printable, and the surrogates that an escape can smuggle in
UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
COMMENT = re.compile(r"[ \t]+#[ \t]*([^\r\n]*)")
TEMPLATE = re.compile(r"\{\{|\{%")
RENDER = "commit the rendered file"
NO_TEMPLATES = ("a template, not yaml", RENDER)


@dataclass(frozen=True, slots=True)
class _Explained:
    """PyYAML's words for a common mistake and ours; `early` points to where it began."""

    words: tuple[str, ...]
    problem: str
    hint: str
    early: bool = False


EXPLAINED = (
    _Explained((r"'\t'",), "a tab where yaml wants spaces", "write spaces instead"),
    _Explained(
        ("mapping values are not allowed",),
        "a `:` that yaml does not expect here",
        "check the indentation, or quote the text",
    ),
    _Explained(
        ("could not find expected ':'",),
        "a line without `:` among `key: value` lines",
        "check the indentation of this line",
        early=True,
    ),
    _Explained(("quoted scalar", "end of stream"), "a quote that is never closed", "", early=True),
    _Explained(("flow sequence", "stream end"), "a `[` that is never closed", "", early=True),
    _Explained(("flow mapping", "stream end"), "a `{` that is never closed", "", early=True),
    _Explained(
        ("block mapping", "expected <block end>"),
        "the indentation does not fit the lines above",
        "give the keys of one mapping the same indentation",
    ),
    _Explained(
        ("block collection", "expected <block end>"),
        "the indentation does not fit the list above",
        "start each item of the list with `- ` at the same column",
    ),
    _Explained(
        ("cannot start any token",), "a character that yaml does not expect here", "quote the text"
    ),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read. The defaults are for environment files."""

    max_bytes: int = 64 * 1024
    max_depth: int = 16
    max_nodes: int = 5000
    max_scalar: int = 4096


class Kind(StrEnum):
    SCALAR = "text"
    SEQUENCE = "list"
    MAPPING = "mapping"


@dataclass(frozen=True, slots=True)
class Node:
    """One value and where it starts; lines and columns count from 1.

    `text` is a scalar as text, `plain` says that it was written without quotes, `comment` is what
    follows it on its line after `#`. `items` are those of a list, `entries` those of a mapping.
    """

    kind: Kind
    line: int
    column: int
    text: str = ""
    plain: bool = False
    comment: str = ""
    items: tuple[Node, ...] = ()
    entries: tuple[tuple[Node, Node], ...] = ()

    @property
    def null(self) -> bool:
        return self.kind is Kind.SCALAR and self.plain and self.text in NULLS

    @property
    def boolean(self) -> bool | None:
        """True or false where the text is an unquoted yaml boolean, else None."""
        if self.kind is not Kind.SCALAR or not self.plain:
            return None
        return BOOLEANS.get(self.text.lower())

    @property
    def shape(self) -> str:
        """What it is, for messages: `text`, `list`, `mapping` or `nothing`."""
        return "nothing" if self.null else self.kind.value

    def get(self, key: str) -> Node | None:
        """The value of one key of a mapping."""
        return next((value for name, value in self.entries if name.text == key), None)


def load(data: bytes, *, path: str, limits: Limits | None = None) -> Node:
    """The one document of a file, or a SpecError with path, line and column."""
    limits = limits or Limits()
    if len(data) > limits.max_bytes:
        text = f"the file has {len(data)} bytes, more than the {limits.max_bytes} that are read"
        raise SpecError(text, path=path)
    text = _decode(data, path)
    reader = _Reader(text, path, limits)
    try:
        return reader.document()
    except yaml.MarkedYAMLError as e:
        raise _syntax_error(e, text, path) from e
    except (yaml.YAMLError, ValueError, OverflowError) as e:
        # the scanner hands `"\\Uffffffff"` to chr() and a version of 5 000 digits to int()
        raise SpecError("not valid yaml: a number out of range", path=path, line=reader.line) from e


def shown(text: str, *, longest: int = 80) -> str:
    """Text as it is safe and short in a message: what does not print becomes its escape."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _decode(data: bytes, path: str) -> str:
    if data.startswith(LFS_POINTER):
        hint = "commit the file itself, and exempt it from git-lfs in `.gitattributes`"
        raise SpecError("a git-lfs pointer, not the file", path=path, line=1, hint=hint)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        problem = f"not UTF-8: byte 0x{data[e.start]:02x} at offset {e.start}"
        raise SpecError(problem, path=path, line=line, hint="save the file as UTF-8") from e
    if bad := UNPRINTABLE.search(text):
        problem = f"the character `{shown(bad[0])}` is not allowed"
        raise _error(problem, path, text, bad.start())
    if marker := CONFLICT.search(text):
        hint = "choose one of the two sides and remove the three marker lines"
        raise _error(f"a git conflict marker `{marker[1]}`", path, text, marker.start(), hint)
    return text


def _error(problem: str, path: str, text: str, index: int, hint: str = "") -> SpecError:
    line = text.count("\n", 0, index) + 1
    column = index - text.rfind("\n", 0, index)
    return SpecError(problem, path=path, line=line, column=column, hint=hint)


def _syntax_error(error: yaml.MarkedYAMLError, text: str, path: str) -> SpecError:
    words = f"{error.context or ''}: {error.problem or ''}"
    known = next((k for k in EXPLAINED if all(w in words for w in k.words)), None)
    early = known is not None and known.early and error.context_mark is not None
    place = _place(error.context_mark if early else error.problem_mark)
    problem = known.problem if known else f"not valid yaml: {shown(error.problem or words)}"
    hint = known.hint if known else ""
    if TEMPLATE.search(_line_at(text, place.offset)):
        problem, hint = NO_TEMPLATES
    return SpecError(problem, path=path, line=place.line, column=place.column, hint=hint)


def _line_at(text: str, offset: int) -> str:
    end = text.find("\n", offset)
    return text[text.rfind("\n", 0, offset) + 1 : len(text) if end < 0 else end]


class _Mark(Protocol):
    line: int
    column: int
    index: int


@dataclass(frozen=True, slots=True)
class _Place:
    line: int = 0
    column: int = 0
    offset: int = 0


def _place(mark: _Mark | None) -> _Place:
    return _Place(mark.line + 1, mark.column + 1, mark.index) if mark else _Place()


class _Reader:
    """Turns the events of one file into nodes and stops at the first limit."""

    def __init__(self, text: str, path: str, limits: Limits) -> None:
        self.text = text
        self.path = path
        self.limits = limits
        self.line = 1
        self.nodes = 0
        self.events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=yaml.SafeLoader))

    def document(self) -> Node:
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise SpecError("the file is empty", path=self.path, line=1)
        node = self._node(next(self.events), depth=1)
        next(self.events)  # the end of the document
        if isinstance(after := next(self.events), yaml.DocumentStartEvent):
            self._refuse(after, "a second yaml document", "put each environment into its own file")
        if node.null:
            raise SpecError("the file is empty", path=self.path, line=1)
        return node

    def _node(self, event: yaml.Event, depth: int) -> Node:
        self._admit(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, depth)
        return self._mapping(event, depth)

    def _admit(self, event: yaml.Event, depth: int) -> None:
        self.nodes += 1
        self.line = _place(event.start_mark).line
        anchor = shown(getattr(event, "anchor", None) or "")
        tag = shown(getattr(event, "tag", None) or "")
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"the alias `*{anchor}` is not allowed", "write it out")
        if anchor:
            self._refuse(event, f"the anchor `&{anchor}` is not allowed", "write it out")
        if tag:
            self._refuse(event, f"the tag `{tag}` is not allowed", "remove the tag")
        if depth > self.limits.max_depth:
            self._refuse(event, f"nested more than {self.limits.max_depth} levels deep")
        if self.nodes > self.limits.max_nodes:
            self._refuse(event, f"more than {self.limits.max_nodes} values")

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        text: str = event.value
        if len(text) > self.limits.max_scalar:
            problem = f"a text of {len(text)} characters, at most {self.limits.max_scalar} are read"
            self._refuse(event, problem)
        if bad := UNPRINTABLE.search(text):
            self._refuse(event, f"the character `{shown(bad[0])}` is not allowed")
        comment = "" if event.style in ("|", ">") else self._comment(event)
        place = _place(event.start_mark)
        return Node(
            Kind.SCALAR, place.line, place.column, text, plain=not event.style, comment=comment
        )

    def _comment(self, event: yaml.ScalarEvent) -> str:
        found = COMMENT.match(self.text, _place(event.end_mark).offset)
        return found[1].rstrip() if found else ""

    def _sequence(self, event: yaml.Event, depth: int) -> Node:
        items = []
        while not isinstance(child := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(child, depth + 1))
        place = _place(event.start_mark)
        return Node(Kind.SEQUENCE, place.line, place.column, items=tuple(items))

    def _mapping(self, event: yaml.Event, depth: int) -> Node:
        entries: dict[str, tuple[Node, Node]] = {}
        while not isinstance(child := next(self.events), yaml.MappingEndEvent):
            key = self._key(child, depth)
            if key.text in entries:
                first = entries[key.text][0].line
                self._refuse(child, f"the key `{shown(key.text)}` is already on line {first}")
            entries[key.text] = (key, self._node(next(self.events), depth + 1))
        place = _place(event.start_mark)
        return Node(Kind.MAPPING, place.line, place.column, entries=tuple(entries.values()))

    def _key(self, event: yaml.Event, depth: int) -> Node:
        if not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
            index = _place(event.start_mark).offset
            if "{{" in self.text[max(index - 1, 0) : index + 2]:
                self._refuse(event, *NO_TEMPLATES)
            self._refuse(event, "a key must be text, not a list or a mapping")
        key = self._node(event, depth + 1)
        if key.text == "<<" and key.plain:
            self._refuse(event, "the merge key `<<` is not allowed", "write it out")
        return key

    def _refuse(self, event: yaml.Event, problem: str, hint: str = "") -> NoReturn:
        place = _place(event.start_mark)
        raise SpecError(problem, path=self.path, line=place.line, column=place.column, hint=hint)
