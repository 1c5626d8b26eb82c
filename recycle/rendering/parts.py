"""Parts of a long video, rendered at the same time by several processes or machines."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recycle.config import TranslateSettings
from recycle.events import Job
from recycle.rendering.prepare import container_of, no_negative_times, opened, render_key, renderer_of
from recycle.rendering.span import WHOLE
from recycle.rendering.stretch import Stretch, Transform
from recycle.rendering.work import SEGMENT, open_work, share_work
from recycle.video.encode import output_errors
from recycle.video.source import Source

PART = 10 * SEGMENT
"""Frames of a part of a long video that is split."""


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
    source: Path | Source, output: Path, *, settings: TranslateSettings, key: Mapping[str, object] | None = None
) -> list[Part]:
    """Parts of a long video for `render_part`; none if it is short, or cannot be split.

    What `render` had finished of it is not in them, and unfinished work of another key is removed. Raises
    FootageError for a source that cannot be read, OutputError for an output that cannot be written.
    """
    container_of(output, settings)
    with opened(source, settings) as reader:
        index = reader.index()
        whole = render_key(reader, key, settings, WHOLE, False)
    if index is None or len(index.stamps) < 2 * PART:
        return []
    with output_errors(output), open_work(output, whole) as work:
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
    source: Path | Source,
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
    with opened(source, settings) as reader, output_errors(output):
        work = share_work(output, render_key(reader, transform.key, settings, WHOLE, False))
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
            shift=no_negative_times,
            origin=part.origin,
            expected=stamps,
        )
        renderer = renderer_of(reader, transform, settings, False)
        before = len(part.stamps) - len(stamps)
        count = (job or Job()).counting(f"translating {reader.path.name}", done=before, total=part.total)
        renderer.write(stretch, work, lambda frames: count(before + frames))
