"""Reads the log of a build: its end for the page, and piece by piece for who follows it."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from envwatch.web.text import plain

PIECE = 256 * 2**10
TAIL = 512 * 2**10
LINES = 2000


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of a log, the offset where the next piece starts, and whether there will be none.

    `cut` is true where the text does not start at the start of the log.
    """

    text: str
    next: int
    over: bool = False
    cut: bool = False


def size(path: Path) -> int:
    """0 where there is no log, yet or any more."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def piece(path: Path, offset: int, *, over: bool) -> Piece:
    """Whole lines from `offset` on; once the build is `over` also a last line without an end."""
    data = _read(path, offset, PIECE)
    end = len(data) < PIECE
    if not (end and over):
        data = _whole(data)
    return Piece(_decode(data), offset + len(data), over=over and end)


def tail(path: Path) -> Piece:
    """The last lines, with the offset from which to follow."""
    total = size(path)
    start = max(0, total - TAIL)
    data = _whole(_read(path, start, TAIL)) if total else b""
    lines = _decode(data).splitlines(keepends=True)
    if start:
        lines = lines[1:]
    text = "".join(lines[-LINES:])
    return Piece(text, start + len(data), cut=start > 0 or len(lines) > LINES)


def _read(path: Path, offset: int, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(most)
    except FileNotFoundError:
        return b""


def _whole(data: bytes) -> bytes:
    """Up to the last line end; of a piece that is one endless line, up to the last whole sign."""
    end = data.rfind(b"\n") + 1
    if end or len(data) < PIECE:
        return data[:end]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    return data[: len(data) - len(decoder.getstate()[0])]


def _decode(data: bytes) -> str:
    return plain(data.decode("utf-8", "replace"))
