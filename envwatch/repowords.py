"""What an `envwatch.yml` says of one environment, value by value, each with its place."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from envwatch import cron, entries, selectors, virtualfile
from envwatch.errors import SpecError
from envwatch.model import Requirement
from envwatch.sections import Found, described
from envwatch.yamltext import Kind, Node, shown

NAMES = ("envwatch.yml", "envwatch.yaml")
COMMON_KEYS = ("platforms", "virtual_packages", "labels", "retention", "update")
KEYS = ("files", "lock", "description", "kernel", *COMMON_KEYS)
LABEL_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
LONGEST_PATH = 512
LONGEST_TEXT = 100
LONGEST_DESCRIPTION = 1000
MOST_LABELS = 32
MOST_PLATFORMS = len(selectors.PLATFORMS)
MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of one environment, or of all in `defaults`.

    `said` are the keys, each with its line and column; what is not among them is empty.
    """

    platforms: tuple[str, ...] = ()
    virtual_packages: tuple[Requirement, ...] = ()
    virtual_file: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    description: str = ""
    kernel: str = ""
    keep_last: int | None = None
    keep_days: float | None = None
    update: str = ""
    lock: str = ""
    said: tuple[tuple[str, int, int], ...] = ()

    def place(self, key: str) -> tuple[int, int]:
        return next(((line, column) for k, line, column in self.said if k == key), (0, 0))

    def says(self, key: str) -> bool:
        return any(k == key for k, _, _ in self.said)


NOTHING = Words()


def is_repo_file(path: str) -> bool:
    return PurePosixPath(path).name in NAMES


def over(words: Words, defaults: Words) -> Words:
    """What is said of one environment, over what is said of all; labels add up."""
    out = words
    for key, fields in FIELDS.items():
        if defaults.says(key) and not words.says(key):
            out = replace(out, **{f: getattr(defaults, f) for f in fields})
    labels = {**dict(defaults.labels), **dict(words.labels)}
    said = (*words.said, *(s for s in defaults.said if not words.says(s[0])))
    return replace(out, labels=tuple(sorted(labels.items())), said=said)


FIELDS = {
    "platforms": ("platforms",),
    "virtual_packages": ("virtual_packages", "virtual_file"),
    "retention": ("keep_last", "keep_days"),
    "update": ("update",),
}


def resolved(text: str, settings: str) -> str:
    """The path from the top of the source that a path beside an `envwatch.yml` means."""
    if not text.strip() or len(text) > LONGEST_PATH or not text.isprintable():
        raise SpecError(f"`{shown(text)}` is not a path")
    if text.startswith(("/", "~")) or "\\" in text or "://" in text:
        hint = "paths are relative to the folder of this `envwatch.yml`"
        raise SpecError(f"`{shown(text)}` is not a path in the source", hint=hint)
    path = posixpath.normpath(posixpath.join(posixpath.dirname(settings), text))
    if path == ".." or path.startswith("../"):
        hint = "only files of the same source can be used"
        raise SpecError(f"`{shown(text)}` leads out of the source", hint=hint)
    if not path.endswith((".yml", ".yaml")):
        raise SpecError(f"`{shown(text)}` is not a yaml file", hint="it ends in `.yml` or `.yaml`")
    if is_repo_file(path):
        hint = "name the environment files themselves"
        raise SpecError(f"`{shown(text)}` is an `envwatch.yml`, not an environment", hint=hint)
    return path


def listed(node: Node | None, key: str, found: Found, *, most: int) -> list[Node]:
    """The texts of a list; anything else is said."""
    if node is None or node.null:
        return []
    if node.kind is not Kind.SEQUENCE:
        found.error(node, f"`{key}` must be a list, not {described(node)}", "write `[…]`")
        return []
    if len(node.items) > most:
        found.error(node, f"`{key}` has {len(node.items)} entries, at most {most} are read")
        return []
    texts = []
    for item in node.items:
        if item.kind is Kind.SCALAR and not item.null:
            texts.append(item)
        else:
            found.error(item, f"an entry of `{key}` must be text, not {described(item)}")
    return texts


def other_keys(node: Node, known: tuple[str, ...], found: Found) -> None:
    for key, _ in node.entries:
        if key.text not in known:
            near = entries.nearest(key.text, known)
            hint = f"did you mean `{near}`?" if near else f"known here: {', '.join(sorted(known))}"
            found.warn(key, f"the key `{shown(key.text)}` is not known and is ignored", hint)


# ---------------------------------------------------------------- values


class Reader:
    """Reads what is said of one environment, or in `defaults`; it says what is wrong, and goes
    on."""

    def __init__(self, node: Node | None, found: Found) -> None:
        self.node = node
        self.found = found
        self.out = Words()

    def words(self, known: tuple[str, ...], name: str) -> Words:
        node = self.node
        if node is None or node.null:
            return Words()
        if node.kind is not Kind.MAPPING:
            self.found.error(node, f"`{shown(name)}` must be a mapping, not {described(node)}")
            return Words()
        other_keys(node, known, self.found)
        for key, value in node.entries:
            if key.text in known and key.text != "files" and not value.null:
                self._read(key, value)
        return self.out

    def _read(self, key: Node, value: Node) -> None:
        readers: dict[str, Callable[[Node], None]] = {
            "platforms": self._platforms,
            "virtual_packages": self._virtual_packages,
            "labels": self._labels,
            "description": self._description,
            "kernel": self._kernel,
            "retention": self._retention,
            "update": self._update,
            "lock": self._lock,
        }
        readers[key.text](value)
        said = (*self.out.said, (key.text, key.line, key.column))
        self.out = replace(self.out, said=said)

    def _platforms(self, node: Node) -> None:
        platforms = []
        for item in listed(node, "platforms", self.found, most=MOST_PLATFORMS):
            if item.text in selectors.PLATFORMS:
                platforms.append(item.text)
                continue
            near = entries.nearest(item.text, selectors.PLATFORMS, cutoff=0.6)
            hint = f"did you mean `{near}`?" if near else "for example `linux-64`"
            self.found.error(item, f"`{shown(item.text)}` is not a platform", hint)
        self.out = replace(self.out, platforms=tuple(dict.fromkeys(platforms)))

    def _virtual_packages(self, node: Node) -> None:
        """A list, or the path of conda-lock's file."""
        if node.kind is Kind.SCALAR:
            if path := self._path(node):
                self.out = replace(self.out, virtual_file=path)
            return
        found = []
        for item in listed(node, "virtual_packages", self.found, most=MOST_LABELS):
            if self.found.passes(item, lambda text: _ignore(virtualfile.read_entry(text))):
                place = (item.line, item.column)
                found.append(Requirement(item.text, *place, path=self.found.path))
        self.out = replace(self.out, virtual_packages=tuple(found))

    def _labels(self, node: Node) -> None:
        if node.kind is not Kind.MAPPING:
            hint = "write `{team: ocean}`"
            self.found.error(node, f"`labels` must be a mapping, not {described(node)}", hint)
        elif len(node.entries) > MOST_LABELS:
            count = len(node.entries)
            self.found.error(node, f"{count} labels, at most {MOST_LABELS} are read")
        else:
            labels = [(k.text, v.text) for k, v in node.entries if self._label(k, v)]
            self.out = replace(self.out, labels=tuple(sorted(labels)))

    def _label(self, key: Node, value: Node) -> bool:
        if not LABEL_KEY.fullmatch(key.text):
            hint = "up to 63 letters, digits, `.`, `_`, `/` and `-`"
            self.found.error(key, f"`{shown(key.text)}` cannot be a label", hint)
            return False
        return self._text(value, f"the label `{key.text}`") is not None

    def _description(self, node: Node) -> None:
        if node.kind is Kind.SCALAR:
            text = " ".join(node.text.split())
            node = replace(node, text=text)
        text_ = self._text(node, "`description`", longest=LONGEST_DESCRIPTION)
        self.out = replace(self.out, description=text_ or "")

    def _kernel(self, node: Node) -> None:
        if node.kind is not Kind.MAPPING:
            hint = 'write `{display_name: "Ocean (2026)"}`'
            self.found.error(node, f"`kernel` must be a mapping, not {described(node)}", hint)
            return
        other_keys(node, ("display_name",), self.found)
        name = node.get("display_name")
        text = self._text(name, "`display_name`") if name else None
        self.out = replace(self.out, kernel=text or "")

    def _retention(self, node: Node) -> None:
        if node.kind is not Kind.MAPPING:
            hint = "write `{keep_last: 10, keep_days: 90}`"
            self.found.error(node, f"`retention` must be a mapping, not {described(node)}", hint)
            return
        other_keys(node, ("keep_last", "keep_days"), self.found)
        last = self._number(node.get("keep_last"), "keep_last", r"\d{1,5}", least=1)
        days = self._number(node.get("keep_days"), "keep_days", r"\d{1,5}(?:\.\d{1,3})?", least=0)
        kept = None if last is None else int(last)
        self.out = replace(self.out, keep_last=kept, keep_days=days)

    def _number(self, node: Node | None, key: str, pattern: str, *, least: int) -> float | None:
        if node is None or node.null:
            return None
        text = node.text if node.kind is Kind.SCALAR else described(node)
        if re.fullmatch(pattern, text, re.ASCII) and least <= float(text) <= MOST_KEPT:
            return float(text)
        hint = f"from {least} to {MOST_KEPT}"
        self.found.error(node, f"`{key}` cannot be `{shown(text)}`", hint)
        return None

    def _update(self, node: Node) -> None:
        text = self._text(node, "`update`")
        if text is None:
            return
        problem = "" if text in cron.OFF else cron.problem(text)
        if problem:
            hint = "write `@weekly`, `off`, or five fields of cron: `30 3 * * 1`"
            self.found.error(node, f"`{shown(text)}` {problem}", hint)
        self.out = replace(self.out, update="off" if text in cron.OFF else text)

    def _lock(self, node: Node) -> None:
        path = self._path(node)
        if path and not path.endswith(("conda-lock.yml", "conda-lock.yaml")):
            hint = "its name ends in `conda-lock.yml`"
            self.found.error(node, f"`{shown(node.text)}` is not called as a lock is", hint)
        self.out = replace(self.out, lock=path)

    def _path(self, node: Node) -> str:
        text = self._text(node, "a path", longest=LONGEST_PATH)
        try:
            return resolved(text, self.found.path) if text is not None else ""
        except SpecError as e:
            self.found.error(node, e.message, e.hint)
            return ""

    def _text(self, node: Node, what: str, *, longest: int = LONGEST_TEXT) -> str | None:
        """A short text that prints; None where it is none, which is said."""
        if node.kind is not Kind.SCALAR or node.null:
            self.found.error(node, f"{what} must be text, not {described(node)}")
        elif not node.text.strip() or not node.text.isprintable():
            self.found.error(node, f"{what} is `{shown(node.text)}`, which does not print")
        elif len(node.text) > longest:
            count = len(node.text)
            self.found.error(node, f"{what} has {count} characters, at most {longest} are read")
        else:
            return node.text.strip()
        return None


def _ignore(_: object) -> None:
    """Only whether it raises is of interest."""
