"""Reads packets of media files."""

from collections.abc import Iterator
from fractions import Fraction
from typing import TypeVar, cast

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

S = TypeVar("S", bound=Stream)


def stamp_of(packet: "Packet[Stream]") -> int | None:
    """Decoding timestamp of a packet, or its presentation timestamp without one; None without either.

    In units of the packet's time base.
    """
    return packet.dts if packet.dts is not None else packet.pts


def time_of(packet: "Packet[Stream]") -> Fraction:
    """Time of `stamp_of` a packet in seconds; 0 without one."""
    return (stamp_of(packet) or 0) * packet.time_base


def demux(container: InputContainer, *streams: S) -> "Iterator[Packet[S]]":
    """Yield the packets of `streams` from the current position of the file. Raises av.FFmpegError on a read error.

    Damage or joined recordings can add streams after the file was opened. Their packets are skipped; PyAV may raise an
    IndexError at such a packet, and reading then continues.
    """
    while True:
        try:
            yield from cast("Iterator[Packet[S]]", container.demux(*streams))
            return
        except IndexError:
            continue
