"""Virtual packages as an `envwatch.yml` names them: `__cuda=12.4`, or conda-lock's own file."""

from __future__ import annotations

import re

from envwatch import selectors
from envwatch.errors import SpecError
from envwatch.model import Requirement
from envwatch.yamltext import Kind, Node, load, shown

ENTRY = re.compile(r"__[a-z0-9_]{1,40}(?:=[\w.+!*-]{1,60}){0,2}", re.ASCII)
VALUE = re.compile(r"[\w.+!*-]{1,60}(?: [\w.+!*-]{1,60})?", re.ASCII)
NAME = re.compile(r"__[a-z0-9_]{1,40}", re.ASCII)


def read_entry(text: str) -> str:
    """`__cuda=12.4` as it is. Raises SpecError."""
    if not ENTRY.fullmatch(text):
        hint = "write it so: `__cuda=12.4`"
        raise SpecError(f"`{shown(text)}` is not a virtual package", hint=hint)
    return text


def read_file(data: bytes, *, path: str) -> tuple[Requirement, ...]:
    """What a `virtual-packages.yml` says of each platform. Raises SpecError."""
    root = load(data, path=path)
    subdirs = root.get("subdirs")
    if subdirs is None or subdirs.kind is not Kind.MAPPING:
        hint = "it has `subdirs:`, platforms below it, and their `packages:`"
        raise _error("not a file of virtual packages", root, path, hint)
    found: list[Requirement] = []
    for platform, section in subdirs.entries:
        if platform.text not in selectors.PLATFORMS:
            problem = f"`{shown(platform.text)}` is not a platform"
            raise _error(problem, platform, path, "for example `linux-64`")
        found += _of_platform(platform.text, section, path)
    return tuple(found)


def _of_platform(platform: str, section: Node, path: str) -> list[Requirement]:
    packages = section.get("packages")
    if packages is None or packages.kind is not Kind.MAPPING:
        raise _error(f"`{platform}` has no `packages:`", section, path)
    return [_requirement(name, value, platform, path) for name, value in packages.entries]


def _requirement(name: Node, value: Node, platform: str, path: str) -> Requirement:
    if not NAME.fullmatch(name.text):
        raise _error(f"`{shown(name.text)}` is not a virtual package", name, path)
    if value.kind is not Kind.SCALAR or not VALUE.fullmatch(value.text):
        raise _error(f"`{name.text}` needs a version", value, path, 'for example `"12.4"`')
    version, _, build = value.text.partition(" ")
    text = "=".join(part for part in (name.text, version, build) if part)
    return Requirement(text, name.line, name.column, (platform,), path)


def _error(problem: str, node: Node, path: str, hint: str = "") -> SpecError:
    return SpecError(problem, path=path, line=node.line, column=node.column, hint=hint)
