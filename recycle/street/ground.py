"""Paints the street itself: pavements and road, trees and lamps along the kerb, planters in front."""

import numpy as np

from recycle.street.paint import Canvas, Paint, Panorama, crown, dim, mix, paint
from recycle.street.scene import Scene, pick
from recycle.street.view import BASE, KERB, KERB_LINE, METRE, MIDDLE, NEAR_KERB, parallax

LAMP_HEIGHT, LAMP_ARM = 5.4, 0.9
"""Height of a street lamp and length of its arm, in metres."""


def ground(brush: Panorama, rng: np.random.Generator, scene: Scene) -> None:
    """Paint pavements and road in perspective."""
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
    """Paint a stripe across the street at world position `x`."""
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


def kerb(brush: Panorama, rng: np.random.Generator, scene: Scene) -> None:
    """Paint trees and lamps along the far kerb."""
    depth = parallax(KERB_LINE)
    size = METRE * depth
    slim = rng.random() < 0.25
    for x in scene.trees:
        x *= depth
        wide, high = (1.0, 2.2) if slim else (float(rng.uniform(1.5, 2.0)), float(rng.uniform(1.5, 1.9)))
        top = KERB_LINE - (3.2 if slim else 4.4) * size
        trunk = paint((98, 76, 60), "vegetation")
        brush.poly([(x - 0.011, KERB_LINE), (x - 0.006, top), (x + 0.006, top), (x + 0.011, KERB_LINE)], trunk)
        brush.line([(x, KERB_LINE - 2 * size), (x + 0.03, top)], 0.006, trunk)
        brush.ellipse((x, KERB_LINE), 0.035, 0.006, paint((96, 80, 62), "vegetation"))
        crown(brush, rng, (x, top - 0.2 * size), (wide * size, high * size), scene.look.leaves, blobs=80)
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


def front(brush: Panorama, rng: np.random.Generator, scene: Scene) -> None:
    """Paint occasional planters and bollards directly in front of the camera."""
    for x, width in brush.steps(rng, 0.9, 2.2):
        if rng.random() < 0.6:
            tub = dim(pick(rng), 0.6)
            brush.poly([(x, 0.965), (x + 0.3, 0.965), (x + 0.28, 1.05), (x + 0.02, 1.05)], paint(tub, "pavement"))
            for k in range(5):
                spot = (x + 0.03 + 0.06 * k, 0.95 - 0.012 * float(rng.random()))
                crown(brush, rng, spot, (0.055, 0.045), dim(scene.look.leaves, 0.9), blobs=26)
            blooms = paint(pick(rng, ((226, 84, 96), (240, 200, 90), (232, 226, 240))), "vegetation")
            for _ in range(12):
                brush.ellipse((x + float(rng.uniform(0, 0.3)), float(rng.uniform(0.915, 0.955))), 0.007, 0.007, blooms)
        elif width > 1.2:
            for k in range(3):
                post = x + 0.22 * k
                brush.rect(post, 0.93, post + 0.028, 1.05, paint((72, 74, 80), "pavement"))
                brush.rect(post, 0.942, post + 0.028, 0.952, paint((226, 224, 216), "pavement"))
