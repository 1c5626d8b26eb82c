"""A clock that begins late, as that of a broadcast, set back so that the file begins at 0."""

from collections.abc import Iterable
from fractions import Fraction
from math import floor, gcd, lcm

from av.stream import Disposition, Stream

LATE = Fraction(10)
"""Seconds from which on a start is the recorder's clock, and no delay that somebody wants."""
_FINE = Fraction(1, 100)


def late_start(streams: Iterable[Stream]) -> Fraction:
    """The seconds by which all of `streams`, the picture first, have to be moved back so that the earliest starts at 0.

    0 if it starts before LATE. The result is a multiple of the unit of every stream, so that their offsets stay
    exact; where the units have no fine multiple in common, it is one of the picture's unit.
    """
    timed = [stream for stream in streams if not stream.disposition & Disposition.attached_pic and stream.time_base]
    starts = [s.start_time * s.time_base for s in timed if s.start_time is not None and s.time_base]
    if not starts or min(starts) < LATE:
        return Fraction(0)
    units = [stream.time_base for stream in timed if stream.time_base]
    common = Fraction(lcm(*(unit.numerator for unit in units)), gcd(*(unit.denominator for unit in units)))
    unit = common if common <= _FINE else units[0]
    return floor(min(starts) / unit) * unit
