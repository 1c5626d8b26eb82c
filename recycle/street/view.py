"""The geometry of the street: perspective, camera, and metres of objects.

The camera looks at a right angle to a street. World positions X run along it, in frame heights at the facades. An
object on the ground at screen height y moves and scales in proportion to `parallax(y)`, which is the perspective of
flat ground.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from recycle.street.paint import Canvas, Paint, Point

HORIZON, BASE, KERB, MIDDLE, NEAR_KERB = 0.42, 0.66, 0.715, 0.836, 0.935
"""Screen heights: eye level, foot of the facades, far kerb, middle of the road, near kerb."""
LONGEST = 8.0
"""Maximum length of a scene in seconds."""
METRE = 0.043
"""Length of a metre at the facades, in frame heights."""
KERB_LINE, FRONT_LINE = 0.708, 1.04
"""Screen heights of trees and lamps, and of objects directly in front of the camera."""


def parallax(y: float) -> float:
    """Return the relative size and speed of an object on the ground at screen height y; 1 at the facades."""
    return (y - HORIZON) / (BASE - HORIZON)


@dataclass(frozen=True)
class View:
    """The position of the camera at one moment."""

    x: float
    zoom: float
    sway: float
    aspect: float

    def screen_x(self, x: float, y: float) -> float:
        """Return the screen position, before zoom and sway, of world position `x` at screen height `y`."""
        return (x - self.x) * parallax(y) + self.aspect / 2


@dataclass(frozen=True)
class Camera:
    """A dolly along the street with a slow zoom and a slight sway."""

    start: float
    speed: float
    zoom: tuple[float, float]
    """Zoom at the start and `LONGEST` seconds later."""
    phase: float

    def at(self, t: float, aspect: float) -> View:
        """Return the view at `t` seconds into the scene."""
        part = t / LONGEST
        zoom = self.zoom[0] + (self.zoom[1] - self.zoom[0]) * part
        sway = 0.004 * math.sin(1.7 * t + self.phase) + 0.002 * math.sin(4.1 * t + 2 * self.phase)
        return View(self.start + self.speed * t, zoom, sway, aspect)


@dataclass(frozen=True)
class Place:
    """Maps metres of an object on the ground, x forwards and y upwards, to the screen."""

    x: float
    y: float
    forward: float
    """Length on the screen of a metre forwards."""
    up: float

    def __call__(self, forward: float, up: float) -> Point:
        """Return the point of the screen."""
        return self.x + forward * self.forward, self.y - up * self.up


def place(view: View, x: float, y: float, way: float) -> Place:
    """Return the place of an object that faces in the direction of the sign of `way`."""
    size = METRE * parallax(y)
    return Place(view.screen_x(x, y), y, math.copysign(size, way), size)


def in_sight(view: View, spot: Place, metres: float) -> bool:
    """Whether an object `metres` long can be visible."""
    return abs(spot.x - view.aspect / 2) < view.aspect / 2 + metres * spot.up


def shape(canvas: Canvas, spot: Place, points: Sequence[Point], fill: Paint) -> None:
    """Fill a polygon given in an object's metres."""
    canvas.poly([spot(*point) for point in points], fill)


def disc(canvas: Canvas, spot: Place, centre: Point, radius: float, fill: Paint) -> None:
    """Fill a circle given in an object's metres."""
    canvas.ellipse(spot(*centre), radius * spot.up, radius * spot.up, fill)
