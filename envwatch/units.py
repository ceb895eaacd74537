"""Sizes as people read them, the same in messages, on pages and in tables."""

from __future__ import annotations

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def count(number: int, noun: str) -> str:
    """`1 package`, `2 packages`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size(count: int) -> str:
    """`2.1 GiB` for a number of bytes."""
    amount, unit = float(count), UNITS[0]
    for unit in UNITS:  # noqa: B007  # the last one is used below
        if amount < 1000:
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"
