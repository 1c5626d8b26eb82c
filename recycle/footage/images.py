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
from recycle.footage.alpha import opaque
from recycle.footage.frame import NOTHING, Beside, Frame, LazyFrame, Pixels, StreamInfo
from recycle.footage.index import Index
from recycle.footage.projection import Projection

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})

_WITH_ALPHA = frozenset({".png", ".webp", ".tif", ".tiff", ".bmp"})


class ImageFolderReader:
    """The numbered images of a folder in numeric order; the same interface as VideoReader.

    The index of an image is its pts; gaps in the numbering are no gaps in time.
    """

    damaged = concealed = repaired = 0
    """Always 0: a damaged image is an error."""
    interlaced = hdr = hardware = False
    missing = 0
    bits = 8
    captions = captions_later = False
    lost: tuple[str, ...] = ()
    projection = Projection(b"", True, ())
    lasting = 1
    """How long the last image is shown, in units of the time base."""

    def __init__(
        self, folder: Path, *, fps: Fraction | int = 25, depth: Literal[8, 16] = 8, alpha: bool = False
    ) -> None:
        """Raises FootageError, in one line, if the folder holds no numbered image or the first is broken.

        `depth` 8 gives uint8, 16 uint16 over its whole range; `alpha` the alpha channel beside the frames, if the
        first, middle or last image has one.
        """
        self.path = folder
        self._depth = depth
        self.files = numbered_images(folder)
        if not self.files:
            raise FootageError(f"{folder} holds no numbered images (png, jpg, bmp, webp, tif)")
        height, width = read_image(self.files[0]).shape[:2]
        rate, count = Fraction(fps), len(self.files)
        channels = [read_alpha(self.files[index], depth=8) for index in sorted({0, count // 2, count - 1})]
        self.alpha = any(channel is not None for channel in channels)
        """Whether images have an alpha channel; without `alpha`, frames show the colours that lie beneath."""
        self.transparent = any(channel is not None and channel.min() < 255 for channel in channels)
        """Whether one of the images that were looked at has transparent pixels."""
        self.transparent_later = self.may_be_transparent = False
        """Whether another image so far turned out to be transparent."""
        self._give_alpha = alpha and self.alpha
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
                beside = partial(self._beside, file)
                yield LazyFrame(partial(_sized, image), index, self.info.time_base, beside=beside)

    def _image(self, file: Path) -> Pixels:
        pixels, (width, height) = read_image(file, depth=self._depth), (self.info.width, self.info.height)
        if pixels.shape[:2] != (height, width):
            raise FootageError(
                f"{file} is {pixels.shape[1]}×{pixels.shape[0]} pixels, but {self.files[0].name} is "
                f"{width}×{height}: all images of a folder must have one size"
            )
        return pixels

    def _beside(self, file: Path) -> Beside:
        if not self._give_alpha:
            checked = file.suffix.lower() in (".png", ".webp")  # whose headers tell: others are decoded for nothing
            if checked and not (self.transparent or self.transparent_later):
                alpha = read_alpha(file, depth=8)
                self.transparent_later = alpha is not None and bool(alpha.min() < 255)
            return NOTHING
        size = self.info.height, self.info.width
        alpha = read_alpha(file, depth=self._depth)
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


def _may_have_alpha(path: Path) -> bool:
    """Whether the header of an image leaves it open that it has an alpha channel."""
    if path.suffix.lower() not in _WITH_ALPHA:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError:
        return False
    if head.startswith(b"\x89PNG"):  # the colour types of grey and RGB without alpha
        return head[25:26] not in (b"\x00", b"\x02") or b"tRNS" in head
    return head[12:16] != b"VP8 "  # WebP of the simple, lossy kind


def read_alpha(path: Path, *, depth: Literal[8, 16]) -> Pixels | None:
    """(H, W) opacity of an image, uint8 or uint16 over its whole range; None if it has no alpha or is unreadable."""
    if not _may_have_alpha(path):
        return None
    try:
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError:
        return None
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if image is None or image.ndim != 3 or image.shape[2] != 4 or image.dtype not in (np.uint8, np.uint16):
        return None
    alpha: Pixels = np.ascontiguousarray(image[..., 3])
    if depth == 16:
        return alpha.astype(np.uint16) * 257 if alpha.dtype == np.uint8 else alpha
    return alpha if alpha.dtype == np.uint8 else (alpha // 257).astype(np.uint8)


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
