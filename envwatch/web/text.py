"""Text from outside made fit to be read: nothing hidden, nothing that commands a screen."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

from envwatch import units
from envwatch.model import Package
from envwatch.views.values import Point

# Everything invisible that can turn, hide or fake what is read: controls but newline and tab,
# the signs that change the direction of text, zero-width ones, line separators, lone surrogates.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# the escape sequences by which programs colour their output: CSI, OSC and two-letter ones
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])"
)
_TICKED = re.compile(r"`([^`\n]+)`")


def visible(value: object) -> object:
    """Strings with every hidden sign shown as a picture or its number; other values as they are.

    Markup is a finished piece of a page: its parts have been here already.
    """
    if type(value) is not str or not _HIDDEN.search(value):
        return value
    return _HIDDEN.sub(_picture, value)


def ticked(text: str) -> Markup:
    """A message as markup: what stands between backticks is code."""
    escaped = str(escape(visible(text)))
    return Markup(_TICKED.sub(r"<code>\1</code>", escaped))  # noqa: S704  # escaped just before


def plain(text: str) -> str:
    """A log as text: without colours, with the last state of a line that was drawn over."""
    text = _ESCAPES.sub("", text)
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _HIDDEN.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number < 0x20:
        return chr(0x2400 + number)
    return "\u2421" if number == 0x7F else f"\u27e8U+{number:04X}\u27e9"


def size(count: int) -> str:
    """`2.1 GiB`; a dash for what is unknown."""
    return units.size(count) if count else "–"


def seconds(value: float | None) -> str:
    """`0.4 s`, `0:41`, `1:02:03`; a dash for what is unknown."""
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def short(revision: str) -> str:
    """A revision as people say it."""
    return revision[:7]


def channel_name(package: Package) -> str:
    """The last part of a channel's address: `conda-forge`."""
    return package.channel.rstrip("/").rsplit("/", 1)[-1] or package.manager.value


def told(points: tuple[Point, ...]) -> str:
    """The chart of times in words."""
    good = [p.seconds for p in points if p.ok]
    failed = len(points) - len(good)
    if not good:
        return f"{len(points)} builds, none succeeded"
    rest = f", {failed} failed" if failed else ""
    return (
        f"{len(good)} builds took {seconds(min(good))} to {seconds(max(good))}, "
        f"the last {seconds(good[-1])}{rest}"
    )
