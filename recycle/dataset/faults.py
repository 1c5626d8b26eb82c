"""Finds problems of the footage before training, and explains each with its remedy.

It reads a few evenly spread frames, so that its duration does not depend on the length of the footage.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.dataset.clips import FEW_CLIPS, DomainClips
from recycle.dataset.shots import Shot, spread
from recycle.plural import counted

FRAMES = 48
"""Number of frames per domain that are examined."""
THUMBNAIL = 16
"""Side in pixels of the thumbnails that show whether frames differ."""
STATIC = 1.5
"""In grey levels of 255: a domain counts as static if the standard deviation of thumbnail pixels over time is below
this on average."""
ALIKE = 4.0
"""In grey levels of 255: domains with a smaller `difference` are too similar. Two videos of one person in one room
differ by 7, two people there by 25, two streets by day by 13, day and night by 70."""
RATE = 1.5
"""Ratio of frame intervals above which motion differs in speed between the domains."""
ASPECT = 1.2
"""Ratio of aspect ratios above which the domains are framed differently."""
SCALE = 1.3
"""Ratio of frame heights in pixels above which objects may differ in size."""
BLACK = 24
"""Maximum grey level of 255 in a black bar; lossy video has some noise there."""
BAR = 0.03
"""Minimum size of black bars, at each of two opposite sides, as a proportion of the frame's height or width."""


@dataclass(frozen=True)
class Look:
    """Statistics of a few frames of a domain."""

    thumbnails: NDArray[np.float32]
    """(N, THUMBNAIL, THUMBNAIL, 3) RGB in [0, 255]."""
    quantiles: NDArray[np.float32]
    """(4, 64): quantiles of R, G, B and of the differences between vertically adjacent pixels of 64-pixel
    thumbnails."""
    bars: tuple[float, float]
    """Proportions of the height and of the width that are black in all frames, if both opposite sides have bars."""


def faults(a: DomainClips, b: DomainClips, *, paired: bool) -> list[str]:
    """Warnings about training on these domains, one line each. Raises FootageError if a frame cannot be read."""
    looks = [look(domain.shots) for domain in (a, b)]
    return [
        *_each(a, looks[0]),
        *_each(b, looks[1]),
        *([] if paired else _alike(looks[0], looks[1])),
        *_timing(a, b),
        *_framing(a, b, looks[0], looks[1]),
    ]


def look(shots: Sequence[Shot]) -> Look:
    """Examine FRAMES frames, evenly spread over all shots. Raises FootageError if a frame cannot be read."""
    frames = spread(shots, FRAMES)
    small, middle = (
        np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]).astype(np.float32)
        for side in (THUMBNAIL, 64)
    )
    steps = np.abs(np.diff(middle, axis=1)).mean(-1)
    values = [*middle.reshape(-1, 3).T, steps.ravel()]
    grid = (np.arange(64) + 0.5) / 64
    return Look(small, np.stack([np.quantile(x, grid) for x in values]).astype(np.float32), bars(frames))


def difference(a: Look, b: Look) -> float:
    """How much two domains differ in colours, edges and mean thumbnails: the largest of these, in grey levels of 255.

    Colours and edges are compared by the Wasserstein-1 distance of their distributions, which is the mean distance of
    their quantiles. Mean thumbnails distinguish two people in front of the same wall.
    """
    distances = np.abs(a.quantiles - b.quantiles).mean(1)
    means = np.abs(a.thumbnails.mean(0) - b.thumbnails.mean(0)).mean()
    return float(max(*distances, means))


def _each(domain: DomainClips, seen: Look) -> Iterable[str]:
    if (count := len(domain.windows)) < FEW_CLIPS:
        yield (
            f"domain {domain.called} has only {counted(count, 'clip')}; below {FEW_CLIPS}, "
            "expect a model that works only on similar footage: add footage"
        )
    if len(seen.thumbnails) > 1 and float(seen.thumbnails.std(0).mean()) < STATIC:
        yield (
            f"all frames of domain {domain.called} look nearly the same, so the model will produce that one image for "
            "any input; add more varied footage"
        )


def _alike(a: Look, b: Look) -> Iterable[str]:
    if difference(a, b) < ALIKE:
        yield (
            "both domains look nearly the same in colours, edges and layout, so there is little to translate; check "
            "that --a and --b are not the same footage"
        )


def _timing(a: DomainClips, b: DomainClips) -> Iterable[str]:
    if a.frames == 1:  # training on single frames ignores motion
        return
    times = [_interval(domain.shots) * float(np.mean(domain.strides)) for domain in (a, b)]
    if min(times) > 0 and max(times) / min(times) > RATE:
        rates = ", ".join(
            f"{1 / t:.3g} per second in domain {domain.called}" for t, domain in zip(times, (a, b), strict=True)
        )
        yield (
            f"the clips have different frame rates ({rates}), so motion differs in speed; extract both domains with "
            f"extract.fps = {max(np.mean(domain.strides) for domain in (a, b)) / max(times):.3g}"
        )


def _framing(a: DomainClips, b: DomainClips, look_a: Look, look_b: Look) -> Iterable[str]:
    (height_a, width_a), (height_b, width_b) = a.canvas, b.canvas
    aspects = width_a / height_a, width_b / height_b
    sizes = f"{width_a}x{height_a} in domain {a.called}, {width_b}x{height_b} in domain {b.called}"
    if max(aspects) / min(aspects) > ASPECT:
        yield f"the frames have different aspect ratios ({sizes}); crop one domain to match the other: {_cropped(a)}"
    elif max(height_a, height_b) / min(height_a, height_b) > SCALE:
        yield (
            f"the frames have different sizes ({sizes}), so objects may differ in size too; extract both domains with "
            "the same extract.short_side"
        )
    for domain, own, other in ((a, look_a, look_b), (b, look_b, look_a)):
        for axis, side in enumerate(("above and below", "left and right")):
            if own.bars[axis] - other.bars[axis] > BAR:
                yield (
                    f"domain {domain.called} has black bars {side} ({own.bars[axis]:.0%} of the frame), the other "
                    f"domain has none, and the model would learn to add them; crop them: {_cropped(domain)}"
                )


def _cropped(domain: DomainClips) -> str:
    """The commands that extract one domain with its own crop; the crop of a pipeline file applies to both domains."""
    name = domain.name
    return f"'recycle extract VIDEO… --crop X,Y,WIDTH,HEIGHT --out FOLDER', then give --{name} FOLDER"


def _interval(shots: Sequence[Shot]) -> float:
    """Median seconds between extracted frames, over the frames of all sources; 0 if unknown."""
    known = [(shot.interval, len(shot.files)) for shot in shots if shot.interval]
    if not known:
        return 0.0
    intervals, counts = np.array(sorted(known)).T
    return float(intervals[np.searchsorted(np.cumsum(counts), counts.sum() / 2)])


def bars(frames: Sequence[NDArray[np.uint8]]) -> tuple[float, float]:
    """Proportions of the height and of the width of RGB frames that are black in all of them, as `Look.bars`."""
    sides = [_black(frame) for frame in frames]
    (top, bottom), (left, right) = np.min(sides, axis=0)
    if top == 1:  # all frames are black
        return 0.0, 0.0
    return float(top + bottom) * (min(top, bottom) > BAR), float(left + right) * (min(left, right) > BAR)


def _black(frame: NDArray[np.uint8]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Black proportions of a frame: of its height from above and below, of its width from the left and right.

    Returns 1 for all four if the whole frame is black: a fade is not a bar.
    """
    ends = []
    for axis in (0, 1):
        brightest = frame.max(-1).max(1 - axis)
        light = np.flatnonzero(brightest > BLACK)
        if len(light) == 0:
            return (1.0, 1.0), (1.0, 1.0)
        ends.append((light[0] / len(brightest), 1 - (light[-1] + 1) / len(brightest)))
    return ends[0], ends[1]
