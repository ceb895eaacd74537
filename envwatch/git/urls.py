"""Which addresses git is given: what an operator may write, and the transport each one uses."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from envwatch.errors import SourceStalled
from envwatch.redact import has_credentials, redact

_SCHEMES = ("https", "ssh", "file")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_HELPER = re.compile(r"[\w+.-]*::")
# A user or host that starts with a dash would be an option of ssh.
_SCP = re.compile(r"(?:[A-Za-z0-9_][\w.+-]*@)?[A-Za-z0-9][\w.-]+:(?![-:\\])[^\s:@]+")
_SSH_HOST = re.compile(
    r"(?:[A-Za-z0-9_][\w.+-]*@)?(?:[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:]+\])(?::\d+)?"
)
_HTTPS_HOST = re.compile(r"(?:[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:]+\])(?::\d+)?")
_FORMS = "use https://…, ssh://…, git@host:path, file:///… or an absolute path"


def check_url(url: str) -> None:
    """Refuse what is no plain address of a repository; no message repeats a secret."""
    if not url or not url.isprintable():
        raise SourceStalled("the url of the repository is empty or not printable", hint=_FORMS)
    if _holds_secret(url):
        raise SourceStalled(
            "the url of the repository holds credentials",
            hint="put the password or token into a file, and name it in `credentials`",
        )
    if not _is_address(url):
        raise SourceStalled(f"`{shown(url)}` is not an address that is used", hint=_FORMS)


def _holds_secret(url: str) -> bool:
    return has_credentials(url) or ("@" in url and url.startswith(("http:", "https:")))


def _is_address(url: str) -> bool:
    if _HELPER.match(url):
        return False
    scheme = _SCHEME.match(url)
    if scheme:
        return scheme["scheme"] in _SCHEMES and _is_plain(url)
    return url.startswith("/") or _SCP.fullmatch(url) is not None


def _is_plain(url: str) -> bool:
    """A host that is one, a path, and neither a query nor a fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.query or parts.fragment or "?" in url or " " in url:
        return False
    if parts.scheme == "file":
        return not parts.netloc and parts.path.startswith("/")
    host = _SSH_HOST if parts.scheme == "ssh" else _HTTPS_HOST
    return host.fullmatch(parts.netloc) is not None and len(parts.path) > 1


def local_path(url: str) -> Path | None:
    """The folder that an address names on this machine."""
    if url.startswith("/"):
        return Path(url)
    return Path(unquote(url.removeprefix("file://"))) if url.startswith("file:///") else None


def address(url: str) -> str:
    """What git is given. A path becomes file://: then it is no option and no short cut."""
    return "file://" + quote(url) if url.startswith("/") else url


def transport(url: str) -> str:
    """The one transport that git may use for this address."""
    scheme = _SCHEME.match(address(url))
    return scheme["scheme"] if scheme else "ssh"


def shown(url: str) -> str:
    """An address for messages: no secret, no query, no control characters."""
    text = redact(re.split(r"[?#]", url, maxsplit=1)[0])
    head, at, tail = text.rpartition("@")
    if at and not _SCP.fullmatch(text) and not text.startswith("ssh://"):
        text = f"***@{tail}" if "://" not in head else f"{head.split('://')[0]}://***@{tail}"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
