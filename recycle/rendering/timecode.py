"""SMPTE timecode (ST 12-1): the time of day, or the tape time, at which a recording starts."""

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

KEY = "timecode"
"""FFmpeg's name of the metadata entry."""

_FORM = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d+)")


def find_timecode(*metadata: Mapping[str, str]) -> str | None:
    """The first timecode in these metadata; keys are matched in any case. None if there is none."""
    return next((value for data in metadata for key, value in data.items() if key.lower() == KEY), None)


def without_timecode(metadata: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The metadata without their timecode."""
    return {key: value for key, value in metadata if key.lower() != KEY}


def advance(timecode: str, frames: int, rate: Fraction) -> str | None:
    """The timecode `frames` later, at `rate` frames per second; None if it is invalid or does not match the rate.

    `hh:mm:ss;ff` is drop-frame: the first two frame numbers (four at 60 frames per second) of each minute are skipped,
    except in every tenth minute.
    """
    match = _FORM.fullmatch(timecode)
    base = round(rate)
    if match is None or base < 1 or int(match[5]) >= base:
        return None
    if not frames:
        return timecode
    hours, minutes, seconds, mark, count = match.groups()
    drops = base // 30 * 2 if mark != ":" else 0
    if mark != ":" and base % 30:
        return None
    total_minutes = 60 * int(hours) + int(minutes)
    number = (60 * total_minutes + int(seconds)) * base + int(count) - drops * (total_minutes - total_minutes // 10)
    day = 24 * 60 * 60 * base - drops * (24 * 60 - 24 * 6)
    number = (number + frames) % day
    if drops:
        tens, rest = divmod(number, 600 * base - 9 * drops)
        number += drops * 9 * tens + drops * max(0, (rest - drops) // (60 * base - drops))
    whole, count_now = divmod(number, base)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{mark}{count_now:02}"
