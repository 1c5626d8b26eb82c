"""Painters of what moves: vehicles and people."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from recycle.footage.street_paint import Canvas, Colour, Glow, Paint, Point, dim, mix, paint
from recycle.footage.street_scene import LENGTH, METRE, Vehicle, View, Walker, parallax

_TYRE, _HUB, _GLASS = (34, 34, 38), (150, 152, 156), (112, 136, 160)


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


def draw_vehicle(canvas: Canvas, view: View, vehicle: Vehicle, t: float) -> None:
    """Paint a vehicle as it stands `t` seconds into the scene."""
    spot = place(view, vehicle.at(t), vehicle.y, vehicle.speed)
    if not in_sight(view, spot, LENGTH[vehicle.kind]):
        return
    roll = vehicle.at(t) * parallax(vehicle.y) / (0.34 * spot.up) * math.copysign(1, vehicle.speed)
    if vehicle.kind == "bicycle":
        _bicycle(canvas, spot, vehicle, roll)
    elif vehicle.kind == "bus":
        _bus(canvas, spot, vehicle, roll)
    else:
        _car(canvas, spot, vehicle, roll)


def lamp_points(vehicle: Vehicle) -> tuple[Point, Point]:
    """Return where head and tail lamp are, in metres forwards and upwards."""
    if vehicle.kind == "bicycle":
        return (0.62, 0.8), (-0.72, 0.66)
    half = LENGTH[vehicle.kind] / 2
    return (half - 0.16, 0.7), (-half + 0.1, 0.8)


def _shape(canvas: Canvas, spot: Place, points: Sequence[Point], fill: Paint) -> None:
    canvas.poly([spot(*point) for point in points], fill)


def _disc(canvas: Canvas, spot: Place, centre: Point, radius: float, fill: Paint) -> None:
    canvas.ellipse(spot(*centre), radius * spot.up, radius * spot.up, fill)


def _wheel(canvas: Canvas, spot: Place, x: float, roll: float) -> None:
    _disc(canvas, spot, (x, 0.34), 0.36, paint(_TYRE, "vehicle"))
    _disc(canvas, spot, (x, 0.34), 0.2, paint(_HUB, "vehicle"))
    c, s = 0.18 * math.cos(roll), -0.18 * math.sin(roll)
    for dx, dy in ((c, s), (s, -c)):
        ends = [spot(x - dx, 0.34 - dy), spot(x + dx, 0.34 + dy)]
        canvas.line(ends, 0.05 * spot.up, paint(dim(_HUB, 0.5), "vehicle"))


def _lamps(canvas: Canvas, spot: Place, vehicle: Vehicle) -> None:
    head, tail = lamp_points(vehicle)
    canvas.ellipse(spot(*head), 0.17 * spot.up, 0.15 * spot.up, paint((252, 248, 222), "vehicle", "head"))
    canvas.ellipse(spot(*tail), 0.12 * spot.up, 0.16 * spot.up, paint((206, 40, 36), "vehicle", "tail"))


def _car(canvas: Canvas, spot: Place, vehicle: Vehicle, roll: float) -> None:
    half = LENGTH[vehicle.kind] / 2
    body, dark = paint(vehicle.colour, "vehicle"), paint(dim(vehicle.colour, 0.72), "vehicle")
    glass = paint(_GLASS, "vehicle")
    if vehicle.kind == "car":
        roof = [(-half + 0.55, 0.98), (-0.95, 1.42), (0.45, 1.45), (1.2, 1.0)]
    elif vehicle.kind == "hatch":
        roof = [(-half + 0.05, 0.95), (-half + 0.45, 1.48), (0.35, 1.5), (1.05, 1.0)]
    else:
        roof = [(-half + 0.02, 0.9), (-half + 0.08, 2.05), (1.15, 2.08), (1.85, 1.1)]
    lower = [
        (-half, 0.3),
        (-half, 0.82),
        (-half + 0.12, 1.0),
        (half - 0.55, 0.96),
        (half - 0.05, 0.78),
        (half, 0.3),
    ]
    _shape(canvas, spot, roof, body)
    _shape(canvas, spot, lower, body)
    _shape(canvas, spot, [(-half, 0.3), (-half, 0.52), (half - 0.02, 0.52), (half, 0.3)], dark)
    shine = paint(mix(vehicle.colour, (255, 255, 255), 0.35), "vehicle")
    _shape(
        canvas,
        spot,
        [(-half + 0.1, 0.88), (-half + 0.12, 0.95), (half - 0.5, 0.92), (half - 0.5, 0.86)],
        shine,
    )
    (x0, _), (x1, top), (x2, _), (x3, _) = roof
    if vehicle.kind == "van":
        _shape(canvas, spot, [(0.5, 1.25), (0.5, 1.92), (1.08, 1.94), (1.62, 1.25)], glass)
        _shape(canvas, spot, [(-half + 0.25, 1.25), (-half + 0.25, 1.8), (0.1, 1.8), (0.1, 1.25)], dark)
    else:
        middle = (x1 + x2) / 2
        _shape(
            canvas,
            spot,
            [(x0 + 0.2, 1.0), (x1 + 0.06, top - 0.09), (middle - 0.05, top - 0.08), (middle - 0.05, 1.0)],
            glass,
        )
        _shape(
            canvas,
            spot,
            [(middle + 0.05, 1.0), (middle + 0.05, top - 0.08), (x2 - 0.05, top - 0.07), (x3 - 0.15, 1.0)],
            glass,
        )
    for x in (-half + 0.85, half - 0.85):
        _disc(canvas, spot, (x, 0.36), 0.44, paint(dim(vehicle.colour, 0.35), "vehicle"))
        _wheel(canvas, spot, x, roll)
    _lamps(canvas, spot, vehicle)


def _bus(canvas: Canvas, spot: Place, vehicle: Vehicle, roll: float) -> None:
    half = LENGTH["bus"] / 2
    body = paint(vehicle.colour, "vehicle")
    _shape(
        canvas,
        spot,
        [(-half, 0.35), (-half, 2.8), (-half + 0.2, 2.95), (half - 0.35, 2.95), (half, 2.5), (half, 0.35)],
        body,
    )
    _shape(
        canvas,
        spot,
        [(-half, 0.35), (-half, 0.75), (half, 0.75), (half, 0.35)],
        paint(dim(vehicle.colour, 0.7), "vehicle"),
    )
    _shape(
        canvas,
        spot,
        [(-half, 1.2), (-half, 1.34), (half, 1.34), (half, 1.2)],
        paint((236, 234, 228), "vehicle"),
    )
    glass = paint(_GLASS, "vehicle", "bus")
    step = (2 * half - 1.6) / 6
    for k in range(6):
        x = -half + 0.3 + k * step
        _shape(canvas, spot, [(x, 1.5), (x, 2.5), (x + step - 0.16, 2.5), (x + step - 0.16, 1.5)], glass)
    _shape(
        canvas,
        spot,
        [(half - 1.15, 0.6), (half - 1.15, 2.5), (half - 0.35, 2.5), (half - 0.35, 0.6)],
        paint(dim(_GLASS, 0.8), "vehicle", "bus"),
    )
    _shape(
        canvas,
        spot,
        [(half - 0.22, 1.45), (half - 0.22, 2.5), (half - 0.05, 2.4), (half, 1.45)],
        paint(_GLASS, "vehicle"),
    )
    for x in (-half + 1.9, half - 1.9):
        _disc(canvas, spot, (x, 0.4), 0.55, paint(dim(vehicle.colour, 0.35), "vehicle"))
        _wheel(canvas, spot, x, roll)
    _lamps(canvas, spot, vehicle)


def _bicycle(canvas: Canvas, spot: Place, vehicle: Vehicle, roll: float) -> None:
    metal, tyre = paint(vehicle.colour, "vehicle"), paint(_TYRE, "vehicle")
    for x in (-0.52, 0.52):
        _disc(canvas, spot, (x, 0.33), 0.34, tyre)
        _disc(canvas, spot, (x, 0.33), 0.24, paint(_HUB, "vehicle"))
    frame = [(-0.52, 0.33), (-0.18, 0.85), (0.4, 0.85), (0.02, 0.33), (-0.52, 0.33)]
    canvas.line([spot(*point) for point in frame], 0.07 * spot.up, metal)
    canvas.line([spot(0.52, 0.33), spot(0.4, 0.98), spot(0.55, 1.05)], 0.07 * spot.up, metal)
    _lamps(canvas, spot, vehicle)
    coat, legs = paint(vehicle.rider, "person"), paint((56, 60, 76), "person")
    for turn in (0.35 * roll + math.pi, 0.35 * roll):
        foot = (0.02 + 0.16 * math.cos(turn), 0.33 - 0.16 * math.sin(turn))
        knee = (0.5 * (foot[0] - 0.2) + 0.24, 0.5 * (foot[1] + 0.95) + 0.06)
        canvas.line([spot(-0.2, 0.95), spot(*knee), spot(*foot)], 0.15 * spot.up, legs)
    canvas.line([spot(-0.2, 0.98), spot(0.12, 1.45)], 0.3 * spot.up, coat)
    canvas.line([spot(0.14, 1.4), spot(0.34, 1.15), spot(0.5, 1.08)], 0.11 * spot.up, coat)
    _disc(canvas, spot, (0.24, 1.72), 0.14, paint((222, 176, 140), "person"))
    canvas.ellipse(spot(0.22, 1.8), 0.16 * spot.up, 0.09 * spot.up, paint(dim(vehicle.colour, 0.8), "person"))


def draw_walker(canvas: Canvas, view: View, walker: Walker, t: float) -> None:
    """Paint a person as it walks `t` seconds into the scene; the feet do not slide."""
    spot = place(view, walker.at(t), walker.y, walker.speed)
    if not in_sight(view, spot, 1.2):
        return
    h = walker.height
    phase = step_phase(walker, t)
    bounce = 0.03 * abs(math.cos(phase))
    hip, neck = 0.5 * h + bounce, 0.82 * h + bounce
    coat, trousers, skin = (paint(c, "person") for c in (walker.coat, walker.legs, walker.skin))
    sides: tuple[tuple[float, float], ...] = ((phase + math.pi, 0.8), (phase, 1.0))
    for turn, tone in sides:
        _limb(canvas, spot, (0, hip), 0.42 * math.sin(turn), -0.75 * max(0.0, math.cos(turn)), 0.26 * h,
              0.16, paint(dim(walker.legs, tone), "person"))  # fmt: skip
    swing = -0.45 * math.sin(phase)
    _limb(
        canvas, spot, (0, neck - 0.1), -swing, 0.35, 0.17 * h, 0.12, paint(dim(walker.coat, 0.78), "person")
    )
    torso = [
        (-0.17, hip - 0.12),
        (-0.19, neck - 0.1),
        (-0.08, neck),
        (0.1, neck),
        (0.18, neck - 0.12),
        (0.17, hip - 0.12),
    ]
    _shape(canvas, spot, torso, coat)
    if walker.bag:
        _shape(
            canvas, spot, [(-0.32, hip), (-0.34, neck - 0.1), (-0.16, neck - 0.08), (-0.16, hip)], trousers
        )
    _disc(canvas, spot, (0.03, neck + 0.13), 0.135, skin)
    canvas.ellipse(spot(-0.01, neck + 0.19), 0.14 * spot.up, 0.1 * spot.up, paint(walker.hair, "person"))
    if walker.umbrella:
        _umbrella(canvas, spot, neck, walker.umbrella)
        swing = 0.5
    _limb(canvas, spot, (0, neck - 0.1), swing, 0.4 if walker.umbrella is None else 1.6, 0.17 * h, 0.12,
          paint(dim(walker.coat, 1.08), "person"))  # fmt: skip


def step_phase(walker: Walker, t: float) -> float:
    """Return the phase of the gait in radians: a full turn is two steps of 0.7 m."""
    return walker.phase + 2 * math.pi * abs(walker.speed) * t / (1.4 * METRE)


def _limb(
    canvas: Canvas,
    spot: Place,
    joint: Point,
    angle: float,
    bend: float,
    length: float,
    width: float,
    fill: Paint,
) -> None:
    """Paint a leg or an arm of two parts of equal `length`, the lower one bent forwards by `bend`."""
    middle = (joint[0] + length * math.sin(angle), joint[1] - length * math.cos(angle))
    end = (
        middle[0] + length * math.sin(angle + bend),
        max(0.03, middle[1] - length * math.cos(angle + bend)),
    )
    canvas.line([spot(*joint), spot(*middle), spot(*end)], width * spot.up, fill)


def _umbrella(canvas: Canvas, spot: Place, neck: float, colour: Colour) -> None:
    top = neck + 0.75
    canvas.line([spot(0.26, neck - 0.3), spot(0.2, top)], 0.035 * spot.up, paint((60, 60, 66), "person"))
    cloth: Glow = "none"
    arc = [
        (0.15 + 0.62 * math.cos(a), top - 0.3 + 0.34 * math.sin(a))
        for a in (k * math.pi / 10 for k in range(11))
    ]
    _shape(canvas, spot, arc, paint(colour, "person", cloth))
    _shape(canvas, spot, [*arc[:4], (0.35, top - 0.3)], paint(dim(colour, 0.82), "person", cloth))
