"""Carries over sound, subtitles and all other streams that accompany the video."""

import io
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from recycle.errors import RecycleError
from recycle.rendering.convert import Form, conversions, copy_of, cover_of
from recycle.rendering.labels import written_as
from recycle.rendering.passage import Passage, StreamFailure, Times, is_of_the_disk, name_of
from recycle.rendering.segments import open_output
from recycle.rendering.timecode import KEY, advance, find_timecode, without_timecode
from recycle.rendering.trial import Attach, NullFile, ReadBack, kind_of, mux_trial
from recycle.video.codecs import CONTAINERS, Choice
from recycle.video.container import is_avif, open_container, video_stream
from recycle.video.encode import Picture
from recycle.video.frame import ASSUMED_RATE
from recycle.video.numbered import listed
from recycle.video.packets import demux

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.container.core import Chapter
    from av.video.stream import VideoStream

_OF_THE_CONTAINER = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_OF_THE_ENCODING = {
    "rotate",
    "duration",
    "encoder",
    "encoder_settings",
    "encoded_library_settings",
    "alpha_mode",
    "bps",
    "number_of_frames",
    "number_of_bytes",
    "variant_bitrate",
}
"""Tags that are wrong after re-encoding; mkvmerge appends a language to some of them, as in BPS-eng."""
_FIRST = 16
"""Number of audio packets to try; at least one of them can be decoded."""

_LONGEST = 80
"""Maximum number of characters of a tag's key in a notice."""


class OtherStreams:
    """All streams of a file except the translated video, and how an output container stores them.

    Metadata, dispositions, chapters and the timecode are carried over. A stream that the container cannot hold is
    converted, or left out if no conversion works; `notices` lists these cases, reliably only after `prove`.
    """

    def __init__(
        self, file: Path | None, container: str, *, start: Fraction | None = None, end: Fraction | None = None
    ) -> None:
        """Choose a form for each stream of `file` (`Source.companion`) in `container` (FFmpeg's name).

        Only packets from `start` to before `end`, in seconds, are carried over. Raises FootageError if `file` cannot be
        opened.
        """
        self.file = file
        self.late: list[str] = []
        """Notices about what went wrong after the work started."""
        self.lost: list[str] = []
        """Streams that should have been carried over and are missing, entirely or for the most part."""
        self.container = container
        """FFmpeg's name of the output's container."""
        self._span: Times = (start, end)
        self._forms: dict[int, list[Form]] = {}  # forms left to try for each stream, in order of preference
        self._said: dict[int, str] = {}
        self._timecode: str | None = None
        self._of_timecode: list[str] = []
        self._of_labels: list[str] = []
        self._input: InputContainer | None = None
        if file is not None:
            self._input = open_container(file)
            self._video = video_stream(self._input, file)
            self._chapters = self._input.chapters()
            _find_parameters([stream for stream in self._input.streams if _lacks_parameters(stream)], file)
            for stream in self._input.streams:
                # mp4 stores chapter titles in a track with one packet each, and the timecode in another; the muxer
                # creates both tracks itself.
                is_chapters = stream.type == "data" and self._chapters and stream.frames == len(self._chapters)
                is_timecode = stream.type == "data" and stream.name is None and find_timecode(stream.metadata)
                if stream.index != self._video.index and not is_chapters and not is_timecode:
                    self._decide(stream)
            self._timecode = find_timecode(
                self._video.metadata, self._input.metadata, *(stream.metadata for stream in self._input.streams)
            )

    @property
    def notices(self) -> list[str]:
        """What cannot be carried over unchanged; known before the work starts."""
        return [*(self._said[index] for index in sorted(self._said)), *self._of_timecode, *self._of_labels]

    @property
    def has_timecode(self) -> bool:
        """Whether the timecode of the source is carried over; final only after `prove`."""
        return self._timecode is not None

    @property
    def carried(self) -> list[Stream]:
        """The streams of the source that are carried over, after its video; empty for a folder of images."""
        return [] if self._input is None else [self._video, *map(self._stream, self._present())]

    def prove(self, choice: Choice, picture: Picture) -> None:
        """Mux a short trial of the whole output, encoded by `choice`; convert or leave out streams that make it fail.

        Raises the exception of the trial if the video alone cannot be written.
        """
        if self._timecode is not None and self._span[0] is not None and not self._advanced(Fraction(0), picture.rate):
            self._drop_timecode("cannot be advanced to the start of the part")
        trial = partial(mux_trial, self.container, choice, picture)
        try:
            muxed = trial(partial(self._attach, forms=self._present()))
        except (MemoryError, RecycleError):
            raise
        except Exception:  # muxers, encoders and converters raise exceptions of any type
            muxed = self._prove_each(trial)
        if self._timecode is not None and not muxed.timecode:
            self._drop_timecode(f"cannot be held by {self.container}")
        self._say_labels(muxed)

    def attach(self, output: OutputContainer, video: Stream, *, shift: Fraction, first: Fraction) -> Passage:
        """Add the streams to `output`, which has its `video` stream and no packet yet.

        All packets are delayed by `shift` seconds; `first` is the time of the first frame in the source, in seconds.
        Raises FootageError if the source can no longer be read, StreamFailure if `output` rejects a stream.
        """
        return self._attach(output, video, shift=shift, first=first, forms=self._present())

    def conclude(self, passage: Passage) -> None:
        """Collect the problems of the passage that made the output."""
        self.late += passage.late
        self.lost += [self._name(index) for index in passage.lost]

    def give_up(self, error: Exception) -> bool:
        """Convert or leave out the streams that make an output fail with `error`; False if no stream is the cause."""
        present = self._present()
        if is_of_the_disk(error) or not present:
            return False
        if isinstance(error, StreamFailure):
            blamed = [error.index]
        else:
            blamed = [index for index, form in present.items() if not self._goes_alone(index, form)] or list(present)
        reason = getattr(error, "strerror", None) or str(error)
        for index in blamed:
            form = next((form for form in self._forms[index][1:] if self._goes_alone(index, form)), None)
            self._forms[index] = [] if form is None else [form]
            if form is None:
                self.lost.append(self._name(index))
            fate = "left out" if form is None else f"converted to {form.description}"
            self.late.append(f"{self._name(index)} is {fate}: {reason}")
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._input is not None:
            self._input.close()

    def _decide(self, stream: Stream) -> None:
        if stream.type == "video" and not stream.disposition & Disposition.attached_pic:
            used = "animation" if is_avif(stream.container) else "first video stream"
            self._said[stream.index] = f"{name_of(stream)} is left out: only the {used} is translated"
            return
        own = _own_form(stream, self.container, self.file)
        self._forms[stream.index] = [*([] if own is None else [own]), *conversions(stream, self.container)]
        self._say(stream)

    def _say(self, stream: Stream) -> None:
        """Record a notice if the first remaining form of the stream changes it or none is left."""
        forms = self._forms[stream.index]
        self._said.pop(stream.index, None)
        if not forms:
            self._said[stream.index] = f"{name_of(stream)} is left out: {self._why_not(stream)}"
        elif forms[0].description:
            self._said[stream.index] = (
                f"{name_of(stream)} is converted to {forms[0].description}: {self.container} cannot hold it as it is"
            )

    def _say_labels(self, muxed: ReadBack) -> None:
        """Record a notice about languages, titles, roles and tags that a reader of the output does not find."""
        lost = [
            f"{', '.join(labels)} of {name_of(self._video) if index is None else self._name(index)}"
            for index, labels in muxed.labels.items()
        ]
        if muxed.tags:
            lost.append(f"{listed([f'tag {key[:_LONGEST]}' for key in muxed.tags])} of the file")
        if lost:
            self._of_labels.append(f"labels that {self.container} cannot hold are left out: {'; '.join(lost)}")

    def _why_not(self, stream: Stream) -> str:
        if _lacks_parameters(stream):
            return "it cannot be decoded"
        others = [
            suffix
            for suffix, name in CONTAINERS.items()
            if name != self.container and _own_form(stream, name, self.file) is not None
        ]
        advice = f"; {' or '.join(others)} can" if others else ""
        return f"{self.container} cannot hold it{advice}"

    def _present(self) -> dict[int, Form]:
        """The form of each stream that is carried over."""
        return {index: forms[0] for index, forms in self._forms.items() if forms}

    def _prove_each(self, trial: Callable[[Attach], ReadBack]) -> ReadBack:
        """For each stream in turn, find a form that the output accepts together with the streams before it."""
        muxed = self._prove_picture(trial)
        taken: dict[int, Form] = {}
        for index, forms in self._forms.items():
            while forms and index not in taken:
                try:
                    muxed = trial(partial(self._attach, forms={**taken, index: forms[0]}))
                    taken[index] = forms[0]
                except (MemoryError, RecycleError):
                    raise
                except Exception:
                    del forms[0]
            self._say(self._stream(index))
        return muxed

    def _prove_picture(self, trial: Callable[[Attach], ReadBack]) -> ReadBack:
        try:
            return trial(partial(self._attach, forms={}))
        except Exception:
            if self._timecode is None:
                raise
            self._drop_timecode(f"cannot be held by {self.container}")
            return trial(partial(self._attach, forms={}))

    def _attach(
        self,
        output: OutputContainer,
        video: Stream,
        *,
        forms: Mapping[int, Form],
        shift: Fraction = Fraction(0),
        first: Fraction | None = None,
    ) -> Passage:
        if self._input is not None:
            video.metadata.update(written_as(_without(self._video.metadata, _OF_THE_ENCODING), self.container))
            video.disposition = self._video.disposition
            output.metadata.update(_without(self._input.metadata, _OF_THE_CONTAINER))
            self._set_timecode(output, video, first)
            if self._chapters:
                output.set_chapters(_moved(self._chapters, shift, self._span))
        return Passage(self.file, forms, output, shift=shift, span=self._span)

    def _goes_alone(self, index: int, form: Form) -> bool:
        """Whether all packets of a stream can be written to an output of their own."""
        unit = Picture(1, 1, ASSUMED_RATE, Fraction(1, 1000))
        try:
            with (
                open_output(NullFile(), self.container, unit) as file,
                Passage(self.file, {index: form}, file, shift=Fraction(0), span=self._span) as one,
            ):
                one.finish()
                return not one.refused[index]
        except (MemoryError, RecycleError):
            raise
        except Exception:
            return False

    def _set_timecode(self, output: OutputContainer, video: Stream, first: Fraction | None) -> None:
        """Write the timecode to the same place as in the source; the muxers of mov and mp4 turn it into a track."""
        begin = self._begin()
        elapsed = Fraction(0) if first is None or begin is None else first - begin
        timecode = self._advanced(elapsed, cast("VideoStream", video).average_rate or ASSUMED_RATE)
        holders = [one for one in (video.metadata, output.metadata) if find_timecode(one)] or [video.metadata]
        for metadata in holders:
            kept = without_timecode(metadata.items())
            metadata.clear()
            metadata.update(kept if timecode is None else {**kept, KEY: timecode})

    def _advanced(self, elapsed: Fraction, rate: Fraction) -> str | None:
        """The timecode `elapsed` seconds after the first frame of the source; None if it cannot be computed."""
        if self._timecode is None or self._span[0] is None:
            return self._timecode
        return None if self._begin() is None else advance(self._timecode, round(elapsed * rate), rate)

    def _begin(self) -> Fraction | None:
        """Start time of the source's video in seconds; None if unknown."""
        start, unit = self._video.start_time, self._video.time_base
        return None if start is None or unit is None else start * unit

    def _drop_timecode(self, reason: str) -> None:
        self._of_timecode.append(f"the timecode {self._timecode} is left out: it {reason}")
        self._timecode = None

    def _name(self, index: int) -> str:
        return name_of(self._stream(index))

    def _stream(self, index: int) -> Stream:
        assert self._input is not None, "streams come from an input"
        return self._input.streams[index]


def _lacks_parameters(stream: Stream) -> bool:
    """Whether FFmpeg found the codec of an audio stream but not its sample rate."""
    context = cast("AudioCodecContext | None", stream.codec_context)
    return stream.type == "audio" and context is not None and not context.sample_rate


def _find_parameters(streams: list[Stream], source: Path) -> None:
    """Set the sample rate and channels of audio that starts late in the file, by decoding its first frame.

    FFmpeg reads only the beginning of a file when it opens it.
    """
    contexts = {stream.index: cast("AudioCodecContext", stream.codec_context) for stream in streams}
    if not contexts:
        return
    tried: Counter[int] = Counter()
    with suppress(av.FFmpegError), open_container(source) as container:
        for packet in demux(container, *(container.streams[index] for index in contexts)):
            context = contexts.get(packet.stream.index)
            if context is not None and packet.size:
                tried[packet.stream.index] += 1
                with suppress(av.FFmpegError):
                    context.decode(packet)
                if context.sample_rate or tried[packet.stream.index] == _FIRST:
                    context.flush_buffers()
                    del contexts[packet.stream.index]
            if not contexts:
                return


def _moved(
    chapters: "list[Chapter]", shift: Fraction, span: tuple[Fraction | None, Fraction | None]
) -> "list[Chapter]":
    """Chapters delayed by `shift` seconds and cut to the span; chapters outside it, or that end before 0, are left
    out."""
    moved: list[Chapter] = []
    for chapter in chapters:
        unit = chapter["time_base"] or Fraction(1, 1000)
        first, last = chapter["start"] * unit, chapter["end"] * unit
        first = first if span[0] is None else max(first, span[0])
        last = last if span[1] is None else min(last, span[1])
        start, end = (max(0, round((time + shift) / unit)) for time in (first, last))
        is_a_point = chapter["start"] >= chapter["end"] and first + shift >= 0  # some files contain such chapters
        if start < end or (is_a_point and span == (None, None)):
            moved.append({**chapter, "start": start, "end": end})
    return moved


def _own_form(stream: Stream, container: str, source: Path | None) -> Form | None:
    """The form that stores the stream unchanged in `container`; None if the container does not seem to accept it."""
    if stream.disposition & Disposition.attached_pic and container == "matroska" and source is not None:
        with suppress(av.FFmpegError):
            return cover_of(stream, source)
        return None
    return copy_of(stream) if _fits(stream, container) else None


def _fits(stream: Stream, container: str) -> bool:
    """Whether `container` (FFmpeg's name) seems to accept the stream: its header is written in memory.

    For data, a packet is written and read back too: FFmpeg writes data into mp4 and mov that no reader recognises.
    """
    if stream.disposition & Disposition.attached_pic and container != "mp4":
        return False  # mov loses cover pictures; WebM treats them as video
    if stream.type in ("attachment", "data") and container == "webm":
        return False  # FFmpeg writes them, but players cannot read the file
    memory = io.BytesIO()
    try:
        with av.open(memory, "w", format=container) as trial:
            target = copy_of(stream).open(stream, trial).target
            trial.start_encoding()
            if stream.type == "data":
                packet = av.Packet(bytes(16))
                packet.stream, packet.time_base = target, Fraction(1, 1000)
                packet.pts, packet.dts, packet.duration = 0, 0, 1000
                trial.mux_one(packet)
        if stream.type == "data":
            memory.seek(0)
            with av.open(memory, format=container) as trial:
                return kind_of(stream) in map(kind_of, trial.streams)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _without(metadata: dict[str, str], keys: set[str]) -> dict[str, str]:
    return {
        key: value
        for key, value in metadata.items()
        if key.lower().removesuffix("-eng") not in keys and not key.startswith("_STATISTICS")
    }
