"""A stretch of a video: its frames decoded, transformed and encoded into segments, all three at the same time."""

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice

import av
import numpy as np

from recycle.errors import FootageError
from recycle.rendering.overlap import ahead
from recycle.rendering.segments import write_segment
from recycle.rendering.work import SEGMENT, Record, Work
from recycle.video.codecs import Choice
from recycle.video.encode import Picture
from recycle.video.frame import Beside, Frame, Pixels, StreamInfo
from recycle.video.source import Source

_Done = tuple[int, int, Pixels, Beside]


@dataclass(frozen=True)
class Transform:
    """What becomes of the frames of a video."""

    pictures: Callable[[Iterator[Frame], StreamInfo], Iterator[Pixels]]
    """One picture out for each frame in, in order, all of one size: RGB (H, W, 3) of the frames' dtype, which is
    stretched to the source's size when it is encoded. Runs in a thread."""
    key: Mapping[str, object] | None = None
    """All that it depends on."""
    context: int = 0
    """Frames before a segment that it sees again where it starts there, so that the result is that of an uninterrupted
    call."""
    size: Callable[[StreamInfo], tuple[int, int]] | None = None
    """Width and height at which it wants to see the frames: they are decoded to it. None: the source's."""
    anew: bool = False
    """Whether it starts anew with every segment: needed where its context alone does not give the same bits, because it
    computes frames together."""


@dataclass(frozen=True)
class Stretch:
    """The frames from timestamp `start` to before `end`, of which those up to `past` are finished."""

    start: int | None
    end: int | None
    past: Sequence[int] = ()
    """Timestamps, in order, of frames in the segments before: at least as many as the transform wants to see."""
    segment: int = 0
    """Number of the first segment to be written."""
    seek: bool = True
    """Whether decoding may begin in the midst of the file."""
    entry: int | None = None
    """The key frame to begin at, if known (see `Index.entry`)."""
    shift: Callable[[int], int] = lambda origin: 0
    """By how much all timestamps are moved, if the first of the video is `origin`."""
    origin: int | None = None
    """The first timestamp of the video; None if it is that of this stretch."""
    expected: tuple[int, ...] | None = None
    """Timestamps that the frames must turn out to have; None: any."""


@dataclass(frozen=True)
class Renderer:
    """How the frames of one source become segments."""

    reader: Source
    transform: Transform
    choice: Choice
    picture: Picture
    compare: bool
    """Whether the source is shown at the left; then `transform` sees, and gives, pictures of the source's size."""
    depth: int
    """Frames that each stage may be ahead of the next, at most; fewer where they take more than HELD_BYTES."""
    check: Callable[[], None] = lambda: None
    """Called before a segment is declared finished; raises if the source is no longer what it was."""

    def write(self, stretch: Stretch, work: Work, written: Callable[[int], None]) -> bool:
        """Write the segments of `stretch` into `work`, with their records; `written` is called with their frames.

        It ends, and gives False, at the first segment that has not the expected timestamps, or is not regular
        where some are expected or the GPU decodes.
        Raises FootageError for a source that cannot be read, and whatever the transform raises.
        """
        count = 0
        with closing(self._pictures(stretch)) as pictures:
            origin = stretch.origin
            for segment, group in groupby(pictures, key=lambda item: item[0]):
                stamps: list[int] = []

                def shown() -> Iterator[tuple[int, Pixels, Beside]]:
                    nonlocal count, origin
                    for _, pts, pixels, beside in group:  # noqa: B023 (used up within this iteration)
                        origin = pts if origin is None else origin
                        stamps.append(pts)  # noqa: B023
                        yield pts + stretch.shift(origin), pixels, beside
                        count += 1
                        written(count)

                work.forget(segment)
                write_segment(work.segment(segment), self.choice, self.picture, shown())
                self.check()
                regular = not (self.reader.damaged or self.reader.concealed or self.reader.repaired)
                expected = stretch.expected
                odd = expected is not None and tuple(stamps) != expected[count - len(stamps) : count]
                if odd or (not regular and (expected is not None or self.reader.hardware)):
                    work.forget(segment)
                    return False
                deinterlaced = self.reader.deinterlaced > 0
                work.record(segment, Record(stamps=tuple(stamps), regular=regular, deinterlaced=deinterlaced))
        return True

    def _frames(self, stretch: Stretch) -> Iterator[Frame]:
        """The frames that the transform is to see: the context, then those that are not finished."""
        last = stretch.past[-1] if stretch.past else None
        context = self.transform.context
        again = frozenset(stretch.past[len(stretch.past) - context :])
        jump = stretch.past and (stretch.seek or stretch.expected is not None)  # else all is counted anew
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
                    yield frame.develop(wanted)
        except (av.FFmpegError, OSError) as error:
            raise FootageError(f"cannot read {self.reader.path}: {error.strerror or error}") from error

    def _pictures(self, stretch: Stretch) -> "Generator[_Done]":
        """(segment, pts, picture, what is beside it) of all frames that are not finished, ahead of their use."""

        def all_segments(decoded: Iterator[Frame]) -> Iterator[_Done]:
            context = min(self.transform.context, len(stretch.past))
            past: deque[Frame] = deque(islice(decoded, context), maxlen=self.transform.context)
            segment = stretch.segment
            # Else all go through in one stream, which never runs dry.
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
                for picture in islice(self.transform.pictures(fed(), self.reader.info), len(again), None):
                    frame = waiting.popleft()
                    yield (
                        segment + count // SEGMENT,
                        frame.pts,
                        np.hstack((frame.pixels, picture)) if self.compare else picture,
                        _twice(frame.beside) if self.compare else frame.beside,
                    )
                    count += 1
                if waiting:
                    raise RuntimeError(f"the transform gave {count} pictures for {count + len(waiting)} frames")
                segment += 1

        decoded = ahead(self._frames(stretch), self.depth, size=lambda frame: frame.pixels.nbytes)
        done_pictures = ahead(all_segments(decoded), self.depth, size=lambda item: item[2].nbytes)
        with closing(decoded), closing(done_pictures):
            yield from done_pictures


def _twice(beside: Beside) -> Beside:
    """For two pictures side by side."""
    return beside if beside.alpha is None else replace(beside, alpha=np.hstack((beside.alpha, beside.alpha)))
