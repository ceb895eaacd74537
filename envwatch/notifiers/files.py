"""Secrets come from files, read again at each use: a new one needs no restart."""

from __future__ import annotations

from pathlib import Path

from envwatch.errors import NotifyStalled

MOST = 64 * 1024


def read_token(path: Path) -> str:
    """The one line of a file. Raises NotifyStalled; no message repeats it."""
    lines = read_lines(path)
    if len(lines) != 1 or not _is_token(lines[0]):
        raise NotifyStalled(
            f"`{path}` does not hold one token", hint="write the token alone into it, on one line"
        )
    return lines[0]


def read_lines(path: Path) -> tuple[str, ...]:
    """The lines of a file that say something. Raises NotifyStalled where there are none."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST).decode()
    except OSError as e:
        raise NotifyStalled(
            f"`{path}` cannot be read: {e.strerror}", hint="the user of envwatch must read it"
        ) from e
    except UnicodeDecodeError as e:
        raise NotifyStalled(f"`{path}` is not text") from e
    lines = (line.strip() for line in text.splitlines())
    found = tuple(line for line in lines if line and not line.startswith("#"))
    if not found:
        raise NotifyStalled(f"`{path}` is empty", hint="write the secret into it")
    return found


def _is_token(text: str) -> bool:
    """It becomes a header: a space or a control character would become more than that."""
    return text.isascii() and text.isprintable() and " " not in text
