"""Keeps sound and other streams aligned with the picture where recordings were concatenated."""

from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import Any

from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from recycle.video.frame import Clock, longest_pause
from recycle.video.packets import stamp_of, time_of
from recycle.video.stated import frame_step

_BACK = Fraction(1, 2)
"""Seconds by which the timestamps of sound may decrease without counting as a discontinuity."""
_STORED_BEFORE = 500
"""Maximum number of packets of a stream that may be stored before the first picture of their recording."""


class Joints:
    """Shifts the packets of all streams by the same amounts as the video's `Clock`, using decoding timestamps.

    Without a discontinuity in the video, no packet is shifted.
    """

    def __init__(self, video: VideoStream, *, heard: Collection[int]) -> None:
        """`heard` has the numbers of the streams of which hidden packets would be heard in the output."""
        assert video.time_base is not None, "a stream that is read has one"
        self._unit = video.time_base
        self._step = frame_step(video)
        second = int(1 / self._unit)
        self._clock = Clock(second)
        self._pause = longest_pause(second) * self._unit
        self._now = Fraction(0)
        self._shifts = [Fraction(0)]  # in seconds, of the current recording and the one before
        self._latest: dict[int, Fraction] = {}
        self._early: dict[int, list[Packet[Stream]]] = {}
        self._heard = heard
        self._hidden: dict[int, Packet[Stream]] = {}

    def picture(self, packet: "Packet[Any]") -> "Iterator[Packet[Stream]]":
        """Advance the video clock by a video packet; at a discontinuity, yield the buffered packets, shifted."""
        stamp = packet.dts
        if stamp is None or packet.is_discard or packet.is_corrupt or (packet.pts is not None and stamp > packet.pts):
            return
        self._now = self._clock(stamp, step=self._step) * self._unit
        shift = self._clock.shift * self._unit
        if shift != self._shifts[0]:
            self._shifts = [shift, self._shifts[0]]
            for early in self._early.values():
                yield from map(self._moved, early)
                early.clear()

    def other(self, packet: "Packet[Stream]") -> "Iterator[Packet[Stream]]":
        """Yield the packets to write, shifted, after a packet of another stream was read.

        A packet with a discontinuity is buffered, because the video may be about to have the same one. If the stream
        continues at its previous times instead, the timestamps of the buffered packets were wrong, and these are
        yielded without timestamps.

        Packets that an edit list hides, as those before the start of a clip that was cut without re-encoding, are
        dropped if they would be heard. The last one before the start is kept: decoders need it.
        """
        index = packet.stream.index
        if packet.is_discard and index in self._heard:
            self._hidden[index] = packet
            return
        if packet.is_discard or stamp_of(packet) is None:
            yield packet
            return
        if (hidden := self._hidden.pop(index, None)) is not None and index not in self._latest:
            yield hidden
        time = self._place(packet)
        last = self._latest.get(index, time)
        early = self._early.setdefault(index, [])
        if packet.stream.type in ("subtitle", "data"):  # sparse: gaps are normal
            yield self._moved(packet)
        elif last - _BACK <= time <= last + self._pause:
            for wrong in early:
                wrong.pts = wrong.dts = None
                yield wrong
            early.clear()
            yield self._moved(packet)
        else:
            early.append(packet)
            if len(early) > _STORED_BEFORE:
                yield from self.rest()

    def rest(self) -> "Iterator[Packet[Stream]]":
        """Yield the packets that are still buffered; they continue directly after the previous packet of their
        stream."""
        for index, early in self._early.items():
            if early:
                first, last = early[0], early[-1]
                place = self._latest[index] + (last.duration or 0) * last.time_base
                by = place - time_of(first)
                yield from (self._moved(packet, time_of(packet) + by) for packet in early)
                early.clear()

    def _place(self, packet: "Packet[Stream]") -> Fraction:
        """Time of a packet in seconds, shifted as the recording that puts it nearer to the current picture."""
        time = time_of(packet)
        return min((time + shift for shift in self._shifts), key=lambda place: abs(place - self._now))

    def _moved(self, packet: "Packet[Stream]", place: Fraction | None = None) -> "Packet[Stream]":
        place = self._latest[packet.stream.index] = self._place(packet) if place is None else place
        by = round(place / packet.time_base) - (stamp_of(packet) or 0)
        if packet.pts is not None:
            packet.pts += by
        if packet.dts is not None:
            packet.dts += by
        return packet
