"""Converts interlaced frames to progressive ones without changing their number or timestamps."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
from av.filter import Graph

from recycle.video.conceal import Decoded


def deinterlace(frames: Iterator[Decoded], time_base: Fraction) -> Iterator[Decoded]:
    """Filter each frame that is flagged as interlaced with FFmpeg's bwdif; pass on all others unchanged.

    The result for a frame depends only on the frame and its two neighbours, so it is the same wherever reading began.
    Progressive frames do not go through the filter, so they cost no time and are not delayed. `time_base` is that of
    the timestamps, in seconds per unit.
    """
    before: Decoded | None = None
    run: _Run | None = None
    for decoded in frames:
        interlaced = decoded.frame.interlaced_frame
        if run is not None and not (interlaced and run.takes(decoded)):
            yield from run.finish(decoded)
            run = None
        if interlaced:
            if run is None:
                run = _Run(decoded, before, time_base)
            yield from run.add(decoded)
        else:
            yield decoded
        before = decoded
    if run is not None:
        yield from run.finish(None)


class _Run:
    """Filters consecutive interlaced frames of one size and pixel format."""

    def __init__(self, first: Decoded, before: Decoded | None, time_base: Fraction) -> None:
        """`before` is the frame before `first`; the caller adds `first` itself."""
        frame = first.frame
        self._kind = _kind(first)
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        )
        # deint=all: a progressive frame before the run also goes in as context. Otherwise the filter would treat the
        # next frame as the first of a video.
        bwdif = self._graph.add("bwdif", "mode=send_frame:deint=all")
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink"))
        self._graph.configure()
        self._waiting: deque[Decoded | None] = deque()
        self._number = 0
        if before is not None and self.takes(before):
            self._waiting.append(None)
            self._push(before.frame)

    def takes(self, decoded: Decoded) -> bool:
        """Whether a frame has the size and pixel format of this run."""
        return _kind(decoded) == self._kind

    def add(self, decoded: Decoded) -> Iterator[Decoded]:
        """Add the next frame and yield the finished ones."""
        self._waiting.append(decoded)
        self._push(decoded.frame)
        yield from self._pull()

    def finish(self, after: Decoded | None) -> Iterator[Decoded]:
        """Yield the remaining frames of the run; `after` is the frame that follows it."""
        if after is not None and self.takes(after):
            self._push(after.frame)
        else:
            self._graph.push(None)
        yield from self._pull()
        yield from (decoded for decoded in self._waiting if decoded is not None)  # in case the filter withholds a frame

    def _push(self, frame: av.VideoFrame) -> None:
        """Push a frame with a running number as timestamp, because its own may be missing."""
        pts, frame.pts = frame.pts, self._number
        self._graph.push(frame)
        frame.pts = pts
        self._number += 1

    def _pull(self) -> Iterator[Decoded]:
        while self._waiting:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            decoded = self._waiting.popleft()
            if decoded is not None:
                yield replace(decoded, frame=frame, interlaced=True)


def _kind(decoded: Decoded) -> tuple[int, int, str]:
    frame = decoded.frame
    return frame.width, frame.height, frame.format.name
