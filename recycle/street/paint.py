"""The canvas of the street: one picture that contains all appearances.

A picture is (H, W, 4) uint8: the red, green and blue of a surface in white light, and a code for its class (label) and
its light at night (glow). Day, night and labels are computed from it, so their geometry cannot differ. Nothing is
anti-aliased here: pictures are larger than the frames, and reducing them smooths the edges.

Lengths are in frame heights; x points to the right, y downwards.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np

Colour = tuple[float, float, float]
Point = tuple[float, float]
Paint = tuple[int, int, int, int]
Label = Literal["sky", "building", "window", "road", "pavement", "vegetation", "vehicle", "person", "lamp"]
Glow = Literal[
    "none", "warm", "amber", "cool", "drawn", "shop", "lamp", "head", "tail", "red", "blue", "green", "pink",
    "bus", "far",
]  # fmt: skip

LABELS: dict[str, tuple[int, int, int]] = {
    "sky": (70, 130, 180),
    "building": (70, 70, 70),
    "window": (250, 210, 60),
    "road": (128, 64, 128),
    "pavement": (244, 35, 232),
    "vegetation": (107, 142, 35),
    "vehicle": (0, 0, 142),
    "person": (220, 20, 60),
    "lamp": (240, 240, 240),
}
"""Class name → RGB colour in the appearance `labels`, similar to Cityscapes."""

GLOWS: dict[Glow, Colour] = {
    "none": (0, 0, 0),
    "warm": (250, 190, 96),
    "amber": (246, 150, 66),
    "cool": (150, 186, 236),
    "drawn": (186, 104, 44),
    "shop": (228, 184, 118),
    "lamp": (255, 240, 205),
    "head": (255, 250, 228),
    "tail": (255, 44, 30),
    "red": (255, 70, 60),
    "blue": (70, 150, 255),
    "green": (70, 230, 140),
    "pink": (255, 90, 190),
    "bus": (168, 158, 118),
    "far": (200, 150, 84),
}
"""Colour of light sources at night."""

LABEL_OF: dict[str, int] = {name: index + 1 for index, name in enumerate(LABELS)}
GLOW_OF: dict[str, int] = {name: index for index, name in enumerate(GLOWS)}


@lru_cache(maxsize=4096)
def paint(colour: Colour, label: Label, glow: Glow = "none") -> Paint:
    """Return the fill of a shape: a surface's colour in [0, 255], its class and its glow."""
    r, g, b = (min(255, max(0, round(c))) for c in colour)
    return r, g, b, LABEL_OF[label] + 16 * GLOW_OF[glow]


def mix(one: Colour, other: Colour, amount: float) -> Colour:
    """Return `one` moved by `amount` in [0, 1] towards `other`."""
    r, g, b = ((1 - amount) * a + amount * c for a, c in zip(one, other, strict=True))
    return r, g, b


def dim(colour: Colour, factor: float) -> Colour:
    """Return `colour` times `factor`."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


class Canvas:
    """Draws shapes into a picture whose point (0, 0) is at pixel `offset`; one unit is `scale` pixels."""

    def __init__(self, pixels: np.ndarray, *, scale: float, offset: Point = (0.0, 0.0)) -> None:
        self.pixels = pixels
        self._scale = scale
        self._offset = offset

    def box(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """Return the rows and columns of a rectangle, at least one pixel wide and high before clipping."""
        x0, x1 = (round(x * self._scale + self._offset[0]) for x in (left, right))
        y0, y1 = (round(y * self._scale + self._offset[1]) for y in (top, bottom))
        return slice(max(y0, 0), max(y1, y0 + 1, 0)), slice(max(x0, 0), max(x1, x0 + 1, 0))

    def rect(self, left: float, top: float, right: float, bottom: float, fill: Paint) -> None:
        """Fill an upright rectangle."""
        self.pixels[self.box(left, top, right, bottom)] = fill

    def poly(self, points: Sequence[Point], fill: Paint) -> None:
        """Fill a polygon."""
        corners = np.asarray(points, dtype=np.float64) * self._scale + self._offset
        cv2.fillPoly(self.pixels, [np.round(corners * 16).astype(np.int32)], fill, shift=4)

    def ellipse(self, centre: Point, rx: float, ry: float, fill: Paint) -> None:
        """Fill an upright ellipse."""
        x, y = (round((c * self._scale + o) * 16) for c, o in zip(centre, self._offset, strict=True))
        axes = (max(8, round(rx * self._scale * 16)), max(8, round(ry * self._scale * 16)))
        cv2.ellipse(self.pixels, (x, y), axes, 0, 0, 360, fill, -1, cv2.LINE_8, 4)

    def line(self, points: Sequence[Point], width: float, fill: Paint) -> None:
        """Draw an open polyline with round ends."""
        corners = np.asarray(points, dtype=np.float64) * self._scale + self._offset
        path = np.round(corners * 16).astype(np.int32)
        cv2.polylines(self.pixels, [path], False, fill, max(1, round(width * self._scale)), cv2.LINE_8, 4)

    def texture(self, area: tuple[float, float, float, float], field: np.ndarray, label: Label) -> None:
        """Multiply the colour of class `label` in a rectangle by `field`, which is stretched over it.

        `field` is (h, w) float32 with factors around 1, of any resolution.
        """
        region = self.pixels[self.box(*area)]
        if region.size == 0:
            return
        factors = cv2.resize(field, (region.shape[1], region.shape[0]), interpolation=cv2.INTER_LINEAR)
        changed = np.clip(region[..., :3] * factors[..., None] + 0.5, 0, 255).astype(np.uint8)
        chosen = (region[..., 3] & 15) == LABEL_OF[label]
        region[..., :3][chosen] = changed[chosen]


class Panorama(Canvas):
    """A canvas for a panorama with `scale` pixels per unit; `left` and `right` bound the area to paint."""

    def __init__(self, pixels: np.ndarray, scale: float, left: float, top: float, right: float) -> None:
        super().__init__(pixels, scale=scale, offset=(-left * scale, -top * scale))
        self.left, self.right = left, right

    def steps(self, rng: np.random.Generator, low: float, high: float) -> Iterator[tuple[float, float]]:
        """Yield left edge and width of adjacent objects over the whole panorama."""
        x = self.left - float(rng.uniform(0, low))
        while x < self.right:
            width = float(rng.uniform(low, high))
            yield x, width
            x += width


def crown(
    canvas: Canvas,
    rng: np.random.Generator,
    centre: tuple[float, float],
    radius: tuple[float, float],
    leaves: tuple[float, float, float],
    *,
    blobs: int = 60,
) -> None:
    """Paint foliage as blobs, dark ones first and lit ones at the upper left last."""
    for k in range(blobs):
        part = k / blobs
        angle, far = float(rng.uniform(0, 2 * np.pi)), float(np.sqrt(rng.random())) * (1 - 0.35 * part)
        x = centre[0] + radius[0] * (far * np.cos(angle) - 0.18 * part)
        y = centre[1] + radius[1] * (far * np.sin(angle) - 0.22 * part)
        size = radius[0] * float(rng.uniform(0.16, 0.3)) * (1.2 - 0.5 * part)
        tone = mix(leaves, (240, 236, 150), 0.22 * max(0.0, part - 0.6) / 0.4)
        canvas.ellipse((x, y), size, 0.9 * size, paint(dim(tone, 0.62 + 0.5 * part), "vegetation"))
