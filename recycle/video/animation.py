"""Reads animated WebP, which FFmpeg cannot decode, and the number of times that an animation is shown."""

import io
import struct
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, PngImagePlugin, WebPImagePlugin

from recycle.errors import FootageError
from recycle.system.entries import refuse_special
from recycle.video.container import check_size
from recycle.video.frame import Beside, LazyFrame, Pixels, StreamInfo, sized
from recycle.video.image_facts import to_srgb
from recycle.video.index import Index
from recycle.video.opening import opened
from recycle.video.sniff import WEBP, sniff
from recycle.video.source import USUAL, Reading, Source

UNIT = Fraction(1, 1000)
"""Seconds per unit of the durations in a WebP."""
_NO_DELAY = 100
"""Milliseconds for which browsers show a frame that states no duration."""


class Container(NamedTuple):
    """What the container of an animated WebP states (RFC 9649, section 2.7)."""

    size: tuple[int, int]
    """Width and height in pixels."""
    plays: int
    """Number of times it is shown; 0: without end."""
    durations: tuple[int, ...]
    """Milliseconds of each frame."""
    alpha: bool
    profile: bytes
    whole: bool
    """Whether the file is as long as it states."""


def parse_webp(data: bytes) -> Container | None:
    """The container of an animated WebP; None if `data` is no animated WebP."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8X":
        return None
    width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    plays, durations, profile, whole = 0, [], b"", len(data) + 1 >= int.from_bytes(data[4:8], "little") + 8
    for name, body in _chunks(data):
        if name == b"ANIM" and len(body) >= 6:
            plays = int.from_bytes(body[4:6], "little")
        elif name == b"ANMF" and len(body) >= 16:
            durations.append(int.from_bytes(body[12:15], "little") or _NO_DELAY)
        elif name == b"ICCP":
            profile = body
    return Container((width, height), plays, tuple(durations), bool(data[20] & 16), profile, whole)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack("<4sI", data[at : at + 8])
        yield name, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def plays_of(path: Path) -> int | None:
    """How often a GIF or an animated PNG is shown, 0 without end; None if this cannot be read.

    A GIF states how often it is repeated, and is shown once if it states nothing.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) == b"GIF8":
                file.seek(0)
                with GifImagePlugin.GifImageFile(file) as gif:
                    loop = gif.info.get("loop")
                    return 1 if loop is None else loop and loop + 1
            file.seek(0)
            with PngImagePlugin.PngImageFile(file) as png:
                return png.info.get("loop")
    except Exception:  # Pillow raises exceptions of many types; the frames are read by FFmpeg
        return None


class WebpReader(Source):
    """Reads an animated WebP. If a frame is damaged, it and all frames after it show the last intact one."""

    kind = "animated WebP"

    def __init__(self, path: Path, reading: Reading = USUAL) -> None:
        """Raises FootageError, in one line, if the file cannot be read, its first frame is damaged, or it has more than
        `reading.max_pixels`."""
        super().__init__(path, reading)
        refuse_special(path)
        with self.watched():
            self._look()

    def _look(self) -> None:
        try:
            found = parse_webp(self.path.read_bytes())
        except OSError as error:
            raise FootageError(f"cannot read {self.path}: {error.strerror}") from error
        if found is None or not found.durations:
            raise FootageError(f"{self.path} is not a readable animated WebP")
        check_size(self.path, *found.size, self.reading.max_pixels)
        self._container, self.plays = found, found.plays
        count = len(found.durations)
        self.stamps = [0, *accumulate(found.durations)][:-1]
        self.lasting = found.durations[-1]
        self.ignores_fps = self.reading.fps is not None
        length = sum(found.durations) * UNIT
        self.info = StreamInfo(
            *found.size, time_base=UNIT, average_rate=count / length, duration=length, frame_count=count
        )
        first = next(self._pictures(), None)
        if first is None:
            raise FootageError(f"{self.path}: its first frame is damaged")
        self.alpha = found.alpha
        self.transparent = found.alpha and bool(first[..., 3].min() < 255)
        self.missing = 0 if found.whole else 1

    @classmethod
    def takes(cls, path: Path) -> bool:
        """Whether `path` is a file that begins like an animated WebP."""
        try:
            return path.suffix.lower() == ".webp" and path.is_file() and sniff(path) == WEBP
        except OSError:
            return False

    def index(self, *, until: int | None = None) -> Index:
        """The index of all frames; decoding always starts at the first."""
        return Index(tuple(self.stamps), (0,))

    def read(
        self, *, start: int | None = None, end: int | None = None, entry: int | None = None
    ) -> Generator[LazyFrame]:
        """See `Source.read`."""
        self.damaged = self.concealed = 0
        durations = self._container.durations
        self.lasting = durations[-1]
        shown = zip(self.stamps, self._shown(), strict=True)
        for place, (picture, lost, lasts) in opened(shown, start, UNIT, lambda _, stamp: durations[-1]):
            if place is None:
                continue
            if end is not None and place.pts >= end:
                return
            self.damaged += lost
            self.concealed += lost
            left = place.own + lasts - place.pts
            self.lasting = left if end is None else min(left, end - place.pts)
            yield self._frame(picture, place.pts, lost)

    def _shown(self) -> Iterator[tuple[NDArray[np.uint8], bool, int]]:
        """The picture of each frame, whether it is lost, so that this is the one before, and its duration."""
        pictures, good = self._pictures(), None
        for lasts in self._container.durations:
            picture = next(pictures, None)
            good = picture if picture is not None else good
            assert good is not None, "the first frame was read"
            yield good, picture is None, lasts

    def _frame(self, picture: NDArray[np.uint8], stamp: int, lost: bool) -> LazyFrame:
        alpha = picture[..., 3]
        self.transparent_later |= not self.transparent and self.alpha and bool(alpha.min() < 255)

        def pixels(size: tuple[int, int] | None, rough: bool) -> Pixels:
            return sized(
                self._deep(to_srgb(np.ascontiguousarray(picture[..., :3]), self._container.profile)), size, rough
            )

        def beside() -> Beside:
            return Beside(alpha=self._deep(np.ascontiguousarray(alpha)) if self.gives_alpha else None)

        return LazyFrame(pixels, stamp, UNIT, lost, beside)

    def _deep(self, samples: NDArray[np.uint8]) -> Pixels:
        return samples.astype(np.uint16) * 257 if self.reading.depth == 16 else samples

    def _pictures(self) -> Iterator[NDArray[np.uint8]]:
        """RGBA pictures, (H, W, 4), up to the first that is damaged."""
        try:
            with WebPImagePlugin.WebPImageFile(io.BytesIO(self.path.read_bytes())) as file:
                for number in range(len(self._container.durations)):
                    file.seek(number)
                    yield _rgba(file)
        except Exception:  # Pillow raises exceptions of many types for damaged files
            return


def _rgba(file: Any) -> NDArray[np.uint8]:
    return np.array(file.convert("RGBA"))
