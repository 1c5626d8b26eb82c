"""Reads loss curves from a TensorBoard log."""

import math
from collections.abc import Iterable
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

Curve = list[tuple[int, float]]
"""(step, value) with strictly increasing steps."""

MAX_POINTS = 500
"""Maximum number of points of a curve."""


def read_scalars(folder: Path) -> dict[str, Curve]:
    """Read the scalars of all event files in `folder`: tag → at most MAX_POINTS evenly spaced points.

    A resumed run repeats the steps after its last checkpoint. The later record then replaces the earlier one from the
    step at which it begins. Values that are not finite are left out. A folder that is missing or has no scalars gives
    an empty dict.
    """
    if not folder.is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0}, purge_orphaned_data=False).Reload()
    curves = {}
    for tag in sorted(events.Tags()[SCALARS]):
        points = _latest((event.step, event.value) for event in events.Scalars(tag))
        curves[tag] = _thin([point for point in points if math.isfinite(point[1])])
    return curves


def _latest(recorded: Iterable[tuple[int, float]]) -> Curve:
    curve: Curve = []
    for step, value in recorded:
        while curve and curve[-1][0] >= step:
            curve.pop()
        curve.append((step, value))
    return curve


def _thin(curve: Curve) -> Curve:
    if len(curve) <= MAX_POINTS:
        return curve
    return [curve[round(i * (len(curve) - 1) / (MAX_POINTS - 1))] for i in range(MAX_POINTS)]
