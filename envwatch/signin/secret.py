"""Secrets in files, each read when it is used."""

from __future__ import annotations

from pathlib import Path

from envwatch.errors import SigninError


def read_secret(path: Path) -> str:
    """The secret that a file holds, which may be another one than a minute ago.

    Raises SigninError.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is not text"
        hint = "envwatch must be able to read it"
        raise SigninError(f"the secret in `{path}` cannot be read: {reason}", hint=hint) from e
    if not text or "\n" in text:
        raise SigninError(f"`{path}` must hold the secret alone, in one line")
    return text
