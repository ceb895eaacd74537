"""The dependencies of one platform as a solver is told them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rattler import MatchSpec
from rattler.exceptions import InvalidMatchSpecError

from envwatch import spec as specs
from envwatch.entries import DEPENDENCY, OPTION, PACKAGE_URL
from envwatch.errors import SolveError
from envwatch.model import Requirement
from envwatch.redact import redact
from envwatch.solvers.request import Request

FILE_PART = re.compile(r"[\w.!+-]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One dependency: `match` is what rattler and conda read, without its channel.

    `channel` is the URL of the channel that it names, empty where it names none.
    """

    requirement: Requirement
    name: str
    match: str
    channel: str = ""

    @property
    def text(self) -> str:
        return f"{self.channel}::{self.match}" if self.channel else self.match


def match_spec(wanted: Wanted) -> MatchSpec:
    """As rattler reads it, with its channel; what it cannot read is refused with its line."""
    try:
        return MatchSpec(wanted.text)
    except InvalidMatchSpecError as e:
        problem = f"`{redact(wanted.requirement.text)}` is not a package and its version: {e}"
        raise _refused(wanted.requirement, problem) from e


def wanted_on(request: Request, platform: str) -> tuple[Wanted, ...]:
    """Those of the spec that hold on this platform."""
    return tuple(_wanted(request, r) for r in specs.on(request.spec, platform))


def wanted_pip(request: Request, platform: str) -> Wanted | None:
    """conda's `pip`, for a spec with a `pip:` list that does not name it."""
    pip = specs.pip_on(request.spec, platform)
    if not pip or any(w.name == "pip" for w in wanted_on(request, platform)):
        return None
    return Wanted(Requirement("pip", pip[0].line, pip[0].column, path=pip[0].path), "pip", "pip")


def channels_of(request: Request) -> tuple[str, ...]:
    """Those of the request, then those that dependencies name: last, as conda has it."""
    named = [w.channel for p in request.platforms for w in wanted_on(request, p) if w.channel]
    return tuple(dict.fromkeys(c.rstrip("/") for c in (*request.channels, *named)))


def _wanted(request: Request, requirement: Requirement) -> Wanted:
    text = requirement.text.strip()
    if found := PACKAGE_URL.fullmatch(text):
        return _of_url(request, requirement, text.partition("#")[0], found["file"])
    found = DEPENDENCY.fullmatch(text)
    if found is None:
        raise _refused(requirement, f"`{redact(text)}` is not a package and its version")
    options = _options(found["options"] or "")
    if url := options.pop("url", ""):
        return _of_url(request, requirement, url, url.rsplit("/", 1)[-1])
    named = options.pop("channel", "") or found["channel"] or ""
    name = found["name"].lower()
    end = found.start("options") if found["options"] else len(text)
    if any(re.search(r"[\"\\]", value) for value in options.values()):
        # it would end the quotes that are put around it, and begin a key of its own
        raise _refused(requirement, f"`{redact(text)}` has a quote inside a value")
    rest = ",".join(f'{key}="{value}"' for key, value in options.items())
    match = name + text[found.end("name") : end].rstrip() + (f"[{rest}]" if rest else "")
    return Wanted(requirement, name, match, _channel(request, requirement, named))


def _options(text: str) -> dict[str, str]:
    """`[build=mkl, version=">=1"]` as a mapping."""
    found = OPTION.finditer(text.strip("[]"))
    return {m[1]: next(v for v in m.groups()[1:] if v is not None).strip() for m in found}


def _of_url(request: Request, requirement: Requirement, url: str, file: str) -> Wanted:
    """The package at an address is looked up in the index of its channel, never fetched blindly."""
    base = url.rsplit("/", 2)[0]
    parts = re.sub(r"(\.conda|\.tar\.bz2)$", "", file).rsplit("-", 2)
    if len(parts) != 3 or not all(FILE_PART.fullmatch(part) for part in parts):
        raise _refused(requirement, f"`{redact(url)}` is not the address of a package")
    name, version, build = parts
    match = f"{name.lower()} =={version} {build}"
    return Wanted(requirement, name.lower(), match, _channel(request, requirement, base))


def _channel(request: Request, requirement: Requirement, named: str) -> str:
    if not named:
        return ""
    url = named if "://" in named else f"{request.network.alias.rstrip('/')}/{named}"
    url = url.rstrip("/")
    usable = {c.rstrip("/") for c in (*request.channels, *request.allowed)}
    if request.allowed and url not in usable:
        problem = f"the channel `{redact(named)}` of `{redact(requirement.text)}` is not allowed"
        raise _refused(requirement, problem)
    return url


def _refused(requirement: Requirement, problem: str) -> SolveError:
    line, column = requirement.line, requirement.column
    return SolveError(problem, line=line, column=column, path=requirement.path)
