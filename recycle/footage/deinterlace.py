"""Interlaced frames become progressive ones: as many, at the same times."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
from av.filter import Graph

from recycle.footage.conceal import Decoded


def deinterlace(frames: Iterator[Decoded], time_base: Fraction) -> Iterator[Decoded]:
    """Pass frames through FFmpeg's bwdif, which changes only those that are flagged as interlaced.

    Every frame goes in under its own number, because its timestamp may be missing. A change of size or pixel
    format starts anew.
    """
    waiting: deque[Decoded] = deque()
    graph: Graph | None = None
    kind: tuple[int, int, str] | None = None
    for number, decoded in enumerate(frames):
        frame = decoded.frame
        now = (frame.width, frame.height, frame.format.name)
        if graph is None or now != kind:
            yield from _finish(graph, waiting)
            graph, kind = _graph(frame, time_base), now
        pts, frame.pts = frame.pts, number
        waiting.append(decoded)
        graph.push(frame)
        frame.pts = pts
        yield from _pull(graph, waiting)
    yield from _finish(graph, waiting)


def _graph(frame: av.VideoFrame, time_base: Fraction) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _finish(graph: Graph | None, waiting: deque[Decoded]) -> Iterator[Decoded]:
    if graph is not None:
        graph.push(None)
        yield from _pull(graph, waiting)
        yield from waiting  # nothing is lost, should the filter hold a frame back
        waiting.clear()


def _pull(graph: Graph, waiting: deque[Decoded]) -> Iterator[Decoded]:
    while waiting:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, av.VideoFrame)
        yield replace(waiting.popleft(), frame=frame)
