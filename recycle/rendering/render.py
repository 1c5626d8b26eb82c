"""Renders a video file: decodes, transforms and encodes its frames, and carries over everything else unchanged."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from operator import neg
from pathlib import Path

from recycle.config import TranslateSettings
from recycle.errors import ConfigError, FootageError, Interrupted, OutputError
from recycle.events import Job
from recycle.plural import counted
from recycle.rendering.late_start import LATE
from recycle.rendering.notices import after_work, before_work, of_the_file
from recycle.rendering.pictures import Pictures, format_for, picture_notices, working_settings
from recycle.rendering.prepare import (
    check_output,
    container_of,
    no_negative_times,
    opened,
    render_key,
    renderer_of,
    set_back,
)
from recycle.rendering.span import WHOLE, Span
from recycle.rendering.streams import OtherStreams
from recycle.rendering.stretch import Renderer, Stretch, Transform
from recycle.rendering.whole import Whole
from recycle.rendering.work import Work, open_work
from recycle.system.atomic import flush
from recycle.video.encode import output_errors
from recycle.video.opening import HELD
from recycle.video.picture_formats import holds_pictures, is_animation, is_sequence
from recycle.video.source import Source

MOST_CONCEALED = 0.5
"""Maximum proportion of frames that may be lost to damage; a video with more is an error."""


@dataclass(frozen=True)
class RenderReport:
    """The result of rendering one video."""

    source: Path
    output: Path
    frames: int
    """Number of frames written; equal to the number of frames in the source."""
    concealed: int
    """How many of these could not be decoded and show the nearest decoded frame instead."""
    resumed: int
    """How many of these an earlier, interrupted call had finished."""
    seconds: float
    """Wall-clock time in seconds."""
    notices: tuple[str, ...]
    """Differences between the source and the output that the user should know, one line each."""
    lost: tuple[str, ...] = ()
    """Streams that should have been carried over and are missing, entirely or for the most part; see their notices."""


def render(
    source: Path | Source,
    output: Path,
    transform: Transform,
    *,
    settings: TranslateSettings,
    span: Span = WHOLE,
    compare: bool = False,
    overwrite: bool = False,
    job: Job | None = None,
) -> RenderReport:
    """Write `source` (open, or the path of one) to `output` with its frames transformed.

    Frames keep their timestamps and pixel aspect ratio. All other streams, metadata and chapters are carried over (see
    `OtherStreams`); a trial of the whole output shows before the work which of them the container cannot hold. A stream
    that fails later is left out and listed in the report's `lost`. `span` selects a part of the video; `compare` shows
    the source to the left of the result. Decoding, `transform` and encoding run concurrently, each at most AT_ONCE
    frames ahead of the next, so that memory does not grow with the length.

    Finished frames are kept in segments beside the output until it is complete: the same call, with the same
    `transform.key`, continues interrupted work. The output appears only when it is complete; its folder is created. The
    job receives notices as soon as they are known, and the number of frames written.

    Raises FootageError if the source cannot be read, changes while it is read, has no frame in `span`, or has more
    damaged frames than MOST_CONCEALED allows; OutputError if the output exists (without `overwrite`), is the source,
    has an unknown suffix, or cannot be written; ConfigError if the encoder settings do not work; Interrupted after
    Ctrl-C or if the job is cancelled; and any exception of `transform`.
    """
    started = time.monotonic()
    with output_errors(output):
        check_output(source.path if isinstance(source, Source) else source, output, overwrite=overwrite)
    if holds_pictures(output):
        return _render_pictures(source, output, transform, settings, span, compare, overwrite, job or Job())
    container = container_of(output, settings)
    with (
        opened(source, settings) as reader,
        OtherStreams(reader.companion(), container, start=span.start, end=span.end) as others,
    ):
        key = render_key(reader, transform.key, settings, span, compare)
        renderer = renderer_of(reader, transform, settings, compare)
        with output_errors(output):
            others.prove(renderer.choice, renderer.picture)
        notices: list[str] = []
        job = (job or Job()).keeping(notices)
        moved = set_back(others, settings, span)
        for notice in before_work(
            reader, renderer.picture, renderer.choice, settings, others, moved=moved, compared=compare
        ):
            job.say(notice)
        with (
            output_errors(output),
            open_work(output, key) as work,
            reader.watched(spoiled=work.clear),
        ):
            count, earlier = _Rendering(output, span, renderer, others, work, job).finish(moved, overwrite)
        seconds = time.monotonic() - started
        lost = tuple(others.lost)
        return RenderReport(reader.path, output, count, reader.concealed, earlier, seconds, tuple(notices), lost)


def _render_pictures(
    source: Path | Source,
    output: Path,
    transform: Transform,
    settings: TranslateSettings,
    span: Span,
    compare: bool,
    overwrite: bool,
    job: Job,
) -> RenderReport:
    """`render` for an output that is an image, an animation or a pattern of images.

    A single image is written at once. Other frames wait in lossless segments, so that an interrupted call continues.
    """
    started, notices = time.monotonic(), list[str]()
    job = job.keeping(notices)
    with opened(source, settings) as reader:
        form = format_for(output, reader)
        settings = working_settings(reader, form, settings)
        reader.want(depth=16 if settings.depth == 10 else 8, alpha=settings.alpha == "keep")
        renderer = renderer_of(reader, transform, settings, compare)
        for notice in picture_notices(reader, renderer.picture, renderer.choice, form, output, compared=compare):
            job.say(notice)
        pictures = Pictures(output, form, renderer)
        if reader.still and not is_sequence(output, reader.path) and not is_animation(output):
            if span.start is not None:
                raise ConfigError(f"{reader.path} is a single image: --start has no effect on it; remove it")
            count = job.counting(f"translating {reader.path.name}", total=1)
            pictures.write_still(overwrite=overwrite)
            count(1)
            return RenderReport(reader.path, output, 1, 0, 0, time.monotonic() - started, tuple(notices))
        nothing = OtherStreams(None, "matroska")
        key = render_key(reader, transform.key, settings, span, compare)
        with output_errors(output), open_work(output, key) as work, reader.watched(spoiled=work.clear):
            rendering = _Rendering(output, span, renderer, nothing, work, job, pictures)
            frames, earlier = rendering.finish(Fraction(0), overwrite)
        seconds = time.monotonic() - started
        return RenderReport(reader.path, output, frames, reader.concealed, earlier, seconds, tuple(notices))


@dataclass(frozen=True)
class _Rendering:
    """One video while it is rendered."""

    output: Path
    span: Span
    renderer: Renderer
    others: OtherStreams
    work: Work
    job: Job
    pictures: Pictures | None = None
    """The pictures to write; None: a video."""

    def finish(self, moved: Fraction, overwrite: bool) -> tuple[int, int]:
        """Write the remaining segments and the output; returns the number of frames, and how many were finished before.

        `moved` is the time in seconds that is subtracted from all timestamps.
        """
        renderer, work, job = self.renderer, self.work, self.job
        live = renderer.reader.fingerprint() is None
        if work.dropped and live:
            job.say(
                f"unfinished work was deleted, because {renderer.reader.path} is live and cannot be resumed; it starts "
                "anew"
            )
        elif work.dropped:
            job.say(
                "unfinished work was deleted, because the source, the model, the settings, the device or the precision "
                "changed"
            )
        work.trim()
        earlier = len(work.stamps())
        whole = work.folder / f"whole{self.output.suffix}"
        cause: BaseException | None = None
        with self._interruptible():
            try:
                stretch = self._write()
            except (KeyboardInterrupt, Interrupted, FootageError) as error:
                if not live or not work.finished():
                    raise
                stretch, job, cause = self._unfinished(), Job(), error  # what is not written now is lost
            stamps = work.stamps()
            self._check(len(stamps))
            units = self._units(stamps[0], moved)
            late: Iterable[str] = ()
            if self.pictures is None:
                Whole(work, stamps, whole, stretch.shift(stamps[0]), units, self.others, renderer).join(job)
            else:
                late = list(self.pictures.write(work, stamps, whole, job))
        for notice in after_work(renderer.reader, renderer.choice, deinterlaced=work.deinterlaced()):
            job.say(notice)
        if self.pictures is None:
            of_file = of_the_file(whole, renderer.picture, first_pts=stamps[0] - units, whole=self.span == WHOLE)
            late = [*self.others.late, *of_file]
        for notice in late:
            job.say(notice)
        self._publish(whole, overwrite)
        if cause is not None:
            kept = f"the {counted(len(stamps), 'frame so far is', 'frames so far are')} in {self.output}"
            raise (
                FootageError(f"{cause}; {kept}") if isinstance(cause, FootageError) else Interrupted(f"stopped; {kept}")
            )
        return len(stamps), earlier

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        try:
            yield
        except (KeyboardInterrupt, Interrupted) as stop:
            kept = len(self.work.stamps())
            if self.renderer.reader.fingerprint() is None:
                raise Interrupted("stopped; the source is live and cannot be resumed: nothing is kept") from stop
            kept_text = f"{counted(kept, 'frame is', 'frames are')} kept: run" if kept else "nothing is kept yet; run"
            raise Interrupted(f"stopped; {kept_text} the same command again to continue") from stop

    def _write(self) -> Stretch:
        """Write the remaining segments."""
        renderer, reader, work = self.renderer, self.renderer.reader, self.work
        stretch, earlier = self._unfinished(), len(work.stamps())
        total = reader.info.frame_count if self.span == WHOLE else None
        count = self.job.counting(f"translating {reader.path.name}", done=earlier, total=total)
        if not renderer.write(stretch, work, lambda frames: count(earlier + frames)):
            reader.hardware = False  # perhaps the GPU failed, and not the file: decode on the CPU to find out
            again = len(work.stamps())
            stretch = self._unfinished()
            renderer.write(stretch, work, lambda frames: count(again + frames))
        count.finish()
        return stretch

    def _unfinished(self) -> Stretch:
        """The remaining frames. If no frame was repaired so far, decoding starts near the first of them."""
        span, unit, past = self.span, self.renderer.reader.info.time_base, self.work.stamps()
        return Stretch(
            start=None if span.start is None else (floor if unit > HELD else ceil)(span.start / unit),
            end=None if span.end is None else ceil(span.end / unit),
            past=past,
            segment=self.work.finished(),
            seek=self.work.regular(),
            shift=no_negative_times if span.start is None else neg,  # a part starts at 0
            origin=past[0] if past else None,
        )

    def _check(self, count: int) -> None:
        if not count:
            part = "" if self.span == WHOLE else " between --start and --end"
            raise FootageError(f"{self.renderer.reader.path}: there is no frame{part}")
        concealed = self.renderer.reader.concealed
        if concealed > MOST_CONCEALED * count:
            self.work.clear()  # another attempt would fail in the same way
            raise FootageError(
                f"{self.renderer.reader.path}: {concealed} of its {count} frames are damaged, too many to conceal"
            )

    def _units(self, first: int, moved: Fraction) -> int:
        """The shift of all streams to earlier times, in units of the picture's time base."""
        unit = self.renderer.picture.time_base
        if moved and first * unit < moved - LATE:  # the header of a damaged file states a wrong start
            self.job.say(f"the video starts at {float(first * unit):.3f} s: the times of all streams are kept")
            return 0
        return int(moved / unit)

    def _publish(self, whole: Path, overwrite: bool) -> None:
        """Rename the complete file, or the images, to the output."""
        output = self.output
        if self.pictures is not None and is_sequence(output, self.renderer.reader.path):
            self.renderer.reader.check()
            for notice in self.pictures.publish(whole, self.work, overwrite=overwrite):
                self.job.say(notice)
            self.work.clear()
            return
        flush(whole)
        if output.exists() and not overwrite:
            raise OutputError(
                f"{output} was created by another process meanwhile; give --overwrite to replace it; "
                "the finished frames are reused"
            )
        self.renderer.reader.check()
        whole.replace(output)
        flush(output.parent)
        self.work.clear()
