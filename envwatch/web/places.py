"""Where somebody may be sent after signing in: to a page of ours, whatever the address says."""

from __future__ import annotations

from urllib.parse import unquote

HOME = "/"
LONGEST = 2000
ROUNDS = 5  # of decoding; what is still encoded after them is not from us


def local(text: str) -> str:
    """The address if it is a path of this host in every reading, else the first page."""
    return text if is_local(text) else HOME


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
