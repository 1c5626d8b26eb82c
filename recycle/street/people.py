"""Paints pedestrians."""

import math

from recycle.street.paint import Canvas, Colour, Paint, Point, dim, paint
from recycle.street.scene import Walker
from recycle.street.view import METRE, Place, View, disc, in_sight, place, shape


def draw_walker(canvas: Canvas, view: View, walker: Walker, t: float) -> None:
    """Paint a person `t` seconds into the scene; the feet do not slide."""
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
    _limb(canvas, spot, (0, neck - 0.1), -swing, 0.35, 0.17 * h, 0.12, paint(dim(walker.coat, 0.78), "person"))
    torso = [
        (-0.17, hip - 0.12),
        (-0.19, neck - 0.1),
        (-0.08, neck),
        (0.1, neck),
        (0.18, neck - 0.12),
        (0.17, hip - 0.12),
    ]
    shape(canvas, spot, torso, coat)
    if walker.bag:
        shape(canvas, spot, [(-0.32, hip), (-0.34, neck - 0.1), (-0.16, neck - 0.08), (-0.16, hip)], trousers)
    disc(canvas, spot, (0.03, neck + 0.13), 0.135, skin)
    canvas.ellipse(spot(-0.01, neck + 0.19), 0.14 * spot.up, 0.1 * spot.up, paint(walker.hair, "person"))
    if walker.umbrella:
        _umbrella(canvas, spot, neck, walker.umbrella)
        swing = 0.5
    _limb(canvas, spot, (0, neck - 0.1), swing, 0.4 if walker.umbrella is None else 1.6, 0.17 * h, 0.12,
          paint(dim(walker.coat, 1.08), "person"))  # fmt: skip


def step_phase(walker: Walker, t: float) -> float:
    """Return the phase of the gait in radians; a full turn is two steps of 0.7 m."""
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
    arc = [(0.15 + 0.62 * math.cos(a), top - 0.3 + 0.34 * math.sin(a)) for a in (k * math.pi / 10 for k in range(11))]
    shape(canvas, spot, arc, paint(colour, "person"))
    shape(canvas, spot, [*arc[:4], (0.35, top - 0.3)], paint(dim(colour, 0.82), "person"))
