"""From a video file to a video file: decode, transform, encode; everything else comes along unchanged."""

import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, groupby, islice
from pathlib import Path

import av
import numpy as np

from recycle import __version__
from recycle.atomic import flush
from recycle.config import TranslateSettings
from recycle.errors import ConfigError, FootageError, Interrupted, OutputError
from recycle.footage.codecs import CONTAINERS, Choice, choose_encoder, takes_codec
from recycle.footage.decode import VideoReader, open_container, open_frames, video_stream
from recycle.footage.encode import mp4_options, output_errors, padding
from recycle.footage.frame import Frame, Pixels, StreamInfo
from recycle.footage.images import ImageFolderReader
from recycle.footage.manifest import fingerprint
from recycle.progress import Progress, silent
from recycle.translation.overlap import ahead
from recycle.translation.segments import Picture, join, open_encoder, write_segment
from recycle.translation.streams import OtherStreams
from recycle.translation.work import SEGMENT, Work, open_work

Transform = Callable[[Iterator[Frame], StreamInfo], Iterator[Pixels]]
"""One picture out for each frame in, in order, all of one size: RGB (H, W, 3) of the frames' dtype. Runs in a
thread, and starts anew with every segment."""

MOST_CONCEALED = 0.5
"""Part of the frames that may be lost to damage; a video with more of them is an error."""

_UNKNOWN_RATE = Fraction(25)
_REORDERED = 40
"""Packets among which the first frame to be shown is."""


@dataclass(frozen=True)
class RenderReport:
    """What became of one video."""

    source: Path
    output: Path
    frames: int
    """Frames written: as many as the source holds."""
    concealed: int
    """Of these, frames that could not be decoded: their neighbours are shown in their place."""
    resumed: int
    """Of these, frames that an earlier, interrupted call had finished."""
    seconds: float
    """Time taken, by the wall clock."""
    notices: tuple[str, ...]
    """What a user should know of the output, one line each; empty if nothing was lost."""


@dataclass(frozen=True)
class Span:
    """The part of a video from `start` to before `end`, in seconds of the source; its times begin at 0."""

    start: Fraction | None = None
    end: Fraction | None = None


WHOLE = Span()
_PREVIEW = 4
"""Seconds of a preview."""


def parse_span(start: str | None, end: str | None) -> Span:
    """The part of a video between two times, each seconds ('90', '1.5') or h:mm:ss ('0:01:30').

    Raises ConfigError for anything else, and for an end that is not after the start.
    """
    span = Span(_seconds(start, "start"), _seconds(end, "end"))
    if span.end is not None and span.end <= (span.start or 0):
        raise ConfigError(f"the end {end} is not after the start {start or 0}")
    return span


def preview_span(source: Path) -> Span:
    """A few seconds from the middle of a video. Raises FootageError if it cannot be read."""
    with open_frames(source) as reader:
        info = reader.info
    if info.duration is None or info.duration <= _PREVIEW:
        return Span(None, Fraction(_PREVIEW))
    middle = info.start + info.duration / 2
    return Span(middle - Fraction(_PREVIEW, 2), middle + Fraction(_PREVIEW, 2))


def _seconds(text: str | None, name: str) -> Fraction | None:
    if text is None:
        return None
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", text.strip())
    if match is None:
        raise ConfigError(f"the {name} '{text}' is no time; write seconds, such as 90.5, or h:mm:ss, such as 0:01:30.5")
    hours, minutes, seconds = match.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)


@dataclass
class _Source:
    """The frames of a source that are wanted, and what was seen while reading them."""

    reader: VideoReader | ImageFolderReader
    span: Span
    first_pts: int = 0
    count: int = 0

    def read(self, first: int) -> Iterator[Frame]:
        """Frames from number `first` on; those before are decoded only."""
        unit = self.reader.info.time_base
        self.count = 0

        def wanted(pts: int) -> bool:
            time = pts * unit
            if not (self.span.start or time) <= time < (self.span.end or time + 1):
                return False
            if not self.count:
                self.first_pts = pts
            self.count += 1
            return self.count > first

        return self.reader.read(wanted)

    @property
    def shift(self) -> int:
        """By how much times are moved: a cut-out begins at 0, and no container has times before 0."""
        return max(-self.first_pts, 0) if self.span.start is None else -self.first_pts


def render(
    source: Path,
    output: Path,
    transform: Transform,
    *,
    settings: TranslateSettings,
    key: Mapping[str, object] | None = None,
    context: int = 0,
    span: Span = WHOLE,
    compare: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda notice: None,
) -> RenderReport:
    """Write `source` (a video, or a folder of numbered images) to `output` with its frames transformed.

    Every frame keeps its timestamp, the picture its pixel aspect; all other streams, metadata and chapters are
    carried over (see `OtherStreams`). `span` cuts out a part; `compare` puts the source at the left of the
    result. Decoding, `transform` and encoding run at the same time, each at most `settings.batch_size` frames
    ahead of the next, so that memory does not grow with the length.

    The frames are kept in segments beside the output until it is complete: the same call, with the same `key`
    (all that `transform` depends on), goes on where one was interrupted or killed. `transform` sees `context`
    frames before each segment again, so that the result is that of an uninterrupted call. The output appears
    when it is complete, or not at all; its folder is made. Notices go to `say` as soon as they are known.

    Raises FootageError for a source that cannot be read, holds nothing in `span`, or is damaged beyond
    MOST_CONCEALED; OutputError for an output that exists (without `overwrite`), is the source, has an unknown
    suffix, or cannot be written; ConfigError for encoder settings that do not work; Interrupted after Ctrl-C;
    and whatever `transform` raises.
    """
    started = time.monotonic()
    with output_errors(output):
        check_output(source, output, overwrite=overwrite)
    container = CONTAINERS[output.suffix.lower()]
    _check_codec(output, container, settings)
    with (
        open_frames(source, depth=16 if settings.depth == 10 else 8) as reader,
        OtherStreams(source, container, start=span.start, end=span.end) as others,
    ):
        info = reader.info
        choice = choose_encoder(settings, short_side=min(info.width, info.height))
        picture = _picture(info, compare=compare)
        notices = _Notices(say)
        notices.add(*_before(reader, picture, choice, settings, others))
        frames = _Source(reader, span)
        with output_errors(output), open_work(output, _key(source, key, settings, span, compare)) as work:
            if work.dropped:
                notices.add("unfinished work of another source, model or settings was dropped")
            done = work.finished()
            try:
                pictures = _transformed(frames, done, transform, context, compare, settings.batch_size)
                _write_segments(work, pictures, frames, choice, picture, settings, progress)
                _check_frames(frames, source, work)
                whole = work.folder / f"whole{output.suffix}"
                _join(work, whole, frames, others, choice, picture)
            except KeyboardInterrupt as stop:
                kept = work.finished() * SEGMENT
                kept_text = f"{kept} frames are kept: run" if kept else "nothing is kept yet; run"
                raise Interrupted(f"stopped; {kept_text} the same command again to continue") from stop
            notices.add(*_after(reader), *others.late, *_of_the_file(whole, frames, picture))
            flush(whole)
            if output.exists() and not overwrite:
                raise OutputError(f"{output} has appeared meanwhile; --overwrite replaces it, without translating anew")
            whole.replace(output)
            flush(output.parent)
            work.clear()
        resumed = min(done * SEGMENT, frames.count)
        seconds = time.monotonic() - started
        return RenderReport(source, output, frames.count, reader.concealed, resumed, seconds, tuple(notices.all))


def foresee(source: Path, output: Path, settings: TranslateSettings) -> list[str]:
    """The notices that `render` gives before any work. Raises FootageError, OutputError or ConfigError as it."""
    container = CONTAINERS[output.suffix.lower()]
    with (
        open_frames(source, depth=16 if settings.depth == 10 else 8) as reader,
        OtherStreams(source, container) as others,
    ):
        picture = _picture(reader.info, compare=False)
        choice = choose_encoder(settings, short_side=min(picture.width, picture.height))
        return list(_before(reader, picture, choice, settings, others))


def check_output(source: Path, output: Path, *, overwrite: bool) -> None:
    """Raise OutputError, in one line, if `output` must not be written for `source`."""
    if output.suffix.lower() not in CONTAINERS:
        raise OutputError(f"cannot write {output}: its suffix must be one of {' '.join(CONTAINERS)}")
    if output.is_dir():
        raise OutputError(f"cannot write {output}: it is a folder; give the name of a file")
    if output.exists():
        if source.exists() and output.samefile(source):
            raise OutputError(f"{output} is the input itself; give another name for the output")
        if not overwrite:
            raise OutputError(f"{output} exists; give --overwrite to replace it")
    if not output.parent.is_dir() and output.parent.exists():
        raise OutputError(f"cannot write {output}: {output.parent} is not a folder")


def _picture(info: StreamInfo, *, compare: bool) -> Picture:
    return Picture(
        width=info.width * (2 if compare else 1),
        height=info.height,
        rate=info.average_rate or _UNKNOWN_RATE,
        time_base=info.time_base,
        sample_aspect_ratio=info.sample_aspect_ratio,
    )


def _check_codec(output: Path, container: str, settings: TranslateSettings) -> None:
    if not takes_codec(container, settings):
        fitting = " or ".join(suffix for suffix, name in CONTAINERS.items() if takes_codec(name, settings))
        raise OutputError(f"cannot write {output}: {container} does not hold {settings.codec}; {fitting} does")


def _check_frames(frames: _Source, source: Path, work: Work) -> None:
    if not frames.count:
        part = "" if frames.span == WHOLE else " between --start and --end"
        raise FootageError(f"{source}: there is no frame{part}")
    if frames.reader.concealed > MOST_CONCEALED * frames.count:
        work.clear()  # it would be so again
        raise FootageError(
            f"{source}: {frames.reader.concealed} of its {frames.count} frames are damaged, too many to conceal"
        )


def _key(
    source: Path, key: Mapping[str, object] | None, settings: TranslateSettings, span: Span, compare: bool
) -> dict[str, object]:
    """Everything that the segments depend on."""
    return {
        "recycle": __version__,
        "source": fingerprint(source),
        "transform": dict(key or {}),
        "encoder": settings.encoding(),
        "span": [span.start and str(span.start), span.end and str(span.end)],
        "compare": compare,
    }


def _transformed(
    frames: _Source, done: int, transform: Transform, context: int, compare: bool, depth: int
) -> "Generator[tuple[int, int, Pixels]]":
    """(segment, pts, picture) of all frames that are not in the `done` first segments, ahead of their use."""

    def all_segments(decoded: Iterator[Frame]) -> Iterator[tuple[int, int, Pixels]]:
        past: deque[Frame] = deque(islice(decoded, min(context, done * SEGMENT)), maxlen=context)
        segment = done
        for first in decoded:
            again = list(past)
            waiting: deque[Frame] = deque()

            def fed() -> Iterator[Frame]:
                yield from again  # noqa: B023 (used up within this iteration)
                for frame in chain([first], islice(decoded, SEGMENT - 1)):  # noqa: B023
                    waiting.append(frame)  # noqa: B023
                    past.append(frame)
                    yield frame

            count = 0
            for picture in islice(transform(fed(), frames.reader.info), len(again), None):
                frame = waiting.popleft()
                yield segment, frame.pts, np.hstack((frame.pixels, picture)) if compare else picture
                count += 1
            if waiting:
                raise RuntimeError(f"the transform gave {count} pictures for {count + len(waiting)} frames")
            segment += 1

    decoded = ahead(_readable(frames.read(done * SEGMENT - context), frames.reader.path), depth)
    done_pictures = ahead(all_segments(decoded), depth)
    with closing(decoded), closing(done_pictures):
        yield from done_pictures


def _write_segments(
    work: Work,
    pictures: "Generator[tuple[int, int, Pixels]]",
    frames: _Source,
    choice: Choice,
    picture: Picture,
    settings: TranslateSettings,
    progress: Progress,
) -> None:
    count = work.finished() * SEGMENT
    total = frames.reader.info.frame_count if frames.span == WHOLE else None

    def shown(group: Iterator[tuple[int, int, Pixels]]) -> Iterator[tuple[int, Pixels]]:
        nonlocal count
        for _, pts, pixels in group:
            yield pts + frames.shift, pixels
            count += 1
            progress(count, total)

    with closing(pictures):
        for segment, group in groupby(pictures, key=lambda item: item[0]):
            write_segment(work.segment(segment), choice, picture, shown(group))


def _join(work: Work, whole: Path, frames: _Source, others: OtherStreams, choice: Choice, picture: Picture) -> None:
    container = CONTAINERS[whole.suffix.lower()]
    options = mp4_options(picture.time_base) if container in ("mp4", "mov") else {}
    shift = frames.shift * picture.time_base
    segments = [work.segment(index) for index in range(work.finished())]
    with av.open(f"file:{whole}", "w", format=container, container_options=options) as file:
        encoder = open_encoder(file, choice, picture, tag=container in ("mp4", "mov"))
        others.attach(file, encoder.stream, shift=shift)
        join(segments, encoder, picture, before=lambda time: others.copy_until(time - shift))
        others.finish()


def _before(
    reader: VideoReader | ImageFolderReader,
    picture: Picture,
    choice: Choice,
    settings: TranslateSettings,
    others: OtherStreams,
) -> Iterator[str]:
    """What will not be as in the source, or as asked."""
    if choice.notice is not None:
        yield choice.notice
    if reader.interlaced:
        yield "the source is interlaced: its frames are deinterlaced"
    if reader.hdr:
        yield "the source has a high dynamic range: it is tone-mapped to standard"
    if settings.depth == 8 and reader.bits > 8:
        yield f"the source has {reader.bits} bits per sample: the output has 8; --depth 10 keeps more"
    right, bottom = padding(choice, picture.width, picture.height)
    if right or bottom:
        yield (
            f"{picture.width}×{picture.height} becomes {picture.width + right}×{picture.height + bottom}, its last "
            f"column or row repeated: {choice.pixel_format} has even sizes only"
        )
    yield from others.notices


def _after(reader: VideoReader | ImageFolderReader) -> Iterator[str]:
    """What was found while reading."""
    if reader.concealed:
        yield f"{reader.concealed} frames could not be decoded: their neighbours are shown in their place"
    elif reader.damaged:
        yield f"{reader.damaged} damaged packets of the video: pictures near them may be wrong"
    if reader.repaired:
        yield f"{reader.repaired} timestamps were missing or went back: they were repaired"


def _of_the_file(path: Path, frames: _Source, picture: Picture) -> Iterator[str]:
    """What the finished file says of itself that is not as in the source."""
    with open_container(path) as container:
        video = video_stream(container, path)
        unit = video.time_base
        stamps = [packet.pts for packet in islice(container.demux(video), _REORDERED) if packet.pts is not None]
        if unit is None or not stamps:
            return
        if (picture.time_base / unit).denominator != 1:
            yield f"times are rounded to {float(unit):g} s, this container's unit; .mp4 keeps them exactly"
        late = min(stamps) * unit - frames.first_pts * picture.time_base
        if abs(late) >= unit and frames.span == WHOLE:
            yield f"all times are {float(late):.3f} s later, for this container cannot hold times before 0"


def _readable(frames: Iterable[Frame], source: Path) -> Iterator[Frame]:
    try:
        yield from frames
    except av.FFmpegError as error:
        raise FootageError(f"cannot read {source}: {error.strerror or error}") from error


class _Notices:
    """Tells each notice once, at once, and keeps all for the report."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.all: list[str] = []
        self._say = say

    def add(self, *notices: str) -> None:
        for notice in notices:
            self.all.append(notice)
            self._say(notice)
