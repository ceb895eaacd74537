"""Forges and notifiers as the config writes them, and what an address of git says of its forge."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from envwatch.config.addresses import absolute_url
from envwatch.config.words import Wrong, quoted, read_text
from envwatch.redact import has_credentials
from envwatch.settings import EVENTS, ForgeSettings, NotifierSettings

REPOSITORY = r"[\w.~-]+(?:/[\w.~-]+)+"
SCP = re.compile(r"(?:[\w.+-]+@)?(?P<host>[\w.-]{2,}):(?P<path>[^/].*)")
IN_FILE = "secrets belong into files: see `secret_file`, or use `apprise_file`"


def read_api(text: str) -> str:
    return _address(text, "the token belongs into `token_file`").rstrip("/")


def read_hook(text: str) -> str:
    return _address(text, IN_FILE)


def _address(text: str, hint: str) -> str:
    text = read_text(text)
    if has_credentials(text) or "@" in urlsplit(text).netloc:
        raise Wrong("holds credentials", hint)
    return absolute_url(text, ("https", "http"))


def read_name(text: str) -> str:
    if not re.fullmatch(REPOSITORY, text, re.ASCII) or ".." in text:
        raise Wrong(f"{quoted(text)} is not a repository", "write it so: `owner/name`")
    return text


def read_context(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w./ :-]{0,59}", text, re.ASCII):
        hint = "letters, digits, spaces and `._/:-`, at most 60"
        raise Wrong(f"{quoted(text)} cannot be the name of a status", hint)
    return text


def read_pattern(text: str) -> str:
    if not re.fullmatch(r"[\w.*?\[\]!-]{1,64}", text, re.ASCII):
        raise Wrong(f"{quoted(text)} is not a pattern of namespaces", "write it so: `team-*`")
    return text


def read_branch(text: str) -> str:
    odd = re.search(r"\.\.|//|/\.|\.lock(/|$)|[/.]$", text)
    if odd or not re.fullmatch(r"[A-Za-z0-9][\w./+-]{0,199}", text, re.ASCII):
        hint = "letters, digits and `._+-/`, as `envwatch/locks`"
        raise Wrong(f"{quoted(text)} cannot be the name of a branch", hint)
    return text


def host_and_name(url: str) -> tuple[str, str]:
    """The host of a forge (with the port of its web address) and the repository; or nothing."""
    if "://" not in url:
        found = SCP.fullmatch(url)
        return (found["host"], _bare(found["path"])) if found else ("", "")
    parts = urlsplit(url)
    if parts.scheme == "file" or not parts.hostname:
        return "", ""
    # the port of ssh is not that of the API
    port = f":{parts.port}" if parts.port and parts.scheme.startswith("http") else ""
    return parts.hostname + port, _bare(parts.path)


def _bare(path: str) -> str:
    name = path.strip("/").removesuffix(".git")
    return name if re.fullmatch(REPOSITORY, name, re.ASCII) else ""


def api_of(kind: str, host: str) -> str:
    """Where a forge has its API, unless somebody moved it."""
    if kind == "gitlab":
        return f"https://{host}/api/v4"
    if kind == "gitea":
        return f"https://{host}/api/v1"
    return "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"


def forge_settings(
    kind: str, token_file: Path, url: str, *, api: str, repository: str, context: str
) -> ForgeSettings:
    """With what the address of git says, where the config says nothing."""
    host, name = host_and_name(url)
    return ForgeSettings(
        kind, token_file, api or api_of(kind, host), repository or name, context or "envwatch"
    )


def notifier_settings(
    name: str,
    *,
    webhook: str,
    secret_file: Path | None,
    command: tuple[str, ...],
    apprise_file: Path | None,
    events: tuple[str, ...] | None,
    namespaces: tuple[str, ...] | None,
) -> NotifierSettings:
    kind = "webhook" if webhook else "command" if command else "apprise"
    return NotifierSettings(
        name=name,
        kind=kind,
        url=webhook,
        secret_file=apprise_file or secret_file,
        command=command,
        events=EVENTS if events is None else events,
        namespaces=("*",) if namespaces is None else namespaces,
    )
