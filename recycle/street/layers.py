"""The static parts of a scene, each painted once as a panorama with its own depth."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recycle.street import facades, ground
from recycle.street.paint import Panorama, crown, dim, mix, paint
from recycle.street.scene import Scene, pick
from recycle.street.view import BASE, FRONT_LINE, KERB_LINE, View, parallax

_Painter = Callable[[Panorama, np.random.Generator, Scene], None]


@dataclass(frozen=True)
class Layer:
    """A panorama whose first pixel is at (left, top); the camera moves it by `depth` times its own motion."""

    pixels: np.ndarray
    left: float
    top: float
    depth: float | None
    """None for the ground, each row of which moves by its `parallax`."""

    def matrix(self, view: View, scale: float) -> np.ndarray:
        """Return the (2, 3) matrix from this panorama's pixels to those of a frame that is `scale` pixels high."""
        depth, slope = (self.depth, 0.0) if self.depth is not None else (parallax(0), parallax(1) - parallax(0))
        half = view.aspect / 2
        # x = left + px/scale − camera·(depth + slope·y) + half, y = top + py/scale, then the zoom
        x = view.zoom * (self.left - view.x * (depth + slope * self.top)) + half
        y = view.zoom * (self.top - 0.5) + 0.5 + view.sway
        return np.array([[view.zoom, -view.zoom * view.x * slope, x * scale], [0.0, view.zoom, y * scale]], np.float64)


def make_layers(scene: Scene, scale: float) -> list[Layer]:
    """Paint the panoramas of a scene at `scale` pixels per frame height, the farthest first.

    Their order is: skyline, back row, houses, ground, kerb (trees and lamps), front.
    """
    return [
        _painted(scene, scale, 0.25, (0.05, BASE + 0.01), 2, _skyline),
        _painted(scene, scale, 0.62, (0.1, BASE + 0.01), 3, _back_row),
        _painted(scene, scale, 1.0, (-0.03, BASE + 0.01), 4, _houses),
        _painted(scene, scale, None, (BASE - 0.004, 1.03), 5, ground.ground),
        _painted(scene, scale, parallax(KERB_LINE), (0.1, KERB_LINE + 0.02), 6, ground.kerb),
        _painted(scene, scale, parallax(FRONT_LINE), (0.5, 1.03), 7, ground.front),
    ]


def _painted(
    scene: Scene, scale: float, depth: float | None, rows: tuple[float, float], number: int, painter: _Painter
) -> Layer:
    left, right = scene.span(parallax(1.03) if depth is None else depth)
    top, bottom = rows
    pixels = np.zeros((round((bottom - top) * scale), round((right - left) * scale), 4), np.uint8)
    rng = np.random.default_rng([*scene.seed, number])
    painter(Panorama(pixels, scale, left, top, right), rng, scene)
    pixels.setflags(write=False)
    return Layer(pixels, left, top, depth)


def _skyline(brush: Panorama, rng: np.random.Generator, scene: Scene) -> None:
    """Paint distant towers in the haze."""
    air = mix(scene.look.sky_low, scene.look.sky_top, 0.3)
    for x, width in brush.steps(rng, 0.08, 0.22):
        top = float(rng.uniform(0.2, 0.5))
        stone = mix(mix(pick(rng), (130, 140, 158), 0.5), air, 0.45 + 0.4 * scene.look.haze)
        if rng.random() < 0.25:
            tip = x + width / 2
            spire = top - float(rng.uniform(0.03, 0.08))
            brush.poly([(x, top), (tip, spire), (x + width, top)], paint(dim(stone, 0.94), "building"))
        brush.rect(x, top, x + width, BASE, paint(stone, "building"))
        brush.rect(x + 0.8 * width, top, x + width, BASE, paint(dim(stone, 0.93), "building"))
        pane = paint(dim(stone, 0.78), "window", "far")
        for column in np.arange(x + 0.014, x + 0.8 * width - 0.014, 0.027):
            for row in np.arange(top + 0.02, 0.6, 0.034):
                if rng.random() < 0.7:
                    brush.rect(float(column), float(row), float(column) + 0.012, float(row) + 0.016, pane)


def _back_row(brush: Panorama, rng: np.random.Generator, scene: Scene) -> None:
    """Paint roofs and trees behind the houses."""
    air = mix(scene.look.sky_low, scene.look.sky_top, 0.3)
    for x, width in brush.steps(rng, 0.16, 0.4):
        veil = 0.18 + 0.35 * scene.look.haze
        if rng.random() < 0.45:
            for _ in range(3):
                crown(
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


def _houses(brush: Panorama, rng: np.random.Generator, scene: Scene) -> None:
    """Paint the houses, with occasional gardens between them."""
    brush.rect(brush.left - 1, BASE - 0.03, brush.right + 1, BASE + 0.1, paint((146, 142, 134), "building"))
    green = float(rng.choice([0.05, 0.15, 0.45]))
    for x, width in brush.steps(rng, 0.26, 0.56):
        if rng.random() < green:
            _garden(brush, rng, scene, x, width)
        else:
            facades.house(brush, rng, scene.look, x, width)


def _garden(brush: Panorama, rng: np.random.Generator, scene: Scene, left: float, width: float) -> None:
    for k in range(3):
        centre = (left + width * (0.2 + 0.3 * k), BASE - float(rng.uniform(0.14, 0.24)))
        brush.line([centre, (centre[0], BASE)], 0.014, paint((96, 76, 60), "vegetation"))
        crown(brush, rng, centre, (0.085, 0.1), scene.look.leaves)
    for x in np.arange(left + 0.02, left + width, 0.028):
        crown(brush, rng, (float(x), BASE - 0.04), (0.03, 0.036), dim(scene.look.leaves, 0.92), blobs=9)
    stone = (150, 140, 126)
    brush.rect(left, BASE - 0.026, left + width, BASE, paint(stone, "building"))
    brush.rect(left, BASE - 0.03, left + width, BASE - 0.022, paint(dim(stone, 1.15), "building"))
