"""Masks of video: which part of each frame is translated."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from glob import escape
from itertools import islice
from math import ceil
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.errors import FootageError
from recycle.video.fingerprint import fingerprint
from recycle.video.frame import ASSUMED_RATE, Frame, LazyFrame, Pixels
from recycle.video.image_file import read_image
from recycle.video.kinds import open_source
from recycle.video.motion import VERSION, Background
from recycle.video.numbered import is_pattern
from recycle.video.source import USUAL, Reading, Source
from recycle.video.still import ImageReader

MOTION = "motion"
"""The word for a mask of everything that moves before a fixed camera."""

Weights = NDArray[np.float32]
"""(H, W): 0 outside of the mask, 1 inside, and between them at its edge."""

_WHITE = 128
"""The level from which a pixel of a mask is inside. Masks are cut here, because a lossy codec leaves noise in black."""
_LIKE = 0.05
"""The largest relative difference of two aspect ratios that is put down to rounding."""
_FEATHER = Fraction(1, 100)
"""Width of the edge where none is given, as a share of the frame's short side."""


def identify(mask: Path | str) -> str:
    """A text that differs for different masks, for the keys of work. Raises FootageError if the mask cannot be read."""
    if mask == MOTION:
        return f"{MOTION} {VERSION}"
    _require(Path(mask))
    return fingerprint(Path(mask))


def mask_of(name: str, source: Path, masks: Path | str | None) -> Path | str | None:
    """The mask of the source `name`, a relative path: `masks`, or if that is a folder, what has the same name in it.

    The suffix may differ. A missing mask is named without its suffix; opening it will report the error.
    """
    if not isinstance(masks, Path) or not masks.is_dir():
        return masks
    own = masks / name
    if own.exists() or not source.is_file():
        return own
    folder = own.with_suffix("")
    others = sorted(folder.parent.glob(f"{escape(folder.name)}.*"))
    return folder if folder.is_dir() or not others else others[0]


def weights_of(mask: Pixels, size: tuple[int, int], feather: int | None) -> Weights:
    """The weights at `size` (height, width) for a mask (H, W) or (H, W, 3), uint8 or uint16, in which white is inside.

    The weight rises from 0 at the edge to 1 at a depth of `feather` pixels; None: a hundredth of the short side. So all
    pixels outside of the mask have the weight 0.
    """
    grey = _levels(mask)
    if grey.shape != size:
        smaller = size[0] * size[1] < grey.size
        grey = np.asarray(cv2.resize(grey, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR))
    inside = (grey >= _WHITE).astype(np.uint8)
    if inside.all():  # there is no edge
        return np.ones(size, np.float32)
    width = round(min(size) * _FEATHER) if feather is None else feather
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.minimum(depth / np.float32(width + 1), 1), dtype=np.float32)


def _levels(mask: Pixels) -> NDArray[np.uint8]:
    """The grey levels (H, W) of a mask (H, W) or (H, W, 3), uint8 or uint16."""
    grey = mask if mask.ndim == 2 else np.asarray(cv2.cvtColor(mask, cv2.COLOR_RGB2GRAY))
    return (grey // 257 if grey.dtype == np.uint16 else grey).astype(np.uint8, copy=False)


@contextmanager
def open_masks(
    mask: Path | str, source: Source, *, feather: int | None = None, end: Fraction | None = None
) -> "Iterator[Masks]":
    """Open the masks for the frames of `source` before `end`, in its own seconds; None: to its end.

    `mask` is a video, a folder or pattern of numbered images, an image for all frames, or MOTION. A frame gets the mask
    that is nearest in time, counted from the first frame of both. Numbered images have no times: they belong to frames
    by their order. A mask of another size is scaled, and `Masks.note` says if that stretches it. What a mask has beyond
    the end of its source is ignored.

    Raises FootageError if the mask cannot be read, if its file states that it is shorter than the source, if it is an
    image with nothing inside, and if it is MOTION for a live source.
    """
    if mask == MOTION:
        yield Masks(_moving(source), feather)
        return
    path = Path(mask)
    _require(path)
    if ImageReader.takes(path):
        still = read_image(path)
        if (brightest := int(_levels(still).max())) < _WHITE:
            raise FootageError(_dark(path, brightest))
        yield Masks(lambda frame: still, feather, note=_stretched(path, still.shape[1], still.shape[0], source))
        return
    rate = source.info.average_rate or ASSUMED_RATE
    with open_source(path, replace(USUAL, fps=None if path.is_file() else rate)) as film:
        note = _stretched(path, film.info.width, film.info.height, source)
        yield Masks(_Film(film, source, end), feather, path, note=note)


def _stretched(mask: Path, width: int, height: int, source: Source) -> str:
    """A notice if a mask of this size is stretched to fit the frames of `source`; otherwise ''."""
    info = source.info
    shapes = (Fraction(info.width, info.height), info.width * info.sample_aspect_ratio / info.height)
    if any(abs(Fraction(width, height) / shape - 1) <= _LIKE for shape in shapes):
        return ""
    return (
        f"the mask {mask} is {width}×{height}, but its source is {info.width}×{info.height}, so it is stretched to the "
        "source's shape; if that is wrong, stop, and pad, crop or rotate it"
    )


def _dark(mask: Path, brightest: int) -> str:
    return (
        f"the mask {mask} has nothing inside: its brightest level is {brightest} of 255, and the inside has {_WHITE} "
        "or more; paint it white"
    )


def _require(mask: Path) -> None:
    if not mask.exists() and not is_pattern(mask):
        raise FootageError(f"there is no mask {mask}")


class Masks:
    """The weights of the frames of one source, in any order; fastest in the order of time."""

    def __init__(
        self, picture: Callable[[Frame], Pixels], feather: int | None, film: Path | None = None, *, note: str = ""
    ) -> None:
        """`picture` returns the mask of a frame; see `weights_of`. `film` is the file or folder of these masks."""
        self._picture, self._film = picture, film
        self.note = note
        """A line to say before the work, about masks of another shape than the source; '' for none."""
        self._brightest = -1
        self._feather = feather
        self._last: tuple[Pixels, tuple[int, int], Weights] | None = None

    def __call__(self, frame: Frame) -> Weights:
        """The weights (H, W) of a frame. Raises FootageError if the mask ends before it or cannot be read."""
        picture, size = self._picture(frame), (frame.pixels.shape[0], frame.pixels.shape[1])
        if self._last is None or self._last[0] is not picture or self._last[1] != size:
            self._last = picture, size, weights_of(picture, size, self._feather)
            if self._brightest < _WHITE:
                self._brightest = max(self._brightest, int(_levels(picture).max()))
        return self._last[2]

    def problem(self) -> str | None:
        """A notice if all masks so far were empty; otherwise None."""
        return _dark(self._film, self._brightest) if self._film and 0 <= self._brightest < _WHITE else None


def _moving(source: Source) -> Callable[[Frame], Pixels]:
    """The masks of MOTION. The background is learned for the first of them."""
    if not source.seekable:
        raise FootageError(f"{source.path} is live: the mask '{MOTION}' needs a source that can be read twice")
    learned: list[Background] = []

    def picture(frame: Frame) -> Pixels:
        if not learned:
            reading = Reading(fps=source.reading.fps, max_pixels=source.reading.max_pixels)
            with open_source(source.path, reading) as again:  # the source itself is being read
                learned.append(Background(again))
        return learned[0].moving(frame.pixels)

    return picture


class _Film:
    """Masks from a video or a folder of images, by time or by number."""

    def __init__(self, film: Source, source: Source, end: Fraction | None) -> None:
        self._film, self._source = film, source
        self._index = film.index()
        numbered = source.index() if film.raw and source.seekable else None
        self._numbers = None if numbered is None else numbered.stamps
        unit = (film.info.average_rate or ASSUMED_RATE) * film.info.time_base
        self._step = Fraction(0) if self._numbers is not None else 1 / unit
        self._rest: Generator[LazyFrame] | None = None
        self._shown: list[LazyFrame] = []
        """The last frame that was read and is not too late, and the one after it."""
        self._asked = Fraction(0)
        self._picture: tuple[LazyFrame, Pixels] | None = None
        self._check(end)

    def __call__(self, frame: Frame) -> Pixels:
        """The mask of a frame."""
        place = self._place(frame.pts)
        try:
            near = self._nearest(place)
        except (av.FFmpegError, OSError) as error:
            raise FootageError(f"cannot read the mask {self._film.path}: {error.strerror or error}") from error
        if near.pts + self._step < place:
            raise self._short(near.pts, place)
        if self._picture is None or self._picture[0] is not near:
            self._picture = near, near.pixels()
        return self._picture[1]

    def _place(self, pts: int) -> Fraction:
        """The time of a frame of the source in units of the film's time base."""
        if self._numbers is not None:
            return Fraction(bisect_left(self._numbers, pts))
        info, own = self._source.info, self._film.info
        return (pts * info.time_base - info.start + own.start) / own.time_base

    def _nearest(self, place: Fraction) -> LazyFrame:
        """The frame of the film nearest to `place`; of two, the earlier."""
        if self._rest is None or place < self._asked:
            self._begin(place)
        self._asked = place
        now, *after = self._shown
        while after and abs(after[0].pts - place) < abs(now.pts - place):
            now, after = after[0], self._read(1)
        self._shown = [now, *after]
        return now

    def _begin(self, place: Fraction) -> None:
        """Read on from the last frame at or before `place`; without an index, from the first one."""
        start = entry = None
        if self._index is not None:
            stamps = self._index.stamps
            start = stamps[max(0, bisect_right(stamps, place) - 1)]
            entry = self._index.entry(start)
        if self._rest is not None:
            self._rest.close()
        self._rest = self._film.read(start=start, entry=entry)
        self._shown = self._read(2)
        if not self._shown:
            raise FootageError(f"the mask {self._film.path} has no frame that can be read")

    def _read(self, count: int) -> list[LazyFrame]:
        assert self._rest is not None
        return list(islice(self._rest, count))

    def _check(self, end: Fraction | None) -> None:
        """Raise FootageError if the film is shorter than the source, as far as the files state it."""
        info, own = self._source.info, self._film.info
        if self._index is not None:
            last: Fraction | int = self._index.stamps[-1]
        elif own.duration is not None:
            last = (own.start + own.duration) / own.time_base
        else:
            return
        stated = None if info.duration is None else info.start + info.duration
        stop = min((time for time in (stated, end) if time is not None), default=None)
        enough = stop is None or last + self._step >= self._place(ceil(stop / info.time_base) - 1)
        if self._numbers is None and enough:
            return
        index = self._source.index()  # what a file states of its duration may be wrong
        stamps = () if index is None else index.stamps
        before = stamps if end is None else stamps[: bisect_left(stamps, end / info.time_base)]
        if before and last + self._step < (place := self._place(before[-1])):
            raise self._short(last, place)

    def _short(self, last: Fraction | int, place: Fraction) -> FootageError:
        if self._numbers is not None:
            what = f"has {last + 1} images, but its source has at least {place + 1} frames"
        else:
            start, unit = self._film.info.start, self._film.info.time_base
            times = [float(each * unit - start) for each in (last, place)]
            what = f"ends {times[0]:.2f} s after its start, but its source has a frame at {times[1]:.2f} s"
        return FootageError(f"the mask {self._film.path} {what}; a mask must be as long as its source")
