"""The history of an environment as two small charts: how long builds took, how big they became."""

from __future__ import annotations

from dataclasses import dataclass

from envwatch.views.values import Point
from envwatch.web.text import seconds, size, told, utc

WIDTH = 240.0
HEIGHT = 44.0
STEP = 8.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One build; `y` counts from the top."""

    x: float
    y: float
    height: float
    ok: bool
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`words` say the same as the bars, for who cannot see them."""

    title: str
    words: str
    bars: tuple[Bar, ...]
    width: float
    height: float = HEIGHT


def charts(points: tuple[Point, ...]) -> tuple[Chart, ...]:
    """None for a history too short to have a shape."""
    if len(points) < 2:
        return ()
    took = [(p.seconds, p.ok, f"build {p.build_id}: {seconds(p.seconds)}", p) for p in points]
    grown = [(float(p.size), True, f"build {p.build_id}: {size(p.size)}", p) for p in points]
    made = [_chart("time", told(points), took)]
    with_size = [g for g in grown if g[0]]
    if len(with_size) >= 2:
        words = f"from {size(int(with_size[0][0]))} to {size(int(with_size[-1][0]))}"
        made.append(_chart("size", words, with_size))
    return tuple(made)


def _chart(title: str, words: str, found: list[tuple[float, bool, str, Point]]) -> Chart:
    most = max(value for value, *_ in found) or 1.0
    step = min(STEP, WIDTH / len(found))
    bars = []
    for i, (value, ok, text, point) in enumerate(found):
        height = max(2.0, round(value / most * HEIGHT, 1))
        label = f"{text}{'' if ok else ', failed'}, {utc(point.at)} UTC"
        bars.append(Bar(round(i * step, 1), HEIGHT - height, height, ok, label))
    return Chart(title, words, tuple(bars), round(len(found) * step, 1))
