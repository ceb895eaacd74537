"""How addresses are written in the config: channels, indexes, proxies, repositories, paths."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from envwatch.config.words import PLATFORMS, Wrong, quoted, read_namespace, read_text
from envwatch.redact import has_credentials

CHANNEL_NAME = r"[A-Za-z0-9][\w.-]{0,63}(?:/[A-Za-z0-9][\w.-]{0,63}){0,4}"
SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
# user@host:path, git's short form of ssh://; a slash before the colon makes it a path
SCP = r"(?:[\w.-]+@)?[\w.-]{2,}:.+"
TARGET = "write `analytics`, `analytics-{branch}` or `analytics/{name}-{branch}`"
IN_AUTH_FILE = "put the credentials into the file that `channels.auth_file` names"


def read_channel(text: str) -> str:
    """A channel's name, or its http, https or file URL."""
    text = read_text(text)
    if has_credentials(text):
        raise Wrong("holds credentials", IN_AUTH_FILE)
    if re.match(SCHEME, text):
        return _without_platform(_url(text, ("https", "http", "file")).geturl().rstrip("/"))
    if text.startswith(("/", "./", "../", "~")):
        raise Wrong(f"{quoted(text)} is a path", "write a channel on this disk as `file:///…`")
    if not re.fullmatch(CHANNEL_NAME, text, re.ASCII):
        raise Wrong(f"{quoted(text)} is neither a channel's name nor its URL")
    return _without_platform(text)


def read_allowed_channel(text: str) -> str:
    return text if text == "*" else read_channel(text)


def read_index(text: str) -> str:
    """The URL of a Python package index."""
    text = read_text(text)
    if has_credentials(text):
        raise Wrong("holds credentials", "let a mirror or proxy on this host add them")
    return _url(text, ("https", "http", "file")).geturl()


def read_alias(text: str) -> str:
    """What goes before the name of a channel; ends with a slash."""
    text = read_text(text)
    if has_credentials(text):
        raise Wrong("holds credentials", IN_AUTH_FILE)
    return _url(text, ("https", "http", "file")).geturl().rstrip("/") + "/"


def read_public_url(text: str) -> str:
    """Where people see the page."""
    text = read_text(text)
    parts = _url(text, ("https", "http"))
    if has_credentials(text) or parts.query or parts.fragment:
        raise Wrong("holds more than an address", "write it so: `https://env.example.org/`")
    return text


def read_origin(text: str) -> str:
    """The host that a page comes from, as browsers name it."""
    text = read_text(text)
    parts = _url(text, ("https", "http"))
    if has_credentials(text) or parts.path.strip("/") or parts.query or parts.fragment:
        raise Wrong(f"{quoted(text)} is more than a host", "write it so: `https://hub.example.org`")
    usual = ":443" if parts.scheme == "https" else ":80"  # which browsers leave out
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(usual)}"


def read_proxy(text: str) -> str:
    text = read_text(text)
    _url(text, ("http", "https", "socks5", "socks5h"))
    return text


def read_host(text: str) -> str:
    """The name of a host, with a port where it is not the usual one."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:\d{1,5})?", text, re.ASCII):
        raise Wrong(f"{quoted(text)} is not the name of a host", "write it so: `pypi.org`")
    return text.lower()


def read_path(text: str) -> str:
    """A path, relative to the config file or absolute."""
    text = read_text(text)
    if text.startswith("~") or "$" in text:
        hint = "write the whole path: neither `~` nor variables are expanded"
        raise Wrong(f"{quoted(text)} would mean another place for each user", hint)
    return text


def read_repository(text: str) -> str:
    """What git is given: a URL, git's short form of ssh, or a path."""
    text = read_text(text)
    return read_path(text) if _is_path(text) else text


def read_target(text: str) -> str:
    """Where the environments of a branch go: `namespace`, or `namespace/name` with `{name}`."""
    namespace, slash, rename = text.partition("/")
    for part in (namespace, rename):
        if set(re.findall(r"{[^}]*}?", part)) - {"{branch}", "{match}", "{name}"}:
            raise Wrong(f"{quoted(text)} has a word in braces that is not known", TARGET)
    if "{name}" in namespace or (slash and "{name}" not in rename) or "/" in rename:
        raise Wrong(f"{quoted(text)} is not a namespace with names", TARGET)
    if not re.match(r"[A-Za-z0-9]", namespace):
        raise Wrong(f"{quoted(text)} could become any namespace", TARGET)
    plain = re.sub(r"{\w+}", "x", text)
    for part in plain.split("/"):
        read_namespace(part)
    return text


def repository(text: str, base: Path) -> str:
    """The address of a repository; a path is made absolute."""
    return str(Path(base, text).absolute()) if _is_path(text) else text


def _is_path(text: str) -> bool:
    """What is no path is for git's own rule to judge."""
    if re.match(SCHEME, text) or "::" in text or text.startswith("-"):
        return False
    return not (re.match(SCP, text) and "/" not in text.partition(":")[0])


def absolute_url(text: str, schemes: tuple[str, ...]) -> str:
    return _url(text, schemes).geturl()


def _url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    hint = f"write a URL that starts with {' or '.join(f'`{s}://`' for s in schemes)}"
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as e:
        raise Wrong(f"{quoted(text)} is not a URL", hint) from e
    place = parts.path if parts.scheme == "file" else parts.hostname
    if parts.scheme not in schemes or not place or not port_is_fine or " " in text:
        raise Wrong(f"{quoted(text)} is not a URL that can be used here", hint)
    return parts


def _without_platform(channel: str) -> str:
    if channel.rsplit("/", 1)[-1] in (*PLATFORMS, "noarch"):
        raise Wrong(f"{quoted(channel)} ends with a platform", "name the folder above it")
    return channel
