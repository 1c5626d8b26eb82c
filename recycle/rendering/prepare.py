"""Before any frame is written: what is opened, checked, foreseen, and on what the frames will depend."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from uuid import uuid4

from recycle import __version__
from recycle.config import TranslateSettings
from recycle.errors import FootageError, OutputError
from recycle.rendering.late_start import late_start
from recycle.rendering.notices import before_work
from recycle.rendering.overlap import AT_ONCE
from recycle.rendering.span import WHOLE, Span
from recycle.rendering.streams import OtherStreams
from recycle.rendering.stretch import Renderer, Transform
from recycle.system.places import is_here
from recycle.video.codecs import CONTAINERS, Choice, choose_encoder, takes_codec
from recycle.video.encode import Picture, output_errors
from recycle.video.kinds import open_source
from recycle.video.source import Reading, Source

_COARSEST_TIME = 2_000_000_000
"""Nanoseconds to which FAT rounds the times of files, some of them only after the file was written out."""

FRAMES = 3
"""To be raised when the same settings come to give other frames: unfinished work of before is then dropped."""


def foresee(source: Path, output: Path, settings: TranslateSettings) -> list[str]:
    """The notices that `render` gives before any work. Raises FootageError, OutputError or ConfigError as it.

    An output that is there is taken for one that may be replaced. Damage within the video shows only in decoding.
    """
    check_output(source, output, overwrite=True)
    _check_place(output)
    container = container_of(output, settings)
    with (
        opened(source, settings) as reader,
        OtherStreams(reader.companions().file, container) as others,
    ):
        picture = Picture.of(reader.info)
        choice = encoder_of(reader, settings)
        with output_errors(output):
            others.prove(choice, picture)
        moved = set_back(others, settings, WHOLE)
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


def check_rate(source: Source) -> None:
    """Raise FootageError, in one line, if `fps` is given for a source that has timestamps of its own."""
    if source.ignores_fps:
        raise FootageError(f"{source.path} has timestamps of its own: --fps is for raw streams and folders of images")


def _check_place(output: Path) -> None:
    """Raise OutputError, in one line, if the folder of `output` cannot be made or written to."""
    if not is_here(output):
        return
    place = next(parent for parent in output.absolute().parents if parent.exists())
    if not place.is_dir():
        raise OutputError(f"cannot write {output}: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {output}: this user may not write to {place}")


def container_of(output: Path, settings: TranslateSettings) -> str:
    """FFmpeg's name of the container. Raises OutputError, in one line, if it does not hold the codec."""
    container = CONTAINERS[output.suffix.lower()]
    if not takes_codec(container, settings):
        fitting = " or ".join(suffix for suffix, name in CONTAINERS.items() if takes_codec(name, settings))
        what = f"the transparency of {settings.codec}" if settings.alpha == "keep" else settings.codec
        raise OutputError(f"cannot write {output}: {container} does not hold {what}; {fitting or 'nothing'} does")
    return container


def reading_of(settings: TranslateSettings) -> Reading:
    """How these settings want a source to be read."""
    return Reading(
        depth=16 if settings.depth == 10 else 8,
        hardware=settings.hardware,
        fps=settings.fps,
        max_pixels=settings.max_pixels,
        alpha=settings.alpha == "keep",
    )


@contextmanager
def opened(source: Path | Source, settings: TranslateSettings) -> Iterator[Source]:
    """The source at a path, opened as these settings want it read and closed at the end; an open one stays open.

    Raises FootageError if it cannot be read.
    """
    if isinstance(source, Source):
        yield source
        return
    with open_source(source, reading_of(settings)) as own:
        yield own


def set_back(others: OtherStreams, settings: TranslateSettings, span: Span) -> Fraction:
    """Seconds by which all streams are moved back; a cut-out with a start begins at 0 by itself."""
    moves = settings.timestamps == "zero" and span.start is None
    return late_start(others.carried, others.file) if moves and others.file is not None else Fraction(0)


def no_negative_times(origin: int) -> int:
    """By how much timestamps are moved, of which `origin` is the first, so that none is negative."""
    return max(-origin, 0)


def renderer_of(
    reader: Source,
    transform: Transform,
    settings: TranslateSettings,
    compare: bool,
) -> Renderer:
    """What makes segments of the frames of an open source. Raises ConfigError for an encoder that does not work."""
    choice = encoder_of(reader, settings)
    picture = Picture.of(reader.info)
    if compare:
        picture = replace(picture, width=2 * picture.width)
    return Renderer(reader, transform, choice, picture, compare, AT_ONCE, reader.check)


def encoder_of(reader: Source, settings: TranslateSettings) -> Choice:
    """The encoder for the pictures of an open source. Raises ConfigError for one that does not work."""
    return choose_encoder(settings, short_side=min(reader.info.width, reader.info.height), alpha=reader.alpha)


def render_key(
    source: Source, key: Mapping[str, object] | None, settings: TranslateSettings, span: Span, compare: bool
) -> dict[str, object]:
    """Everything that the segments of an output depend on; for a live source, which cannot be resumed, a new one each
    time. Raises FootageError if the source cannot be read any more."""
    modified = source.state.modified if source.state else 0
    return {
        "recycle": __version__,
        "frames": FRAMES,
        **({"fps": settings.fps} if settings.fps else {}),
        "source": source.fingerprint() or uuid4().hex,
        "modified": modified // _COARSEST_TIME,  # the fingerprint reads only samples of a file
        "transform": dict(key or {}),
        "encoder": settings.encoding(),
        "span": [span.start and str(span.start), span.end and str(span.end)],
        "compare": compare,
    }
