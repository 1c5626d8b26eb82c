"""Reads what a video file states about its frames: rate, number and duration."""

from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from recycle.errors import FootageError
from recycle.video.animation import parse_webp
from recycle.video.container import is_raw, open_container, video_stream
from recycle.video.frame import ASSUMED_RATE, StreamInfo
from recycle.video.lasting import states_the_end
from recycle.video.numbered import IMAGE_SUFFIXES, images_at
from recycle.video.sniff import IMAGE, WEBP, sniff
from recycle.video.source import added_kind

_MAX_RATE = 480


def frame_rate(stream: VideoStream) -> Fraction | None:
    """Frames per second as stated by the file; None if none is stated or it exceeds _MAX_RATE."""
    rates: tuple[Fraction | None, ...]
    if is_raw(stream.container):  # the other rates are FFmpeg's own assumption
        rates = (stream.codec_context.framerate,)
    else:
        rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((rate for rate in rates if rate is not None and 0 < rate <= _MAX_RATE), None)


def frame_step(stream: VideoStream) -> int:
    """Usual distance of frames in units of the stream's time base, at least 1; from ASSUMED_RATE if none is stated."""
    assert stream.time_base is not None
    return max(1, round(1 / ((frame_rate(stream) or ASSUMED_RATE) * stream.time_base)))


def estimate_frames(path: Path) -> int | None:
    """Number of frames that a source states, without decoding; None if unknown, 0 if it cannot be read."""
    try:
        if kind := added_kind(path):
            with kind(path) as source:
                return source.info.frame_count
        if (images := images_at(path)) is not None:
            return len(images)
        if path.suffix.lower() in IMAGE_SUFFIXES and (what := sniff(path)) in (IMAGE, WEBP):
            animation = parse_webp(path.read_bytes()) if what == WEBP else None
            return len(animation.durations) if animation is not None else 1
        with open_container(path) as container:
            stream = video_stream(container, path)
            return _extent(path, container, stream, None)[2]
    except (FootageError, OSError):
        return 0


def stream_info(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    width: int,
    height: int,
    aspect: Fraction,
    rotation: int,
    *,
    first: int | None = None,
) -> StreamInfo:
    """Properties of the frames of `stream`, whose size, pixel `aspect` and `rotation` are given.

    `first` is the timestamp of the first decodable frame in units of the stream's time base; None if unknown.
    """
    assert stream.time_base is not None
    start, duration, count = _extent(path, container, stream, first)
    rate = frame_rate(stream)
    return StreamInfo(width, height, stream.time_base, rate, aspect, start, duration, count, rotation)


def _extent(
    path: Path, container: InputContainer, stream: VideoStream, first: int | None
) -> tuple[Fraction, Fraction | None, int | None]:
    """Start and duration of `stream` in seconds, and its number of frames; see `stream_info`."""
    assert stream.time_base is not None
    rate = frame_rate(stream)
    start = ((stream.start_time or 0) if first is None else first) * stream.time_base
    duration: Fraction | None = None
    if stream.duration:
        duration = stream.duration * stream.time_base
    elif container.duration:
        duration = Fraction(container.duration, av.time_base)
    if duration is not None and duration > start > 0 and states_the_end(container, path):
        duration -= start
    return start, duration, stream.frames or (round(duration * rate) if duration and rate else None)
