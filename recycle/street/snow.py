"""Snow on the ground and objects, and falling snow."""

from functools import lru_cache

import cv2
import numpy as np

from recycle.street.light import Shot, daylight, paler
from recycle.street.view import BASE, HORIZON

_SNOW = (238.0, 242.0, 250.0)
_LANES = ((0.795, 0.016), (0.895, 0.022))
"""Screen heights of the lanes, and the distance of their wheel tracks from there."""
_FLAKES = 300
"""Number of flakes in a square of one frame height."""
_SMALLEST = 0.6
"""Radius in pixels below which a flake becomes fainter instead of smaller."""


def snow(shot: Shot, sky: np.ndarray) -> np.ndarray:
    """Return the moment under snow, (H, W, 3) float32 in about [0, 255]; `sky` has the same form."""
    bare = paler(daylight(shot, np.zeros_like(sky), shadow=0.7), 0.25)
    rough, behind = _noise(shot), shot.cover("sky")
    white = np.asarray(_SNOW, np.float32) * (0.93 - 0.06 * rough[..., None])
    lying = _lying(shot, bare, rough, behind[..., 0])[..., None]
    scene = bare + (white - bare) * lying
    scene += 0.08 * (np.float32(225) - scene) * (1 - behind)
    return np.asarray(scene * (1 - behind) + sky * behind, np.float32)


def add_snow(frame: np.ndarray, seed: tuple[int, int], t: float) -> None:
    """Add the flakes in the air `t` seconds into a scene to a frame (H, W, 3) float32, in place."""
    height, width = frame.shape[:2]
    rng = np.random.default_rng([*seed, 15])
    aspect = width / height
    count = round(_FLAKES * aspect)
    near = rng.random(count) ** 2
    fall, drift, sway = 0.14 + 0.4 * near, rng.normal(-0.03, 0.03, count), rng.uniform(0, 6.28, count)
    x = (rng.random(count) * aspect + drift * t + 0.012 * np.sin(2.2 * t + sway)) % aspect
    y = (rng.random(count) * 1.04 + fall * t) % 1.04 - 0.02
    radius = (0.0018 + 0.0042 * near) * height
    flakes = np.zeros((height, width), np.uint8)
    for place, r in zip(np.round(np.stack([x, y], -1) * height * 16).astype(int), radius, strict=True):
        white = round(255 * min(1.0, float(r) / _SMALLEST) ** 2)
        centre = (int(place[0]), int(place[1]))
        cv2.circle(flakes, centre, round(max(float(r), _SMALLEST) * 16), white, -1, cv2.LINE_AA, 4)
    flakes = cv2.GaussianBlur(flakes, (0, 0), 0.4 + 0.0008 * height)
    frame += (np.float32(250) - frame) * (flakes[..., None] * np.float32(0.85 / 255))


def _lying(shot: Shot, bare: np.ndarray, rough: np.ndarray, sky: np.ndarray) -> np.ndarray:
    """Return the snow cover of each pixel: (H, W) float32 in [0, 1].

    `bare` is the scene without snow, (H, W, 3); `rough` is noise on the ground and `sky` the cover of the sky, (H, W).
    """
    lying = shot.cover("pavement")[..., 0] * np.clip(0.78 + 0.3 * rough, 0, 1)
    lying += shot.cover("road")[..., 0] * np.clip(0.62 + 0.3 * rough - _tracks(shot)[:, None], 0, 1)
    building, window, vehicle, green = (
        shot.cover(name)[..., 0] for name in ("building", "window", "vehicle", "vegetation")
    )
    lying += building * _below(shot, sky, 0.035) + building * _below(shot, window, 0.006)
    lying += 0.9 * vehicle * _below(shot, 1 - vehicle, 0.009)
    light = cv2.max(cv2.max(bare[..., 0], bare[..., 1]), bare[..., 2]) / 255
    lying += green * np.clip(0.7 * _below(shot, 1 - green, 0.012) + 1.6 * (light - 0.42), 0, 0.85)
    return np.asarray(np.clip(lying, 0, 1), np.float32)


def _below(shot: Shot, cover: np.ndarray, depth: float) -> np.ndarray:
    """Return the proximity of the lower edge of `cover` (H, W), within `depth` frame heights above: (H, W) in [0,
    1]."""
    rows = depth * shot.view.zoom * shot.size[0]
    found = np.zeros_like(cover)
    for down in range(1, int(rows) + 2):
        part = min(1.0, 2 * (rows + 1 - down) / (rows + 1))
        found[down:] = np.maximum(found[down:], np.float32(part) * cover[:-down])
    return found


def _tracks(shot: Shot) -> np.ndarray:
    """Return how much wheels have cleared each row of the road: (H,) float32 in [0, 0.5]."""
    y = _rows(shot)
    cleared = np.zeros_like(y)
    for lane, apart in _LANES:
        for side in (lane - apart, lane + apart):
            cleared += 0.5 * np.exp(-0.5 * ((y - side) / 0.008) ** 2)
    return np.minimum(cleared, 0.5)


def _noise(shot: Shot) -> np.ndarray:
    """Return static noise on the ground, in perspective: (H, W) float32 in about [-1, 1], 0 above the ground."""
    height, width = shot.size
    y = _rows(shot)
    away = np.maximum(y - HORIZON, BASE - HORIZON - 0.02) / (BASE - HORIZON)
    x = ((np.arange(width, dtype=np.float32) + 0.5) / height - shot.view.aspect / 2) / shot.view.zoom
    tile = _tile(shot.scene.seed)
    across = np.asarray(260 * (x[None, :] / away[:, None] + shot.view.x), np.float32)
    down = np.asarray(np.repeat(420 * y[:, None], width, axis=1), np.float32)
    field = cv2.remap(tile, across % tile.shape[1], down % tile.shape[0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(field * (y > BASE - 0.01)[:, None], np.float32)


def _rows(shot: Shot) -> np.ndarray:
    """Return the screen height of each row of the frame before zoom and sway: (H,) float32."""
    height = shot.size[0]
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height
    return (rows - np.float32(0.5 + shot.view.sway)) / np.float32(shot.view.zoom) + np.float32(0.5)


@lru_cache(maxsize=8)
def _tile(seed: tuple[int, int]) -> np.ndarray:
    """Return seamlessly tiling noise: (128, 256) float32 in about [-1, 1]."""
    rng = np.random.default_rng([*seed, 16])
    field = np.zeros((128, 256), np.float32)
    for cells, power in ((16, 0.6), (4, 0.4)):
        grid = np.tile(rng.uniform(-1, 1, (128 // cells, 256 // cells)).astype(np.float32), (3, 3))
        field += power * cv2.resize(grid, (3 * 256, 3 * 128), interpolation=cv2.INTER_CUBIC)[128:256, 256:512]
    return field
