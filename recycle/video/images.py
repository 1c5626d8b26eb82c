"""Reading of a folder of numbered images as if it were a video."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import cv2
import numpy as np

from recycle.config import MAX_PIXELS
from recycle.errors import FootageError
from recycle.video.alpha import opaque
from recycle.video.container import check_size
from recycle.video.frame import ASSUMED_RATE, NOTHING, Beside, Frame, LazyFrame, Pixels, StreamInfo
from recycle.video.image_file import DamagedImage, image_size, read_alpha, read_image
from recycle.video.index import Index
from recycle.video.projection import Projection

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
_NAMED = 5
"""Files of a kind that a message names; it counts the others."""


class ImageFolderReader:
    """The numbered images of a folder in numeric order; the same interface as VideoReader.

    The index of an image is its pts; gaps in the numbering are no gaps in time. An image that is damaged or cut off is
    concealed by the nearest one that is not.
    """

    repaired = deinterlaced = missing = 0
    interlaced = hdr = hardware = False
    raw = True
    ignores_fps = False
    bits = 8
    captions = captions_later = False
    lost: tuple[str, ...] = ()
    projection = Projection(b"", True, ())
    lasting = 1
    """How long the last image is shown, in units of the time base."""

    def __init__(
        self,
        folder: Path,
        *,
        fps: Fraction | int | None = None,
        depth: Literal[8, 16] = 8,
        max_pixels: int = MAX_PIXELS,
        alpha: bool = False,
    ) -> None:
        """Look at the headers of all images. `depth` 8 gives uint8, 16 uint16 over its whole range.

        `alpha` gives the alpha channel beside the frames, if the first, middle or last image has one. Raises
        FootageError, in one line, if the folder holds no numbered image or none that can be read, if they are of
        several sizes, or if one has more than `max_pixels`.
        """
        self.path = folder
        self._depth = depth
        self._max_pixels = max_pixels
        self.files = numbered_images(folder)
        if not self.files:
            raise FootageError(f"{folder} holds no numbered images (png, jpg, bmp, webp, tif)")
        self.damaged = 0
        """Images that could not be read so far, in the latest iteration."""
        self.concealed = 0
        """Frames so far that stand for one that is lost."""
        self.rate_assumed = fps is None
        """Whether the times of frames rest on ASSUMED_RATE."""
        self._bad = _check_headers(folder, self.files, max_pixels)
        self._good: tuple[int, Pixels] | None = None  # the latest that could be read
        height, width = self._first().shape[:2]
        rate, count = Fraction(fps or ASSUMED_RATE), len(self.files)
        looked_at = sorted({0, count // 2, count - 1} - self._bad)
        channels = [read_alpha(self.files[index], depth=8) for index in looked_at]
        self.alpha = any(channel is not None for channel in channels)
        """Whether images have an alpha channel; without `alpha`, frames show the colours that lie beneath."""
        self.transparent = any(channel is not None and channel.min() < 255 for channel in channels)
        """Whether one of the images that were looked at has transparent pixels."""
        self.transparent_later = self.may_be_transparent = False
        """Whether another image so far turned out to be transparent."""
        self._give_alpha = alpha and self.alpha
        self.info = StreamInfo(width, height, 1 / rate, rate, Fraction(1), Fraction(0), count / rate, count, 0)

    @property
    def bad(self) -> list[str]:
        """Names of the images that are known to be damaged, in order; at first those whose headers are."""
        return [self.files[index].name for index in sorted(self._bad)]

    def __iter__(self) -> Iterator[Frame]:
        return (frame.develop() for frame in self.read())

    def index(self, *, until: int | None = None) -> Index:
        """Every image is a key frame; `until` is of no use."""
        stamps = tuple(range(len(self.files)))
        return Index(stamps, stamps)

    def read(
        self,
        wanted: Callable[[int], bool] = lambda pts: True,
        *,
        start: int | None = None,
        end: int | None = None,
        entry: int | None = None,
    ) -> Iterator[LazyFrame]:
        """The frames from timestamp `start` to before `end` that are `wanted`; it is asked for each, in order.

        `entry` is of no use. Raises FootageError for an image of another size than the first, if the disk
        fails, and if all images are damaged.
        """
        self.damaged = self.concealed = 0
        for index in range(len(self.files))[slice(None if start is None else max(0, start), end)]:
            pixels = self._load(index)
            lost = pixels is None
            self.damaged += lost
            self.concealed += lost
            if wanted(index):
                convert = partial(self._concealed, index) if pixels is None else partial(_sized, pixels)
                yield LazyFrame(convert, index, self.info.time_base, lost, partial(self._beside, index))

    def _first(self) -> Pixels:
        """The first image that can be read; those before it are found to be bad."""
        for index, file in enumerate(self.files):
            if index not in self._bad:
                try:
                    return read_image(file, max_pixels=self._max_pixels)
                except DamagedImage:
                    self._bad.add(index)
        raise self._nothing()

    def _load(self, index: int) -> Pixels | None:
        """An image; None if it is damaged."""
        if self._good is not None and self._good[0] == index:
            return self._good[1]
        file = self.files[index]
        if index in self._bad:
            return None
        try:
            pixels = read_image(file, depth=self._depth, max_pixels=self._max_pixels)
        except DamagedImage:
            self._bad.add(index)
            return None
        if pixels.shape[:2] != (self.info.height, self.info.width):
            raise _other_sizes(
                self.path, [(file, (pixels.shape[1], pixels.shape[0]))], (self.info.width, self.info.height)
            )
        self._good = index, pixels
        return pixels

    def _concealed(self, index: int, size: tuple[int, int] | None, rough: bool) -> Pixels:
        """What LazyFrame shows in the place of a damaged image."""
        return _sized(self._nearest(index)[1], size, rough)

    def _nearest(self, index: int) -> tuple[int, Pixels]:
        """The image that is nearest to a damaged one, and its number; of two, the one before."""
        for distance in range(1, len(self.files)):
            for near in (index - distance, index + distance):
                if 0 <= near < len(self.files) and (pixels := self._load(near)) is not None:
                    return near, pixels
        raise self._nothing()

    def _nothing(self) -> FootageError:
        return FootageError(f"{self.path} holds no image that can be read; damaged: {listed(self.bad)}")

    def _beside(self, index: int) -> Beside:
        """The alpha channel of an image, or of the one that is shown in its place."""
        if not self._give_alpha:
            file = self.files[index]
            checked = file.suffix.lower() in (".png", ".webp")  # whose headers tell: others are decoded for nothing
            if checked and not (self.transparent or self.transparent_later):
                alpha = read_alpha(file, depth=8)
                self.transparent_later = alpha is not None and bool(alpha.min() < 255)
            return NOTHING
        shown = self._nearest(index)[0] if index in self._bad else index
        size = self.info.height, self.info.width
        alpha = read_alpha(self.files[shown], depth=self._depth)
        fits = alpha is not None and alpha.shape == size
        return Beside(alpha if fits else opaque(size[1], size[0], self._depth))

    def close(self) -> None:
        """Nothing to close: images are opened one at a time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def listed(names: list[str]) -> str:
    """Names in a message: the first few, and how many more there are."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _check_headers(folder: Path, files: list[Path], max_pixels: int) -> set[int]:
    """Indices of images whose headers cannot be read. Raises FootageError for sizes that differ or are too large.

    A camera's rotation, which only the decoder applies, may have turned some: height and width may be exchanged.
    """
    sizes = [image_size(file) for file in files]
    for file, size in zip(files, sizes, strict=True):
        if size is not None:
            check_size(file, *size, max_pixels)
    known = [(file, size) for file, size in zip(files, sizes, strict=True) if size is not None]
    if known:
        (usual, _), *_ = Counter(tuple(sorted(size)) for _, size in known).most_common(1)
        others = [(file, size) for file, size in known if tuple(sorted(size)) != usual]
        if others:
            first = next(size for _, size in known if tuple(sorted(size)) == usual)
            raise _other_sizes(folder, others, first)
    return {index for index, size in enumerate(sizes) if size is None}


def _other_sizes(folder: Path, others: list[tuple[Path, tuple[int, int]]], usual: tuple[int, int]) -> FootageError:
    names = listed([f"{file.name} ({width}×{height})" for file, (width, height) in others])
    return FootageError(
        f"{folder}: all images of a folder must have one size, and most have {usual[0]}×{usual[1]} pixels, but not "
        f"{names}"
    )


def _sized(pixels: Pixels, size: tuple[int, int] | None, rough: bool) -> Pixels:
    if size is None or size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    how = cv2.INTER_AREA if size[0] * size[1] < pixels.shape[0] * pixels.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how), dtype=pixels.dtype)


def numbered_images(folder: Path) -> list[Path]:
    """Images of a folder whose names end in a number, in numeric order."""
    files = [path for path in folder.iterdir() if _is_numbered_image(path)]
    return sorted(files, key=lambda path: natural_key(path.name))


def natural_key(name: str) -> list[str | int]:
    """Sort key by which `frame 10` comes after `frame 9`."""
    return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", name)]


def _is_numbered_image(path: Path) -> bool:
    return (
        path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and re.search(r"\d$", path.stem) is not None
        and path.is_file()
    )
