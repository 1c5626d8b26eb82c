"""Shows subtitles at the same time in one sample of 3GPP Timed Text (3GPP TS 26.245), the text format of mp4 and mov.

The samples of a track follow each other without overlap. Where lines overlap, a sample has all lines that are on
screen, one below the other.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_STYLE = struct.Struct(">HH8s")
"""One record of the box 'styl' (5.17.1.1): first character, the character after the last, font and colour."""


class Sample(NamedTuple):
    """What a track shows for a time."""

    start: int
    end: int | None
    """None: until the next sample."""
    data: bytes


class Screen:
    """Turns lines, in order of their starts, into samples that do not overlap."""

    def __init__(self) -> None:
        self._now = 0
        self._shown: list[Sample] = []

    def add(self, line: Sample) -> Iterator[Sample]:
        """Samples that end at the start of `line`, a new line. One that is too early starts now."""
        start = max(line.start, self._now)
        yield from self._until(start)
        if line.end is None or line.end > start:
            self._shown.append(line)

    def finish(self) -> Iterator[Sample]:
        """The samples that are left."""
        yield from self._until(None)

    def _until(self, time: int | None) -> Iterator[Sample]:
        while self._shown and time != self._now:
            ends = [end for end in (*(line.end for line in self._shown), time) if end is not None]
            stop = min(ends, default=None)
            if stop is None or stop > self._now:
                yield Sample(self._now, stop, merged([line.data for line in self._shown]))
            if stop is None:
                return
            self._now = stop
            # A line without an end is shown until the next one starts.
            self._shown = [line for line in self._shown if (stop != time if line.end is None else line.end > stop)]
            if stop == time:
                return
        if time is not None:
            self._now = time


def merged(samples: list[bytes]) -> bytes:
    """One sample with the texts of `samples`, one below the other, and their styles.

    Equal samples count once, and empty ones not at all. Of the other boxes, such as highlights, the first sample's are
    kept: a sample holds each only once. A text that does not fit is left out.
    """
    told = [sample for sample in dict.fromkeys(samples) if sample[:2] != bytes(2)]
    first, *others = told or samples[:1]
    if not others:
        return first
    text, styles, rest = _parts(first)
    for sample in others:
        more, its_styles, _ = _parts(sample)
        if len(text) + 1 + len(more) > 0xFFFF:
            continue
        text += b"\n"
        shift = len(text.decode(errors="replace"))
        text += more
        styles += [(begin + shift, end + shift, look) for begin, end, look in its_styles]
    if not styles:
        return struct.pack(">H", len(text)) + text + rest
    records = b"".join(_STYLE.pack(*style) for style in styles)
    box = struct.pack(">I4sH", 10 + len(records), b"styl", len(styles)) + records
    return struct.pack(">H", len(text)) + text + box + rest


def _parts(sample: bytes) -> tuple[bytes, list[tuple[int, int, bytes]], bytes]:
    """The text of a sample, its style records, and its other boxes as they are."""
    (length,) = struct.unpack_from(">H", sample)
    text, at = sample[2 : 2 + length], 2 + length
    styles: list[tuple[int, int, bytes]] = []
    rest = b""
    while at + 8 <= len(sample):
        size, kind = struct.unpack_from(">I4s", sample, at)
        box = sample[at : at + max(size, 8)]
        if kind == b"styl":
            styles += _STYLE.iter_unpack(box[10 : 10 + (len(box) - 10) // _STYLE.size * _STYLE.size])
        else:
            rest += box
        at += max(size, 8)
    return text, styles, rest
