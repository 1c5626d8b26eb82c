"""Frames that are lost to damage, replaced by their nearest neighbours, so that a video never gets shorter."""

import errno
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

_MAX_READ_FAILURES = 16
UNREACHABLE = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN}
"""The disk or the network failed, not the file: what is missing is not damage to be concealed."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A frame as the decoder gave it, or one that stands for another that it could not give."""

    frame: av.VideoFrame
    pts: int | None
    """In units of the stream's time base; None if the file has none."""
    concealed: bool
    interlaced: bool = False
    """Whether it was interlaced before it was deinterlaced."""


def decode(
    demux: "Callable[[], Iterator[Packet[VideoStream]]]",
    stream: VideoStream | VideoCodecContext,
    *,
    step: int,
    damage: Callable[[], None],
    max_pixels: int,
) -> Iterator[Decoded]:
    """Decode packet by packet: a damaged one costs its own frames, not the rest of the video.

    Every packet promises a frame at its timestamp. One that is not kept near an error of the decoder or
    demuxer is concealed by the nearest frame in time; without any error it was not meant to be shown (the
    second field of a picture, a hidden reference frame). `step`: the usual distance of frames in units of the
    stream's time base. `stream` decodes; it may be a decoder alone. `demux` gives the packets from where the file
    was left, so that reading goes on after an error; `damage` is called once for each. A frame of more than
    `max_pixels` counts as an error. Raises av.FFmpegError if the file cannot be reached any more.
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
    while failures < _MAX_READ_FAILURES:
        try:
            for packet in demux():
                failures = 0
                if packet.size:  # without: the end of the stream, or an empty packet; decoding it would flush
                    yield packet
            return
        except av.FFmpegError as error:
            if error.errno in UNREACHABLE:
                raise
            damage()
            promised.error(None)
            failures += 1


class _Promises:
    """Timestamps of packets whose frames are still to come."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._open: list[int] = []
        self._latest = 0  # timestamp of the latest packet
        self._error: int | None = None  # timestamps up to this one may be missing through damage
        self._last: Decoded | None = None
        self._unkept = False  # frames were missing where nothing was damaged

    def packet(self, packet: "Packet[VideoStream]") -> None:
        if packet.pts is None or packet.is_discard or _is_hidden(packet):
            return
        self._latest = max(self._latest, packet.pts) if self._open else packet.pts
        heapq.heappush(self._open, packet.pts)

    def error(self, pts: int | None) -> None:
        self._error = max(self._latest, self._latest if pts is None else pts)

    def kept(self, frame: av.VideoFrame) -> Iterator[Decoded]:
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
        """What is still missing at the end, where decoders keep errors of the last frames to themselves."""
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
    """Whether a VP8 frame only serves as reference (RFC 6386, section 9.1)."""
    return packet.stream.codec_context.name == "vp8" and not memoryview(packet)[0] & 0x10
