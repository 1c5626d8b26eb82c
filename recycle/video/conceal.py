"""Decodes video and replaces frames lost to damage with their nearest neighbours, which preserves the length."""

import errno
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

MAX_READ_FAILURES = 16
"""Number of failures in a row after which reading a damaged file ends."""
UNREACHABLE = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN}
"""Error numbers of a failed disk or network. They must be raised: the file is not damaged, so nothing is concealed."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded frame, or the neighbour that conceals a lost frame."""

    frame: av.VideoFrame
    pts: int | None
    """In units of the stream's time base; None if the file has none."""
    concealed: bool
    """Whether `frame` is a neighbour of the lost frame."""
    interlaced: bool = False
    """Whether `frame` is the deinterlaced version of an interlaced frame."""


def decode(
    demux: "Callable[[], Iterator[Packet[VideoStream]]]",
    stream: VideoStream | VideoCodecContext,
    *,
    step: int,
    damage: Callable[[], None],
    max_pixels: int,
) -> Iterator[Decoded]:
    """Decode packet by packet; a damaged packet loses its own frames but not the rest of the video.

    Each packet is expected to give a frame at its timestamp. If the frame is missing near an error of the decoder or
    demuxer, the nearest frame in time replaces it. If it is missing without an error, it was not meant to be shown
    (the second field of a picture, a hidden reference frame).

    `demux` returns the packets from the current position of the file, so that reading continues after an error.
    `stream` is the stream or a separate decoder for it. `step` is the usual distance of frames in units of the
    stream's time base. `damage` is called once for each error. A frame of more than `max_pixels` counts as an error.

    Raises av.FFmpegError if the file has become unreachable (see UNREACHABLE).
    """
    promised = _Promises(step)

    def kept(frames: list[av.VideoFrame]) -> Iterator[Decoded]:
        for frame in frames:
            if frame.width * frame.height > max_pixels:
                damage()
                promised.error(frame.pts)
            else:
                yield from promised.kept(frame)

    for packet in _readable(demux, promised, damage):
        promised.packet(packet)
        try:
            frames = stream.decode(packet)
        except av.FFmpegError:
            damage()
            promised.error(packet.pts)
            continue
        yield from kept(frames)
    try:
        yield from kept(stream.decode(None))
    except av.FFmpegError:
        damage()
        promised.error(None)
    yield from promised.rest()


def _readable(
    demux: "Callable[[], Iterator[Packet[VideoStream]]]", promised: "_Promises", damage: Callable[[], None]
) -> "Iterator[Packet[VideoStream]]":
    failures = 0
    while failures < MAX_READ_FAILURES:
        try:
            for packet in demux():
                failures = 0
                if packet.size:  # an empty packet would flush the decoder
                    yield packet
            return
        except av.FFmpegError as error:
            if error.errno in UNREACHABLE:
                raise
            damage()
            promised.error(None)
            failures += 1


class _Promises:
    """Timestamps of packets whose frames have not been decoded yet, in units of the stream's time base."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._open: list[int] = []
        self._latest = 0  # timestamp of the latest packet
        self._error: int | None = None  # timestamps up to this one may be missing because of damage
        self._last: Decoded | None = None
        self._unkept = False  # frames were missing although nothing was damaged

    def packet(self, packet: "Packet[VideoStream]") -> None:
        """Record the timestamp of a packet, unless its frame is not meant to be shown."""
        if packet.pts is None or packet.is_discard or _is_hidden(packet):
            return
        self._latest = max(self._latest, packet.pts) if self._open else packet.pts
        heapq.heappush(self._open, packet.pts)

    def error(self, pts: int | None) -> None:
        """Record an error at `pts`; None: at the latest packet."""
        self._error = max(self._latest, self._latest if pts is None else pts)

    def kept(self, frame: av.VideoFrame) -> Iterator[Decoded]:
        """Yield a decoded frame, preceded by the concealed frames that are missing before it."""
        pts = frame.pts
        decoded = Decoded(frame, pts, concealed=False)
        if pts is not None:
            missing = []
            while self._open and self._open[0] <= pts:
                missing.append(heapq.heappop(self._open))
            yield from self._conceal([m for m in missing if m < pts], decoded)
            if self._error is not None and frame.key_frame and pts > self._error:
                self._error = None
        yield decoded
        self._last = decoded

    def rest(self) -> Iterator[Decoded]:
        """Conceal the frames that are missing at the end; decoders do not report errors of the last frames."""
        if self._open and not self._unkept:
            self.error(None)
        yield from self._conceal(sorted(self._open), None)

    def _conceal(self, missing: list[int], after: Decoded | None) -> Iterator[Decoded]:
        if self._error is None:
            self._unkept = self._unkept or (bool(missing) and self._last is not None)
            return
        before = self._last
        for pts in missing:
            near = [d for d in (before, after) if d is not None and d.pts is not None]
            if not near or (self._unkept and min(abs(pts - (d.pts or 0)) for d in near) < 0.75 * self._step):
                continue
            nearest = min(near, key=lambda d: abs(pts - (d.pts or 0)))
            yield Decoded(nearest.frame, pts, concealed=True)


def _is_hidden(packet: "Packet[VideoStream]") -> bool:
    """Whether a VP8 frame is only a reference and is not shown (RFC 6386, section 9.1)."""
    return packet.stream.codec_context.name == "vp8" and not memoryview(packet)[0] & 0x10
