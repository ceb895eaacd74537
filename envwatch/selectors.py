"""Platforms, and the selectors that keep a line for some of them: `# [linux]`, `sel(win):`."""

from __future__ import annotations

import re

PLATFORMS = (
    "linux-64",
    "linux-aarch64",
    "linux-ppc64le",
    "linux-s390x",
    "linux-riscv64",
    "osx-64",
    "osx-arm64",
    "win-64",
    "win-arm64",
)
COMMENT = re.compile(r"\[([^\[\]]+)\]")
KEY = re.compile(r"sel\(([^()]*)\)")
_FAMILIES = ("linux", "osx", "win")
_ALIASES = {
    "linux64": ("linux-64",),
    "aarch64": ("linux-aarch64",),
    "ppc64le": ("linux-ppc64le",),
    "s390x": ("linux-s390x",),
    "osx64": ("osx-64",),
    "arm64": ("osx-arm64",),
    "win64": ("win-64",),
    "x86_64": ("linux-64", "osx-64", "win-64"),
}


def select(expression: str) -> tuple[str, ...] | None:
    """The platforms that `linux`, `not win` or `osx or win` keep; None where it is no selector."""
    chosen: set[str] = set()
    for alternative in re.split(r"\s+or\s+", expression.strip()):
        kept = _all_of(alternative)
        if kept is None:
            return None
        chosen |= kept
    return tuple(p for p in PLATFORMS if p in chosen)


def expression(platforms: tuple[str, ...]) -> str:
    """A selector for exactly these platforms, one word where there is one: `linux`, `not win`."""
    words = (*_FAMILIES, "unix", *_ALIASES, *(f"not {w}" for w in (*_FAMILIES, *_ALIASES)))
    wanted = set(platforms)
    single = (w for w in words if set(select(w) or ()) == wanted)
    return next(single, " or ".join(p for p in PLATFORMS if p in wanted))


def _all_of(expression: str) -> set[str] | None:
    kept = set(PLATFORMS)
    for term in re.split(r"\s+and\s+", expression):
        word = term.removeprefix("not ").strip()
        fits = _platforms_of(word)
        if fits is None:
            return None
        kept &= set(PLATFORMS) - fits if term.startswith("not ") else fits
    return kept


def _platforms_of(word: str) -> set[str] | None:
    if word in PLATFORMS:
        return {word}
    if word in _ALIASES:
        return set(_ALIASES[word])
    if word == "unix":
        return {p for p in PLATFORMS if not p.startswith("win-")}
    if word in _FAMILIES:
        return {p for p in PLATFORMS if p.startswith(f"{word}-")}
    return None
