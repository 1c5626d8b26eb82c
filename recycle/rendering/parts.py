"""Splits a long video into parts that several processes or machines render at the same time."""

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
"""Number of frames in a part."""


@dataclass(frozen=True)
class Part:
    """A part of a long video that is rendered separately; timestamps are in units of the source's time base."""

    segment: int
    """Number of its first segment."""
    stamps: tuple[int, ...]
    """Expected timestamps of its frames."""
    past: tuple[int, ...]
    """Timestamps of the preceding frames, at most one segment."""
    end: int | None
    """Timestamp of the first frame after the part; None at the end of the video."""
    origin: int
    """Timestamp of the first frame of the video."""
    entry: int | None
    """Timestamp of the key frame at which decoding starts; None if unknown."""
    total: int
    """Number of frames of the video."""


def split(
    source: Path | Source, output: Path, *, settings: TranslateSettings, key: Mapping[str, object] | None = None
) -> list[Part]:
    """Split a long video into parts for `render_part`; empty if it is short or cannot be split.

    Frames that an earlier `render` finished are not included. Unfinished work with another key is deleted. Raises
    FootageError if the source cannot be read, OutputError if the output cannot be written.
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
            return []  # decoded timestamps differ from the index: continue in one process
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
    """Write the segments of one part (see `split`) of `output`, while other processes write other parts.

    The part ends early where decoded timestamps differ from the index, or where the source is damaged. Call `render`
    after all parts have ended: it renders what is missing, and the result equals that of `render` alone. Arguments and
    errors are those of `render`.
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
