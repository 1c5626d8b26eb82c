"""Encoded video in segments: each written by an encoder of its own, joined without encoding again."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet

from recycle.atomic import atomic_path
from recycle.footage.codecs import Choice, segment_container
from recycle.footage.encode import VideoEncoder, mp4_options
from recycle.footage.frame import Pixels

_GLOBAL_HEADER = av.codec.context.Flags.global_header


@dataclass(frozen=True)
class Picture:
    """What all frames of a video share."""

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    sample_aspect_ratio: Fraction


def open_encoder(container: OutputContainer, choice: Choice, picture: Picture, *, tag: bool = False) -> VideoEncoder:
    """The encoder of every segment, and of the header of the file that they are joined into.

    `tag`: mark the codec as mp4 and mov players expect it.
    """
    encoder = VideoEncoder(
        container,
        choice,
        width=picture.width,
        height=picture.height,
        rate=picture.rate,
        time_base=picture.time_base,
        sample_aspect_ratio=picture.sample_aspect_ratio,
    )
    encoder.stream.codec_context.flags |= _GLOBAL_HEADER
    if tag and choice.encoder.tag is not None:
        encoder.stream.codec_context.codec_tag = choice.encoder.tag
    return encoder


def write_segment(path: Path, choice: Choice, picture: Picture, frames: Iterable[tuple[int, Pixels]]) -> int:
    """Encode (pts, pixels) into `path`, atomically; the number of frames.

    The first frame is a key frame and no frame refers to another segment. Raises av.FFmpegError or OSError if
    the file cannot be written.
    """
    container = segment_container(choice.encoder.name)
    options = mp4_options(picture.time_base) if container == "mov" else {"avoid_negative_ts": "disabled"}
    count = 0
    with (
        atomic_path(path) as temporary,
        av.open(f"file:{temporary}", "w", format=container, container_options=options) as file,
    ):
        encoder = open_encoder(file, choice, picture)
        for pts, pixels in frames:
            encoder.write(pixels, pts)
            count += 1
        encoder.close()
    return count


def join(segments: list[Path], encoder: VideoEncoder, picture: Picture, before: Callable[[Fraction], None]) -> None:
    """Mux the packets of `segments`, in order, into the container and stream of `encoder`, which encodes nothing.

    `before` is called with the time in seconds of every packet before it is muxed. Segments keep presentation
    times only: decoding times follow from these and from the depth to which the encoder reorders frames.
    """
    step = max(1, round(1 / picture.rate / picture.time_base))
    delayed: deque[int] = deque()
    depth: int | None = None
    for index, path in enumerate(segments):
        with av.open(f"file:{path}") as file:
            stream = file.streams.video[0]
            if depth is None:
                depth = stream.codec_context.reorder_depth
            packets = [packet for packet in file.demux(stream) if packet.size]
            assert stream.time_base is not None
            shown = [round(_pts(packet) * stream.time_base / picture.time_base) for packet in packets]
            order = sorted(shown)
            if index == 0:
                delayed.extend(order[0] - step * (depth - i) for i in range(depth))
            delayed.extend(order)
            for packet, pts in zip(packets, shown, strict=True):
                packet.time_base, packet.pts, packet.dts = picture.time_base, pts, delayed.popleft()
                if (path is segments[-1] and packet is packets[-1]) or pts == order[-1]:
                    packet.duration = step
                before(packet.dts * picture.time_base)
                packet.stream = encoder.stream
                encoder.stream.container.mux_one(packet)


def _pts(packet: "Packet[av.video.stream.VideoStream]") -> int:
    assert packet.pts is not None, "segments hold frames with timestamps"
    return packet.pts
