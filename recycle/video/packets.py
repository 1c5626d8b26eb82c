"""Packets of a media file."""

from collections.abc import Iterator
from typing import TypeVar, cast

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

S = TypeVar("S", bound=Stream)


def stamp_of(packet: "Packet[Stream]") -> int | None:
    """Its decoding timestamp, else that of its presentation, in units of its time base; None if it has none."""
    return packet.dts if packet.dts is not None else packet.pts


def demux(container: InputContainer, *streams: S) -> "Iterator[Packet[S]]":
    """The packets of `streams`, from where the file was left. Raises av.FFmpegError for what cannot be read.

    Those of streams that were not there when the file was opened, as damage or joined recordings make them
    appear, are passed over; PyAV may stop with an IndexError behind them, before it tells the end.
    """
    while True:
        try:
            yield from cast("Iterator[Packet[S]]", container.demux(*streams))
            return
        except IndexError:
            continue
