"""From a video file to a video file: decode, transform, encode; everything else comes along unchanged."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from operator import neg
from pathlib import Path

from recycle.config import TranslateSettings
from recycle.errors import FootageError, Interrupted, OutputError
from recycle.events import Job
from recycle.rendering.late_start import LATE
from recycle.rendering.notices import after_work, before_work, of_the_file
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
from recycle.video.source import Source

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
        check_output(source.path if isinstance(source, Source) else source, output, overwrite=overwrite)
    container = container_of(output, settings)
    with (
        opened(source, settings) as reader,
        OtherStreams(reader.companions().file, container, start=span.start, end=span.end) as others,
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


@dataclass(frozen=True)
class _Rendering:
    """One video on its way, all beside its frames known."""

    output: Path
    span: Span
    renderer: Renderer
    others: OtherStreams
    work: Work
    job: Job

    def finish(self, moved: Fraction, overwrite: bool) -> tuple[int, int]:
        """Write what is left, and the output; its frames, and those of them that were finished before.

        moved: seconds by which all streams are to be set back.
        """
        renderer, work, job = self.renderer, self.work, self.job
        live = renderer.reader.fingerprint() is None
        if work.dropped and live:
            job.say(
                f"{renderer.reader.path} is live and cannot be resumed: it begins anew, unfinished work was dropped"
            )
        elif work.dropped:
            job.say("unfinished work of another source, model or settings was dropped")
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
            Whole(work, stamps, whole, stretch.shift(stamps[0]), units, self.others, renderer).join(job)
        for notice in after_work(renderer.reader, renderer.choice, deinterlaced=work.deinterlaced()):
            job.say(notice)
        for notice in self.others.late:
            job.say(notice)
        for notice in of_the_file(whole, renderer.picture, first_pts=stamps[0] - units, whole=self.span == WHOLE):
            job.say(notice)
        self._publish(whole, overwrite)
        if cause is not None:
            kept = f"the {len(stamps)} frames so far are in {self.output}"
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
            kept_text = f"{kept} frames are kept: run" if kept else "nothing is kept yet; run"
            raise Interrupted(f"stopped; {kept_text} the same command again to continue") from stop

    def _write(self) -> Stretch:
        """Write the segments that are left."""
        renderer, reader, work = self.renderer, self.renderer.reader, self.work
        stretch, earlier = self._unfinished(), len(work.stamps())
        total = reader.info.frame_count if self.span == WHOLE else None
        count = self.job.counting(f"translating {reader.path.name}", done=earlier, total=total)
        if not renderer.write(stretch, work, lambda frames: count(earlier + frames)):
            reader.hardware = False  # perhaps the GPU failed, and not the file: the processor tells
            again = len(work.stamps())
            stretch = self._unfinished()
            renderer.write(stretch, work, lambda frames: count(again + frames))
        count.finish()
        return stretch

    def _unfinished(self) -> Stretch:
        """What is left of a video. Where all was regular so far, decoding begins where it stopped."""
        span, unit, past = self.span, self.renderer.reader.info.time_base, self.work.stamps()
        return Stretch(
            start=None if span.start is None else ceil(span.start / unit),
            end=None if span.end is None else ceil(span.end / unit),
            past=past,
            segment=self.work.finished(),
            seek=self.work.regular(),
            shift=no_negative_times if span.start is None else neg,  # a cut-out begins at 0
            origin=past[0] if past else None,
        )

    def _check(self, count: int) -> None:
        if not count:
            part = "" if self.span == WHOLE else " between --start and --end"
            raise FootageError(f"{self.renderer.reader.path}: there is no frame{part}")
        concealed = self.renderer.reader.concealed
        if concealed > MOST_CONCEALED * count:
            self.work.clear()  # it would be so again
            raise FootageError(
                f"{self.renderer.reader.path}: {concealed} of its {count} frames are damaged, too many to conceal"
            )

    def _units(self, first: int, moved: Fraction) -> int:
        """By how much all streams are set back, in units of the picture's time base."""
        unit = self.renderer.picture.time_base
        if moved and first * unit < moved - LATE:  # a damaged file states a start that no frame has
            self.job.say(f"the picture starts at {float(first * unit):.3f} s: the times of all streams are kept")
            return 0
        return int(moved / unit)

    def _publish(self, whole: Path, overwrite: bool) -> None:
        """Give the complete file the name of the output."""
        output = self.output
        flush(whole)
        if output.exists() and not overwrite:
            raise OutputError(f"{output} has appeared meanwhile; --overwrite replaces it, without translating anew")
        self.renderer.check()
        whole.replace(output)
        flush(output.parent)
        self.work.clear()
