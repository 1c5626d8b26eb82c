"""The common interface of all sources of frames: files, folders of images, streets and cameras.

A kind of source is a subclass of Source. `add_source` registers a new kind; see docs/design/add-an-input.md.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal, Self

from recycle.config import MAX_PIXELS
from recycle.system.places import is_here
from recycle.video.fingerprint import fingerprint
from recycle.video.frame import Frame, LazyFrame, StreamInfo
from recycle.video.index import Index
from recycle.video.numbered import is_pattern
from recycle.video.planes import PlaneFormat
from recycle.video.projection import Projection
from recycle.video.source_state import SourceState, files_of


@dataclass(frozen=True)
class Reading:
    """Options for reading frames. A source ignores options that do not apply to it."""

    square_pixels: bool = False
    """Resize frames horizontally so that pixels are square; the height is unchanged."""
    depth: Literal[8, 16] = 8
    """Bits per sample: 8 gives uint8, 16 gives uint16 over the full range."""
    threads: bool = True
    """Decode with several threads, which is faster unless all cores are busy."""
    hardware: bool = False
    """Decode on the GPU if it decodes the first frame to the same picture as the CPU."""
    fps: Fraction | None = None
    """Frames per second of a source without timestamps; None: the rate that it states, otherwise ASSUMED_RATE."""
    max_pixels: int = MAX_PIXELS
    """Maximum number of pixels of a picture; larger pictures are rejected."""
    alpha: bool = False
    """Return the alpha channel, if there is one, with the frames."""


USUAL = Reading()


class Source(ABC):
    """A source of frames with timestamps.

    A kind must define `kind`, `takes`, `info` and `read`. The other attributes describe rare properties and have
    defaults. The constructor raises FootageError, in one line, if the source cannot be read.
    """

    kind: ClassVar[str]
    """Name of the kind in a few words, for messages and reports."""
    seekable: ClassVar[bool] = True
    """Whether `read` can be called again, from any timestamp. A live source is not seekable, so work on it cannot be
    resumed."""
    direct: ClassVar[bool] = False
    """Whether `read` reaches any timestamp without decoding earlier frames and `index` costs no time."""

    info: StreamInfo
    """Properties of its frames: size, time base, rate, length."""
    state: SourceState | None
    """State of its files when it was opened; None if it is live or has no local files."""

    alpha = False
    """Whether it has an alpha channel; without `Reading.alpha`, frames show the colours under transparent pixels."""
    transparent = False
    """Whether a frame that was examined at opening has transparent pixels."""
    may_be_transparent = False
    """Whether frames have alpha that the default decoder does not output."""
    transparent_later = False
    """Whether a later frame was found to be transparent although the first was not, in readings so far."""
    captions = False
    """Whether the first frame has closed captions."""
    captions_later = False
    """Whether a later frame was found to have captions although the first had none, in readings so far."""
    bits = 8
    """Bits per sample."""
    grey = False
    """Whether its pictures have one channel (apart from alpha); frames repeat it in red, green and blue."""
    still = False
    """Whether it is a single image, whose only frame has no time."""
    plays: int | None = None
    """How often an animation is shown: 0 is without end. None: it is not an animation."""
    hdr = False
    """Whether it has high dynamic range; its frames are then tone-mapped."""
    interlaced = False
    """Whether its first frame is interlaced. All interlaced frames are deinterlaced, wherever they occur."""
    lost: Sequence[str] = ()
    """Names of data in the first frame, or in an image's file, that is not read."""
    projection = Projection(b"", True, ())
    """Spherical mapping and stereo mode of the picture."""
    raw = False
    """Whether it has no timestamps, so that its frames are evenly spaced."""
    rate_assumed = False
    """Whether the timestamps are based on ASSUMED_RATE."""
    ignores_fps = False
    """Whether `Reading.fps` is set but has no effect, because the source has timestamps."""
    missing = 0
    """Number of frames known to be missing at its end."""
    hardware = False
    """Whether the GPU decodes; set it to False to decode later readings on the CPU."""

    damaged = 0
    """Number of packets or images that could not be read so far. This and the counts below are those of the latest
    reading."""
    bad: Sequence[str] = ()
    """Names of the images known to be damaged; empty for a file."""
    concealed = 0
    """Number of frames so far that conceal a lost one."""
    repaired = 0
    """Number of timestamps so far that were missing, not later than the previous one, or hours after it."""
    deinterlaced = 0
    """Number of frames so far that were interlaced."""
    lasting: int | None = None
    """Duration of the last frame in units of the time base; None if unknown, possibly until a reading ends."""

    def __init__(self, path: Path, reading: Reading = USUAL) -> None:
        """Open `path` with the options `reading`. Raises FootageError if its files cannot be read."""
        self.path = path
        self.reading = reading
        watchable = self.seekable and is_here(path) and (os.path.exists(path) or is_pattern(path))  # noqa: PTH110 (it never raises)
        self.state = SourceState(path, files_of(path)) if watchable else None

    @classmethod
    @abstractmethod
    def takes(cls, path: Path) -> bool:
        """Whether `path` names a source of this kind, determined without opening it."""

    @abstractmethod
    def read(
        self, *, start: int | None = None, end: int | None = None, entry: int | None = None
    ) -> Generator[LazyFrame]:
        """Yield the frames with timestamps in [`start`, `end`), in order; None means no limit.

        If a picture has been on screen for a while at `start`, it is the first frame, and `start` its timestamp
        (`recycle.video.opening`). All frames are upright and have the size in `info`; timestamps increase strictly and
        are in units of `info.time_base`. `entry`, only for sources with an `index`, is the key frame at which decoding
        may begin. Raises FootageError if the source can no longer be read.
        """

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames with their pixels."""
        with closing(self.read()) as frames:
            for frame in frames:
                yield frame.develop()

    def index(self, *, until: int | None = None) -> Index | None:
        """Timestamps of all frames (up to `until`) and of key frames, without decoding; None if unknown."""
        return None

    def companion(self) -> Path | None:
        """The media file whose other streams (audio, subtitles, data), chapters and tags accompany the pictures; None
        if there is none."""
        return None

    def fingerprint(self) -> str | None:
        """64 hex digits that identify the content, to recognise finished work; None for a live source.

        Raises FootageError if the source cannot be read.
        """
        if not self.seekable:
            return None
        return fingerprint(self.path) if self.state is None else self.state.fingerprint

    @property
    def gives_alpha(self) -> bool:
        """Whether frames come with their alpha channel: there is one, and it is wanted."""
        return self.reading.alpha and self.alpha

    @property
    def planes(self) -> PlaneFormat | None:
        """The format in which `LazyFrame.hand_over` gives the planes of frames; None: frames come only as RGB."""
        return None

    def want(self, *, depth: Literal[8, 16], alpha: bool) -> None:
        """Read with these options from now on (see `Reading`)."""
        self.reading = replace(self.reading, depth=depth, alpha=alpha)

    def check(self) -> None:
        """Raise SourceChanged, in one line, if the source has changed since it was opened."""
        if self.state is not None:
            self.state.check()

    def watched(self, spoiled: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
        """Convert errors in the body to SourceChanged if the source has changed; see `SourceState.watched`."""
        return nullcontext() if self.state is None else self.state.watched(spoiled)

    def close(self) -> None:  # noqa: B027 (most have nothing to close)
        """Close files that an unfinished reading left open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def numbers(count: int, start: int | None, end: int | None) -> range:
    """Frame numbers in [`start`, `end`) of a source with `count` frames whose timestamps are the frame numbers."""
    return range(max(0, start or 0), count if end is None else min(end, count))


_ADDED: list[type[Source]] = []


def add_source(kind: type[Source]) -> None:
    """Register a kind of source. It is tried before the built-in kinds and before those added earlier."""
    if kind not in _ADDED:
        _ADDED.insert(0, kind)


def added_kinds() -> tuple[type[Source], ...]:
    """All added kinds, the latest first. A new process must add them in reverse order to get the same precedence."""
    return tuple(_ADDED)


def added_kind(path: Path) -> type[Source] | None:
    """The added kind that takes `path`; None if only a built-in kind can."""
    return next((kind for kind in _ADDED if kind.takes(path)), None)
