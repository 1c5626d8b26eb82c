"""The light of day and night; see weather.py for other light.

Lengths are in frame heights, as in all modules of the street; light is computed at the size of the frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from recycle.street.ground import LAMP_ARM, LAMP_HEIGHT
from recycle.street.paint import GLOW_OF, GLOWS, LABEL_OF, Colour, Glow, dim
from recycle.street.scene import LENGTH, Scene
from recycle.street.vehicles import lamp_points
from recycle.street.view import KERB_LINE, METRE, View, parallax, place

_SODIUM: Colour = (1.0, 0.72, 0.4)
_BEAM: Colour = (0.95, 0.9, 0.75)
_REAR: Colour = (1.0, 0.12, 0.08)
_MOON: Colour = (0.72, 0.86, 1.3)
_AMBIENT = {
    "building": 0.23, "window": 0.19, "road": 0.21, "pavement": 0.22, "vegetation": 0.2, "vehicle": 0.11,
    "person": 0.2, "lamp": 0.3, "sky": 0.0,
}  # fmt: skip
"""Proportion of each class's colour that remains visible at night without lamps."""


def _night_table() -> np.ndarray:
    """Return for each code its glow and, as the fourth byte, its ambient light: (256,) uint32 of 4 bytes."""
    table = np.zeros((256, 4), np.uint8)
    for number, glow in enumerate(GLOWS.values()):
        for name, label in LABEL_OF.items():
            table[label + 16 * number] = (*glow, round(255 * _AMBIENT[name]))
    return table.view(np.uint32)[:, 0]


_NIGHT_TABLE = _night_table()


@dataclass(frozen=True)
class Shot:
    """A picture of one moment and its scene; `picture` is (kH, kW, 4) uint8 for a frame (H, W)."""

    picture: np.ndarray
    scene: Scene
    view: View
    seconds: float
    size: tuple[int, int]
    """Height and width of the frame."""

    def shrink(self, picture: np.ndarray) -> np.ndarray:
        """Return (kH, kW, C) as (H, W, C) float32; each pixel is the mean of those that it covers."""
        return cv2.resize(picture, self.size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)

    def cover(self, *labels: str) -> np.ndarray:
        """Return the proportion of each pixel that shows one of these classes: (H, W, 1) float32 in [0, 1]."""
        chosen = np.isin(np.arange(256) & 15, [LABEL_OF[name] for name in labels]).astype(np.uint8) * 255
        return self.shrink(cv2.LUT(self.picture[..., 3], chosen))[..., None] / 255

    def pixel(self, point: tuple[float, float]) -> tuple[float, float]:
        """Return the position of a screen point in the frame: x and y in pixels; (0, 0) is the centre of the first
        pixel."""
        height, zoom, half = self.size[0], self.view.zoom, self.view.aspect / 2
        x = ((point[0] - half) * zoom + half) * height - 0.5
        return x, ((point[1] - 0.5) * zoom + 0.5 + self.view.sway) * height - 0.5

    def shows(self, point: tuple[float, float], glow: Glow) -> bool:
        """Whether something with this glow is visible at a screen point, or the point is outside the frame."""
        times = self.picture.shape[0] // self.size[0]
        x, y = (round((c + 0.5) * times) for c in self.pixel(point))
        inside = 0 <= y < self.picture.shape[0] and 0 <= x < self.picture.shape[1]
        return not inside or int(self.picture[y, x, 3]) >> 4 == GLOW_OF[glow]

    def splat(self, field: np.ndarray, centre: tuple[float, float], spread: tuple[float, float], value: Colour) -> None:
        """Add a soft ellipse to `field` (H, W, 3) in place; `spread` holds its standard deviations."""
        height, width = self.size
        x, y = self.pixel(centre)
        sx, sy = (self.view.zoom * height * part for part in spread)
        x0, x1 = max(0, int(x - 3 * sx)), min(width, int(x + 3 * sx) + 2)
        y0, y1 = max(0, int(y - 3 * sy)), min(height, int(y + 3 * sy) + 2)
        if x0 >= x1 or y0 >= y1:
            return
        across = np.exp(-0.5 * ((np.arange(x0, x1, dtype=np.float32) - x) / sx) ** 2)
        down = np.exp(-0.5 * ((np.arange(y0, y1, dtype=np.float32) - y) / sy) ** 2)
        field[y0:y1, x0:x1] += down[:, None, None] * (across[:, None] * np.asarray(value, np.float32))


def day(shot: Shot, sky: np.ndarray) -> np.ndarray:
    """Return the moment by day, (H, W, 3) float32 in about [0, 255]; `sky` has the same form."""
    lit = daylight(shot, sky, shadow=0.5 if shot.scene.look.rain else 1.0)
    return wet(lit, shot.cover("road", "pavement"), 0.28) if shot.scene.look.rain else lit


def daylight(shot: Shot, sky: np.ndarray, *, shadow: float) -> np.ndarray:
    """Return the moment in daylight on dry ground, with shadows `shadow` times as dark as in the sun.

    (H, W, 3) float32 in about [0, 255]; `sky` has the same form.
    """
    shade = np.zeros((*shot.size, 3), np.float32)
    for vehicle in shot.scene.vehicles:
        spot = place(shot.view, vehicle.at(shot.seconds), vehicle.y, vehicle.speed)
        dark = 0.35 if vehicle.kind == "bicycle" else 0.85
        spread = (0.33 * LENGTH[vehicle.kind] * spot.up, 0.13 * spot.up + 0.003)
        shot.splat(shade, (spot.x + 0.2 * spot.up, spot.y), spread, (dark, dark, dark))
    for walker in shot.scene.walkers:
        spot = place(shot.view, walker.at(shot.seconds), walker.y, walker.speed)
        shot.splat(shade, (spot.x + 0.3 * spot.up, spot.y), (0.5 * spot.up, 0.1 * spot.up), (0.4, 0.4, 0.4))
    for x in shot.scene.trees:
        shot.splat(shade, (shot.view.screen_x(x, KERB_LINE) + 0.04, 0.722), (0.1, 0.012), (0.4, 0.4, 0.4))
    shade *= shadow
    ground = shot.cover("road", "pavement")
    light = np.asarray(shot.scene.look.sun, np.float32) * (1 - np.minimum(shade, 0.75) * ground)
    return shot.shrink(shot.picture)[..., :3] * light + sky * shot.cover("sky")


def night(shot: Shot, sky: np.ndarray) -> np.ndarray:
    """Return the moment by night, (H, W, 3) float32 in about [0, 255]; `sky` has the same form."""
    codes = shot.shrink(_NIGHT_TABLE[shot.picture[..., 3]].view(np.uint8).reshape(*shot.picture.shape))
    glow, ambient = codes[..., :3], codes[..., 3:] / 255
    light, air = _lamps(shot)
    _headlights(shot, light, air)
    light += bloom(glow, 0.04) * (0.55 / 255)  # glowing surfaces light their surroundings
    albedo = shot.shrink(shot.picture)[..., :3]
    bright = cv2.max(cv2.max(glow[..., 0], glow[..., 1]), glow[..., 2])[..., None]
    scene = albedo * (ambient * np.asarray(_MOON, np.float32) + light) * (1 - np.minimum(0.8, bright / 250)) + glow
    scene += 255 * air + 0.5 * bloom(glow, 0.012) + 0.4 * bloom(glow, 0.05) + sky * shot.cover("sky")
    if shot.scene.look.rain:
        scene = wet(scene, shot.cover("road", "pavement"), 0.42)
    return shoulder(scene)


def shoulder(light: np.ndarray) -> np.ndarray:
    """Compress highlights, so that lamps and windows keep their colour."""
    over = np.maximum(light - 150, 0)
    return light - over + 105 * (1 - np.exp(over * (-1 / 105)))


def paler(scene: np.ndarray, part: float) -> np.ndarray:
    """Return a scene (H, W, 3) with its colours moved by `part` in [0, 1] towards grey."""
    return cv2.transform(scene, (1 - part) * np.eye(3) + part / 3)


def _lamps(shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Return the light of the street lamps on surfaces and in the air: (H, W, 3) float32 each."""
    height, width = shot.size
    light, cone = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    size = METRE * parallax(KERB_LINE)
    for x in shot.scene.lamps:
        head_x = shot.view.screen_x(x, KERB_LINE) + LAMP_ARM * size
        head_y = KERB_LINE - LAMP_HEIGHT * size
        if not -0.6 < head_x < shot.view.aspect + 0.6:
            continue
        shot.splat(light, (head_x, 0.735), (0.17, 0.045), dim(_SODIUM, 0.8))
        shot.splat(light, (head_x, 0.6), (0.14, 0.11), dim(_SODIUM, 0.34))
        corners = [
            (head_x - 0.012, head_y),
            (head_x + 0.012, head_y),
            (head_x + 0.13, 0.74),
            (head_x - 0.13, 0.74),
        ]
        points = [shot.pixel(corner) for corner in corners]
        cv2.fillConvexPoly(cone, np.round(np.array(points) * 16).astype(np.int32), 1.0, cv2.LINE_8, 4)
    sigma = 0.018 * height
    cone = cv2.GaussianBlur(cone, (0, 0), sigma)
    fade = np.clip((0.78 - np.arange(height, dtype=np.float32) / height) / 0.42, 0, 1)[:, None]
    air = (cone * fade * 0.34)[..., None] * np.asarray(_SODIUM, np.float32)
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
            beam = dim(_BEAM, power * part)
            shot.splat(light, spot(head[0] + ahead, 0.0), (wide * spot.up, 0.3 * spot.up), beam)
        red = dim(_REAR, part)
        shot.splat(light, spot(tail[0] - 0.5, 0.0), (0.7 * spot.up, 0.22 * spot.up), dim(red, 0.7))
        if shot.shows(spot(*head), "head"):
            wedge = spot(head[0] + 1.0, head[1] - 0.12)
            shot.splat(air, wedge, (0.75 * spot.up, 0.14 * spot.up), dim(_BEAM, 0.16 * part))
            shot.splat(air, spot(*head), (0.3 * spot.up, 0.3 * spot.up), dim(_BEAM, 0.42 * part))
        if shot.shows(spot(*tail), "tail"):
            shot.splat(air, spot(*tail), (0.28 * spot.up, 0.28 * spot.up), dim(red, 0.4))


def bloom(glow: np.ndarray, sigma: float) -> np.ndarray:
    """Return `glow` blurred by `sigma` frame heights."""
    height, width = glow.shape[:2]
    step = 4 if sigma > 0.03 else 1
    small = cv2.resize(glow, (max(8, width // step), max(8, height // step)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(0.3, sigma * small.shape[0]))
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)


def wet(scene: np.ndarray, ground: np.ndarray, strength: float) -> np.ndarray:
    """Mirror everything above the kerb in the wet ground, smeared downwards."""
    height = scene.shape[0]
    line = round(0.7 * height)
    mirror = np.zeros_like(scene)
    below = height - line
    mirror[line:] = scene[line - below : line][::-1]
    mirror = cv2.GaussianBlur(mirror, (0, 0), sigmaX=0.006 * height + 0.3, sigmaY=0.035 * height)
    return scene * (1 - 0.5 * strength * ground) + mirror * (strength * ground)
