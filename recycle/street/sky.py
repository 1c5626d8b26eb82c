"""Sky and weather: drifting clouds, sun, moon and stars, rain, and sensor noise."""

from dataclasses import dataclass

import cv2
import numpy as np

from recycle.street.scene import Scene
from recycle.street.view import BASE, View


@dataclass(frozen=True)
class Sky:
    """The sky of one scene; all fields are float32 in [0, 255], the clouds in [0, 1]."""

    day: np.ndarray
    """(H, W, 3) without clouds."""
    night: np.ndarray
    clouds: np.ndarray
    """(H, W + drift, 1); a frame shows a part of it."""
    day_cloud: np.ndarray
    """(H, 1, 3) colour of clouds by height."""
    night_cloud: np.ndarray
    wind: float

    def at(self, appearance: str, view: View, t: float) -> np.ndarray:
        """Return the sky of one moment, at night or in the light of the scene: (H, W, 3) float32."""
        clear, colour = (self.night, self.night_cloud) if appearance == "night" else (self.day, self.day_cloud)
        height, width = clear.shape[:2]
        room = self.clouds.shape[1] - width
        shift = room / 2 - (self.wind * t - 0.05 * view.x) * height
        matrix = np.array([[1, 0, -min(max(0.0, shift), room)], [0, 1, 0]], np.float64)
        cover = cv2.warpAffine(self.clouds, matrix, (width, height), flags=cv2.INTER_LINEAR)[..., None]
        return clear + (colour - clear) * cover


def make_sky(scene: Scene, height: int, width: int) -> Sky:
    """Return the sky of a scene for frames of this size."""
    look = scene.look
    rng = np.random.default_rng([*scene.seed, 8])
    y = (np.arange(height, dtype=np.float32) + 0.5)[:, None, None] / height
    down = np.clip(y / BASE, 0, 1)
    day = _between(look.sky_top, look.sky_low, down**0.9)
    night = _between((9, 13, 38), (44, 46, 84), down**1.4) + _between((0, 0, 0), (34, 18, 4), down**4)
    across = np.ones((1, width, 1), np.float32)
    day, night = day * across, night * across
    x = (np.arange(width, dtype=np.float32) + 0.5)[None, :, None] / height
    away = np.sqrt((x - look.sun_at[0]) ** 2 + (y - look.sun_at[1]) ** 2)
    clear = 1 - 0.6 * look.cloud
    day += np.array((70, 58, 30), np.float32) * clear * np.exp(-away / 0.14)
    day += (np.array((255, 250, 226), np.float32) - day) * _disc(away, 0.042, height)
    night += _stars(rng, height, width) * np.clip(1.25 - y / 0.5, 0, 1)
    night += np.array((44, 50, 66), np.float32) * np.exp(-away / 0.1)
    night += (np.array((238, 236, 218), np.float32) - night) * _disc(away, 0.042, height)
    room = round(0.45 * height)
    return Sky(
        day=day,
        night=night,
        clouds=_clouds(rng, height, width + room, look.cloud),
        day_cloud=_between((255, 255, 255), (232, 234, 238), down)
        * ((0.8 if look.rain else 0.99) * np.asarray(look.cloud_tint, np.float32)),
        night_cloud=_between((34, 40, 70), (66, 64, 92), down),
        wind=look.wind,
    )


def _between(top: tuple[float, ...], low: tuple[float, ...], part: np.ndarray) -> np.ndarray:
    return np.asarray(top, np.float32) * (1 - part) + np.asarray(low, np.float32) * part


def _disc(away: np.ndarray, radius: float, height: int) -> np.ndarray:
    return np.clip((radius - away) * height + 0.5, 0, 1)


def _stars(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return points of light, at the same positions for any frame size."""
    field = np.zeros((height, width), np.float32)
    count = round(150 * width / height)
    xs, ys, power = rng.random(count) * width, rng.random(count) * height * 0.6, rng.random(count) ** 2
    for x, y, light in zip(xs, ys, power, strict=True):
        x0, y0 = int(x - 0.5) if x > 0.5 else 0, int(y - 0.5) if y > 0.5 else 0
        fx, fy = min(1.0, max(0.0, x - 0.5 - x0)), min(1.0, max(0.0, y - 0.5 - y0))
        spread = np.outer((1 - fy, fy), (1 - fx, fx)).astype(np.float32)
        part = field[y0 : y0 + 2, x0 : x0 + 2]
        part += (60 + 170 * light) * spread[: part.shape[0], : part.shape[1]]
    if height > 200:
        field = cv2.GaussianBlur(field, (0, 0), height / 500) * (height / 220)
    return field[..., None] * np.array((0.92, 0.96, 1.0), np.float32)


def _clouds(rng: np.random.Generator, height: int, width: int, cover: float) -> np.ndarray:
    """Return the density of clouds, (height, width) float32: four octaves of smooth noise."""
    field, weight, total = np.zeros((height, width), np.float32), 1.0, 0.0
    for octave in range(4):
        cells = 5 * 2**octave
        grid = rng.random((cells, max(4, round(0.45 * cells * width / height)))).astype(np.float32)
        field += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        total, weight = total + weight, 0.5 * weight
    edge = 0.66 - 0.3 * cover
    density = np.clip((field / total - edge) / 0.16, 0, 1)
    return np.asarray(density * density * (3 - 2 * density) * 0.9, np.float32)


def add_rain(frame: np.ndarray, rng: np.random.Generator) -> None:
    """Add falling rain to a frame (H, W, 3) float32 in place."""
    height, width = frame.shape[:2]
    streaks = np.zeros((height, width), np.uint8)
    for _ in range(round(55 * width / height)):
        x, y = float(rng.random()) * width, float(rng.random()) * height
        length = height * float(rng.uniform(0.03, 0.07))
        ends = np.round(np.array(((x, y), (x - 0.18 * length, y + length))) * 16).astype(np.int32)
        cv2.polylines(streaks, [ends], False, int(rng.integers(90, 200)), 1, cv2.LINE_AA, 4)
    frame += streaks[..., None] * np.float32(0.2)


def finish(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a frame as uint8 with vignetting and sensor noise."""
    height, width = frame.shape[:2]
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    noise = rng.standard_normal((height, width, 1), dtype=np.float32) * np.float32(1.5)
    out = frame * (1.0 - 0.07 * (x * x + y * y))[..., None] + noise
    return np.asarray(np.clip(out + 0.5, 0, 255).astype(np.uint8))
