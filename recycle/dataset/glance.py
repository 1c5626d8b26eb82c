"""Samples the footage of one domain, before or after it is extracted.

It decodes a few evenly spread frames, so that its duration does not depend on the length of the footage, and writes
nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.dataset.manifest import is_extracted
from recycle.dataset.shots import Shot, find_shots, locate
from recycle.errors import FootageError
from recycle.inputs import open_source
from recycle.video.find import find_footage
from recycle.video.frame import ASSUMED_RATE, LazyFrame
from recycle.video.source import Reading, Source
from recycle.video.stated import estimate_frames

SOURCES = 12
"""Maximum number of sources that are opened per domain."""
FRAMES = 24
"""Number of sampled frames per domain, each with the next frame."""
SHORT = 300
"""Sources with at most this many frames are decoded completely; in longer ones, decoding starts at key frames."""
CROP = 512
"""Maximum side in pixels of the central crop that is kept at full resolution."""
LINES = 112
"""Shorter side in pixels of the reduced whole frame."""
WIDEST = 4
"""Maximum ratio of the longer to the shorter side of the reduced whole frame."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Glimpse:
    """The kept parts of one sampled frame: RGB (H, W, 3) uint8."""

    middle: Pixels
    """Central crop at full resolution, at most CROP pixels per side, with exact colours."""
    whole: Pixels
    """Whole frame, reduced to a shorter side of LINES pixels."""
    after: Pixels | None
    """The next frame, reduced likewise; None at the end of a shot or source."""


@dataclass(frozen=True)
class Glance:
    """Properties of the footage of one domain, from a few frames and from the headers of its sources."""

    width: int
    """Width in square pixels of the upright frames of the source with the shortest side."""
    height: int
    """Height in square pixels of these frames."""
    fps: float
    """Frames per second, the median over the sources."""
    frames: int
    """Number of frames that the sources state; extrapolated if there are more than SOURCES sources."""
    extracted: bool
    """Whether the frames are already extracted, at their final size."""
    glimpses: tuple[Glimpse, ...]
    """The sampled frames; at least one."""
    skipped: tuple[str, ...] = ()
    """Messages about files that extraction will skip; of more than SOURCES sources not all are opened."""


def glance(paths: Sequence[Path]) -> Glance:
    """Sample videos, folders of videos or of images, or extracted frames.

    Raises FootageError if a path does not exist, or if nothing in it can be read.
    """
    if all(is_extracted(path) for path in paths):
        shots = [shot for path in paths for shot in find_shots(path)]
        if not any(len(shot.files) for shot in shots):
            raise FootageError(f"{paths[0]} holds no frames; extract the footage again")
        return glance_at_shots(shots)
    found = find_footage(paths)
    sources = found.sources
    looked_at = [sources[i] for i in np.unique(np.linspace(0, len(sources) - 1, SOURCES).astype(int))]
    each = -(-FRAMES // len(looked_at))
    glimpses: list[Glimpse] = []
    sizes, rates, counts, problems = [], [], [], []
    for source in looked_at:
        try:
            with open_source(source, Reading(square_pixels=True)) as reader:
                count = reader.info.frame_count or estimate_frames(source) or 0
                seen = list(_spread(reader, count, each))
        except (FootageError, av.FFmpegError, OSError) as error:
            problems.append(str(error) if isinstance(error, FootageError) else f"{source}: {error}")
            continue
        glimpses += seen
        sizes.append((reader.info.width, reader.info.height))
        rates.append(float(reader.info.average_rate or ASSUMED_RATE))
        counts.append(max(1, count))
    if not glimpses:
        raise FootageError(
            problems[0] if len(looked_at) == 1 else f"none of the sources in {paths[0]} can be read: {problems[0]}"
        )
    width, height = min(sizes, key=min)
    count = round(sum(counts) * len(sources) / len(looked_at))
    skipped = (*(f"will be skipped: {problem}" for problem in problems), *found.messages())
    return Glance(width, height, float(np.median(rates)), count, False, tuple(glimpses), skipped)


def glance_at_shots(shots: Sequence[Shot]) -> Glance:
    """Sample extracted frames, at least one. Raises FootageError if a frame cannot be read."""
    count = sum(len(shot.files) for shot in shots)
    glimpses = []
    for shot, index in locate(shots, np.unique(np.linspace(0, count - 1, FRAMES).astype(int))):
        after = shot.pixels(index + 1) if index + 1 < len(shot.files) else None
        glimpses.append(_glimpse(shot.pixels(index), after))
    smallest = min(shots, key=lambda shot: min(shot.width, shot.height))
    rates = [1 / shot.interval for shot in shots if shot.interval]
    fps = float(np.median(rates)) if rates else float(ASSUMED_RATE)
    return Glance(smallest.width, smallest.height, fps, count, True, tuple(glimpses))


def _spread(reader: Source, total: int, count: int) -> Iterator[Glimpse]:
    """About `count` evenly spread frames of a source with about `total` frames (0: unknown), each with the next
    frame."""
    info = reader.info
    if reader.direct:
        for start in np.unique(np.linspace(0, total - 1, count).astype(int)):
            yield from _pairs(islice(reader.read(start=int(start)), 2), every=2)
        return
    if not info.duration or total <= SHORT:
        yield from _pairs(islice(reader.read(), SHORT), every=max(1, (total or SHORT) // count))
        return
    seen: set[int] = set()
    for part in range(count):
        moment = info.start + info.duration * part / count
        frames = islice(reader.read(entry=int(moment / info.time_base)), 2)
        if (first := next(frames, None)) is not None and first.pts not in seen:  # several moments may share a key frame
            seen.add(first.pts)
            before, after = _pixels(first), next(frames, None)
            yield _glimpse(before, None if after is None else _pixels(after))
        reader.close()


def _pairs(frames: Iterable[LazyFrame], *, every: int) -> Iterator[Glimpse]:
    """One of every `every` frames, with the next frame."""
    before: Pixels | None = None
    for number, frame in enumerate(frames):
        if before is None and number % every:
            continue
        pixels = _pixels(frame)
        if before is not None:
            yield _glimpse(before, pixels)
        before = None if number % every else pixels
    if before is not None:
        yield _glimpse(before, None)


def _glimpse(frame: Pixels, after: Pixels | None) -> Glimpse:
    top, left = (max(0, side - CROP) // 2 for side in frame.shape[:2])
    middle = frame[top : top + CROP, left : left + CROP].copy()  # copied, so that the rest of the frame is freed
    return Glimpse(middle, _resized(frame), None if after is None else _resized(after))


def _resized(frame: Pixels) -> Pixels:
    """The frame with a shorter side of LINES pixels and a longer side of at most WIDEST times as many."""
    scale = LINES / min(frame.shape[:2])
    height, width = (min(round(side * scale), WIDEST * LINES) for side in frame.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)


def _pixels(frame: LazyFrame) -> Pixels:
    return np.asarray(frame.pixels(), np.uint8)
