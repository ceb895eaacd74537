"""Where packages may come from: a spec and what the operator allows → channel URLs, or a refusal.

Addresses are compared by their parts (scheme, host, port, path), never as text: `good@bad`,
`127.1` and `a/../b` are other places than they look like.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from packaging.requirements import Requirement as PipRequirement

from envwatch import entries
from envwatch.errors import SpecError
from envwatch.model import Requirement, Spec
from envwatch.redact import redact
from envwatch.settings import PipOptions
from envwatch.yamltext import shown

DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
CHANNEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*/?")
T = TypeVar("T")
PORTS = {"http": 80, "https": 443}
ASK = "it must be listed in `channels.allowed` of envwatch's config"


@dataclass(frozen=True, slots=True)
class _Address:
    """The parts of an address that say where it leads."""

    scheme: str
    host: str
    port: int | None
    segments: tuple[str, ...]

    def covers(self, other: _Address) -> bool:
        """Is the other one this place, or below it?"""
        same_host = (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)
        return same_host and other.segments[: len(self.segments)] == self.segments

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.scheme}://{host}{port}/{'/'.join(self.segments)}"


def channel_urls(
    spec: Spec, *, default: tuple[str, ...], allowed: tuple[str, ...], alias: str
) -> tuple[str, ...]:
    """The channels to search, as URLs in order; those of the config where the file has none.

    Channels that only a dependency names (`channel::name`) come last. With an empty `allowed`, the
    channels of the config and every name under `alias` may be used.
    Raises SpecError with the line of the first entry that leads elsewhere.
    """
    rules = _Rules(default, allowed, alias)
    chosen = spec.channels or tuple(Requirement(text) for text in default)
    found = [a for channel in chosen for a in _placed(spec, channel, rules.channel)]
    # what only a dependency names is searched last
    found += [a for entry in spec.dependencies for a in _placed(spec, entry, rules.named_by)]
    return tuple(dict.fromkeys(str(address) for address in found))


def allowed_urls(
    *, default: tuple[str, ...], allowed: tuple[str, ...], alias: str
) -> tuple[str, ...]:
    """Where packages may come from: these URLs and what lies below them."""
    return tuple(dict.fromkeys(str(a) for a in _Rules(default, allowed, alias).allowed))


def check_pip_urls(spec: Spec, pip: PipOptions) -> None:
    """Direct addresses of wheels lead to hosts that the config lists in `pip.allowed_hosts`."""
    for requirement in spec.pip:
        _placed(spec, requirement, lambda text: _check_pip_url(text, pip))


def _placed(spec: Spec, entry: Requirement, rule: Callable[[str], T]) -> T:
    """What a rule says of one entry; its refusal gets the line of the entry."""
    try:
        return rule(entry.text)
    except SpecError as e:
        place = {"line": entry.line, "column": entry.column}
        path = entry.path or spec.path
        raise SpecError(e.message, path=path, hint=e.hint, **place) from e


class _Rules:
    """What one namespace may use."""

    def __init__(self, default: tuple[str, ...], allowed: tuple[str, ...], alias: str) -> None:
        self.alias = _address(alias)
        self.defaults = "defaults" in (*default, *allowed)
        self.allowed = [a for text in (*default, *allowed) for a in self._addresses(text)]
        if not allowed:
            self.allowed.append(self.alias)

    def channel(self, text: str) -> tuple[_Address, ...]:
        """The addresses of one channel, all of them allowed."""
        if text == "defaults" and not self.defaults:
            hint = "use `conda-forge`, or have it listed in `channels.allowed` of envwatch's config"
            raise SpecError("the channel `defaults` is not allowed", hint=hint)
        addresses = self._addresses(text)
        for address in addresses:
            self._check(address, f"the channel `{shown(text)}`")
        return addresses

    def named_by(self, dependency: str) -> tuple[_Address, ...]:
        """The channels in `channel::name`, `name[channel=…]` and addresses of packages."""
        channels = [a for text in entries.channels_of(dependency) for a in self.channel(text)]
        for url in entries.package_urls_of(dependency):
            base = _base(_address(url.split("#")[0]))
            self._check(base, f"the package `{shown(url)}`")
            channels.append(base)
        return tuple(channels)

    def _addresses(self, text: str) -> tuple[_Address, ...]:
        if text == "defaults":
            return tuple(_address(url) for url in DEFAULTS)
        if "://" in text:
            return (_address(text),)
        if text.startswith("/"):
            return (_address(f"file://{text}"),)
        if text.startswith((".", "~")):
            hint = "name a channel or its whole address"
            raise SpecError(f"the channel `{shown(text)}` is a relative path", hint=hint)
        if not CHANNEL_NAME.fullmatch(text):
            hint = "a name such as `conda-forge`, or an `https://` address"
            raise SpecError(f"`{shown(text)}` is not a channel", hint=hint)
        segments = (*self.alias.segments, *text.strip("/").split("/"))
        return (replace(self.alias, segments=segments),)

    def _check(self, address: _Address, what: str) -> None:
        if not any(a.covers(address) for a in self.allowed):
            raise SpecError(f"{what} is not allowed", hint=ASK)


# ---------------------------------------------------------------- addresses


def _address(url: str) -> _Address:
    """The parts of a URL. What can be read in two ways is refused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as e:
        raise SpecError(f"`{shown(url)}` is not an address") from e
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").lower()
    if _ambiguous(url, parts) or (not host and scheme != "file"):
        hint = "write only scheme, host and path"
        raise SpecError(f"`{shown(redact(url))}` is not a plain address", hint=hint)
    port = None if port == PORTS.get(scheme) else port
    return _Address(scheme, host, port, _segments(parts.path, url))


def _ambiguous(url: str, parts: SplitResult) -> bool:
    odd = any(c in url for c in "\\?#@") or not url.isascii() or any(c <= " " for c in url)
    return odd or parts.username is not None or (parts.scheme == "file" and parts.netloc != "")


def _segments(path: str, url: str) -> tuple[str, ...]:
    segments = tuple(s for s in path.split("/") if s)
    plain = [unquote(s) for s in segments]
    if any(s in (".", "..") or "/" in s or "%" in s or "\\" in s for s in plain):
        raise SpecError(f"`{shown(url)}` does not say plainly where it leads", hint="without `..`")
    return segments


def _base(package: _Address) -> _Address:
    """The channel of a package: `https://host/channel` for `…/channel/noarch/a-1.0-0.conda`."""
    folder = package.segments[:-1]
    above = folder[:-1] if folder and folder[-1] in entries.SUBDIRS else folder
    return replace(package, segments=above)


def _check_pip_url(text: str, pip: PipOptions) -> None:
    url = PipRequirement(text).url
    if not url:
        return
    address = _address(url.split("#")[0])
    if not any(_host(h) == (address.scheme, address.host, address.port) for h in pip.allowed_hosts):
        hint = "the host must be listed in `pip.allowed_hosts` of envwatch's config"
        raise SpecError(f"`{shown(text)}` leads to the host `{shown(address.host)}`", hint=hint)
    if not address.segments[-1].lower().endswith(".whl") and not pip.allow_sdist:
        hint = "name a wheel, or have `pip.allow_sdist` set in envwatch's config"
        raise SpecError(f"`{shown(text)}` is not a wheel, and building runs code", hint=hint)


def _host(text: str) -> tuple[str, str, int | None]:
    """`host`, `host:port` are https; `http://host` is spelt out."""
    address = _address(text if "://" in text else f"https://{text}")
    return (address.scheme, address.host, address.port)
