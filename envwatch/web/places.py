"""Where somebody may be sent after signing in: to a page of ours, or of a host that is trusted."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from envwatch.web.context import site
from envwatch.web.origins import is_trusted, origin_of

HOME = "/"
LONGEST = 2000
ROUNDS = 5  # of decoding; what is still encoded after them is not from us


def place(text: str) -> str:
    """The address if it is a path of this host in every reading, or leads to a host of
    `web.origins`, else the first page. Where it names this host it becomes a path.
    """
    origin = origin_of(text)
    rest = text[len(origin) :] or HOME
    if origin and text.lower().startswith(origin) and is_local(rest):
        if origin == origin_of(site().context.settings.web.address):
            return rest
        if is_trusted(origin):
            return text
    return text if is_local(text) else HOME


def is_elsewhere(place: str) -> bool:
    return bool(urlsplit(place).netloc)


def is_local(text: str) -> bool:
    if len(text) > LONGEST or not text.isascii():
        return False
    for _ in range(ROUNDS):
        if not _is_path(text):
            return False
        decoded = unquote(text)
        if decoded == text:
            return True
        text = decoded
    return False


def _is_path(text: str) -> bool:
    odd = "\\" in text or not text.isprintable()
    return text.startswith("/") and not text.startswith("//") and not odd and text == text.strip()
