"""Reading of a folder of numbered images as if it were a video."""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache, partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import cv2
import numpy as np

from recycle.errors import FootageError
from recycle.footage.frame import Frame, LazyFrame, Pixels, StreamInfo
from recycle.footage.index import Index

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})


class ImageFolderReader:
    """The numbered images of a folder in numeric order; the same interface as VideoReader.

    The index of an image is its pts; gaps in the numbering are no gaps in time.
    """

    damaged = concealed = repaired = 0
    """Always 0: a damaged image is an error."""
    interlaced = hdr = alpha = hardware = False
    missing = 0
    bits = 8
    lasting = 1
    """How long the last image is shown, in units of the time base."""

    def __init__(self, folder: Path, *, fps: Fraction | int = 25, depth: Literal[8, 16] = 8) -> None:
        """Raises FootageError, in one line, if the folder holds no numbered image or the first is broken.

        `depth` 8 gives uint8, 16 uint16 over its whole range.
        """
        self.path = folder
        self._depth = depth
        self.files = numbered_images(folder)
        if not self.files:
            raise FootageError(f"{folder} holds no numbered images (png, jpg, bmp, webp, tif)")
        height, width = read_image(self.files[0]).shape[:2]
        rate, count = Fraction(fps), len(self.files)
        self.info = StreamInfo(width, height, 1 / rate, rate, Fraction(1), Fraction(0), count / rate, count, 0)

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

        `entry` is of no use. Raises FootageError, when pixels are asked for, for an image that is broken or of another
        size than the first.
        """
        for index, file in islice(enumerate(self.files), start, end):
            if wanted(index):
                image = cache(partial(self._image, file))
                yield LazyFrame(partial(_sized, image), index, self.info.time_base)

    def _image(self, file: Path) -> Pixels:
        pixels, (width, height) = read_image(file, depth=self._depth), (self.info.width, self.info.height)
        if pixels.shape[:2] != (height, width):
            raise FootageError(
                f"{file} is {pixels.shape[1]}×{pixels.shape[0]} pixels, but {self.files[0].name} is "
                f"{width}×{height}: all images of a folder must have one size"
            )
        return pixels

    def close(self) -> None:
        """Nothing to close: images are opened one at a time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _sized(image: Callable[[], Pixels], size: tuple[int, int] | None, rough: bool) -> Pixels:
    pixels = image()
    if size is None or size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    how = cv2.INTER_AREA if size[0] * size[1] < pixels.shape[0] * pixels.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how), dtype=pixels.dtype)


def read_image(path: Path, *, depth: Literal[8, 16] = 8) -> Pixels:
    """Read an image as (H, W, 3) RGB: grey is repeated, alpha dropped, the camera's rotation applied.

    `depth` 8 gives uint8, 16 uint16 over its whole range; the file may have either. Raises FootageError, in
    one line, if it cannot be read.
    """
    try:
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise FootageError(f"cannot read {path}: {error.strerror}") from error
    flags = cv2.IMREAD_COLOR | (cv2.IMREAD_ANYDEPTH if depth == 16 else 0)
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise FootageError(f"{path} is not a readable image")
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if depth == 16 and rgb.dtype == np.uint8:
        return rgb.astype(np.uint16) * 257
    return rgb.astype(np.uint16) if depth == 16 else rgb.astype(np.uint8)


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
