"""The part of a video that is translated."""

import re
from dataclasses import dataclass
from fractions import Fraction

from recycle.errors import ConfigError
from recycle.safe_text import brief
from recycle.video.source import Source

_PREVIEW = 4
"""Length of a preview in seconds."""


@dataclass(frozen=True)
class Span:
    """A part of a video, from `start` to before `end`, in seconds of the source; its output starts at 0.

    None means the start or the end of the video.
    """

    start: Fraction | None = None
    end: Fraction | None = None


WHOLE = Span()


def parse_span(start: str | None, end: str | None) -> Span:
    """The part of a video between two times, given as seconds ('90', '1.5') or h:mm:ss ('0:01:30').

    None means the start or the end of the video. Raises ConfigError for invalid times, and if the end is not after the
    start.
    """
    span = Span(_seconds(start, "start"), _seconds(end, "end"))
    if span.end is not None and span.end <= (span.start or 0):
        raise ConfigError(f"the end {end} is not after the start {start or 0}")
    return span


def preview_span(source: Source) -> Span:
    """The middle four seconds of a video, or the start of a shorter one."""
    info = source.info
    start = info.start
    if info.duration is not None and info.duration > _PREVIEW:
        start += (info.duration - _PREVIEW) / 2
    return Span(start if start > 0 else None, start + _PREVIEW)


def opening_span(source: Source, seconds: Fraction) -> Span:
    """The first `seconds` of a video, wherever its clock starts."""
    return Span(None, source.info.start + seconds)


def _seconds(text: str | None, name: str) -> Fraction | None:
    if text is None:
        return None
    match = re.fullmatch(r"(?:(?:(\d{1,6}):)?(\d{1,6}):)?(\d{1,9}(?:\.\d{1,18})?)", text.strip(), re.ASCII)
    if match is None:
        raise ConfigError(
            f"the {name} {brief(text)} is not a time; write seconds, such as 90.5, or h:mm:ss, such as 0:01:30.5"
        )
    hours, minutes, seconds = match.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
