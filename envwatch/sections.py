"""The sections of one environment file → their values, with everything there is to say of them.

A section says what is wrong and goes on, so that a person sees all mistakes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from envwatch import entries, selectors
from envwatch.errors import SpecError
from envwatch.model import Level, Message, Requirement
from envwatch.yamltext import Kind, Node, shown

KEYS = ("name", "channels", "dependencies", "variables", "platforms", "description")
NOTED = {
    "prefix": "envwatch chooses where environments are",
    "category": "each file is an environment of its own",
}
MAX_CHANNELS = 16


@dataclass(slots=True)
class Found:
    """What was read of one file so far, and what there is to say about it."""

    path: str
    messages: list[Message] = field(default_factory=list)

    def say(self, level: Level, node: Node | None, text: str, hint: str = "") -> None:
        line, column = (node.line, node.column) if node else (0, 0)
        self.messages.append(Message(level, text, self.path, line, column, hint))

    def error(self, node: Node, text: str, hint: str = "") -> None:
        self.say(Level.ERROR, node, text, hint)

    def warn(self, node: Node, text: str, hint: str = "") -> None:
        self.say(Level.WARNING, node, text, hint)

    def refuse(self, error: SpecError) -> None:
        place = (self.path, error.line, error.column)
        self.messages.append(Message(Level.ERROR, error.message, *place, error.hint))

    def passes(self, node: Node, check_text: Callable[[str], None]) -> bool:
        """Does one entry pass its rule? If not, that is said at its place."""
        try:
            check_text(node.text)
        except SpecError as e:
            self.error(node, e.message, e.hint)
            return False
        return True


class Sections:
    """Reads the sections of one file; each says what is wrong and goes on."""

    def __init__(self, root: Node, found: Found) -> None:
        self.root = root
        self.found = found

    def name(self) -> str:
        node = self.root.get("name")
        if node is None or node.null:
            return ""
        if node.kind is not Kind.SCALAR:
            self.found.error(node, f"`name` must be text, not {described(node)}")
            return ""
        return node.text if self.found.passes(node, entries.check_name) else ""

    def description(self) -> str:
        node = self.root.get("description")
        if node is None or node.kind is Kind.SCALAR:
            return "" if node is None or node.null else node.text.strip()
        self.found.warn(node, f"`description` is {described(node)}, not text, and is ignored")
        return ""

    def channels(self) -> tuple[Requirement, ...]:
        channels: dict[str, Requirement] = {}
        for node in self._texts("channels"):
            if node.text == "nodefaults":
                text = "`nodefaults` is not needed: no channel is used that is not named"
                self.found.say(Level.NOTE, node, text)
            elif node.text in channels:
                line = channels[node.text].line
                self.found.warn(node, f"the channel `{shown(node.text)}` is already on line {line}")
            elif self.found.passes(node, entries.check_channel):
                channels[node.text] = Requirement(node.text, node.line, node.column)
        if len(channels) > MAX_CHANNELS:
            node = self.root.get("channels") or self.root
            self.found.error(node, f"{len(channels)} channels, at most {MAX_CHANNELS} are allowed")
        return tuple(channels.values())

    def platforms(self) -> tuple[str, ...]:
        platforms: list[str] = []
        for node in self._texts("platforms"):
            if node.text in selectors.PLATFORMS:
                platforms.append(node.text)
                continue
            near = entries.nearest(node.text, selectors.PLATFORMS, cutoff=0.6)
            hint = f"did you mean `{near}`?" if near else "for example `linux-64`"
            self.found.error(node, f"`{shown(node.text)}` is not a platform", hint)
        return tuple(dict.fromkeys(platforms))

    def variables(self) -> tuple[tuple[str, str], ...]:
        section = self.root.get("variables")
        if section is None or section.null:
            return ()
        if section.kind is not Kind.MAPPING:
            hint = "write `NAME: value`, one per line"
            self.found.error(
                section, f"`variables` must be a mapping, not {described(section)}", hint
            )
            return ()
        return tuple((k.text, v.text) for k, v in section.entries if self._variable(k, v))

    def _variable(self, key: Node, value: Node) -> bool:
        if not self.found.passes(key, entries.check_variable):
            return False
        if value.kind is not Kind.SCALAR or value.null:
            hint = 'write `""` for an empty one' if value.null else ""
            self.found.error(
                value, f"the variable `{key.text}` must be text, not {described(value)}", hint
            )
            return False
        return True

    def dependencies(self) -> tuple[tuple[Requirement, ...], tuple[Requirement, ...]]:
        section = self.root.get("dependencies") or self.root
        if section.kind is not Kind.SEQUENCE:
            hint = "write each package as `- name`; `[]` for none"
            self.found.error(
                section, f"`dependencies` must be a list, not {described(section)}", hint
            )
            return (), ()
        reader = _Dependencies(self.found)
        for node in section.items:
            reader.item(node)
        return tuple(reader.conda), tuple(reader.pip)

    def other_keys(self) -> None:
        for key, _ in self.root.entries:
            if key.text in NOTED:
                self._noted(key)
            elif key.text not in KEYS:
                near = entries.nearest(key.text, KEYS)
                hint = f"did you mean `{near}`?" if near else ""
                text = f"the key `{shown(key.text)}` is not known and is ignored"
                self.found.warn(key, text, hint)

    def _noted(self, key: Node) -> None:
        self.found.say(Level.NOTE, key, f"`{key.text}` is ignored: {NOTED[key.text]}")

    def _texts(self, key: str) -> list[Node]:
        """The texts of one list of the file; anything else in it is refused."""
        section = self.root.get(key)
        if section is None or section.null:
            return []
        if section.kind is not Kind.SEQUENCE:
            self.found.error(
                section, f"`{key}` must be a list, not {described(section)}", "write `- …`"
            )
            return []
        texts = []
        for node in section.items:
            if node.kind is Kind.SCALAR and not node.null:
                texts.append(node)
            else:
                self.found.error(node, f"an entry of `{key}` must be text, not {described(node)}")
        return texts


def described(node: Node) -> str:
    """What a value is, with its article."""
    return {"list": "a list", "mapping": "a mapping"}.get(node.shape, node.shape)


class _Dependencies:
    """Reads the items of `dependencies:`, its nested `pip:` list among them."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.conda: list[Requirement] = []
        self.pip: list[Requirement] = []
        self.pip_line = 0
        self.named: dict[tuple[str, str], list[Requirement]] = {}

    def item(self, node: Node) -> None:
        if node.kind is Kind.MAPPING:
            for key, value in node.entries:
                self._mapping(key, value)
        elif node.kind is Kind.SEQUENCE:
            self.found.error(node, "a list inside `dependencies`", "only `pip:` has a list")
        elif node.null:
            self.found.error(node, "an empty entry", "remove the `-`, or name a package after it")
        elif self.found.passes(node, entries.check_dependency):
            self._add_conda(node, _by_comment(node, self.found))

    def _mapping(self, key: Node, value: Node) -> None:
        if key.text == "pip":
            self._pip(key, value)
        elif selector := selectors.KEY.fullmatch(key.text.strip()):
            self._selected(key, selector[1], value)
        else:
            version = value.text if value.kind is Kind.SCALAR and not value.null else "version"
            hint = f"write `{shown(key.text)}={shown(version)}`"
            self.found.error(key, f"`{shown(key.text)}:` starts a mapping, not a package", hint)

    def _selected(self, key: Node, expression: str, value: Node) -> None:
        platforms = selectors.select(expression)
        if not platforms:
            hint = "for example `sel(linux)`, `sel(osx)`, `sel(win)`, `sel(unix)`"
            self.found.error(key, f"`{shown(key.text)}` selects no platform", hint)
        elif value.kind is not Kind.SCALAR or value.null:
            self.found.error(value, f"a package must follow `{key.text}:`, not {described(value)}")
        elif self.found.passes(value, entries.check_dependency):
            self._add_conda(value, platforms)

    def _pip(self, key: Node, value: Node) -> None:
        if self.pip_line:
            hint = "put all pip requirements into one list"
            self.found.error(key, f"`pip:` is already on line {self.pip_line}", hint)
        elif value.null:
            self.found.warn(key, "`pip:` is empty")
        elif value.kind is not Kind.SEQUENCE:
            hint = "write each requirement as `- name`, further in than `pip:`"
            self.found.error(value, f"`pip` must be a list, not {described(value)}", hint)
        else:
            for node in value.items:
                self._requirement(node)
        self.pip_line = key.line

    def _requirement(self, node: Node) -> None:
        if node.kind is not Kind.SCALAR or node.null:
            self.found.error(node, f"a pip requirement must be text, not {described(node)}")
        elif self.found.passes(node, entries.check_pip):
            self._add_pip(node, _by_comment(node, self.found))

    def _add_conda(self, node: Node, platforms: tuple[str, ...]) -> None:
        requirement = Requirement(node.text.strip(), node.line, node.column, platforms)
        self._warn_of_second("conda", entries.package_name(node.text), requirement, node)
        self.conda.append(requirement)

    def _add_pip(self, node: Node, platforms: tuple[str, ...]) -> None:
        requirement = Requirement(node.text.strip(), node.line, node.column, platforms)
        self._warn_of_second("pip", entries.pip_name(node.text), requirement, node)
        self.pip.append(requirement)

    def _warn_of_second(self, kind: str, name: str, new: Requirement, node: Node) -> None:
        """The same package twice, unless each of the two is for other platforms."""
        named = self.named.setdefault((kind, name), [])
        for other in named:
            if not new.platforms or not other.platforms or {*new.platforms} & {*other.platforms}:
                text = f"`{shown(name)}` is already on line {other.line}"
                self.found.warn(node, text, "keep one of them")
                return
        named.append(new)


def _by_comment(node: Node, found: Found) -> tuple[str, ...]:
    """The platforms of `- name  # [linux]`; empty for all of them."""
    selector = selectors.COMMENT.match(node.comment)
    if selector is None:
        return ()
    platforms = selectors.select(selector[1])
    if platforms is None:
        hint = "known are linux, osx, win, unix, linux64, osx64, arm64, aarch64, with not, and, or"
        found.warn(node, f"`# [{shown(selector[1])}]` is no platform and has no effect", hint)
    elif not platforms:
        found.error(node, f"`# [{shown(selector[1])}]` selects no platform", "remove the line")
    return platforms or ()
