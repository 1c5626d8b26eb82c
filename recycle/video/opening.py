"""Begins a part of a video with the picture that is on screen at its start."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple, TypeVar

T = TypeVar("T")

HELD = Fraction(1, 10)
"""Seconds of a part without a frame, at its start, from which the picture before it is shown: as in screen recordings
and slide shows. At usual rates a part simply begins with its first frame."""


class Placed(NamedTuple):
    """A frame and its times, in units of the source's time base."""

    pts: int
    """When it is shown."""
    own: int
    """Its own timestamp; earlier than `pts` if it is on screen already when a part starts."""


def opened(
    frames: Iterator[tuple[int, T]], start: int | None, time_base: Fraction, lasting: Callable[[T, int], int]
) -> Iterator[tuple[Placed | None, T]]:
    """Frames with their times, given frames with their timestamps, in order. A skipped frame has None.

    A frame before `start` is skipped. If the next one comes later than HELD after `start`, or never, the last skipped
    frame is yielded again, to be shown at `start`. `lasting` returns the duration of the video's last frame, given it
    and its timestamp.
    """
    held: tuple[int, T] | None = None
    for own, frame in frames:
        if start is not None and own < start:
            held = own, frame
            yield None, frame
            continue
        if held is not None and start is not None and (own - start) * time_base > HELD:
            yield Placed(start, held[0]), held[1]
        held = None
        yield Placed(own, own), frame
    if held is not None and start is not None and held[0] + lasting(held[1], held[0]) > start:
        yield Placed(start, held[0]), held[1]
