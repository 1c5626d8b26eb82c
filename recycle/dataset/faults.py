"""Faults of the footage of both domains, before training: what will spoil it, in plain words, with the remedy.

Reads a few frames, evenly spread, so that it takes no longer for hours of footage than for seconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.dataset.clips import FEW_CLIPS, Domain, Shot, spread

FRAMES = 48
"""Frames of each domain that are looked at."""
THUMBNAIL = 16
"""Side of the thumbnails that tell whether frames differ."""
STATIC = 1.5
"""Grey levels of 255: a domain whose thumbnails' pixels deviate less than this, on average, is always the same."""
ALIKE = 4.0
"""Grey levels of 255: domains are too alike whose `difference` is less. Two videos of one person in one room differ by
7, two such persons by 25, two streets by day by 13, day and night by 70."""
RATE = 1.5
"""Ratio of the times between the frames of clips from which on motion has another speed."""
ASPECT = 1.2
"""Ratio of the domains' aspect ratios from which on they are framed otherwise."""
SCALE = 1.3
"""Ratio of the domains' heights in pixels from which on things may have another size."""
BLACK = 24
"""Grey levels of 255 that no pixel of a black bar exceeds; lossy video leaves some noise there."""
BAR = 0.03
"""Part of a frame's height or width that black bars have at least, at each of two opposite sides."""


@dataclass(frozen=True)
class Look:
    """What a few frames of a domain show."""

    thumbnails: NDArray[np.float32]
    """(N, THUMBNAIL, THUMBNAIL, 3), grey levels."""
    quantiles: NDArray[np.float32]
    """(4, 64): quantiles of R, G, B and of the steps between neighbouring pixels of 64-pixel thumbnails."""
    bars: tuple[float, float]
    """Parts of the height, and of the width, that are black in all frames, where both opposite sides are."""


def faults(a: Domain, b: Domain, *, paired: bool) -> list[str]:
    """What to warn of before training on these domains, one line each."""
    looks = [look(domain.shots) for domain in (a, b)]
    return [
        *_each(a, looks[0]),
        *_each(b, looks[1]),
        *([] if paired else _alike(looks[0], looks[1])),
        *_timing(a, b),
        *_framing(a, b, looks[0], looks[1]),
    ]


def look(shots: Sequence[Shot]) -> Look:
    """Look at FRAMES frames, evenly spread over all shots. Raises FootageError for one that cannot be read."""
    frames = [frame.permute(1, 2, 0).numpy() for frame in spread(shots, FRAMES)]
    small, middle = (
        np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]).astype(np.float32)
        for side in (THUMBNAIL, 64)
    )
    steps = np.abs(np.diff(middle, axis=1)).mean(-1)
    values = [*middle.reshape(-1, 3).T, steps.ravel()]
    grid = (np.arange(64) + 0.5) / 64
    return Look(small, np.stack([np.quantile(x, grid) for x in values]).astype(np.float32), _bars(frames))


def difference(a: Look, b: Look) -> float:
    """How far two domains are apart, in grey levels of 255: of colours, edges and mean thumbnails, what differs most.

    Colours and edges are compared by the Wasserstein-1 distance of their distributions, the mean distance of their
    quantiles; mean thumbnails tell one person from another before the same wall.
    """
    distances = np.abs(a.quantiles - b.quantiles).mean(1)
    means = np.abs(a.thumbnails.mean(0) - b.thumbnails.mean(0)).mean()
    return float(max(*distances, means))


def _each(domain: Domain, seen: Look) -> Iterable[str]:
    if len(domain.windows) < FEW_CLIPS:
        yield (
            f"domain {domain.called} has only {len(domain.windows)} clips; below {FEW_CLIPS} expect a model that knows "
            "little else: add footage"
        )
    if len(seen.thumbnails) > 1 and float(seen.thumbnails.std(0).mean()) < STATIC:
        yield (
            f"all frames of domain {domain.called} look nearly the same, so the model will give that one picture "
            "whatever it is shown; add footage in which more happens"
        )


def _alike(a: Look, b: Look) -> Iterable[str]:
    if difference(a, b) < ALIKE:
        yield (
            "both domains look nearly the same in colours, edges and layout, so there is little to translate; check "
            "that --a and --b are not the same footage"
        )


def _timing(a: Domain, b: Domain) -> Iterable[str]:
    if a.frames == 1:  # nothing is learned of motion
        return
    times = [_interval(domain.shots) * float(np.mean(domain.strides)) for domain in (a, b)]
    if min(times) > 0 and max(times) / min(times) > RATE:
        rates = ", ".join(
            f"{1 / t:.3g} per second in domain {domain.called}" for t, domain in zip(times, (a, b), strict=True)
        )
        yield (
            f"the frames of clips follow at different rates ({rates}), so that motion has another speed; extract both "
            f"with extract.fps = {max(np.mean(domain.strides) for domain in (a, b)) / max(times):.3g}"
        )


def _framing(a: Domain, b: Domain, look_a: Look, look_b: Look) -> Iterable[str]:
    (height_a, width_a), (height_b, width_b) = a.canvas, b.canvas
    aspects = width_a / height_a, width_b / height_b
    sizes = f"{width_a}x{height_a} in domain {a.called}, {width_b}x{height_b} in domain {b.called}"
    if max(aspects) / min(aspects) > ASPECT:
        yield f"the frames have different shapes ({sizes}); crop one to the shape of the other: {_cropped(a)}"
    elif max(height_a, height_b) / min(height_a, height_b) > SCALE:
        yield (
            f"the frames have different sizes ({sizes}), so things may differ in size too; extract both with one "
            "extract.short_side"
        )
    for domain, own, other in ((a, look_a, look_b), (b, look_b, look_a)):
        for axis, side in enumerate(("above and below", "left and right")):
            if own.bars[axis] - other.bars[axis] > BAR:
                yield (
                    f"domain {domain.called} has black bars {side} ({own.bars[axis]:.0%} of the frame) that the other "
                    f"domain has not, and the model will learn to paint them; cut them off: {_cropped(domain)}"
                )


def _cropped(domain: Domain) -> str:
    """How to extract one domain with a crop of its own: that of a pipeline file is for both."""
    name = domain.name
    return f"'recycle extract VIDEO… --crop X,Y,WIDTH,HEIGHT --out FOLDER', then give --{name} FOLDER"


def _interval(shots: Sequence[Shot]) -> float:
    """Median seconds between extracted frames, over the frames of all sources; 0: unknown."""
    known = [(shot.interval, len(shot.files)) for shot in shots if shot.interval]
    if not known:
        return 0.0
    intervals, counts = np.array(sorted(known)).T
    return float(intervals[np.searchsorted(np.cumsum(counts), counts.sum() / 2)])


def _bars(frames: Sequence[NDArray[np.uint8]]) -> tuple[float, float]:
    sides = [_black(frame) for frame in frames]
    (top, bottom), (left, right) = np.min(sides, axis=0)
    return float(top + bottom) * (min(top, bottom) > BAR), float(left + right) * (min(left, right) > BAR)


def _black(frame: NDArray[np.uint8]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Parts of the height that are black from above and from below, and of the width from the left and right.

    0 for a frame that is black altogether: a fade is no bar, and (1, 1) keeps it out of the least.
    """
    ends = []
    for axis in (0, 1):
        brightest = frame.max(-1).max(1 - axis)
        light = np.flatnonzero(brightest > BLACK)
        if len(light) == 0:
            return (1.0, 1.0), (1.0, 1.0)
        ends.append((light[0] / len(brightest), 1 - (light[-1] + 1) / len(brightest)))
    return ends[0], ends[1]
