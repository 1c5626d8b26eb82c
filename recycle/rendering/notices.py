"""Notices about an output: one line for each difference from the source or the request."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

from recycle.config import EncodeSettings
from recycle.plural import counted
from recycle.rendering.late_start import FIRST
from recycle.rendering.streams import OtherStreams
from recycle.video.codecs import Choice
from recycle.video.container import open_container, video_stream
from recycle.video.encode import Picture
from recycle.video.frame import ASSUMED_RATE
from recycle.video.numbered import listed
from recycle.video.padding import padding
from recycle.video.sidedata import TIMECODES
from recycle.video.source import Source


def before_work(
    reader: Source,
    picture: Picture,
    choice: Choice,
    settings: EncodeSettings,
    others: OtherStreams,
    *,
    moved: Fraction = Fraction(0),
    compared: bool = False,
    timed: bool = True,
) -> Iterator[str]:
    """Notices that are known before the work starts: what will differ from the source or from the request.

    `moved` is the time in seconds that is subtracted from all timestamps. `compared`: whether the output shows the
    source beside the result; `timed`: whether it has timestamps.
    """
    if choice.notice is not None:
        yield choice.notice
    if reader.missing:
        yield f"the file is cut off: at least {counted(reader.missing, 'frame is', 'frames are')} missing at its end"
    if reader.transparent and not choice.alpha:
        yield "the source is transparent in parts: the output shows the colours beneath"
    elif reader.may_be_transparent and not choice.alpha:
        yield "the source has an alpha channel: where it is transparent, the output shows the colours beneath"
    if reader.rate_assumed and timed:
        yield f"the source states no frame rate: {ASSUMED_RATE} frames per second are assumed; --fps sets another"
    if reader.ignores_fps:
        yield "--fps has no effect: the source has timestamps of its own, which are kept"
    if reader.bad:
        yield f"{_images(reader)} cannot be read: the nearest intact image is shown instead"
    if reader.interlaced:
        yield "the source is interlaced: its frames are deinterlaced"
    if reader.hdr:
        yield "the source has a high dynamic range: it is tone-mapped to the standard range"
    lost = [kind for kind in reader.lost if not (kind == TIMECODES and others.has_timecode)]
    lost += reader.projection.lost
    if reader.captions and not choice.encoder.captions:
        lost.append("closed captions (h264 and hevc keep them)")
    kept = reader.projection.boxes_in(others.container, choice.encoder.name, picture.sample_aspect_ratio)
    if reader.projection.boxes and (compared or not kept):
        lost.append("spherical mapping and stereo mode")
    if lost:
        yield f"data of the {'image' if reader.still else 'video stream'} is left out: {', '.join(lost)}"
    if settings.depth == 8 and reader.bits > 8:
        yield f"the source has {reader.bits} bits per sample: the output has 8; --depth 10 keeps more"
    right, bottom = padding(choice.pixel_format, picture.width, picture.height)
    if right or bottom:
        yield (
            f"{picture.width}×{picture.height} becomes {picture.width + right}×{picture.height + bottom}, its last "
            f"column or row repeated: {choice.pixel_format} requires even sizes"
        )
    yield from others.notices
    if moved:
        yield (
            f"the source starts at {float(moved):.3f} s: all streams are shifted together to start at 0; "
            "--timestamps source keeps the original times"
        )


def after_work(reader: Source, choice: Choice, *, deinterlaced: bool) -> Iterator[str]:
    """Notices about what was found while reading; `deinterlaced`: whether any frame was interlaced."""
    if reader.transparent_later and not choice.alpha:
        yield "the source becomes transparent in parts: the output shows the colours beneath"
    if reader.captions_later and not choice.encoder.captions:
        yield "data of the video stream is left out: closed captions (h264 and hevc keep them)"
    if deinterlaced and not reader.interlaced:
        yield "the source is interlaced in parts: these frames were deinterlaced"
    if reader.bad and reader.concealed:
        yield f"{_images(reader)} could not be read: the nearest intact image is shown instead"
    elif reader.concealed:
        yield f"{counted(reader.concealed, 'frame')} could not be decoded: the nearest intact frame is shown instead"
    elif reader.damaged:
        yield f"the video has {counted(reader.damaged, 'damaged packet')}: nearby frames may be wrong"
    if reader.repaired:
        yield f"repaired {counted(reader.repaired, 'timestamp')}: missing, decreasing or ahead by hours"


def _images(reader: Source) -> str:
    return f"{counted(len(reader.bad), 'image')} ({listed(list(reader.bad))})"


def of_the_file(path: Path, picture: Picture, *, first_pts: int, whole: bool) -> Iterator[str]:
    """Notices about the finished file `path`, whose timestamps may differ from the source.

    `first_pts` is the expected first timestamp in units of the picture's time base; `whole` is False for a part of a
    video.
    """
    with open_container(path) as container:
        video = video_stream(container, path)
        unit = video.time_base
        stamps = [packet.pts for packet in islice(container.demux(video), FIRST) if packet.pts is not None]
        if unit is None or not stamps:
            return
        if (picture.time_base / unit).denominator != 1:
            yield f"times are rounded to {float(unit):g} s, this container's unit; .mp4 keeps them exactly"
        late = min(stamps) * unit - first_pts * picture.time_base
        if abs(late) >= unit and whole:
            yield f"all times are {float(late):.3f} s later, because this container cannot hold negative times"
