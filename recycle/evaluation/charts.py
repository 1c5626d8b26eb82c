"""Geometry of the report's line charts; the page's template draws it as SVG."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 380, 210
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 28
"""Size and margins of a chart in SVG units."""

_LOSS = "loss/"


@dataclass(frozen=True)
class Line:
    """One curve: SVG path data of the raw and of the smoothed values, and its last smoothed value."""

    label: str
    raw: str
    smooth: str
    last: str


@dataclass(frozen=True)
class Chart:
    """One small chart: its lines and the places and labels of its ticks, in SVG units."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def charts(curves: Mapping[str, Sequence[tuple[int, float]]]) -> list[Chart]:
    """One chart per quantity, losses first; tags that differ by `_a`, `_b`, `_ab` or `_ba` share one.

    Steps count from 0. Curves without points are left out.
    """
    tags = [(*_split(tag), points) for tag, points in curves.items() if points]
    tags.sort(key=lambda tag: (not tag[0].startswith(_LOSS), *tag[:2]))
    return [_chart(title, list(group)) for title, group in groupby(tags, key=lambda tag: tag[0])]


def _split(tag: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.+)_(ab|ba|a|b)", tag)
    return (match[1], match[2]) if match else (tag, "")


def _chart(title: str, group: list[tuple[str, str, Sequence[tuple[int, float]]]]) -> Chart:
    values = [np.array(points, dtype=np.float64) for _, _, points in group]
    smooth = [np.stack((v[:, 0], _smooth(v[:, 1])), axis=1) for v in values]
    last = max(1.0, *(float(v[-1, 0]) for v in values))
    y_ticks = _ticks(*_range(values, smooth), 4)
    x_scale = (WIDTH - LEFT - RIGHT) / last
    y_scale = (HEIGHT - TOP - BOTTOM) / (y_ticks[-1] - y_ticks[0])

    def place(points: NDArray[np.float64]) -> str:
        x, y = LEFT + points[:, 0] * x_scale, HEIGHT - BOTTOM - (points[:, 1] - y_ticks[0]) * y_scale
        return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    lines = tuple(
        Line(label, place(v), place(s), f"{s[-1, 1]:.3g}")
        for (_, label, _), v, s in zip(group, values, smooth, strict=True)
    )
    x_labels = tuple((LEFT + t * x_scale, _step(t)) for t in _ticks(0.0, last, 4) if t <= 1.01 * last)
    y_labels = tuple((HEIGHT - BOTTOM - (t - y_ticks[0]) * y_scale, f"{t:.6g}") for t in y_ticks)
    return Chart(title.removeprefix(_LOSS).replace("_", " "), lines, x_labels, y_labels)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred moving mean over a twentieth of the points; no lag, shorter at the ends."""
    half = len(values) // 40
    sums = np.concatenate(([0.0], np.cumsum(values)))
    ends = np.minimum(np.arange(len(values)) + half + 1, len(values))
    starts = np.maximum(np.arange(len(values)) - half, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def _range(values: list[NDArray[np.float64]], smooth: list[NDArray[np.float64]]) -> tuple[float, float]:
    """All smoothed values and 98 % of the raw ones; from 0 where 0 is near."""
    raw = np.concatenate([v[:, 1] for v in values])
    seen = np.concatenate([np.percentile(raw, (1, 99)), *(s[:, 1] for s in smooth)])
    low, high = float(seen.min()), float(seen.max())
    return (0.0 if 0 < low < 0.5 * high else low), high


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that enclose the range."""
    if high <= low:
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(power * m for m in (1, 2, 5, 10, 20) if (high - low) / (power * m) <= count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _step(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"
