"""Paints vehicles: cars, vans, buses, bicycles."""

import math

from recycle.street.paint import Canvas, Point, dim, mix, paint
from recycle.street.scene import LENGTH, Vehicle
from recycle.street.view import Place, View, disc, in_sight, parallax, place, shape

_TYRE, _HUB, _GLASS = (34, 34, 38), (150, 152, 156), (112, 136, 160)


def draw_vehicle(canvas: Canvas, view: View, vehicle: Vehicle, t: float) -> None:
    """Paint a vehicle `t` seconds into the scene."""
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
    """Return the positions of head and tail lamp, in metres forwards and upwards."""
    if vehicle.kind == "bicycle":
        return (0.62, 0.8), (-0.72, 0.66)
    half = LENGTH[vehicle.kind] / 2
    return (half - 0.16, 0.7), (-half + 0.1, 0.8)


def _wheel(canvas: Canvas, spot: Place, x: float, roll: float) -> None:
    disc(canvas, spot, (x, 0.34), 0.36, paint(_TYRE, "vehicle"))
    disc(canvas, spot, (x, 0.34), 0.2, paint(_HUB, "vehicle"))
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
        roof = [(-half + 0.55, 0.9), (-0.95, 1.42), (0.45, 1.45), (1.28, 0.9)]
    elif vehicle.kind == "hatch":
        roof = [(-half + 0.05, 0.9), (-half + 0.45, 1.48), (0.35, 1.5), (1.13, 0.9)]
    else:
        roof = [(-half + 0.02, 0.9), (-half + 0.08, 2.05), (1.15, 2.08), (1.95, 0.9)]
    lower = [
        (-half, 0.3),
        (-half, 0.82),
        (-half + 0.12, 1.0),
        (half - 0.55, 0.96),
        (half - 0.05, 0.78),
        (half, 0.3),
    ]
    shape(canvas, spot, roof, body)
    shape(canvas, spot, lower, body)
    shape(canvas, spot, [(-half, 0.3), (-half, 0.52), (half - 0.02, 0.52), (half, 0.3)], dark)
    shine = paint(mix(vehicle.colour, (255, 255, 255), 0.35), "vehicle")
    shape(
        canvas,
        spot,
        [(-half + 0.1, 0.88), (-half + 0.12, 0.95), (half - 0.5, 0.92), (half - 0.5, 0.86)],
        shine,
    )
    (x0, _), (x1, top), (x2, _), (x3, _) = roof
    if vehicle.kind == "van":
        shape(canvas, spot, [(0.5, 1.25), (0.5, 1.92), (1.08, 1.94), (1.62, 1.25)], glass)
        shape(canvas, spot, [(-half + 0.25, 1.25), (-half + 0.25, 1.8), (0.1, 1.8), (0.1, 1.25)], dark)
    else:
        middle = (x1 + x2) / 2
        shape(
            canvas,
            spot,
            [(x0 + 0.2, 1.0), (x1 + 0.06, top - 0.09), (middle - 0.05, top - 0.08), (middle - 0.05, 1.0)],
            glass,
        )
        shape(
            canvas,
            spot,
            [(middle + 0.05, 1.0), (middle + 0.05, top - 0.08), (x2 - 0.05, top - 0.07), (x3 - 0.23, 1.0)],
            glass,
        )
    for x in (-half + 0.85, half - 0.85):
        disc(canvas, spot, (x, 0.36), 0.44, paint(dim(vehicle.colour, 0.35), "vehicle"))
        _wheel(canvas, spot, x, roll)
    _lamps(canvas, spot, vehicle)


def _bus(canvas: Canvas, spot: Place, vehicle: Vehicle, roll: float) -> None:
    half = LENGTH["bus"] / 2
    body = paint(vehicle.colour, "vehicle")
    shape(
        canvas,
        spot,
        [(-half, 0.35), (-half, 2.8), (-half + 0.2, 2.95), (half - 0.35, 2.95), (half, 2.5), (half, 0.35)],
        body,
    )
    shape(
        canvas,
        spot,
        [(-half, 0.35), (-half, 0.75), (half, 0.75), (half, 0.35)],
        paint(dim(vehicle.colour, 0.7), "vehicle"),
    )
    shape(
        canvas,
        spot,
        [(-half, 1.2), (-half, 1.34), (half, 1.34), (half, 1.2)],
        paint((236, 234, 228), "vehicle"),
    )
    glass = paint(_GLASS, "vehicle", "bus")
    step = (2 * half - 1.6) / 6
    for k in range(6):
        x = -half + 0.3 + k * step
        shape(canvas, spot, [(x, 1.5), (x, 2.5), (x + step - 0.16, 2.5), (x + step - 0.16, 1.5)], glass)
    shape(
        canvas,
        spot,
        [(half - 1.15, 0.6), (half - 1.15, 2.5), (half - 0.35, 2.5), (half - 0.35, 0.6)],
        paint(dim(_GLASS, 0.8), "vehicle", "bus"),
    )
    shape(
        canvas,
        spot,
        [(half - 0.22, 1.45), (half - 0.22, 2.5), (half - 0.05, 2.4), (half, 1.45)],
        paint(_GLASS, "vehicle"),
    )
    for x in (-half + 1.9, half - 1.9):
        disc(canvas, spot, (x, 0.4), 0.55, paint(dim(vehicle.colour, 0.35), "vehicle"))
        _wheel(canvas, spot, x, roll)
    _lamps(canvas, spot, vehicle)


def _bicycle(canvas: Canvas, spot: Place, vehicle: Vehicle, roll: float) -> None:
    metal, tyre = paint(vehicle.colour, "vehicle"), paint(_TYRE, "vehicle")
    for x in (-0.52, 0.52):
        disc(canvas, spot, (x, 0.33), 0.34, tyre)
        disc(canvas, spot, (x, 0.33), 0.24, paint(_HUB, "vehicle"))
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
    disc(canvas, spot, (0.24, 1.72), 0.14, paint((222, 176, 140), "person"))
    canvas.ellipse(spot(0.22, 1.8), 0.16 * spot.up, 0.09 * spot.up, paint(dim(vehicle.colour, 0.8), "person"))
