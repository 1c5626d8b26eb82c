"""Encodes video in segments, each with its own encoder, and joins them without encoding again."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from recycle.system.atomic import atomic_path
from recycle.system.priority import usual_priority
from recycle.video.codecs import Choice, segment_container, template_container
from recycle.video.container import open_container
from recycle.video.encode import Picture, VideoEncoder, mp4_options
from recycle.video.frame import Beside, Pixels
from recycle.video.projection import with_boxes

_GLOBAL_HEADER = av.codec.context.Flags.global_header


def open_encoder(container: OutputContainer, choice: Choice, picture: Picture, *, tag: bool = False) -> VideoEncoder:
    """The encoder of each segment, and of the header of the joined file.

    `tag` marks the codec as mp4 and mov players expect it.
    """
    encoder = VideoEncoder(container, choice, picture)
    encoder.stream.codec_context.flags |= _GLOBAL_HEADER
    if tag and choice.encoder.tag is not None:
        encoder.stream.codec_context.codec_tag = choice.encoder.tag
    return encoder


@contextmanager
def open_output(
    file: str | io.IOBase, container: str, picture: Picture, *, spherical: bool = False
) -> Iterator[OutputContainer]:
    """Open an output of the format `container` (FFmpeg's name); it is complete when the body ends.

    `spherical`: whether it has a spherical mapping or a stereo mode. Raises av.FFmpegError if the file cannot be
    written. An exception of the body takes precedence over one that it causes when the file is closed.
    """
    in_mp4 = container in ("mp4", "mov")
    options = mp4_options(picture.time_base) if in_mp4 else {}
    if in_mp4 and spherical:
        options["strict"] = "unofficial"  # otherwise FFmpeg omits the boxes
    if not isinstance(file, str):
        options.pop("movflags", None)  # faststart would open a file in memory by its name
    output = av.open(cast(Any, file), "w", format=container, container_options=options)
    try:
        yield output
    except BaseException:
        with suppress(av.FFmpegError, OSError, ValueError):
            output.close()
        raise
    output.close()


def open_stream(
    container: OutputContainer, choice: Choice, picture: Picture, *, first: Path, boxes: bytes, tag: bool
) -> VideoStream:
    """The stream of the joined file, with the spherical mapping and stereo mode in `boxes` (see `Projection`).

    PyAV can only copy these from the stream of a file. Such a file is therefore made in memory from the `first`
    segment.
    """
    if not boxes:
        return open_encoder(container, choice, picture, tag=tag).stream
    memory = io.BytesIO()
    encoder = choice.encoder
    with (
        av.open(memory, "w", format=template_container(encoder)) as file,
        open_container(first) as segment,
    ):
        stream = open_encoder(file, choice, picture, tag=tag).stream
        with usual_priority():
            file.start_encoding()  # opens the encoder
        codec = stream.codec_context.codec.canonical_name
        packet = next(packet for packet in segment.demux(segment.streams.video[0]) if packet.size)
        packet.pts = packet.dts = 0
        packet.stream = stream
        file.mux_one(packet)
    with av.open(with_boxes(memory.getvalue(), boxes)) as template:
        target = container.add_mux_stream(codec, rate=picture.rate)
        # Filters copy all properties of a stream; those of H.264 and HEVC convert its header to Annex B, as in packets.
        header = f"{codec}_mp4toannexb" if codec in ("h264", "hevc") else "null"
        BitStreamFilterContext(header, template.streams.video[0], target)
    target.time_base = picture.time_base
    return cast(VideoStream, target)


def write_segment(path: Path, choice: Choice, picture: Picture, frames: Iterable[tuple[int, Pixels, Beside]]) -> None:
    """Encode (pts, pixels, data beside the picture) into `path`, atomically.

    The first frame is a key frame, and no frame refers to another segment. Raises av.FFmpegError or OSError if the file
    cannot be written.
    """
    container = segment_container(choice)
    options = mp4_options(picture.time_base) if container == "mov" else {"avoid_negative_ts": "disabled"}
    with (
        atomic_path(path) as temporary,
        av.open(f"file:{temporary}", "w", format=container, container_options=options) as file,
    ):
        encoder = open_encoder(file, choice, picture)
        for pts, pixels, beside in frames:
            encoder.write(pixels, pts, beside)
        encoder.close()


def join(
    segments: Sequence[Path],
    stamps: Sequence[int],
    target: VideoStream,
    choice: Choice,
    picture: Picture,
    before: Callable[[Fraction], None],
    *,
    lasting: int | None = None,
    moved: int = 0,
) -> None:
    """Mux the packets of `segments`, in order, into the stream `target` of an output.

    `stamps` are the presentation times of all frames, in order. `before` is called with the decoding time in seconds of
    every packet before it is muxed. Segments store presentation times only: decoding times are computed from these and
    from the encoder's reorder depth. `lasting` is the duration of the last frame in units of the time base; None means
    1 / frame rate. All times are delayed by `moved` of these units.
    """
    lasting = max(1, lasting or round(1 / picture.rate / picture.time_base))
    usual = min(lasting, stamps[-1] - stamps[-2]) if len(stamps) > 1 else lasting
    lengths = dict(zip(stamps, (after - pts for pts, after in pairwise([*stamps, stamps[-1] + usual])), strict=True))
    in_order = segment_container(choice) == "matroska"
    final, decoding_times = _decoding_times(segments[-1], stamps, lengths, picture)
    shown, decoding = iter(stamps), iter(decoding_times)
    # mp4 files end with the packet that is decoded last, other containers with the one that is shown last.
    ends = {final, stamps[-1]} if target.container.format.name in ("mp4", "mov") else {stamps[-1]}
    for pts in ends:
        lengths[pts] += lasting - usual
    output = cast(OutputContainer, target.container)
    with usual_priority():
        output.start_encoding()  # opens the encoder
    for path in segments:
        with open_container(path) as file:
            stream = file.streams.video[0]
            for packet in file.demux(stream):
                if packet.size:
                    pts = next(shown) if in_order else _shown(packet, picture)
                    packet.pts, packet.dts = pts + moved, next(decoding) + moved
                    packet.time_base, packet.duration = picture.time_base, lengths[pts]
                    before(packet.dts * picture.time_base)
                    packet.stream = target
                    output.mux_one(packet)


def _decoding_times(
    last: Path, stamps: Sequence[int], lengths: Mapping[int, int], picture: Picture
) -> tuple[int, list[int]]:
    """The presentation time of the packet that is decoded last, and the decoding times of all packets.

    Decoding times are the presentation times, delayed by the reorder depth. mp4 computes the length of the video as the
    sum of the distances between decoding times; the first ones are early enough to make that sum correct.
    """
    with open_container(last) as file:
        stream = file.streams.video[0]
        depth = stream.codec_context.reorder_depth
        final = [_shown(packet, picture) for packet in file.demux(stream) if packet.size][-1]
    depth = min(depth, len(stamps) - 1)
    final = final if depth else stamps[-1]
    whole = stamps[-1] + lengths[stamps[-1]] - stamps[0]
    lead = whole - lengths[final] - (stamps[-1 - depth] - stamps[0])
    early = [stamps[0] - lead + lead * i // depth for i in range(depth)]
    return final, early + list(stamps[: len(stamps) - depth])


def _shown(packet: "Packet[VideoStream]", picture: Picture) -> int:
    """Presentation time in units of the picture's time base."""
    assert packet.pts is not None, "segments hold frames with timestamps"
    return round(packet.pts * packet.time_base / picture.time_base)
