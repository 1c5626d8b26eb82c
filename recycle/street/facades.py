"""Paints houses: walls, windows, roofs, shops, balconies, ivy."""

import numpy as np

from recycle.street.paint import Canvas, Colour, Glow, dim, mix, paint
from recycle.street.scene import COLOURS, Look, pick
from recycle.street.view import BASE
from recycle.street.windows import Wall, window

STOREY, GROUND = 0.118, 0.14
"""Height of an upper storey and of the ground floor, in frame heights."""
_WHITE: Colour = (240, 236, 226)
_ROOFS: tuple[Colour, ...] = ((122, 70, 56), (84, 84, 92), (106, 84, 74), (92, 100, 112))
_SIGNS: tuple[tuple[Colour, Glow], ...] = (
    ((196, 54, 48), "red"), ((52, 92, 176), "blue"), ((46, 130, 84), "green"), ((206, 84, 150), "pink"),
)  # fmt: skip


def house(canvas: Canvas, rng: np.random.Generator, look: Look, left: float, width: float) -> None:
    """Paint a house on the street line from `left` to `left + width`."""
    storeys = int(rng.choice([1, 2, 2, 3, 3, 4]))
    top = BASE - GROUND - storeys * STOREY - float(rng.uniform(0.01, 0.03))
    wall = pick(rng)
    it = Wall(
        left,
        left + width,
        top,
        wall,
        _WHITE if sum(wall) < 600 else (110, 96, 86),
        pick(rng) if rng.random() < 0.4 else None,
        mix(mix(look.sky_top, look.sky_low, 0.45), (96, 112, 132), 0.4),
    )
    canvas.rect(left, top, it.right, BASE, paint(wall, "building"))
    _weave(canvas, rng, it)
    _roof(canvas, rng, it, storeys)
    columns = max(1, int((width - 0.03) / 0.105))
    pitch = width / columns
    size = (float(rng.uniform(0.058, 0.066)), float(rng.uniform(0.07, 0.08)))
    balconies = rng.random() < 0.35
    for storey in range(storeys):
        floor = BASE - GROUND - storey * STOREY
        canvas.rect(left, floor - 0.003, it.right, floor + 0.003, paint(mix(wall, it.trim, 0.45), "building"))
        for column in range(columns):
            centre = left + (column + 0.5) * pitch
            window(canvas, rng, it, (centre - size[0] / 2, floor - 0.022 - size[1]), size)
            if balconies and column % 2 == storey % 2:
                _balcony(canvas, centre, floor - 0.004, size[0])
    if rng.random() < 0.5 and width > 0.26:
        _shop(canvas, rng, it)
    else:
        _hall(canvas, rng, it, columns)
    if rng.random() < 0.25:
        _ivy(canvas, rng, it, look)
    edge = np.linspace(1.06, 0.94, 16, dtype=np.float32)
    edge[-1], edge[0] = 0.84, 1.1
    canvas.texture((left, top, it.right, BASE), edge[None], "building")


def _weave(canvas: Canvas, rng: np.random.Generator, it: Wall) -> None:
    """Paint the material of the wall: brick, plaster, boards or panels."""
    area = (it.left, it.top, it.right, BASE)
    rows, columns = round((BASE - it.top) / 0.004), max(2, round((it.right - it.left) / 0.004))
    field = np.ones((rows, columns), np.float32)
    kind = rng.choice(["brick", "plaster", "boards", "panels"])
    if kind == "brick":
        bricks = rng.uniform(0.86, 1.1, (rows // 4 + 1, columns // 8 + 2)).astype(np.float32)
        field = bricks.repeat(4, 0)[:rows].repeat(8, 1)
        field = np.stack([np.roll(line, 4 * (k // 4 % 2))[:columns] for k, line in enumerate(field)])
        field[::4] *= 0.8
    elif kind == "boards":
        field[::5], field[1::5] = 0.74, 1.05
    elif kind == "panels":
        field[::15], field[:, ::20] = 0.82, 0.82
    coarse = rng.uniform(0.94, 1.05, (max(2, rows // 8), max(2, columns // 8))).astype(np.float32)
    canvas.texture(area, field, "building")
    canvas.texture(area, coarse, "building")
    canvas.texture(
        (it.left, BASE - 0.09, it.right, BASE), np.linspace(1, 0.86, 8, dtype=np.float32)[:, None], "building"
    )


def _roof(canvas: Canvas, rng: np.random.Generator, it: Wall, storeys: int) -> None:
    tiles = pick(rng, _ROOFS)
    left, right, top = it.left, it.right, it.top
    middle, width = (left + right) / 2, right - left
    if storeys < 4 and rng.random() < 0.65:
        height = float(rng.uniform(0.07, 0.11))
        for _ in range(int(rng.integers(1, 3))):
            x = middle + float(rng.uniform(-0.3, 0.3)) * width
            brick = paint(dim(COLOURS[0], 0.85), "building")
            canvas.rect(x - 0.017, top - height - 0.035, x + 0.017, top - 0.01, brick)
            canvas.rect(x - 0.022, top - height - 0.042, x + 0.022, top - height - 0.032, paint(tiles, "building"))
        slope = 0.5 * width if width < 0.36 and rng.random() < 0.6 else 0.07
        gable = [
            (left - 0.012, top),
            (left + slope, top - height),
            (right - slope, top - height),
            (right + 0.012, top),
        ]
        canvas.poly(gable, paint(tiles, "building"))
        lines = np.ones((12, 1), np.float32)
        lines[::3] = 0.84
        canvas.texture((left - 0.012, top - height, right + 0.012, top), lines, "building")
        if slope < 0.2 and height > 0.08:
            for x in np.arange(left + 0.12, right - 0.11, 0.14):
                _dormer(canvas, rng, it, float(x), top - 0.012)
    else:
        canvas.rect(left - 0.008, top - 0.022, right + 0.008, top, paint(mix(it.wall, it.trim, 0.6), "building"))
        if rng.random() < 0.5:
            x = middle + float(rng.uniform(-0.3, 0.3)) * width
            canvas.rect(x - 0.035, top - 0.058, x + 0.035, top - 0.022, paint(dim(tiles, 0.95), "building"))
            canvas.line([(x + 0.05, top - 0.02), (x + 0.05, top - 0.1)], 0.004, paint((74, 74, 80), "building"))
    canvas.rect(left - 0.01, top, right + 0.01, top + 0.007, paint(dim(it.trim, 0.95), "building"))
    canvas.rect(left, top + 0.007, right, top + 0.018, paint(dim(it.wall, 0.66), "building"))


def _dormer(canvas: Canvas, rng: np.random.Generator, it: Wall, x: float, y: float) -> None:
    canvas.poly([(x - 0.036, y - 0.052), (x, y - 0.078), (x + 0.036, y - 0.052)], paint(dim(it.trim, 0.9), "building"))
    canvas.rect(x - 0.028, y - 0.053, x + 0.028, y, paint(it.wall, "building"))
    window(
        canvas, rng, Wall(it.left, it.right, it.top, it.wall, it.trim, None, it.glass), (x - 0.021, y - 0.05),
        (0.042, 0.044),
    )  # fmt: skip


def _balcony(canvas: Canvas, x: float, floor: float, width: float) -> None:
    iron = paint((58, 58, 64), "building")
    half = width / 2 + 0.014
    canvas.rect(x - half, floor - 0.004, x + half, floor + 0.006, paint((150, 146, 140), "building"))
    canvas.rect(x - half, floor - 0.038, x + half, floor - 0.034, iron)
    for bar in np.linspace(x - half, x + half - 0.004, 6):
        canvas.rect(float(bar), floor - 0.036, float(bar) + 0.004, floor, iron)


def _shop(canvas: Canvas, rng: np.random.Generator, it: Wall) -> None:
    """Paint a shop: a sign that glows at night, an awning, a wide window with goods, a door."""
    colour, glow = _SIGNS[int(rng.integers(len(_SIGNS)))]
    left, right, top = it.left + 0.014, it.right - 0.014, BASE - GROUND + 0.004
    canvas.rect(left, top, right, BASE, paint(mix(colour, (60, 52, 48), 0.55), "building"))
    canvas.rect(left, top, right, top + 0.026, paint(dim(colour, 0.8), "building"))
    letters = np.arange(left + 0.05, right - 0.06, 0.019)
    for x in letters[rng.random(len(letters)) < 0.85]:
        canvas.rect(float(x), top + 0.006, float(x) + 0.013, top + 0.021, paint(_WHITE, "building", glow))
    door = right - 0.075 if rng.random() < 0.5 else left + 0.012
    for x0, x1 in ((left + 0.012, door - 0.008), (door + 0.068, right - 0.012), (door, door + 0.06)):
        if x1 - x0 < 0.03:
            continue
        is_door = x0 == door
        bottom = BASE if is_door else BASE - 0.022
        canvas.rect(x0, top + 0.036, x1, bottom, paint(dim(it.trim, 0.85), "window"))
        pane = (x0 + 0.005, top + 0.041, x1 - 0.005, bottom - (0.03 if is_door else 0.005))
        canvas.rect(*pane, paint(mix(it.glass, (70, 76, 84), 0.35), "window", "shop"))
        if not is_door:
            _goods(canvas, rng, pane)
    if rng.random() < 0.6:
        _awning(canvas, left, right, top + 0.024, colour)


def _goods(canvas: Canvas, rng: np.random.Generator, pane: tuple[float, float, float, float]) -> None:
    x, bottom = pane[0] + 0.008, pane[3]
    while x < pane[2] - 0.02:
        wide, high = float(rng.uniform(0.01, 0.022)), float(rng.uniform(0.015, 0.04))
        canvas.rect(x, bottom - high, x + wide, bottom, paint(dim(pick(rng), 0.8), "window", "drawn"))
        x += wide + float(rng.uniform(0.005, 0.02))


def _awning(canvas: Canvas, left: float, right: float, top: float, colour: Colour) -> None:
    count = max(4, 2 * round((right - left) / 0.06) + 1)
    step = (right - left) / count
    for k in range(count):
        x = left + k * step
        cloth = paint(colour if k % 2 == 0 else _WHITE, "building")
        out = 0.012
        canvas.poly([(x, top), (x + step, top), (x + step + out * ((k + 1) / count - 0.5), top + 0.032),
                     (x + out * (k / count - 0.5), top + 0.032)], cloth)  # fmt: skip
        canvas.ellipse((x + step / 2, top + 0.032), step / 2, 0.006, cloth)


def _hall(canvas: Canvas, rng: np.random.Generator, it: Wall, columns: int) -> None:
    """Paint a ground floor to live on: windows, and a door with a light above it."""
    pitch = (it.right - it.left) / columns
    door = int(rng.integers(columns))
    canvas.rect(it.left, BASE - 0.028, it.right, BASE, paint(dim(mix(it.wall, (150, 150, 150), 0.5), 0.8), "building"))
    for column in range(columns):
        x = it.left + (column + 0.5) * pitch
        if column != door:
            window(canvas, rng, it, (x - 0.031, BASE - 0.118), (0.062, 0.074))
            continue
        leaf = dim(pick(rng), 0.75)
        canvas.rect(x - 0.034, BASE - 0.124, x + 0.034, BASE, paint(it.trim, "building"))
        canvas.rect(x - 0.026, BASE - 0.117, x + 0.026, BASE - 0.098, paint(it.glass, "window", "warm"))
        canvas.rect(x - 0.026, BASE - 0.094, x + 0.026, BASE, paint(leaf, "building"))
        for y in (BASE - 0.084, BASE - 0.045):
            canvas.rect(x - 0.018, y, x + 0.018, y + 0.03, paint(dim(leaf, 0.82), "building"))
        canvas.ellipse((x + 0.019, BASE - 0.045), 0.003, 0.003, paint((226, 196, 110), "building"))
        canvas.rect(x - 0.04, BASE - 0.008, x + 0.04, BASE, paint((176, 174, 168), "building"))


def _ivy(canvas: Canvas, rng: np.random.Generator, it: Wall, look: Look) -> None:
    """Paint ivy on one side of the wall."""
    side = it.left + 0.02 if rng.random() < 0.5 else it.right - 0.02
    reach = float(rng.uniform(0.4, 0.85)) * (BASE - it.top)
    for k in range(70):
        up = float(rng.random())
        x = side + float(rng.normal(0, 0.022)) * (1.1 - up)
        leaf = dim(look.leaves, (0.7, 0.88, 1.05)[k * 3 // 70])
        canvas.ellipse((x, BASE - up * reach), 0.012, 0.01, paint(leaf, "vegetation"))
