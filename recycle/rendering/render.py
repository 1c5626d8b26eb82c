"""From a video file to a video file: decode, transform, encode; everything else comes along unchanged."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from operator import neg
from pathlib import Path

from recycle import __version__
from recycle.config import TranslateSettings
from recycle.errors import FootageError, Interrupted, OutputError
from recycle.events import Job
from recycle.rendering.late_start import LATE, late_start
from recycle.rendering.notices import after_work, before_work, of_the_file
from recycle.rendering.overlap import AT_ONCE
from recycle.rendering.span import WHOLE, Span
from recycle.rendering.streams import OtherStreams
from recycle.rendering.stretch import Renderer, Stretch, Transform
from recycle.rendering.whole import Whole
from recycle.rendering.work import SEGMENT, Work, open_work, share_work
from recycle.system.atomic import flush
from recycle.system.places import is_here
from recycle.video.codecs import CONTAINERS, Choice, choose_encoder, takes_codec
from recycle.video.decode import VideoReader, open_frames
from recycle.video.encode import Picture, output_errors
from recycle.video.fingerprint import fingerprint, modified
from recycle.video.frame import StreamInfo
from recycle.video.images import ImageFolderReader
from recycle.video.source_state import SourceState

PART = 10 * SEGMENT
"""Frames of a part of a long video that is split."""

_COARSEST_TIME = 2_000_000_000
"""Nanoseconds to which FAT rounds the times of files, some of them only after the file was written out."""

FRAMES = 3
"""To be raised when the same settings come to give other frames: unfinished work of before is then dropped."""

MOST_CONCEALED = 0.5
"""Part of the frames that may be lost to damage; a video with more of them is an error."""


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
    lost: tuple[str, ...] = ()
    """Streams that were to come along and did not, or not for the most part, as their notices say."""


def render(
    source: Path,
    output: Path,
    transform: Transform,
    *,
    settings: TranslateSettings,
    span: Span = WHOLE,
    compare: bool = False,
    overwrite: bool = False,
    job: Job | None = None,
) -> RenderReport:
    """Write `source` (a video, or a folder of numbered images) to `output` with its frames transformed.

    Every frame keeps its timestamp, the picture its pixel aspect; all other streams, metadata and chapters are
    carried over (see `OtherStreams`), as a trial of the whole output shows before any work; what fails in spite of that
    is left out, and in the report's `lost`. `span` cuts out a part; `compare` puts the source at the left of the
    result. Decoding, `transform` and encoding run at the same time, each at most AT_ONCE frames ahead of the next, so
    that memory does not grow with the length.

    The frames are kept in segments beside the output until it is complete: the same call, with the same
    `transform.key`, goes on where one was interrupted or killed. The output appears when it is complete, or not at
    all; its folder is made. The job is told of notices as soon as they are known, and of the frames written.

    Raises FootageError for a source that cannot be read, changes while it is read, holds nothing in `span`, or is
    damaged beyond MOST_CONCEALED; OutputError for an output that exists (without `overwrite`), is the source, has an
    unknown suffix, or cannot be written; ConfigError for encoder settings that do not work; Interrupted after Ctrl-C
    and where the job is cancelled; and whatever `transform` raises.
    """
    started = time.monotonic()
    with output_errors(output):
        check_output(source, output, overwrite=overwrite)
    container = CONTAINERS[output.suffix.lower()]
    _check_codec(output, container, settings)
    state = SourceState.of(source)
    with (
        _open(source, settings) as reader,
        OtherStreams(source, container, start=span.start, end=span.end) as others,
    ):
        renderer = _renderer(reader, transform, settings, compare, state)
        with output_errors(output):
            others.prove(renderer.choice, renderer.picture)
        notices: list[str] = []
        job = (job or Job()).keeping(notices)
        moved = _set_back(others, source, settings, span)
        for notice in before_work(
            reader, renderer.picture, renderer.choice, settings, others, moved=moved, compared=compare
        ):
            job.say(notice)
        with (
            output_errors(output),
            open_work(output, render_key(source, transform.key, settings, span, compare)) as work,
            state.watched(spoiled=work.clear),
        ):
            if work.dropped:
                job.say("unfinished work of another source, model or settings was dropped")
            work.trim()
            earlier = work.stamps()
            try:
                stretch = _unfinished(work, span, reader.info)
                total = reader.info.frame_count if span == WHOLE else None
                count = job.counting(f"translating {source.name}", done=len(earlier), total=total)
                if not renderer.write(stretch, work, lambda frames: count(len(earlier) + frames)):
                    reader.hardware = False  # perhaps the GPU failed, and not the file: the processor tells
                    again = len(work.stamps())
                    stretch = _unfinished(work, span, reader.info)
                    renderer.write(stretch, work, lambda frames: count(again + frames))
                stamps = work.stamps()
                count.finish()
                _check_frames(reader, len(stamps), source, span, work)
                whole = work.folder / f"whole{output.suffix}"
                first = stamps[0] * renderer.picture.time_base
                if moved and first < moved - LATE:  # a damaged file states a start that no frame has
                    moved = Fraction(0)
                    job.say(f"the picture starts at {float(first):.3f} s: the times of all streams are kept")
                moved_units = int(moved / renderer.picture.time_base)
                Whole(work, stamps, whole, stretch.shift(stamps[0]), moved_units, others, renderer).join(job)
            except (KeyboardInterrupt, Interrupted) as stop:
                kept = len(work.stamps())
                kept_text = f"{kept} frames are kept: run" if kept else "nothing is kept yet; run"
                raise Interrupted(f"stopped; {kept_text} the same command again to continue") from stop
            for notice in (*after_work(reader, renderer.choice, deinterlaced=work.deinterlaced()), *others.late):
                job.say(notice)
            for notice in of_the_file(whole, renderer.picture, first_pts=stamps[0] - moved_units, whole=span == WHOLE):
                job.say(notice)
            flush(whole)
            if output.exists() and not overwrite:
                raise OutputError(f"{output} has appeared meanwhile; --overwrite replaces it, without translating anew")
            state.check()
            whole.replace(output)
            flush(output.parent)
            work.clear()
        seconds = time.monotonic() - started
        counts = len(stamps), reader.concealed, len(earlier)
        return RenderReport(source, output, *counts, seconds, tuple(notices), tuple(others.lost))


@dataclass(frozen=True)
class Part:
    """A part of a long video that is rendered by itself; timestamps in units of the source's time base."""

    segment: int
    """Number of its first segment."""
    stamps: tuple[int, ...]
    """Timestamps that its frames are to have."""
    past: tuple[int, ...]
    """Those of the frames before."""
    end: int | None
    """That of the frame behind it."""
    origin: int
    """That of the first frame of the video."""
    entry: int | None
    """That of the key frame at which decoding begins."""
    total: int
    """Frames of the video."""


def split(
    source: Path, output: Path, *, settings: TranslateSettings, key: Mapping[str, object] | None = None
) -> list[Part]:
    """Parts of a long video for `render_part`; none if it is short, or cannot be split.

    What `render` had finished of it is not in them, and unfinished work of another key is removed. Raises
    FootageError for a source that cannot be read, OutputError for an output that cannot be written.
    """
    _check_codec(output, CONTAINERS[output.suffix.lower()], settings)
    with open_frames(source, fps=settings.fps, max_pixels=settings.max_pixels) as reader:
        index = reader.index()
    if index is None or len(index.stamps) < 2 * PART:
        return []
    with output_errors(output), open_work(output, render_key(source, key, settings, WHOLE, False)) as work:
        finished = work.stamps()
        if not work.regular() or tuple(finished) != index.stamps[: len(finished)]:
            return []  # not as the packets promise: one goes on
    parts = []
    stamps = index.stamps
    for first in range(len(finished) // PART * PART, len(stamps), PART):
        past = stamps[max(0, first - SEGMENT) : first]
        end = stamps[first + PART] if first + PART < len(stamps) else None
        entry = index.entry(past[0]) if past else None
        own = stamps[first : first + PART]
        parts.append(Part(first // SEGMENT, own, past, end, stamps[0], entry, len(stamps)))
    return parts


def render_part(
    source: Path,
    output: Path,
    transform: Transform,
    part: Part,
    *,
    settings: TranslateSettings,
    job: Job | None = None,
) -> None:
    """Write one part (see `split`) of the segments of `output`, at the same time as others write others.

    A part ends early where the source is not as its packets promise. `render`, when all parts have ended, does
    the rest and gives the same result as without them. Arguments and errors as for `render`.
    """
    state = SourceState.of(source)
    with _open(source, settings) as reader, output_errors(output):
        work = share_work(output, render_key(source, transform.key, settings, WHOLE, False))
        segment, past, stamps = part.segment, part.past, part.stamps
        while stamps and (record := work.read(segment)) is not None and record.stamps == stamps[:SEGMENT]:
            segment, past, stamps = segment + 1, stamps[:SEGMENT], stamps[SEGMENT:]
        if not stamps:
            return
        stretch = Stretch(
            start=stamps[0],
            end=part.end,
            past=past,
            segment=segment,
            seek=False,
            entry=part.entry,
            shift=_no_negative_times,
            origin=part.origin,
            expected=stamps,
        )
        renderer = _renderer(reader, transform, settings, False, state)
        before = len(part.stamps) - len(stamps)
        count = (job or Job()).counting(f"translating {source.name}", done=before, total=part.total)
        renderer.write(stretch, work, lambda frames: count(before + frames))


def _open(source: Path, settings: TranslateSettings) -> VideoReader | ImageFolderReader:
    return open_frames(
        source,
        depth=16 if settings.depth == 10 else 8,
        hardware=settings.hardware,
        fps=settings.fps,
        max_pixels=settings.max_pixels,
        alpha=settings.alpha == "keep",
    )


def _set_back(others: OtherStreams, source: Path, settings: TranslateSettings, span: Span) -> Fraction:
    """Seconds by which all streams are moved back; a cut-out with a start begins at 0 by itself."""
    moves = settings.timestamps == "zero" and span.start is None
    return late_start(others.carried, source) if moves else Fraction(0)


def _no_negative_times(origin: int) -> int:
    return max(-origin, 0)


def _renderer(
    reader: VideoReader | ImageFolderReader,
    transform: Transform,
    settings: TranslateSettings,
    compare: bool,
    state: SourceState,
) -> Renderer:
    choice = _encoder(reader, settings)
    picture = Picture.of(reader.info)
    if compare:
        picture = replace(picture, width=2 * picture.width)
    return Renderer(reader, transform, choice, picture, compare, AT_ONCE, state.check)


def _encoder(reader: VideoReader | ImageFolderReader, settings: TranslateSettings) -> Choice:
    return choose_encoder(settings, short_side=min(reader.info.width, reader.info.height), alpha=reader.alpha)


def _unfinished(work: Work, span: Span, info: StreamInfo) -> Stretch:
    """What is left of a video. Where all was regular so far, decoding begins where it stopped."""
    past = work.stamps()
    return Stretch(
        start=None if span.start is None else ceil(span.start / info.time_base),
        end=None if span.end is None else ceil(span.end / info.time_base),
        past=past,
        segment=work.finished(),
        seek=work.regular(),
        shift=_no_negative_times if span.start is None else neg,  # a cut-out begins at 0
        origin=past[0] if past else None,
    )


def foresee(source: Path, output: Path, settings: TranslateSettings) -> list[str]:
    """The notices that `render` gives before any work. Raises FootageError, OutputError or ConfigError as it."""
    container = CONTAINERS[output.suffix.lower()]
    _check_codec(output, container, settings)
    with (
        _open(source, settings) as reader,
        OtherStreams(source, container) as others,
    ):
        picture = Picture.of(reader.info)
        choice = _encoder(reader, settings)
        with output_errors(output):
            others.prove(choice, picture)
        moved = _set_back(others, source, settings, WHOLE)
        return list(before_work(reader, picture, choice, settings, others, moved=moved))


def check_output(source: Path, output: Path, *, overwrite: bool) -> None:
    """Raise OutputError, in one line, if `output` must not be written for `source`."""
    if output.suffix.lower() not in CONTAINERS:
        raise OutputError(f"cannot write {output}: its suffix must be one of {' '.join(CONTAINERS)}")
    if output.is_dir():
        raise OutputError(f"cannot write {output}: it is a folder; give the name of a file")
    if output.exists():
        if is_here(source) and is_here(output) and source.exists() and output.samefile(source):
            raise OutputError(f"{output} is the input itself; give another name for the output")
        if not overwrite:
            raise OutputError(f"{output} exists; give --overwrite to replace it")
    if not output.parent.is_dir() and output.parent.exists():
        raise OutputError(f"cannot write {output}: {output.parent} is not a folder")


def _check_codec(output: Path, container: str, settings: TranslateSettings) -> None:
    if not takes_codec(container, settings):
        fitting = " or ".join(suffix for suffix, name in CONTAINERS.items() if takes_codec(name, settings))
        what = f"the transparency of {settings.codec}" if settings.alpha == "keep" else settings.codec
        raise OutputError(f"cannot write {output}: {container} does not hold {what}; {fitting} does")


def _check_frames(reader: VideoReader | ImageFolderReader, count: int, source: Path, span: Span, work: Work) -> None:
    if not count:
        part = "" if span == WHOLE else " between --start and --end"
        raise FootageError(f"{source}: there is no frame{part}")
    if reader.concealed > MOST_CONCEALED * count:
        work.clear()  # it would be so again
        raise FootageError(f"{source}: {reader.concealed} of its {count} frames are damaged, too many to conceal")


def render_key(
    source: Path, key: Mapping[str, object] | None, settings: TranslateSettings, span: Span, compare: bool
) -> dict[str, object]:
    """Everything that the segments of an output depend on."""
    return {
        "recycle": __version__,
        "frames": FRAMES,
        **({"fps": settings.fps} if settings.fps else {}),
        "source": fingerprint(source),
        "modified": modified(source) // _COARSEST_TIME,  # the fingerprint reads only samples of a file
        "transform": dict(key or {}),
        "encoder": settings.encoding(),
        "span": [span.start and str(span.start), span.end and str(span.end)],
        "compare": compare,
    }
