"""What frames are read from: a file, a folder of images, a street or a camera, all through one interface.

A kind of source is one class. `add_source` makes a kind from outside known: see docs/design/add-an-input.md.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

from recycle.config import MAX_PIXELS
from recycle.system.places import is_here
from recycle.video.fingerprint import fingerprint
from recycle.video.frame import Frame, LazyFrame, StreamInfo
from recycle.video.index import Index
from recycle.video.projection import Projection
from recycle.video.source_state import SourceState, files_of


@dataclass(frozen=True)
class Reading:
    """How frames are wanted. A source ignores what does not apply to it."""

    square_pixels: bool = False
    """Widen or narrow frames until pixels are square; the height stays."""
    depth: Literal[8, 16] = 8
    """8 gives uint8, 16 gives uint16 over its whole range."""
    threads: bool = True
    """Decode with several threads, which is quicker unless all cores are busy."""
    hardware: bool = False
    """Decode on the GPU if the first frame shows that this gives the same."""
    fps: Fraction | None = None
    """Frames per second of a source without timestamps; None: what it states, otherwise ASSUMED_RATE."""
    max_pixels: int = MAX_PIXELS
    """Refuse pictures of more pixels."""
    alpha: bool = False
    """Give the alpha channel, if there is one, beside the frames."""


USUAL = Reading()


@dataclass(frozen=True)
class Companions:
    """What accompanies the pictures of a source."""

    file: Path | None = None
    """The media file whose other streams (sound, subtitles, data), chapters and tags belong to them; None: there are
    none."""


class Source(ABC):
    """Frames with timestamps.

    A kind must have `takes`, `info` and `read`. All else describes what few sources have, and defaults to nothing.
    The constructor raises FootageError, in one line, for what cannot be read.
    """

    kind: ClassVar[str]
    """What it is, in a word or two, for messages and reports."""
    seekable: ClassVar[bool] = True
    """Whether `read` can be called again, from any timestamp. A source that is live cannot: its work is not resumed."""
    direct: ClassVar[bool] = False
    """Whether `read` gets to a timestamp without decoding what is before it, and `index` costs nothing."""

    info: StreamInfo
    """What it delivers: size, time base, rate, length."""
    state: SourceState | None
    """What its files were when it was opened; None: there are none on this machine."""

    alpha = False
    """Whether it has an alpha channel; without `Reading.alpha`, frames show the colours that lie beneath."""
    transparent = False
    """Whether it is transparent in parts, as far as opening it shows."""
    may_be_transparent = False
    """Whether frames have alpha that the usual decoder does not show."""
    transparent_later = False
    """Whether frames so far turned out transparent after a first one that was not."""
    captions = False
    """Whether the first frame carries closed captions."""
    captions_later = False
    """Whether frames so far turned out with captions after a first one that was not."""
    bits = 8
    """Bits per sample."""
    hdr = False
    """Whether it has a high dynamic range; its frames are tone-mapped."""
    interlaced = False
    """Whether it is interlaced from its first frame on; what is interlaced is deinterlaced anywhere."""
    lost: Sequence[str] = ()
    """Data beside the pixels of the first frame that frames do not carry, in words."""
    projection = Projection(b"", True, ())
    """Spherical mapping and stereo mode of the picture."""
    raw = False
    """Whether it has no timestamps: its frames are evenly spaced."""
    rate_assumed = False
    """Whether the times of frames rest on ASSUMED_RATE."""
    ignores_fps = False
    """Whether `Reading.fps` was given and has no effect, because the source has timestamps of its own."""
    missing = 0
    """Frames that are known to be missing at its end."""
    hardware = False
    """Whether the GPU decodes; set it to False to read on with the processor."""

    damaged = 0
    """Parts (packets or images) that could not be read so far, in the latest reading."""
    bad: Sequence[str] = ()
    """Names of the images that are known to be damaged; a file has none."""
    concealed = 0
    """Frames so far that stand for one that is lost."""
    repaired = 0
    """Timestamps so far that were missing, not later than the one before, or hours after it."""
    deinterlaced = 0
    """Frames so far that were interlaced."""
    lasting: int | None = None
    """How long the last frame is shown, in units of the time base; may be known only when a reading has ended."""

    def __init__(self, path: Path, reading: Reading = USUAL) -> None:
        """Open `path` so that its frames come as `reading` says."""
        self.path = path
        self.reading = reading
        watchable = self.seekable and is_here(path) and os.path.exists(path)  # noqa: PTH110 (it never raises)
        self.state = SourceState(path, files_of(path)) if watchable else None

    @classmethod
    @abstractmethod
    def takes(cls, path: Path) -> bool:
        """Whether `path` names a source of this kind; it is not opened for that."""

    @abstractmethod
    def read(
        self, *, start: int | None = None, end: int | None = None, entry: int | None = None
    ) -> Generator[LazyFrame]:
        """The frames from timestamp `start` to before `end`, in order; None: from the first, to the last.

        All are upright and of the size in `info`; timestamps grow strictly. `entry`, for sources with an `index` only,
        is the key frame at which decoding may begin. Raises FootageError if the source cannot be read any more.
        """

    def __iter__(self) -> Iterator[Frame]:
        """All frames, with their pixels."""
        with closing(self.read()) as frames:
            for frame in frames:
                yield frame.develop()

    def index(self, *, until: int | None = None) -> Index | None:
        """The timestamps of all frames (up to `until`) and of key frames, without decoding; None: not known."""
        return None

    def companions(self) -> Companions:
        """What accompanies the pictures."""
        return Companions()

    def fingerprint(self) -> str | None:
        """64 hex digits that another content changes: finished work is known by it. None: live, cannot be resumed.

        Raises FootageError if the source cannot be read.
        """
        if not self.seekable:
            return None
        return fingerprint(self.path) if self.state is None else self.state.fingerprint

    def check(self) -> None:
        """Raise SourceChanged, in one line, if the source is not what was opened."""
        if self.state is not None:
            self.state.check()

    def watched(self, spoiled: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
        """If anything goes wrong in the body and the source has changed, raise SourceChanged: see SourceState."""
        return nullcontext() if self.state is None else self.state.watched(spoiled)

    def close(self) -> None:  # noqa: B027 (most have nothing to close)
        """Close what a reading left open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def numbers(count: int, start: int | None, end: int | None) -> range:
    """From `start` to before `end`, of the `count` frames of a source whose timestamps are their numbers."""
    return range(max(0, start or 0), count if end is None else min(end, count))


_ADDED: list[type[Source]] = []


def add_source(kind: type[Source]) -> None:
    """Make a kind of source known: it is asked before those that ship, and before those added earlier."""
    if kind not in _ADDED:
        _ADDED.insert(0, kind)


def added_kinds() -> tuple[type[Source], ...]:
    """All kinds that were added, for a process that starts anew: it adds them from the last to the first."""
    return tuple(_ADDED)


def added_kind(path: Path) -> type[Source] | None:
    """The kind that takes `path`, of those that were added; None: a file or a folder of images, if anything."""
    return next((kind for kind in _ADDED if kind.takes(path)), None)
