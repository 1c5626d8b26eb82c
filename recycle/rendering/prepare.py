"""Prepares a rendering: opens and checks its inputs, predicts its notices, and determines the key of its work."""

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
from recycle.rendering.encoders import encoders_at_once
from recycle.rendering.late_start import late_start
from recycle.rendering.notices import before_work
from recycle.rendering.pictures import check_sequence, format_for, picture_notices, working_settings
from recycle.rendering.span import WHOLE, Span
from recycle.rendering.streams import OtherStreams
from recycle.rendering.stretch import Renderer, Transform
from recycle.system.places import is_here
from recycle.video.codecs import CONTAINERS, Choice, choose_encoder, takes_codec
from recycle.video.encode import Picture, encoded_planes, output_errors
from recycle.video.kinds import open_source
from recycle.video.picture_formats import ANIMATIONS, STILLS, holds_pictures, is_sequence
from recycle.video.source import Reading, Source

_COARSEST_TIME = 2_000_000_000
"""Resolution in nanoseconds to which FAT rounds file times, sometimes only after the file was written out."""

FRAMES = 5
"""Increment when output changes for identical settings; it invalidates unfinished work."""


def foresee(source: Path, output: Path, settings: TranslateSettings) -> list[str]:
    """The notices that `render` would emit before it starts. Raises FootageError, OutputError and ConfigError as
    `render`.

    An existing output counts as one that may be replaced. Damage within the video is found only by decoding.
    """
    check_output(source, output, overwrite=True)
    _check_place(output)
    if holds_pictures(output):
        with opened(source, settings) as reader:
            form = format_for(output, reader)
            choice = encoder_of(reader, working_settings(reader, form, settings))
            return list(picture_notices(reader, Picture.of(reader.info), choice, form, output))
    container = container_of(output, settings)
    with (
        opened(source, settings) as reader,
        OtherStreams(reader.companion(), container) as others,
    ):
        picture = Picture.of(reader.info)
        choice = encoder_of(reader, settings)
        with output_errors(output):
            others.prove(choice, picture)
        moved = set_back(others, settings, WHOLE)
        return list(before_work(reader, picture, choice, settings, others, moved=moved))


def check_output(source: Path, output: Path, *, overwrite: bool) -> None:
    """Raise OutputError if `output` must not be written for `source`.

    Its suffix must be one of a known container, it must not be a folder or the source itself, and it must not exist
    unless `overwrite` is True.
    """
    if output.is_dir():
        raise OutputError(f"cannot write {output}: it is a folder; give the name of a file")
    if output.suffix.lower() not in CONTAINERS and not holds_pictures(output):
        known = dict.fromkeys((*CONTAINERS, *ANIMATIONS, *STILLS))
        raise OutputError(f"cannot write {output}: its suffix must be one of {' '.join(known)}")
    if is_sequence(output, source):
        check_sequence(source, output, overwrite=overwrite)
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
    """FFmpeg's name of the container of `output`. Raises OutputError if that container cannot hold the codec."""
    container = CONTAINERS[output.suffix.lower()]
    if not takes_codec(container, settings):
        fitting = " or ".join(suffix for suffix, name in CONTAINERS.items() if takes_codec(name, settings))
        what = f"the transparency of {settings.codec}" if settings.alpha == "keep" else settings.codec
        raise OutputError(f"cannot write {output}: {container} does not hold {what}; {fitting or 'nothing'} does")
    return container


def reading_of(settings: TranslateSettings) -> Reading:
    """How a source is read with these settings."""
    return Reading(
        depth=16 if settings.depth == 10 else 8,
        hardware=settings.hardware,
        fps=settings.fps,
        max_pixels=settings.max_pixels,
        alpha=settings.alpha == "keep",
    )


@contextmanager
def opened(source: Path | Source, settings: TranslateSettings) -> Iterator[Source]:
    """Open the source at a path as `settings` require, and close it at the end; an open source stays open.

    Raises FootageError if it cannot be read.
    """
    if isinstance(source, Source):
        yield source
        return
    with open_source(source, reading_of(settings)) as own:
        yield own


def set_back(others: OtherStreams, settings: TranslateSettings, span: Span) -> Fraction:
    """Seconds to subtract from the times of all streams; 0 for a part with a start, whose times already begin at 0."""
    moves = settings.timestamps == "zero" and span.start is None
    return late_start(others.carried, others.file) if moves and others.file is not None else Fraction(0)


def no_negative_times(origin: int) -> int:
    """The shift that makes the first timestamp `origin`, and so all timestamps, non-negative."""
    return max(-origin, 0)


def renderer_of(
    reader: Source,
    transform: Transform,
    settings: TranslateSettings,
    compare: bool,
) -> Renderer:
    """The renderer for an open source. Raises ConfigError if the encoder does not work."""
    choice = encoder_of(reader, settings, compare=compare)
    picture = Picture.of(reader.info)
    if compare:
        picture = replace(picture, width=2 * picture.width)
    at_once = encoders_at_once(choice, picture.width * picture.height)
    planes = None
    if transform.planes is not None and not compare and transform.takes_planes(reader.info):
        taken, given = reader.planes, encoded_planes(choice, picture)
        planes = None if taken is None or given is None else (taken, given)
    return Renderer(reader, transform, choice, picture, compare, at_once, planes)


def encoder_of(reader: Source, settings: TranslateSettings, *, compare: bool = False) -> Choice:
    """The encoder for the frames of an open source, twice as wide with `compare`. Raises ConfigError if it does not
    work."""
    width = reader.info.width * (2 if compare else 1)
    return choose_encoder(settings, size=(width, reader.info.height), alpha=reader.alpha)


def render_key(
    source: Source, key: Mapping[str, object] | None, settings: TranslateSettings, span: Span, compare: bool
) -> dict[str, object]:
    """Everything on which the segments of an output depend; unfinished work with another key is discarded.

    A live source cannot be resumed, so its key is new each time. Raises FootageError if the source cannot be read.
    """
    modified = source.state.modified if source.state else 0
    # With `hardware`, the machine decides; segments of two encoders do not fit into one stream.
    by = {"by": encoder_of(source, settings, compare=compare).encoder.name} if settings.hardware else {}
    return {
        "recycle": __version__,
        "frames": FRAMES,
        **({"fps": settings.fps} if settings.fps else {}),
        "source": source.fingerprint() or uuid4().hex,
        "modified": modified // _COARSEST_TIME,  # the fingerprint covers only samples of a file
        "transform": dict(key or {}),
        "encoder": settings.encoding() | by,
        "span": [span.start and str(span.start), span.end and str(span.end)],
        "compare": compare,
    }
