"""How single values of the config are written: durations, sizes, cron text, modes, addresses.

Each `read_*` takes the text of the file and raises `Wrong`; each `write_*` is its reverse. The
yaml loader leaves every scalar as text, so `on`, `0750` and `1_000` mean what is said here alone.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from envwatch import cron
from envwatch.entries import check_dependency
from envwatch.errors import SpecError
from envwatch.redact import redact
from envwatch.spec import valid_name
from envwatch.yamltext import BOOLEANS, shown

DURATION_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
DURATION = r"0|(?:\d{1,12}(?:\.\d{1,3})?(?:ms|s|m|h|d|w))+"
SIZE = r"0|\d{1,19}(?:\.\d{1,3})? ?(?:B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)"
DAY = 86400.0
WEEK = 7 * DAY
TEN_YEARS = 3650 * DAY
VIRTUAL_PACKAGE = r"__[a-z0-9_]{1,40}(?:=[\w.+!*-]{1,60}){0,2}"
PLATFORMS = (
    "linux-64",
    "linux-aarch64",
    "linux-ppc64le",
    "linux-s390x",
    "linux-armv7l",
    "linux-riscv64",
    "osx-64",
    "osx-arm64",
    "win-64",
    "win-arm64",
)


UPDATE_POLICIES = ("notify", "candidate", "activate")


class Wrong(ValueError):
    """One value cannot be used: what is wrong, and what to do."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def quoted(text: str) -> str:
    """The bad value as it may stand in a message: short, printable, without secrets."""
    return f"`{shown(redact(text))}`"


def between(
    read: Callable[[str], float], least: float, most: float, write: Callable[[Any], str]
) -> Callable[[str], float]:
    """A reader that refuses what lies outside of two bounds."""

    def bounded(text: str) -> float:
        value = read(text)
        if not least <= value <= most:
            raise Wrong(f"{quoted(text)} is not between {write(least)} and {write(most)}")
        return value

    return bounded


def chosen(choices: tuple[str, ...]) -> Callable[[str], str]:
    """A reader that takes one of a few words."""

    def choice(text: str) -> str:
        if text not in choices:
            raise Wrong(f"{quoted(text)} is not known here", f"one of {', '.join(choices)}")
        return text

    return choice


def read_text(text: str) -> str:
    if not text.strip():
        raise Wrong("is empty")
    if not text.isprintable():
        raise Wrong(f"{quoted(text)} holds characters that do not print")
    return text.strip()


def read_dependency(text: str) -> str:
    """A package, and its version where it matters."""
    try:
        check_dependency(text)
    except SpecError as e:
        raise Wrong(e.message, e.hint) from e
    return text.strip()


def read_flag(text: str) -> bool:
    value = BOOLEANS.get(text.lower())
    if value is None:
        raise Wrong(f"{quoted(text)} is neither `true` nor `false`")
    return value


def read_count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise Wrong(f"{quoted(text)} is not a whole number")
    return int(text)


def read_days(text: str) -> float:
    if not re.fullmatch(r"\d{1,5}(\.\d{1,3})?", text, re.ASCII):
        raise Wrong(f"{quoted(text)} is not a number of days", "write it without a unit: `30`")
    return float(text)


def read_duration(text: str) -> float:
    """Seconds. `1h30m` adds up; 0 needs no unit."""
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) and float(text):
        raise Wrong(f"{quoted(text)} has no unit", "write for example `60s`, `15m`, `2h` or `7d`")
    if not re.fullmatch(DURATION, text, re.ASCII):
        hint = "write for example `60s`, `15m`, `2h` or `7d`"
        raise Wrong(f"{quoted(text)} is not a duration", hint)
    parts = re.findall(r"([\d.]+)([a-z]+)", text)
    seconds = math.fsum(float(number) * DURATION_UNITS[unit] for number, unit in parts)
    if seconds > TEN_YEARS:
        raise Wrong(f"{quoted(text)} is longer than ten years")
    return round(seconds, 3)


def write_duration(seconds: float) -> str:
    if not seconds:
        return "0"
    whole = (unit for unit in ("d", "h", "m", "s") if seconds % DURATION_UNITS[unit] == 0)
    unit = next(whole, "ms")
    return f"{round(seconds / DURATION_UNITS[unit])}{unit}"


def read_size(text: str) -> int:
    hint = "write for example `500MB` or `8GiB`"
    if re.fullmatch(r"\d+", text, re.ASCII) and text.strip("0"):
        raise Wrong(f"{quoted(text)} has no unit", hint)
    if not re.fullmatch(SIZE, text, re.ASCII):
        raise Wrong(f"{quoted(text)} is not a size", hint)
    found = re.match(r"([\d.]+) ?([A-Za-z]*)", text)
    number, unit = found.groups() if found else ("0", "")
    size = round(Decimal(number) * SIZE_UNITS[unit or "B"])
    if size > 2**60:
        raise Wrong(f"{quoted(text)} is larger than any disk")
    return size


def write_size(size: int) -> str:
    if not size:
        return "0"
    units = sorted(SIZE_UNITS.items(), key=lambda item: -item[1])
    unit, factor = next((u, f) for u, f in units if size % f == 0)
    return f"{size // factor}{unit}"


def read_mode(text: str) -> int:
    """Permissions of folders: others may be let in to read, never to write."""
    if not re.fullmatch(r"(0o|0)?[0-7]{3}", text):
        raise Wrong(f"{quoted(text)} is not a mode", "write octal digits: `0750`")
    mode = int(text[-3:], 8)
    if mode & 0o022 or mode & 0o700 != 0o700:
        hint = "the owner has all, group and others read or nothing: `0755`, `0750` or `0700`"
        raise Wrong(f"{quoted(text)} cannot be the mode of an environment", hint)
    return mode


def write_mode(mode: int) -> str:
    return f"{mode:04o}"


cron_fields = cron.fields


def read_cron(text: str) -> str:
    """Cron text or nothing. Kept as written."""
    if text.strip() in cron.OFF:
        return ""
    if problem := cron.problem(text):
        hint = "write `@daily`, `@weekly` or five fields: `30 3 * * *` is 03:30 UTC each day"
        raise Wrong(f"{quoted(text)} {problem}", hint)
    return text.strip()


def read_update(text: str) -> str:
    """`latest`, cron text, or nothing."""
    return "latest" if text.strip() == "latest" else read_cron(text)


def read_listen(text: str) -> str:
    """`host:port`; an IPv6 address stands in brackets."""
    hint = "write an address and a port: `127.0.0.1:8080`"
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})", text, re.ASCII)
    if not found or int(found[2]) > 65535:
        raise Wrong(f"{quoted(text)} is not an address to listen on", hint)
    if found[1].startswith("["):
        try:
            ipaddress.IPv6Address(found[1][1:-1])
        except ValueError as e:
            raise Wrong(f"{quoted(text)} is not an IPv6 address and a port", hint) from e
    return text


def split_listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_name(text: str) -> str:
    """Names of sources and namespaces: they become folders, links and URLs."""
    if not valid_name(text):
        hint = "letters, digits, `.`, `_` and `-`; at most 64, the first a letter or digit"
        raise Wrong(f"{quoted(text)} is not a name", hint)
    return text


def read_namespace(text: str) -> str:
    if text.lower() == "envs":
        # tools that look for environments drop a folder of this name from what they show
        raise Wrong("`envs` is reserved", "choose another namespace")
    return read_name(text)


def read_platform(text: str) -> str:
    if text not in PLATFORMS:
        raise Wrong(f"{quoted(text)} is not a platform", f"one of {', '.join(PLATFORMS)}")
    return text


def read_virtual_package(text: str) -> str:
    if not re.fullmatch(VIRTUAL_PACKAGE, text, re.ASCII):
        raise Wrong(f"{quoted(text)} is not a virtual package", "write it so: `__cuda=12.4`")
    return text


def read_glob(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/") or len(text) > 200:
        hint = "patterns are relative to the top of the source: `**/*.yml`"
        raise Wrong(f"{quoted(text)} is not a pattern of files in the source", hint)
    return read_text(text)
