"""The parts of a street that stand still, each painted once for a scene as a panorama of its own depth."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recycle.footage import street_facades
from recycle.footage.street_paint import Canvas, Paint, dim, mix, paint
from recycle.footage.street_scene import (
    BASE,
    FRONT_LINE,
    KERB,
    KERB_LINE,
    METRE,
    MIDDLE,
    NEAR_KERB,
    Scene,
    View,
    parallax,
    pick,
)

LAMP_HEIGHT, LAMP_ARM = 5.4, 0.9
"""Of a street lamp, in metres."""


@dataclass(frozen=True)
class Layer:
    """A panorama whose first pixel lies at (left, top); the camera moves it by `depth` times its own way."""

    pixels: np.ndarray
    left: float
    top: float
    depth: float | None
    """None: the ground, which moves by `parallax` of each row."""

    def matrix(self, view: View, scale: float) -> np.ndarray:
        """Return the (2, 3) matrix from this panorama's pixels to a frame's, `scale` pixels high."""
        depth, slope = (
            (self.depth, 0.0) if self.depth is not None else (parallax(0), parallax(1) - parallax(0))
        )
        half = view.aspect / 2
        # x = left + px/scale − camera·(depth + slope·y) + half, y = top + py/scale, then the zoom
        x = view.zoom * (self.left - view.x * (depth + slope * self.top)) + half
        y = view.zoom * (self.top - 0.5) + 0.5 + view.sway
        return np.array(
            [[view.zoom, -view.zoom * view.x * slope, x * scale], [0.0, view.zoom, y * scale]], np.float64
        )


def make_layers(scene: Scene, scale: float) -> list[Layer]:
    """Paint the panoramas of a scene, `scale` pixels to a frame's height, the farthest first.

    They are, in this order: skyline, back row, houses, ground, kerb (trees and lamps), front.
    """
    return [
        _painted(scene, scale, 0.25, (0.05, BASE + 0.01), 2, _skyline),
        _painted(scene, scale, 0.62, (0.1, BASE + 0.01), 3, _back_row),
        _painted(scene, scale, 1.0, (-0.03, BASE + 0.01), 4, _houses),
        _painted(scene, scale, None, (BASE - 0.004, 1.03), 5, _ground),
        _painted(scene, scale, parallax(KERB_LINE), (0.1, KERB_LINE + 0.02), 6, _kerb),
        _painted(scene, scale, parallax(FRONT_LINE), (0.5, 1.03), 7, _front),
    ]


class _Brush(Canvas):
    """A canvas over a panorama, which knows from where to where it must be painted."""

    def __init__(self, pixels: np.ndarray, scale: float, left: float, top: float, right: float) -> None:
        super().__init__(pixels, scale=scale, offset=(-left * scale, -top * scale))
        self.left, self.right = left, right

    def steps(self, rng: np.random.Generator, low: float, high: float) -> Iterator[tuple[float, float]]:
        """Yield left edge and width of things side by side over the whole panorama."""
        x = self.left - float(rng.uniform(0, low))
        while x < self.right:
            width = float(rng.uniform(low, high))
            yield x, width
            x += width


def _painted(scene, scale, depth, rows, number, painter) -> Layer:  # type: ignore[no-untyped-def]
    left, right = scene.span(parallax(1.03) if depth is None else depth)
    top, bottom = rows
    pixels = np.zeros((round((bottom - top) * scale), round((right - left) * scale), 4), np.uint8)
    rng = np.random.default_rng([*scene.seed, number])
    painter(_Brush(pixels, scale, left, top, right), rng, scene)
    pixels.setflags(write=False)
    return Layer(pixels, left, top, depth)


def _skyline(brush: _Brush, rng: np.random.Generator, scene: Scene) -> None:
    """Paint towers far off, in the haze."""
    air = mix(scene.look.sky_low, scene.look.sky_top, 0.3)
    for x, width in brush.steps(rng, 0.08, 0.22):
        top = float(rng.uniform(0.2, 0.5))
        stone = mix(mix(pick(rng), (130, 140, 158), 0.5), air, 0.45 + 0.4 * scene.look.haze)
        if rng.random() < 0.25:
            tip = x + width / 2
            canvas_top = top - float(rng.uniform(0.03, 0.08))
            brush.poly([(x, top), (tip, canvas_top), (x + width, top)], paint(dim(stone, 0.94), "building"))
        brush.rect(x, top, x + width, BASE, paint(stone, "building"))
        brush.rect(x + 0.8 * width, top, x + width, BASE, paint(dim(stone, 0.93), "building"))
        pane = paint(dim(stone, 0.78), "window", "far")
        for column in np.arange(x + 0.014, x + 0.8 * width - 0.014, 0.027):
            for row in np.arange(top + 0.02, 0.6, 0.034):
                if rng.random() < 0.7:
                    brush.rect(float(column), float(row), float(column) + 0.012, float(row) + 0.016, pane)


def _back_row(brush: _Brush, rng: np.random.Generator, scene: Scene) -> None:
    """Paint roofs and trees behind the houses."""
    air = mix(scene.look.sky_low, scene.look.sky_top, 0.3)
    for x, width in brush.steps(rng, 0.16, 0.4):
        veil = 0.18 + 0.35 * scene.look.haze
        if rng.random() < 0.45:
            for _ in range(3):
                _crown(
                    brush, rng, (x + float(rng.uniform(0, width)), float(rng.uniform(0.42, 0.52))),
                    (0.1, 0.12), mix(dim(scene.look.leaves, 0.9), air, veil),
                )  # fmt: skip
            continue
        top = float(rng.uniform(0.32, 0.46))
        wall = mix(dim(pick(rng), 0.9), air, veil)
        brush.rect(x, top, x + width, BASE, paint(wall, "building"))
        roof = paint(mix((104, 84, 80), air, veil), "building")
        brush.poly(
            [
                (x - 0.01, top),
                (x + 0.05, top - 0.06),
                (x + width - 0.05, top - 0.06),
                (x + width + 0.01, top),
            ],
            roof,
        )
        for column in np.arange(x + 0.03, x + width - 0.05, 0.065):
            for row in np.arange(top + 0.03, 0.6, 0.075):
                brush.rect(float(column), float(row), float(column) + 0.028, float(row) + 0.038,
                           paint(mix(dim(scene.look.sky_top, 0.75), air, veil), "window", "far"))  # fmt: skip


def _houses(brush: _Brush, rng: np.random.Generator, scene: Scene) -> None:
    """Paint the street front: houses, with a garden between them here and there."""
    brush.rect(brush.left - 1, BASE - 0.03, brush.right + 1, BASE + 0.1, paint((146, 142, 134), "building"))
    green = float(rng.choice([0.05, 0.15, 0.45]))
    for x, width in brush.steps(rng, 0.26, 0.56):
        if rng.random() < green:
            _garden(brush, rng, scene, x, width)
        else:
            street_facades.house(brush, rng, scene.look, x, width)


def _garden(brush: _Brush, rng: np.random.Generator, scene: Scene, left: float, width: float) -> None:
    for k in range(3):
        centre = (left + width * (0.2 + 0.3 * k), BASE - float(rng.uniform(0.14, 0.24)))
        brush.line([centre, (centre[0], BASE)], 0.014, paint((96, 76, 60), "vegetation"))
        _crown(brush, rng, centre, (0.085, 0.1), scene.look.leaves)
    for x in np.arange(left + 0.02, left + width, 0.028):
        _crown(brush, rng, (float(x), BASE - 0.04), (0.03, 0.036), dim(scene.look.leaves, 0.92), blobs=9)
    stone = (150, 140, 126)
    brush.rect(left, BASE - 0.026, left + width, BASE, paint(stone, "building"))
    brush.rect(left, BASE - 0.03, left + width, BASE - 0.022, paint(dim(stone, 1.15), "building"))


def _crown(
    brush: Canvas,
    rng: np.random.Generator,
    centre: tuple[float, float],
    radius: tuple[float, float],
    leaves: tuple[float, float, float],
    *,
    blobs: int = 60,
) -> None:
    """Paint foliage: blobs, dark ones first and lit ones towards the upper left last."""
    for k in range(blobs):
        part = k / blobs
        angle, far = float(rng.uniform(0, 2 * np.pi)), float(np.sqrt(rng.random())) * (1 - 0.35 * part)
        x = centre[0] + radius[0] * (far * np.cos(angle) - 0.18 * part)
        y = centre[1] + radius[1] * (far * np.sin(angle) - 0.22 * part)
        size = radius[0] * float(rng.uniform(0.16, 0.3)) * (1.2 - 0.5 * part)
        tone = mix(leaves, (240, 236, 150), 0.22 * max(0.0, part - 0.6) / 0.4)
        brush.ellipse((x, y), size, 0.9 * size, paint(dim(tone, 0.62 + 0.5 * part), "vegetation"))


def _ground(brush: _Brush, rng: np.random.Generator, scene: Scene) -> None:
    """Paint pavements and road in perspective: what is one place of the street widens towards the camera."""
    look = scene.look
    road, slab = look.asphalt, look.slabs
    left, right = brush.left - 1, brush.right + 1

    def strip(top: float, bottom: float, fill: Paint) -> None:
        brush.rect(left, top, right, bottom, fill)

    strip(0, KERB, paint(slab, "pavement"))
    strip(KERB, NEAR_KERB, paint(road, "road"))
    strip(NEAR_KERB, 1.1, paint(dim(slab, 1.04), "pavement"))
    joint = paint(dim(slab, 0.84), "pavement")
    reach = (left / parallax(BASE), right / parallax(BASE))
    for x in np.arange(np.floor(reach[0] / 0.07) * 0.07, reach[1], 0.07):
        _across(brush, float(x), 0.0028, BASE, KERB, joint)
        _across(brush, float(x), 0.0028, NEAR_KERB, 1.04, joint)
    for y in (0.682, 0.966):
        strip(y, y + 0.004, joint)
    for y, edge in ((KERB - 0.006, 0.007), (NEAR_KERB, 0.011)):
        strip(y, y + edge, paint(dim(slab, 1.2), "pavement"))
        strip(y + edge, y + 1.4 * edge, paint(dim(slab, 0.62), "pavement"))
    _markings(brush, rng, reach, road)
    area = (brush.left, BASE - 0.01, brush.right, 1.03)
    cells = (round((1.03 - BASE) / 0.012), round((brush.right - brush.left) / 0.02))
    brush.texture(area, rng.uniform(0.9, 1.08, cells).astype(np.float32), "road")
    brush.texture(area, rng.uniform(0.9, 1.1, (cells[0] * 3, cells[1] * 4)).astype(np.float32), "road")
    brush.texture(area, rng.uniform(0.93, 1.06, cells).astype(np.float32), "pavement")
    brush.texture(
        (left, BASE - 0.004, right, BASE + 0.02),
        np.linspace(0.7, 1, 8, dtype=np.float32)[:, None],
        "pavement",
    )


def _across(brush: Canvas, x: float, width: float, top: float, bottom: float, fill: Paint) -> None:
    """Paint a stripe that runs across the street at world position `x`."""
    brush.poly(
        [((x + dx) * parallax(y), y) for dx, y in ((0, top), (width, top), (width, bottom), (0, bottom))],
        fill,
    )


def _markings(
    brush: Canvas, rng: np.random.Generator, reach: tuple[float, float], road: tuple[float, float, float]
) -> None:
    white = paint((226, 224, 216), "road")
    for x in np.arange(np.floor(reach[0] / 0.32) * 0.32, reach[1], 0.32):
        _across(brush, float(x), 0.17, MIDDLE - 0.005, MIDDLE + 0.005, white)
    brush.rect(-99, 0.7515, 99, 0.7545, paint(mix(road, (226, 224, 216), 0.7), "road"))
    x = reach[0] + float(rng.uniform(0.3, 1.5))
    while x < reach[1]:
        for k in range(7):
            _across(brush, x + 0.035 * k, 0.02, KERB + 0.012, NEAR_KERB - 0.008, white)
        x += float(rng.uniform(1.6, 3.0))
    for x in np.arange(reach[0], reach[1], 0.9):
        y = float(rng.uniform(0.76, 0.92))
        brush.ellipse(((float(x) + 0.2) * parallax(y), y), 0.03, 0.008, paint(dim(road, 0.72), "road"))


def _kerb(brush: _Brush, rng: np.random.Generator, scene: Scene) -> None:
    """Paint trees and lamps along the far kerb."""
    depth = parallax(KERB_LINE)
    size = METRE * depth
    slim = rng.random() < 0.25
    for x in scene.trees:
        x *= depth
        wide, high = (1.0, 2.2) if slim else (float(rng.uniform(1.5, 2.0)), float(rng.uniform(1.5, 1.9)))
        top = KERB_LINE - (3.2 if slim else 4.4) * size
        trunk = paint((98, 76, 60), "vegetation")
        brush.poly(
            [(x - 0.011, KERB_LINE), (x - 0.006, top), (x + 0.006, top), (x + 0.011, KERB_LINE)], trunk
        )
        brush.line([(x, KERB_LINE - 2 * size), (x + 0.03, top)], 0.006, trunk)
        brush.ellipse((x, KERB_LINE), 0.035, 0.006, paint((96, 80, 62), "vegetation"))
        _crown(brush, rng, (x, top - 0.2 * size), (wide * size, high * size), scene.look.leaves, blobs=80)
    for x in scene.lamps:
        _lamp(brush, x * depth, size)


def _lamp(brush: Canvas, x: float, size: float) -> None:
    iron = paint((54, 60, 62), "lamp")
    top = KERB_LINE - LAMP_HEIGHT * size
    brush.rect(x - 0.012, KERB_LINE - 0.03, x + 0.012, KERB_LINE, iron)
    brush.rect(x - 0.0055, top, x + 0.0055, KERB_LINE, iron)
    end = x + LAMP_ARM * size
    brush.line([(x, top + 0.025), (x + 0.012, top), (end, top - 0.006)], 0.008, iron)
    brush.poly(
        [
            (end - 0.026, top + 0.006),
            (end - 0.014, top - 0.014),
            (end + 0.014, top - 0.014),
            (end + 0.026, top + 0.006),
        ],
        iron,
    )
    brush.ellipse((end, top + 0.007), 0.021, 0.008, paint((250, 246, 226), "lamp", "lamp"))


def _front(brush: _Brush, rng: np.random.Generator, scene: Scene) -> None:
    """Paint what passes right before the camera: planters and bollards, now and then."""
    for x, width in brush.steps(rng, 0.9, 2.2):
        if rng.random() < 0.6:
            tub = dim(pick(rng), 0.6)
            brush.poly(
                [(x, 0.965), (x + 0.3, 0.965), (x + 0.28, 1.05), (x + 0.02, 1.05)], paint(tub, "pavement")
            )
            for k in range(5):
                spot = (x + 0.03 + 0.06 * k, 0.95 - 0.012 * float(rng.random()))
                _crown(brush, rng, spot, (0.055, 0.045), dim(scene.look.leaves, 0.9), blobs=26)
            blooms = paint(pick(rng, ((226, 84, 96), (240, 200, 90), (232, 226, 240))), "vegetation")
            for _ in range(12):
                brush.ellipse(
                    (x + float(rng.uniform(0, 0.3)), float(rng.uniform(0.915, 0.955))), 0.007, 0.007, blooms
                )
        elif width > 1.2:
            for k in range(3):
                post = x + 0.22 * k
                brush.rect(post, 0.93, post + 0.028, 1.05, paint((72, 74, 80), "pavement"))
                brush.rect(post, 0.942, post + 0.028, 0.952, paint((226, 224, 216), "pavement"))
