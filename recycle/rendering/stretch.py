"""Renders a stretch of a video: decodes, transforms and encodes its frames into segments, concurrently."""

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice

import av
import numpy as np

from recycle.errors import FootageError
from recycle.rendering.encoders import encode_segments
from recycle.rendering.overlap import AT_ONCE, ahead
from recycle.rendering.segments import write_segment
from recycle.rendering.work import SEGMENT, Record, Work
from recycle.video.codecs import Choice
from recycle.video.encode import Picture
from recycle.video.frame import Beside, Frame, Pixels, StreamInfo
from recycle.video.planes import PlaneFormat
from recycle.video.provenance import Provenance
from recycle.video.source import Source

_Shown = tuple[int, Pixels, Beside]
_Done = tuple[int, int, Pixels, Beside]


@dataclass(frozen=True)
class Transform:
    """A transform of the frames of a video."""

    pictures: Callable[[Iterator[Frame], StreamInfo], Iterator[Pixels]]
    """Maps an iterator of frames to an iterator of pictures, one for each frame, in order.

    Pictures are RGB arrays (H, W, 3) of the frames' dtype, all of one size; encoding scales them to the source's size.
    Runs in a thread.
    """
    key: Mapping[str, object] | None = None
    """Everything on which the result depends, for the key of the work."""
    context: int = 0
    """Number of frames before a segment that the transform reads again when it resumes there, so that the result equals
    that of an uninterrupted call."""
    size: Callable[[StreamInfo], tuple[int, int]] | None = None
    """Returns the width and height to which frames are scaled when they are decoded. None: the source's size."""
    anew: bool = False
    """Whether to restart the transform at every segment. Needed if its context alone does not reproduce the same bits,
    because it batches frames."""
    grey: Callable[[Source], bool] = lambda source: source.grey
    """Whether the pictures of a source are grey, so that images are written with one channel."""
    provenance: Provenance | None = None
    """How the pictures are made, if a model makes them; the output states it."""
    planes: Callable[[Iterator[Frame], StreamInfo, PlaneFormat, PlaneFormat], Iterator[Pixels]] | None = None
    """`pictures` for frames that are planes of the first format; returns planes of the second one. None: the transform
    needs RGB."""
    takes_planes: Callable[[StreamInfo], bool] = lambda info: True
    """Whether to use `planes` for a source whose format allows it."""


@dataclass(frozen=True)
class Stretch:
    """The frames from timestamp `start` to before `end`; those up to the last of `past` are finished.

    None for `start` or `end` means the start or the end of the video.
    """

    start: int | None
    end: int | None
    past: Sequence[int] = ()
    """Timestamps, in order, of preceding frames; at least as many as the transform's context."""
    segment: int = 0
    """Number of the first segment to write."""
    seek: bool = True
    """Whether decoding may start in the middle of the file."""
    entry: int | None = None
    """Timestamp of the key frame at which to start decoding, if known (see `Index.entry`)."""
    shift: Callable[[int], int] = lambda origin: 0
    """Returns the shift of all timestamps, given the first timestamp of the video."""
    origin: int | None = None
    """First timestamp of the video; None if the stretch starts the video."""
    expected: tuple[int, ...] | None = None
    """Timestamps that the decoded frames must have; None accepts any."""


@dataclass(frozen=True)
class Renderer:
    """Renders the frames of one source into segments."""

    reader: Source
    transform: Transform
    choice: Choice
    picture: Picture
    compare: bool
    """Whether the output shows the source at the left; `transform` then reads and returns frames of the source's
    size."""
    at_once: int = 1
    """Number of segments to encode at a time."""
    planes: tuple[PlaneFormat, PlaneFormat] | None = None
    """Formats of the planes that the transform takes and returns; None: it takes and returns RGB."""

    def write(self, stretch: Stretch, work: Work, written: Callable[[int], None]) -> bool:
        """Write the segments of `stretch` and their records into `work`.

        `written` is called with the number of frames written so far. Returns False, and stops, at the first segment
        whose timestamps differ from the expected ones, or that is irregular while timestamps are expected or the GPU
        decodes. Raises FootageError if the source cannot be read, and any exception of the transform.
        """
        count, origin = 0, stretch.origin
        stamps: dict[int, list[int]] = {}

        def fed(pictures: Iterable[_Done]) -> Iterator[tuple[int, _Shown]]:
            nonlocal count, origin
            for segment, pts, pixels, beside in pictures:
                if segment not in stamps:
                    work.forget(segment)
                    stamps[segment] = []
                origin = pts if origin is None else origin
                stamps[segment].append(pts)
                yield segment, (pts + stretch.shift(origin), pixels, beside)
                count += 1
                written(count)

        def encode(segment: int, shown: Iterator[_Shown]) -> None:
            write_segment(work.segment(segment), self.choice, self.picture, shown)

        begin = 0
        with (
            closing(self._pictures(stretch)) as pictures,
            closing(
                encode_segments(fed(pictures), encode, at_once=self.at_once, size=lambda shown: shown[1].nbytes)
            ) as finished,
        ):
            for segment in finished:
                self.reader.check()
                own = tuple(stamps.pop(segment))
                regular = not (self.reader.damaged or self.reader.concealed or self.reader.repaired)
                odd = stretch.expected is not None and own != stretch.expected[begin : begin + len(own)]
                begin += len(own)
                if odd or (not regular and (stretch.expected is not None or self.reader.hardware)):
                    work.forget(segment)
                    return False
                work.record(segment, Record(stamps=own, regular=regular, deinterlaced=self.reader.deinterlaced > 0))
        return True

    def _frames(self, stretch: Stretch) -> Iterator[Frame]:
        """The frames that the transform reads: the context, then the unfinished frames."""
        last = stretch.past[-1] if stretch.past else None
        context = self.transform.context
        again = frozenset(stretch.past[len(stretch.past) - context :])
        jump = stretch.past and (stretch.seek or stretch.expected is not None)  # otherwise decode from the start
        start = stretch.past[max(0, len(stretch.past) - context - 1)] if jump else stretch.start
        entry = stretch.entry
        if entry is None and stretch.seek and start is not None:
            index = self.reader.index(until=start)
            entry = index.entry(start) if index is not None else None
        frames = self.reader.read(start=start, end=stretch.end, entry=entry)
        wanted = None if self.transform.size is None else self.transform.size(self.reader.info)
        try:
            for frame in frames:
                if last is None or frame.pts > last or frame.pts in again:
                    yield frame.develop(wanted) if self.planes is None else frame.hand_over()
        except (av.FFmpegError, OSError) as error:
            raise FootageError(f"cannot read {self.reader.path}: {error.strerror or error}") from error

    def _pictures(self, stretch: Stretch) -> "Generator[_Done]":
        """(segment, pts, picture, data beside it) of all unfinished frames, computed ahead."""

        def all_segments(decoded: Iterator[Frame]) -> Iterator[_Done]:
            context = min(self.transform.context, len(stretch.past))
            past: deque[Frame] = deque(islice(decoded, context), maxlen=self.transform.context)
            segment = stretch.segment
            # Otherwise all frames go through in one stream, so that batches stay full.
            length = SEGMENT if self.transform.anew else sys.maxsize
            for first in decoded:
                again = list(past)
                waiting: deque[Frame] = deque()

                def fed() -> Iterator[Frame]:
                    yield from again  # noqa: B023 (used up within this iteration)
                    for frame in chain([first], islice(decoded, length - 1)):  # noqa: B023
                        waiting.append(frame)  # noqa: B023
                        past.append(frame)
                        yield frame

                count = 0
                for picture in islice(self._transformed(fed()), len(again), None):
                    frame = waiting.popleft()
                    yield (
                        segment + count // SEGMENT,
                        frame.pts,
                        np.hstack((frame.pixels, picture)) if self.compare else picture,
                        _twice(frame.beside) if self.compare else frame.beside,
                    )
                    count += 1
                if waiting:
                    raise RuntimeError(f"the transform returned {count} pictures for {count + len(waiting)} frames")
                segment += 1

        decoded = ahead(self._frames(stretch), AT_ONCE, size=lambda frame: frame.pixels.nbytes)
        done_pictures = ahead(all_segments(decoded), AT_ONCE, size=lambda item: item[2].nbytes)
        with closing(decoded), closing(done_pictures):
            yield from done_pictures

    def _transformed(self, frames: Iterator[Frame]) -> Iterator[Pixels]:
        transform, info = self.transform, self.reader.info
        if self.planes is None:
            return transform.pictures(frames, info)
        assert transform.planes is not None, "chosen only for transforms of planes"
        return transform.planes(frames, info, *self.planes)


def _twice(beside: Beside) -> Beside:
    """The data for two pictures side by side."""
    return beside if beside.alpha is None else replace(beside, alpha=np.hstack((beside.alpha, beside.alpha)))
