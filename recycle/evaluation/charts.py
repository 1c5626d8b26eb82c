"""Computes the geometry of line charts; templates draw them as SVG."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from recycle.domains import DIRECTIONS, DOMAINS, LETTERS, Names

WIDTH, HEIGHT = 380, 210
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 28
"""Size and margins of a chart in SVG units."""

_LOSS = "loss/"
_SIDES = (*(d.name for d in DIRECTIONS), *DOMAINS)
"""Parts of a tag that stand for a direction or a domain."""


@dataclass(frozen=True)
class Line:
    """One curve: SVG path data of the raw and the smoothed values, and the last smoothed value as text."""

    label: str
    colour: int
    """Number of its colour, from 0; related lines share a number across the charts of a page."""
    raw: str
    smooth: str
    last: str
    dot: tuple[float, float] | None
    """Position (x, y) of its only point; None if there are more points."""


@dataclass(frozen=True)
class Chart:
    """A small chart: its lines, and the position (in SVG units) and label of each tick."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def charts(curves: Mapping[str, Sequence[tuple[int, float]]], names: Names = LETTERS) -> list[Chart]:
    """One chart per quantity, losses first.

    `curves` maps tags to (step, value) points; steps count from 0. Tags that differ only by the suffix `_a`, `_b`,
    `_ab` or `_ba` share a chart, as do tags of scores that differ only by the direction, such as `score/ab_content`.
    `names` are those of the domains. Curves without points are left out.
    """
    tags = [(*_split(tag), points) for tag, points in curves.items() if points]
    tags.sort(key=lambda tag: _order(*tag[:2]))
    groups = groupby(tags, key=lambda tag: tag[0])
    return [
        _chart(_title(t), [(_side(end, names), i, p) for i, (_, end, p) in enumerate(group)]) for t, group in groups
    ]


def overlaid(runs: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], names: Names = LETTERS) -> list[Chart]:
    """One chart per tag, losses first, with a line for each run that has the tag.

    `runs` maps names of runs to curves (see `charts`); `names` are those of the domains. A run's colour number is its
    position in `runs`, in every chart.
    """
    tags = {tag: _split(tag) for curves in runs.values() for tag, points in curves.items() if points}
    found = []
    for tag, parts in sorted(tags.items(), key=lambda item: _order(*item[1])):
        lines = [(name, i, curves[tag]) for i, (name, curves) in enumerate(runs.items()) if curves.get(tag)]
        found.append(_chart(f"{_title(parts[0])} {_side(parts[1], names)}".rstrip(), lines))
    return found


def _split(tag: str) -> tuple[str, str]:
    sides = "|".join(_SIDES)
    if match := re.fullmatch(rf"(.+/)({sides})_(.+)", tag):
        return match[1] + match[3], match[2]
    match = re.fullmatch(rf"(.+)_({sides})", tag)
    return (match[1], match[2]) if match else (tag, "")


def _side(ending: str, names: Names) -> str:
    """Label of the direction or domain that `ending` stands for; '' for ''."""
    shown: dict[str, str] = {"": ""} | {each: names.of(each) for each in DOMAINS}
    shown |= {d.name: names.way(d) for d in DIRECTIONS}
    return shown[ending]


def _order(quantity: str, side: str) -> tuple[bool, str, str]:
    return (not quantity.startswith(_LOSS), quantity, side)


def _title(quantity: str) -> str:
    return quantity.removeprefix(_LOSS).replace("_", " ")


def _chart(title: str, group: Sequence[tuple[str, int, Sequence[tuple[int, float]]]]) -> Chart:
    """`group` has a label, colour number and points (step, value) for each line."""
    values = [np.array(points, dtype=np.float64) for _, _, points in group]
    smooth = [np.stack((v[:, 0], _smooth(v[:, 1])), axis=1) for v in values]
    last = max(1.0, *(float(v[-1, 0]) for v in values))
    y_ticks = _ticks(*_range(values, smooth), 4)
    x_scale = (WIDTH - LEFT - RIGHT) / last
    y_scale = (HEIGHT - TOP - BOTTOM) / (y_ticks[-1] - y_ticks[0])

    def place(points: NDArray[np.float64]) -> list[tuple[float, float]]:
        x, y = LEFT + points[:, 0] * x_scale, HEIGHT - BOTTOM - (points[:, 1] - y_ticks[0]) * y_scale
        return list(zip(x.round(1).tolist(), y.round(1).tolist(), strict=True))

    def path(points: NDArray[np.float64]) -> str:
        return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in place(points))

    lines = tuple(
        Line(label, colour, path(v), path(s), f"{s[-1, 1]:.3g}", place(v)[0] if len(v) == 1 else None)
        for (label, colour, _), v, s in zip(group, values, smooth, strict=True)
    )
    x_labels = tuple((LEFT + t * x_scale, _step(t)) for t in _ticks(0.0, last, 4) if t <= 1.01 * last)
    y_labels = tuple((HEIGHT - BOTTOM - (t - y_ticks[0]) * y_scale, f"{t:.6g}") for t in y_ticks)
    return Chart(title, lines, x_labels, y_labels)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred moving mean over a twentieth of the points; the window is shorter at the ends."""
    half = len(values) // 40
    sums = np.concatenate(([0.0], np.cumsum(values)))
    ends = np.minimum(np.arange(len(values)) + half + 1, len(values))
    starts = np.maximum(np.arange(len(values)) - half, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def _range(values: list[NDArray[np.float64]], smooth: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Range of all smoothed values and the central 98 % of the raw ones; starts at 0 if 0 is near."""
    raw = np.concatenate([v[:, 1] for v in values])
    seen = np.concatenate([np.percentile(raw, (1, 99)), *(s[:, 1] for s in smooth)])
    low, high = float(seen.min()), float(seen.max())
    return (0.0 if 0 < low < 0.5 * high else low), high


def _ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` tick values, spaced by 1, 2 or 5 times a power of ten, that enclose the range."""
    if high <= low:
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(power * m for m in (1, 2, 5, 10, 20) if (high - low) / (power * m) <= count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _step(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"
