"""The street through a thermal camera: grey by temperature, without the colours of paint and signs."""

import numpy as np

from recycle.street.light import Shot, bloom
from recycle.street.paint import GLOWS, LABEL_OF
from recycle.street.scene import LENGTH
from recycle.street.view import place

_WARMTH = {
    "sky": 0, "building": 96, "window": 58, "road": 128, "pavement": 114, "vegetation": 74, "vehicle": 88,
    "person": 220, "lamp": 150,
}  # fmt: skip
"""Grey level of each class's temperature; that of the sky is computed."""
_HOT = {"head": 226.0, "tail": 190.0, "lamp": 200.0}
"""Grey level of hot objects by their glow, whatever their class."""
_SUNNED = 0.14
"""Grey levels that a surface gains in the sun per level by which its colour is darker than the middle."""
_WET = 0.72
"""Proportion of the ground's warmth that remains in rain."""


def _table() -> np.ndarray:
    """Return the grey level of each code: (256,) uint8."""
    table = np.zeros(256, np.uint8)
    for number, glow in enumerate(GLOWS):
        for name, label in LABEL_OF.items():
            table[label + 16 * number] = round(_HOT.get(glow, _WARMTH[name]))
    return table


_TABLE = _table()


def thermal(shot: Shot, sky: np.ndarray) -> np.ndarray:
    """Return the moment by temperature, (H, W, 3) float32 in about [0, 255], all channels equal.

    `sky` is the sky of the day. People, engines and lamps are hot; the sky and the glass that mirrors it are cold; the
    road is warm, and warmer below vehicles; walls are warmer towards the ground. Colours influence the result only
    faintly, by their darkness.
    """
    height = shot.size[0]
    down = (np.arange(height, dtype=np.float32)[:, None, None] + 0.5) / height
    warmth = shot.shrink(_TABLE[shot.picture[..., 3]])[..., None]
    ground = shot.cover("road", "pavement")
    if shot.scene.look.rain:
        warmth = warmth * (1 - (1 - _WET) * ground)
    warmth = warmth + 34 * (down - 0.5) * shot.cover("building") + 0.5 * _exhaust(shot) * ground
    solid = shot.cover(*(name for name in _WARMTH if name != "sky"))
    colour = shot.shrink(shot.picture)[..., :3].mean(-1, keepdims=True)
    warmth = warmth + _SUNNED * (128 * solid - colour)
    warmth = warmth + (6 + 26 * down + 0.16 * sky[..., :1]) * (1 - solid)  # clouds and the sun are warmer than the blue
    grey = np.repeat(warmth, 3, axis=2).astype(np.float32)
    return np.asarray(0.6 * bloom(grey, 0.006) + 0.4 * bloom(grey, 0.02), np.float32)


def _exhaust(shot: Shot) -> np.ndarray:
    """Return the warmth that engines add to the ground below them, (H, W, 1) float32 in grey levels."""
    heat = np.zeros((*shot.size, 3), np.float32)
    for vehicle in shot.scene.vehicles:
        if vehicle.kind == "bicycle":
            continue
        spot = place(shot.view, vehicle.at(shot.seconds), vehicle.y, vehicle.speed)
        shot.splat(heat, (spot.x, spot.y), (0.4 * LENGTH[vehicle.kind] * spot.up, 0.3 * spot.up), (70, 70, 70))
    return heat[..., :1]
