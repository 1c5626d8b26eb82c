"""Paints windows, the parts whose colours differ most between day and night."""

from dataclasses import dataclass

import numpy as np

from recycle.street.paint import Canvas, Colour, Glow, dim, mix, paint

_CLOSED = 0.16
"""Share of the windows whose blind or shutters are closed."""


@dataclass(frozen=True)
class Wall:
    """The wall of a house, its colours, and those of its windows."""

    left: float
    right: float
    top: float
    wall: Colour
    trim: Colour
    shutters: Colour | None
    glass: Colour


def window(
    canvas: Canvas,
    rng: np.random.Generator,
    it: Wall,
    corner: tuple[float, float],
    size: tuple[float, float],
) -> None:
    """Paint a window. If its blind or shutters are closed, it is dark at night."""
    (x, y), (w, h) = corner, size
    if it.shutters:
        wings = paint(dim(it.shutters, 0.9), "building")
        canvas.rect(x - 0.019, y, x - 0.002, y + h, wings)
        canvas.rect(x + w + 0.002, y, x + w + 0.019, y + h, wings)
    canvas.rect(x - 0.006, y + h, x + w + 0.006, y + h + 0.008, paint(dim(it.trim, 0.92), "building"))
    canvas.rect(x, y - 0.009, x + w, y, paint(dim(it.wall, 0.72), "building"))
    canvas.rect(x, y, x + w, y + h, paint(it.trim, "window"))
    left, top, right, bottom = x + 0.006, y + 0.006, x + w - 0.006, y + h - 0.005
    if rng.random() < _CLOSED:
        slat = it.shutters or mix(it.wall, (120, 112, 104), 0.5)
        canvas.rect(left, top, right, bottom, paint(slat, "window"))
        for k in range(1, 6):
            level = top + (bottom - top) * k / 6
            canvas.rect(left, level, right, level + 0.002, paint(dim(slat, 0.7), "window"))
        return
    _pane(canvas, rng, it.glass, (left, top, right, bottom))
    bar = paint(it.trim, "window")
    canvas.rect((left + right) / 2 - 0.002, top, (left + right) / 2 + 0.002, bottom, bar)
    canvas.rect(left, top + 0.33 * h, right, top + 0.33 * h + 0.004, bar)


def _pane(canvas: Canvas, rng: np.random.Generator, glass: Colour, area: tuple[float, float, float, float]) -> None:
    """Paint glass that reflects the sky; the curtains determine the colour of the room's light."""
    left, top, right, bottom = area
    kinds: tuple[tuple[Colour | None, Glow], ...] = (
        ((236, 226, 200), "warm"), ((198, 108, 82), "amber"), (None, "warm"), ((236, 226, 200), "warm"),
        ((150, 176, 206), "cool"),
    )  # fmt: skip
    curtain, glow = kinds[int(rng.integers(len(kinds)))]
    canvas.rect(*area, paint(glass, "window", glow))
    w, h = right - left, bottom - top
    canvas.poly(
        [
            (left, top + 0.75 * h),
            (left, top + 0.4 * h),
            (left + 0.8 * w, top),
            (right, top),
            (right, top + 0.1 * h),
        ],
        paint(mix(glass, (255, 255, 255), 0.35), "window", glow),
    )
    if curtain:
        part = float(rng.uniform(0.18, 0.28)) * w
        drawn: Glow = "cool" if glow == "cool" else "drawn"
        for x0, x1 in ((left, left + part), (right - part, right)):
            canvas.rect(x0, top, x1, bottom, paint(curtain, "window", drawn))
