"""Where things are on the screen: the geometry of the street, its camera, and a thing's own metres.

The camera looks square at a street. World positions X run along it, in frame heights at the facades;
a thing that stands on the ground at screen height y is moved by the camera, and is large, in proportion
to `parallax(y)`, as the perspective of a flat ground demands.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from recycle.street.paint import Canvas, Paint, Point

HORIZON, BASE, KERB, MIDDLE, NEAR_KERB = 0.42, 0.66, 0.715, 0.836, 0.935
"""Screen heights: eye level, foot of the facades, far kerb, middle of the road, near kerb."""
LONGEST = 8.0
"""Seconds for which every scene has something to show."""
METRE = 0.043
"""A metre at the facades."""
KERB_LINE, FRONT_LINE = 0.708, 1.04
"""Where trees and lamps stand, and what passes right before the camera."""


def parallax(y: float) -> float:
    """Return the size and the speed of what stands on the ground at screen height y, 1 at the facades."""
    return (y - HORIZON) / (BASE - HORIZON)


@dataclass(frozen=True)
class View:
    """Where the camera is at one moment."""

    x: float
    zoom: float
    sway: float
    aspect: float

    def screen_x(self, x: float, y: float) -> float:
        """Return the screen position, before zoom and sway, of world position `x` at screen height `y`."""
        return (x - self.x) * parallax(y) + self.aspect / 2


@dataclass(frozen=True)
class Camera:
    """A dolly along the street with a slow zoom and a little sway."""

    start: float
    speed: float
    zoom: tuple[float, float]
    """At the start and `LONGEST` seconds later."""
    phase: float

    def at(self, t: float, aspect: float) -> View:
        """Return the view at `t` seconds into the scene."""
        part = t / LONGEST
        zoom = self.zoom[0] + (self.zoom[1] - self.zoom[0]) * part
        sway = 0.004 * math.sin(1.7 * t + self.phase) + 0.002 * math.sin(4.1 * t + 2 * self.phase)
        return View(self.start + self.speed * t, zoom, sway, aspect)


@dataclass(frozen=True)
class Place:
    """Metres of something on the ground, x forwards and y upwards, to the screen."""

    x: float
    y: float
    forward: float
    """Of a metre forwards, on the screen."""
    up: float

    def __call__(self, forward: float, up: float) -> Point:
        """Return the point of the screen."""
        return self.x + forward * self.forward, self.y - up * self.up


def place(view: View, x: float, y: float, way: float) -> Place:
    """Return where a thing stands that faces towards the sign of `way`."""
    size = METRE * parallax(y)
    return Place(view.screen_x(x, y), y, math.copysign(size, way), size)


def in_sight(view: View, spot: Place, metres: float) -> bool:
    """Whether a thing `metres` long can be seen at all."""
    return abs(spot.x - view.aspect / 2) < view.aspect / 2 + metres * spot.up


def shape(canvas: Canvas, spot: Place, points: Sequence[Point], fill: Paint) -> None:
    """Fill a polygon given in a thing's own metres."""
    canvas.poly([spot(*point) for point in points], fill)


def disc(canvas: Canvas, spot: Place, centre: Point, radius: float, fill: Paint) -> None:
    """Fill a circle given in a thing's own metres."""
    canvas.ellipse(spot(*centre), radius * spot.up, radius * spot.up, fill)
