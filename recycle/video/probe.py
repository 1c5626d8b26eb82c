"""Collects facts about a video file or another source, and notices about potential problems."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from pydantic import BaseModel, ConfigDict

from recycle.config import MAX_PIXELS
from recycle.errors import FootageError
from recycle.names import plain
from recycle.plural import counted
from recycle.video.colour import colour_of
from recycle.video.container import open_container, video_stream
from recycle.video.frame import ASSUMED_RATE
from recycle.video.kinds import open_source
from recycle.video.numbered import listed
from recycle.video.packets import demux
from recycle.video.provenance import provenance_in
from recycle.video.shots import ShotFinder
from recycle.video.source import Reading, Source
from recycle.video.stated import frame_rate

_SAMPLE = 300
"""Number of packets that are examined for a variable rate."""
_UNTAGGED = (0, 2, 3)
_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
_TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    13: "srgb",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "pq",
    18: "hlg",
}


class StreamFacts(BaseModel):
    """One stream of a file."""

    model_config = ConfigDict(frozen=True)
    index: int
    type: str
    codec: str | None
    language: str | None
    title: str | None
    disposition: tuple[str, ...]


class ColourFacts(BaseModel):
    """Colour tags of the video; `*_assumed` is true where the file states none and a default is assumed."""

    model_config = ConfigDict(frozen=True)
    matrix: str
    matrix_assumed: bool
    range: str
    range_assumed: bool
    primaries: str | None
    transfer: str | None


class VideoInfo(BaseModel):
    """Facts about a video file or another source; `model_dump_json` formats them as JSON."""

    model_config = ConfigDict(frozen=True)
    path: str
    container: str
    """FFmpeg's name of a file's container; the kind of another source, such as 'folder of images'."""
    size: int
    """Size of the file or images in bytes; 0 for a source without files."""
    duration_seconds: float | None
    """Duration as stated by the source; None if unknown."""
    start_seconds: float
    streams: tuple[StreamFacts, ...]
    """Streams of a file; empty for other sources."""
    width: int
    height: int
    """Size of the upright picture in stored pixels, which may not be square."""
    rate: float | None
    """Average frames per second: as stated, or as counted if that differs by more than 1 %; None if unknown."""
    rate_is: Literal["stated", "assumed"] | None
    """Origin of the rate of a source without timestamps; None for sources with timestamps."""
    variable_rate: bool
    rotation: int
    """Counter-clockwise degrees by which the file asks to rotate the picture."""
    sample_aspect_ratio: str
    pixel_format: str
    bit_depth: int
    colour: ColourFacts
    interlaced: bool
    """Whether any frame is interlaced; only the first was checked if `cuts` is None."""
    interlaced_frames: int | None
    """Number of interlaced frames; None if the source was not decoded."""
    frames: int | None
    """Number of decodable frames; None if the source was not decoded."""
    cuts: tuple[float, ...] | None
    """Seconds at which a new shot starts, without the first shot; None if the source was not decoded."""
    made_by: str | None = None
    """What the file states of the model that made its picture; None if it states none."""
    notices: tuple[str, ...]
    """Potential problems, one line each."""


@dataclass(frozen=True)
class _Seen:
    """Results of decoding all frames."""

    times: tuple[Fraction, ...]
    """Presentation times of the decodable frames in seconds."""
    starts: tuple[int, ...]
    """Indices of the first frames of shots, among the decodable frames."""

    @property
    def cuts(self) -> tuple[float, ...]:
        """See `VideoInfo.cuts`."""
        return tuple(round(float(self.times[start]), 3) for start in self.starts[1:])


def probe(path: Path, *, cuts: bool = True, max_pixels: int = MAX_PIXELS) -> VideoInfo:
    """Collect facts about a video file, a folder of numbered images or another source.

    `cuts` decodes the whole source, unless it is live, to find cuts, count frames and detect damage.

    Raises FootageError, in one line, if the source cannot be read or has pictures of more than `max_pixels`.
    """
    with open_source(path, Reading(max_pixels=max_pixels)) as source:
        seen = _decode(source) if cuts and source.seekable else None
        file = source.companion()
        info, used = _of_frames(source, seen), 0
        if file is not None:
            info, used = _with_file(info, source, seen, file)
        lasting = (source.lasting or 0) * source.info.time_base
        times = list(seen.times) if seen else []
        notices = (*_notices(info, times, lasting, source, used), *_beside(source))
        return info.model_copy(update={"notices": notices})


def _decode(source: Source) -> _Seen:
    times, finder = [], ShotFinder()
    for frame in source:
        if not frame.concealed:
            finder.add(frame.pixels)
            times.append(frame.seconds)
    return _Seen(tuple(times), tuple(finder.finish()))


def _of_frames(source: Source, seen: _Seen | None) -> VideoInfo:
    """The facts that are known of every source, without notices."""
    info, times = source.info, list(seen.times) if seen else []
    rate = info.average_rate
    return VideoInfo(
        path=plain(str(source.path)),
        container=source.kind,
        size=sum(file.size for file in source.state.files.values()) if source.state else 0,
        duration_seconds=None if info.duration is None else float(info.duration),
        start_seconds=float(info.start),
        streams=(),
        width=info.width,
        height=info.height,
        rate=_rate(rate, [] if source.raw else times),
        rate_is=("assumed" if source.rate_assumed else "stated") if source.raw else None,
        variable_rate=not source.raw and _varies(times, 1 / (rate or ASSUMED_RATE)),
        rotation=info.rotation,
        sample_aspect_ratio=str(info.sample_aspect_ratio),
        pixel_format="rgba" if source.alpha else "rgb24",
        bit_depth=source.bits,
        colour=ColourFacts(
            matrix="rgb", matrix_assumed=False, range="full", range_assumed=False, primaries=None, transfer=None
        ),
        interlaced=source.interlaced or source.deinterlaced > 0,
        interlaced_frames=None if seen is None else source.deinterlaced,
        frames=None if seen is None else len(times),
        cuts=None if seen is None else seen.cuts,
        notices=(),
    )


def _with_file(info: VideoInfo, source: Source, seen: _Seen | None, file: Path) -> tuple[VideoInfo, int]:
    """Add the facts about the media file; also return the index of the stream that is used."""
    times, rate = list(seen.times) if seen else [], source.info.average_rate
    with open_container(file, max_pixels=source.reading.max_pixels) as container:
        stream = video_stream(container, file)
        variable = _varies(times or _packet_times(container, stream), 1 / (rate or ASSUMED_RATE))
    with open_container(file, max_pixels=source.reading.max_pixels) as container:
        stream = video_stream(container, file)
        first = _first_frame(container, stream, file)
        facts = {
            "container": container.format.name,
            "size": file.stat().st_size,
            "streams": tuple(_stream_facts(s) for s in container.streams),
            "rate": _rate(rate if source.raw else frame_rate(stream), times),
            "variable_rate": variable,
            "pixel_format": first.format.name,
            "bit_depth": max(component.bits for component in first.format.components),
            "colour": _colour_facts(first),
            "made_by": provenance_in(container.metadata),
        }
        return info.model_copy(update=facts), stream.index


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> av.VideoFrame:
    for packet in demux(container, stream):
        try:
            for frame in stream.decode(packet if packet.size else None):
                return frame
        except av.FFmpegError:
            continue
    raise FootageError(f"{path}: no frame can be decoded; check that the file is complete")


def _packet_times(container: InputContainer, stream: VideoStream) -> list[Fraction]:
    times: list[Fraction] = []
    try:
        for packet in demux(container, stream):
            if packet.pts is not None and packet.size:
                times.append(packet.pts * packet.time_base)
            if len(times) == _SAMPLE:
                break
    except av.FFmpegError:
        pass  # the file is damaged; the packets so far suffice
    times.sort()
    return times if len(times) < _SAMPLE else times[:-16]  # neighbours of the last ones may be stored later


def _rate(claimed: Fraction | None, times: list[Fraction]) -> float | None:
    counted = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else claimed
    if claimed is None or (counted is not None and abs(claimed - counted) > counted / 100):
        claimed = counted
    return None if claimed is None else round(float(claimed), 3)


def _varies(times: list[Fraction], step: Fraction) -> bool:
    steps = [after - before for before, after in pairwise(times)]
    if not steps:
        return False
    usual = sorted(steps)[len(steps) // 2]
    return any(abs(one - usual) > max(Fraction(1, 400), min(usual, step) / 5) for one in steps)


def _stream_facts(stream: Stream) -> StreamFacts:
    codec = stream.codec_context.name if stream.codec_context is not None else None
    return StreamFacts(
        index=stream.index,
        type=stream.type,
        codec=codec,
        language=stream.metadata.get("language"),
        title=stream.metadata.get("title"),
        disposition=tuple(flag.name or "" for flag in Disposition if stream.disposition & flag),
    )


def _colour_facts(frame: av.VideoFrame) -> ColourFacts:
    colour = colour_of(frame)
    names = {1: "bt709", 4: "fcc", 5: "bt601", 7: "smpte240m", 9: "bt2020"}
    primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
    return ColourFacts(
        matrix="rgb" if frame.format.is_rgb else names[int(colour.matrix)],
        matrix_assumed=colour.matrix_assumed and not frame.format.is_rgb,
        range="full" if colour.full_range else "limited",
        range_assumed=colour.range_assumed and not frame.format.is_rgb,
        primaries=None if primaries in _UNTAGGED else _PRIMARIES.get(primaries, str(primaries)),
        transfer=None if transfer in _UNTAGGED else _TRANSFERS.get(transfer, str(transfer)),
    )


def _beside(reader: Source) -> Iterator[str]:
    if reader.transparent or reader.may_be_transparent:
        yield "transparent in parts: a translated video shows the colours beneath, unless you give --alpha keep"
    if reader.captions or reader.captions_later:
        yield "closed captions in the video stream: only h264 and hevc preserve them"
    if reader.projection.boxes:
        yield "spherical or stereo video: only .mp4, .mkv and .webm preserve its projection"
    lost = (*reader.lost, *reader.projection.lost)
    if lost:
        yield f"data of the video stream that a translated video loses: {', '.join(lost)}"


def _notices(info: VideoInfo, times: list[Fraction], lasting: Fraction, source: Source, used: int) -> Iterator[str]:
    kinds = [stream.type for stream in info.streams]
    if info.rotation:
        yield f"stored rotated by {info.rotation}°: frames are rotated upright"
    if info.sample_aspect_ratio != "1":
        yield f"pixels are not square ({info.sample_aspect_ratio}): extraction makes them square"
    if info.variable_rate:
        yield "the frame rate varies: every timestamp is kept"
    if info.start_seconds:
        late = (
            ": a translated video starts at 0, unless you give --timestamps source" if info.start_seconds >= 10 else ""
        )
        yield f"the video starts at {info.start_seconds:.3f} s, not at 0{late}"
    if info.width % 2 or info.height % 2:
        yield f"odd size {info.width}×{info.height}: a translated video is one pixel wider or higher, to be even"
    if info.bit_depth > 8:
        yield f"{info.bit_depth}-bit samples: frames are reduced to 8 bits, unless translated with --depth 10"
    if info.colour.range == "full" and info.colour.matrix != "rgb":
        yield "full-range colour: a translated video is limited-range and looks the same"
    if info.colour.transfer in ("pq", "hlg"):
        yield f"high dynamic range ({info.colour.transfer}): frames are tone-mapped to standard range"
    if info.colour.matrix_assumed:
        yield f"no colour matrix is stated: {info.colour.matrix} is assumed"
    if info.rate_is == "assumed":
        what = "the stream states no frame rate" if info.streams else "images have no frame rate"
        yield f"{what}: {ASSUMED_RATE} frames/s are assumed, unless translated with --fps"
    if info.interlaced and info.frames and info.interlaced_frames not in (None, info.frames):
        yield f"interlaced in parts ({info.interlaced_frames} of {info.frames} frames): these are deinterlaced"
    elif info.interlaced:
        yield "interlaced: frames are deinterlaced"
    if kinds.count("video") > 1:
        yield f"{kinds.count('video')} video streams: stream {used} is used"
    if kinds and "audio" not in kinds:
        yield "no audio"
    if source.bad:
        images = counted(len(source.bad), "image")
        yield f"{images} ({listed(list(source.bad))}) cannot be read: the nearest intact image is shown"
    elif source.damaged:
        yield f"{counted(source.damaged, 'damaged packet')}: nearby frames may be lost or wrong"
    if len(times) > 1 and info.duration_seconds is not None:
        span = float(times[-1] - times[0] + lasting)
        if abs(span - info.duration_seconds) > max(0.5, 0.1 * span):
            yield f"the file states a duration of {info.duration_seconds:.1f} s, but its frames last {span:.1f} s"
