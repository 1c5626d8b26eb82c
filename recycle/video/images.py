"""Reads a folder of numbered images as a video."""

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path

from recycle.errors import FootageError
from recycle.video.alpha import opaque
from recycle.video.container import check_size
from recycle.video.find import images_in
from recycle.video.frame import ASSUMED_RATE, NOTHING, Beside, LazyFrame, Pixels, StreamInfo, sized
from recycle.video.image_facts import facts_at, facts_of
from recycle.video.image_file import DamagedImage, image_size, read_alpha, read_image
from recycle.video.index import Index
from recycle.video.numbered import listed
from recycle.video.source import USUAL, Reading, Source, numbers

_NEAR, _HEAD = 4096, 1 << 17
"""Number of bytes at the start of a JPEG file in which the EXIF tags begin, and in which they and the size end."""


class ImageFolderReader(Source):
    """Reads the numbered images of a folder in numeric order.

    The pts of an image is its index in that order; gaps in the numbering are not gaps in time. A damaged or truncated
    image is concealed by the nearest intact one.
    """

    kind = "folder of images"
    direct = True
    raw = True
    lasting = 1

    def __init__(self, path: Path, reading: Reading = USUAL) -> None:
        """Read the headers of all images. The source has alpha if the first, middle or last image has an alpha channel.

        Raises FootageError, in one line, if `path` is not a folder of numbered images (see
        `recycle.video.find.images_in`), no image can be read, the images differ in size, or one has more than
        `reading.max_pixels`.
        """
        super().__init__(path, reading)
        with self.watched():
            self._look()

    def _look(self) -> None:
        """Determine all properties from the headers and a few images."""
        path, reading = self.path, self.reading
        self.files = self._list()
        self.rate_assumed = reading.fps is None and not self.still
        self._bad = _check_headers(path, self.files, reading.max_pixels)
        self._good: tuple[int, Pixels] | None = None  # index and pixels of the last image that was read
        height, width = self._first().shape[:2]
        rate, count = Fraction(reading.fps or ASSUMED_RATE), len(self.files)
        looked_at = sorted({0, count // 2, count - 1} - self._bad)
        channels = [read_alpha(self.files[index], depth=8) for index in looked_at]
        facts = [facts_at(self.files[index]) for index in looked_at]
        self.bits = max((each.bits for each in facts), default=8)
        self.grey = all(each.grey for each in facts)
        self.lost = tuple(dict.fromkeys(name for each in facts for name in each.more))
        self.alpha = any(channel is not None for channel in channels)
        self.transparent = any(channel is not None and channel.min() < 255 for channel in channels)
        self.info = StreamInfo(
            width, height, time_base=1 / rate, average_rate=rate, duration=count / rate, frame_count=count
        )

    def _list(self) -> list[Path]:
        """The images, in order. Raises FootageError if there is none."""
        return images_in(self.path)

    @classmethod
    def takes(cls, path: Path) -> bool:
        """Whether `path` is a folder."""
        return path.is_dir()

    @property
    def bad(self) -> list[str]:  # type: ignore[override]
        """Names of the images known to be damaged, in order; before a reading, those with unreadable headers."""
        return [self.files[index].name for index in sorted(self._bad)]

    def index(self, *, until: int | None = None) -> Index:
        """The index of all images, each a key frame; `until` is ignored."""
        stamps = tuple(range(len(self.files)))
        return Index(stamps, stamps)

    def read(
        self, *, start: int | None = None, end: int | None = None, entry: int | None = None
    ) -> Generator[LazyFrame]:
        """See `Source.read`. Raises FootageError if an image differs in size from the first, the disk fails, or all
        images are damaged."""
        self.damaged = self.concealed = 0
        for index in numbers(len(self.files), start, end):
            pixels = self._load(index)
            lost = pixels is None
            self.damaged += lost
            self.concealed += lost
            convert = partial(self._concealed, index) if pixels is None else partial(sized, pixels)
            yield LazyFrame(convert, index, self.info.time_base, lost, partial(self._beside, index))

    def _first(self) -> Pixels:
        """The first image that can be read; earlier ones are recorded as damaged."""
        for index, file in enumerate(self.files):
            if index not in self._bad:
                try:
                    return read_image(file, max_pixels=self.reading.max_pixels)
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
            pixels = read_image(file, depth=self.reading.depth, max_pixels=self.reading.max_pixels)
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
        """Pixels of the nearest intact image, for the LazyFrame of a damaged one."""
        return sized(self._nearest(index)[1], size, rough)

    def _nearest(self, index: int) -> tuple[int, Pixels]:
        """Index and pixels of the intact image nearest to a damaged one; of two, the earlier."""
        for distance in range(1, len(self.files)):
            for near in (index - distance, index + distance):
                if 0 <= near < len(self.files) and (pixels := self._load(near)) is not None:
                    return near, pixels
        raise self._nothing()

    def _nothing(self) -> FootageError:
        return FootageError(f"{self.path} holds no readable image; damaged: {listed(self.bad)}")

    def _beside(self, index: int) -> Beside:
        """The alpha channel of an image, or of the image that conceals it."""
        if not self.gives_alpha:
            file = self.files[index]
            checked = file.suffix.lower() in (".png", ".webp")  # only their headers can rule out alpha
            if checked and not (self.transparent or self.transparent_later):
                alpha = read_alpha(file, depth=8)
                self.transparent_later = alpha is not None and bool(alpha.min() < 255)
            return NOTHING
        shown = self._nearest(index)[0] if index in self._bad else index
        size = self.info.height, self.info.width
        alpha = read_alpha(self.files[shown], depth=self.reading.depth)
        fits = alpha is not None and alpha.shape == size
        return Beside(alpha if fits else opaque(size[1], size[0], self.reading.depth))


def _check_headers(folder: Path, files: list[Path], max_pixels: int) -> set[int]:
    """Indices of images whose headers cannot be read. Raises FootageError for sizes that differ or are too large.

    Sizes with exchanged width and height count as equal, because the decoder applies the camera's rotation. The
    rotation is read only from JPEG files, because cameras write those.
    """
    sizes = [image_size(file) for file in files]
    for file, size in zip(files, sizes, strict=True):
        if size is not None:
            check_size(file, *size, max_pixels)
    known = [(file, size) for file, size in zip(files, sizes, strict=True) if size is not None]
    _check_alike(folder, known, [tuple(sorted(size)) for _, size in known])
    photos = [(file, _upright(file, size)) for file, size in known if file.suffix.lower() in (".jpg", ".jpeg")]
    _check_alike(folder, photos, [size for _, size in photos])
    return {index for index, size in enumerate(sizes) if size is None}


def _check_alike(folder: Path, images: list[tuple[Path, tuple[int, int]]], keys: Sequence[tuple[int, ...]]) -> None:
    """Raise FootageError if the `keys` of the images, which have these sizes, are not all equal."""
    if len(set(keys)) > 1:
        (usual, _), *_ = Counter(keys).most_common(1)
        others = [image for image, key in zip(images, keys, strict=True) if key != usual]
        raise _other_sizes(folder, others, images[keys.index(usual)][1])


def _upright(file: Path, size: tuple[int, int]) -> tuple[int, int]:
    """The width and height of a JPEG file after the camera's rotation; `size` is before it."""
    with suppress(OSError), file.open("rb") as stream:
        head = stream.read(_NEAR)
        if b"Exif" in head and facts_of(head + stream.read(_HEAD - _NEAR)).orientation >= 5:  # a quarter turn
            return size[::-1]
    return size


def _other_sizes(folder: Path, others: list[tuple[Path, tuple[int, int]]], usual: tuple[int, int]) -> FootageError:
    names = listed([f"{file.name} ({width}×{height})" for file, (width, height) in others])
    return FootageError(
        f"{folder}: all images of a folder must have the same size; most have {usual[0]}×{usual[1]} pixels, but these "
        f"differ: {names}; put the images of each size into a folder of their own"
    )
