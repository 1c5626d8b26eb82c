"""How the street looks: the light of day, the light of night, and the air between.

Lengths are in frame heights, as everywhere in the street; light is computed at the size of the frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from recycle.footage.street_layers import LAMP_ARM, LAMP_HEIGHT
from recycle.footage.street_movers import lamp_points, place
from recycle.footage.street_paint import GLOWS, LABEL_OF, Colour
from recycle.footage.street_scene import KERB_LINE, LENGTH, METRE, Scene, View, parallax

_SODIUM: Colour = (1.0, 0.72, 0.4)
_BEAM: Colour = (0.95, 0.9, 0.75)
_MOON: Colour = (0.72, 0.86, 1.3)
_AMBIENT = {"building": 0.2, "window": 0.17, "road": 0.19, "pavement": 0.2, "vegetation": 0.17, "vehicle": 0.11,
            "person": 0.2, "lamp": 0.3, "sky": 0.0}  # fmt: skip
"""Part of each class's colour that the night leaves, where no lamp reaches."""


def _night_table() -> np.ndarray:
    """Return for each code its glow and, as the fourth byte, its ambient part: (256,) uint32 of 4 bytes."""
    table = np.zeros((256, 4), np.uint8)
    for number, glow in enumerate(GLOWS.values()):
        for name, label in LABEL_OF.items():
            table[label + 16 * number] = (*glow, round(255 * _AMBIENT[name]))
    return table.view(np.uint32)[:, 0]


_NIGHT_TABLE = _night_table()


@dataclass(frozen=True)
class Shot:
    """A picture of one moment and what lights it; `picture` is (kH, kW, 4) uint8 for a frame (H, W)."""

    picture: np.ndarray
    scene: Scene
    view: View
    seconds: float
    size: tuple[int, int]
    """Height and width of the frame."""

    def shrink(self, picture: np.ndarray) -> np.ndarray:
        """Return (kH, kW, C) as (H, W, C) float32, each pixel the mean of those that it covers."""
        return cv2.resize(picture, self.size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)

    def cover(self, *labels: str) -> np.ndarray:
        """Return the part of each pixel that shows one of these classes: (H, W, 1) float32 in [0, 1]."""
        chosen = np.isin(np.arange(256) & 15, [LABEL_OF[name] for name in labels]).astype(np.uint8) * 255
        return self.shrink(cv2.LUT(self.picture[..., 3], chosen))[..., None] / 255

    def splat(
        self, field: np.ndarray, centre: tuple[float, float], spread: tuple[float, float], value: Colour
    ) -> None:
        """Add a soft ellipse to `field` (H, W, 3) in place; `spread`: its standard deviations."""
        height, width = self.size
        zoom, half = self.view.zoom, self.view.aspect / 2
        x = ((centre[0] - half) * zoom + half) * height - 0.5
        y = ((centre[1] - 0.5) * zoom + 0.5 + self.view.sway) * height - 0.5
        sx, sy = spread[0] * zoom * height, spread[1] * zoom * height
        x0, x1 = max(0, int(x - 3 * sx)), min(width, int(x + 3 * sx) + 2)
        y0, y1 = max(0, int(y - 3 * sy)), min(height, int(y + 3 * sy) + 2)
        if x0 >= x1 or y0 >= y1:
            return
        across = np.exp(-0.5 * ((np.arange(x0, x1, dtype=np.float32) - x) / sx) ** 2)
        down = np.exp(-0.5 * ((np.arange(y0, y1, dtype=np.float32) - y) / sy) ** 2)
        field[y0:y1, x0:x1] += (down[:, None] * across)[..., None] * np.asarray(value, np.float32)


def day(shot: Shot, sky: np.ndarray) -> np.ndarray:
    """Return the moment by day, (H, W, 3) float32 in about [0, 255]; `sky` likewise."""
    shade = np.zeros((*shot.size, 3), np.float32)
    for vehicle in shot.scene.vehicles:
        spot = place(shot.view, vehicle.at(shot.seconds), vehicle.y, vehicle.speed)
        length = LENGTH[vehicle.kind] * spot.up
        dark = 0.25 if vehicle.kind == "bicycle" else 0.5
        shot.splat(
            shade,
            (spot.x + 0.1 * length, spot.y + 0.004),
            (0.36 * length, 0.12 * spot.up + 0.004),
            (dark,) * 3,
        )
    for walker in shot.scene.walkers:
        spot = place(shot.view, walker.at(shot.seconds), walker.y, walker.speed)
        shot.splat(shade, (spot.x + 0.3 * spot.up, spot.y), (0.5 * spot.up, 0.1 * spot.up), (0.35,) * 3)
    for x in shot.scene.trees:
        shot.splat(shade, (shot.view.screen_x(x, KERB_LINE) + 0.04, 0.722), (0.1, 0.012), (0.35,) * 3)
    if shot.scene.look.rain:
        shade *= 0.5
    ground = shot.cover("road", "pavement")
    light = np.asarray(shot.scene.look.sun, np.float32) * (1 - np.minimum(shade, 0.7) * ground)
    scene = shot.shrink(shot.picture)[..., :3] * light
    if shot.scene.look.rain:
        scene = _wet(scene + sky * shot.cover("sky"), ground, 0.28)
        return scene
    return scene + sky * shot.cover("sky")


def night(shot: Shot, sky: np.ndarray) -> np.ndarray:
    """Return the moment by night, (H, W, 3) float32 in about [0, 255]; `sky` likewise."""
    codes = shot.shrink(_NIGHT_TABLE[shot.picture[..., 3]].view(np.uint8).reshape(*shot.picture.shape))
    glow, ambient = codes[..., :3], codes[..., 3:] / 255
    light, air = _lamps(shot)
    _headlights(shot, light, air)
    _window_light(shot, glow, light)
    albedo = shot.shrink(shot.picture)[..., :3]
    bright = cv2.max(cv2.max(glow[..., 0], glow[..., 1]), glow[..., 2])[..., None]
    scene = (
        albedo * (ambient * np.asarray(_MOON, np.float32) + light) * (1 - np.minimum(0.8, bright / 250))
        + glow
    )
    scene += 255 * air + 0.5 * _bloom(glow, 0.012) + 0.4 * _bloom(glow, 0.05) + sky * shot.cover("sky")
    if shot.scene.look.rain:
        scene = _wet(scene, shot.cover("road", "pavement"), 0.42)
    return scene


def _lamps(shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Return the light of the street lamps on things, and in the air: (H, W, 3) float32 each."""
    height, width = shot.size
    light, cone = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    size = METRE * parallax(KERB_LINE)
    zoom, half = shot.view.zoom, shot.view.aspect / 2
    for x in shot.scene.lamps:
        head_x = shot.view.screen_x(x, KERB_LINE) + LAMP_ARM * size
        head_y = KERB_LINE - LAMP_HEIGHT * size
        if not -0.6 < head_x < shot.view.aspect + 0.6:
            continue
        shot.splat(light, (head_x, 0.735), (0.17, 0.045), tuple(0.62 * c for c in _SODIUM))  # type: ignore[arg-type]
        shot.splat(light, (head_x, 0.6), (0.14, 0.11), tuple(0.34 * c for c in _SODIUM))  # type: ignore[arg-type]
        corners = [
            (head_x - 0.012, head_y),
            (head_x + 0.012, head_y),
            (head_x + 0.13, 0.74),
            (head_x - 0.13, 0.74),
        ]
        points = [
            (
                ((u - half) * zoom + half) * height - 0.5,
                ((v - 0.5) * zoom + 0.5 + shot.view.sway) * height - 0.5,
            )
            for u, v in corners
        ]
        cv2.fillConvexPoly(cone, np.round(np.array(points) * 16).astype(np.int32), 1.0, cv2.LINE_8, 4)
    sigma = 0.018 * height
    cone = cv2.GaussianBlur(cone, (0, 0), sigma)
    fade = np.clip((0.78 - np.arange(height, dtype=np.float32) / height) / 0.42, 0, 1)[:, None]
    air = (cone * fade * 0.22)[..., None] * np.asarray(_SODIUM, np.float32)
    light += 0.3 * cone[..., None] * np.asarray(_SODIUM, np.float32)
    return light, air


def _headlights(shot: Shot, light: np.ndarray, air: np.ndarray) -> None:
    """Add the beams and halos of the vehicles to both fields in place."""
    for vehicle in shot.scene.vehicles:
        spot = place(shot.view, vehicle.at(shot.seconds), vehicle.y, vehicle.speed)
        if not -0.8 < spot.x < shot.view.aspect + 0.8:
            continue
        head, tail = lamp_points(vehicle)
        part = 0.45 if vehicle.kind == "bicycle" else 1.0
        for ahead, wide, power in ((1.6, 0.9, 0.9), (3.6, 1.6, 0.6)):
            beam: Colour = (power * part * _BEAM[0], power * part * _BEAM[1], power * part * _BEAM[2])
            shot.splat(light, spot(head[0] + ahead, 0.0), (wide * spot.up, 0.3 * spot.up), beam)
        shot.splat(
            air,
            spot(head[0] + 1.0, head[1] - 0.12),
            (0.75 * spot.up, 0.14 * spot.up),
            (0.16 * part, 0.15 * part, 0.12 * part),
        )
        shot.splat(air, spot(*head), (0.3 * spot.up, 0.3 * spot.up), (0.4 * part, 0.38 * part, 0.32 * part))
        shot.splat(air, spot(*tail), (0.28 * spot.up, 0.28 * spot.up), (0.4 * part, 0.05 * part, 0.03 * part))
        shot.splat(
            light,
            spot(tail[0] - 0.5, 0.0),
            (0.7 * spot.up, 0.22 * spot.up),
            (0.7 * part, 0.08 * part, 0.05 * part),
        )


def _window_light(shot: Shot, glow: np.ndarray, light: np.ndarray) -> None:
    """Let what shines light its surroundings, in place."""
    light += _bloom(glow, 0.04) * (0.55 / 255)


def _bloom(glow: np.ndarray, sigma: float) -> np.ndarray:
    """Return `glow` blurred by `sigma` frame heights."""
    height, width = glow.shape[:2]
    step = 4 if sigma > 0.03 else 1
    small = cv2.resize(glow, (max(8, width // step), max(8, height // step)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(0.3, sigma * small.shape[0]))
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)


def _wet(scene: np.ndarray, ground: np.ndarray, strength: float) -> np.ndarray:
    """Mirror what stands above the kerb in the wet ground, smeared downwards."""
    height = scene.shape[0]
    line = round(0.7 * height)
    mirror = np.zeros_like(scene)
    below = height - line
    mirror[line:] = scene[line - below : line][::-1]
    mirror = cv2.GaussianBlur(mirror, (0, 0), sigmaX=0.006 * height + 0.3, sigmaY=0.035 * height)
    return scene * (1 - 0.5 * strength * ground) + mirror * (strength * ground)
