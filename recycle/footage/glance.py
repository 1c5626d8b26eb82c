"""A quick look at footage before anything of it is extracted: what the settings of a training depend on.

A few frames of each side are decoded, evenly spread, so that it takes no longer for hours of footage than for seconds.
Nothing is written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from recycle.errors import FootageError
from recycle.footage.clips import find_shots, spread
from recycle.footage.decode import VideoReader, estimate_frames, open_frames
from recycle.footage.find import find_sources
from recycle.footage.frame import ASSUMED_RATE
from recycle.footage.images import ImageFolderReader
from recycle.footage.street_paint import LABELS

SOURCES = 12
"""Sources of each side that are opened."""
FRAMES = 24
"""Frames of each side that are looked at."""
SHORT = 300
"""Frames of a source that is decoded as a whole; a longer one is entered at its key frames."""
FLAT = 0.25
"""Least part of the pixels of label maps that are within two levels of their neighbours, small and in lossy video too:
0.37 of street labels at 96 lines, 0.99 of masks in PNG."""
COLOURS = 24
"""Most colours, of 32 levels for each channel, that nine tenths of the flat pixels of label maps have. Street labels in
lossy video have 6, photographed footage more than 50."""
GREY = 6.0
"""Levels of 255 by which the channels of most frames of grey footage differ at most, on average."""


@dataclass(frozen=True)
class Side:
    """What the footage of one domain is like."""

    width: int
    height: int
    """Of the upright frames, in square pixels; of the source with the shortest side."""
    fps: float
    """Frames per second, the median over the sources."""
    frames: int
    """As the sources claim; of more than SOURCES of them, about so many."""
    labels: bool = False
    """Whether it consists of flat areas of few colours, as label maps do."""
    street_labels: bool = False
    """Whether their colours are those of the procedural street's labels."""
    grey: bool = False
    """Whether it has no colour."""
    extracted: bool = False
    """Whether its frames are on disk already, at the size that they have."""

    @property
    def short_side(self) -> int:
        """Pixels of the shorter side."""
        return min(self.width, self.height)


@dataclass(frozen=True)
class Facts:
    """What the footage of both domains is like."""

    a: Side
    b: Side


def glance(a: Sequence[Path], b: Sequence[Path]) -> Facts:
    """Look at the footage of both domains: videos, folders of videos or of images, or extracted frames.

    Raises FootageError, in one line, for footage that does not exist, or of which nothing can be read.
    """
    return Facts(_look(a), _look(b))


def is_extracted(path: Path) -> bool:
    """Whether a path is a folder of frames that `recycle extract` wrote."""
    return path.is_dir() and any(path.glob("**/manifest.json"))


def has_flat_colours(frames: Sequence[NDArray[np.uint8]]) -> bool:
    """Whether RGB frames (H, W, 3) at their own size are label maps: flat areas of few colours."""
    flat = [_flat_pixels(frame) for frame in frames]
    if sum(map(len, flat)) < FLAT * sum(frame.shape[0] * frame.shape[1] for frame in frames):
        return False
    counts = np.sort(np.bincount((np.concatenate(flat) >> 3) @ np.array([1024, 32, 1])))[::-1]
    return bool(np.searchsorted(np.cumsum(counts), 0.9 * counts.sum()) < COLOURS)


def has_street_colours(frames: Sequence[NDArray[np.uint8]]) -> bool:
    """Whether nearly all flat pixels of label maps, RGB frames (H, W, 3), have a colour of the street's labels."""
    flat = np.concatenate([_flat_pixels(frame) for frame in frames])
    away = np.min([np.abs(flat - colour).max(-1) for colour in LABELS.values()], axis=0)
    return bool(len(flat)) and float((away < 12).mean()) > 0.9


def _flat_pixels(frame: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Colours (N, 3) of the pixels of (H, W, 3) that are within two levels of those at their right and below."""
    pixels = frame.astype(np.int64)
    here = pixels[:-1, :-1]
    alike = np.maximum(abs(pixels[:-1, 1:] - here).max(-1), abs(pixels[1:, :-1] - here).max(-1)) <= 2
    return here[alike]


def _look(paths: Sequence[Path]) -> Side:
    if all(is_extracted(path) for path in paths):
        shots = [shot for path in paths for shot in find_shots(path)]
        if not any(len(shot.files) for shot in shots):
            raise FootageError(f"{paths[0]} holds no frames; extract the footage again")
        frames = [frame.permute(1, 2, 0).numpy() for frame in spread(shots, FRAMES)]
        smallest = min(shots, key=lambda shot: min(shot.width, shot.height))
        rates = [1 / shot.interval for shot in shots if shot.interval]
        count = sum(len(shot.files) for shot in shots)
        return _side(smallest.width, smallest.height, rates, count, frames, extracted=True)
    sources = find_sources(paths)
    looked_at = [sources[i] for i in np.unique(np.linspace(0, len(sources) - 1, SOURCES).astype(int))]
    each = -(-FRAMES // len(looked_at))
    frames, sizes, rates, counts, problems = [], [], [], [], []
    for source in looked_at:
        try:
            reader = open_frames(source, square_pixels=True)
            frames += list(_spread(reader, each))
        except (FootageError, av.FFmpegError, OSError) as error:
            problems.append(str(error))
            continue
        sizes.append((reader.info.width, reader.info.height))
        rates.append(float(reader.info.average_rate or ASSUMED_RATE))
        counts.append(reader.info.frame_count or estimate_frames(source) or 1)
    if not frames:
        raise FootageError(problems[0] if len(looked_at) == 1 else f"nothing of {paths[0]} can be read: {problems[0]}")
    width, height = min(sizes, key=min)
    count = round(sum(counts) * len(sources) / len(looked_at))
    return _side(width, height, rates, count, frames)


def _side(
    width: int,
    height: int,
    rates: Sequence[float],
    count: int,
    frames: Sequence[NDArray[np.uint8]],
    *,
    extracted: bool = False,
) -> Side:
    labels = has_flat_colours(frames)
    spans = [np.ptp(frame[::4, ::4], axis=2).mean() for frame in frames]
    return Side(
        width,
        height,
        fps=float(np.median(rates)) if rates else float(ASSUMED_RATE),
        frames=count,
        labels=labels,
        street_labels=labels and has_street_colours(frames),
        grey=float(np.median(spans)) < GREY,
        extracted=extracted,
    )


def _spread(reader: VideoReader | ImageFolderReader, count: int) -> Iterator[NDArray[np.uint8]]:
    """About `count` frames of a source as RGB (H, W, 3), evenly spread."""
    info = reader.info
    total = info.frame_count or 0
    if isinstance(reader, ImageFolderReader):
        for index in np.unique(np.linspace(0, total - 1, count).astype(int)):
            yield from (np.asarray(f.pixels(), np.uint8) for f in reader.read(start=int(index), end=int(index) + 1))
        return
    if not info.duration or total <= SHORT:
        every = max(1, total // count)
        for frame in islice(reader.read(), 0, SHORT, every):
            yield np.asarray(frame.pixels(), np.uint8)
        return
    seen: set[int] = set()
    for part in range(count):
        moment = info.start + info.duration * part / count
        for frame in islice(reader.read(entry=int(moment / info.time_base)), 1):
            if frame.pts not in seen:  # the key frame before several moments
                seen.add(frame.pts)
                yield np.asarray(frame.pixels(), np.uint8)
        reader.close()
