"""Finishes translated pictures with what is kept of their sources."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recycle.config import TranslateSettings
from recycle.events import Job
from recycle.rendering.prepare import opened
from recycle.translation.blend import blend, keep_colour
from recycle.translation.detail import add_detail, loses_detail
from recycle.translation.scale import Size
from recycle.video.frame import Frame, Pixels
from recycle.video.masks import Masks, open_masks
from recycle.video.source import Source

Weigh = Callable[[Frame], NDArray[np.float32]]
"""Returns the share (H, W) of the translation in each pixel of a frame, in [0, 1]."""


def finish(
    frame: Frame,
    translated: Pixels,
    *,
    settings: TranslateSettings,
    masks: Weigh | None,
    inner: Callable[[Size], Size] | None,
) -> Pixels:
    """The translation of `frame`, with what `settings` and `masks` keep of the source.

    That may be its detail, its colours, a share of it, and the part outside a mask.

    `inner` returns the size of the network for a size of frames; None: there is no network, so no detail is lost.
    """
    size = (translated.shape[0], translated.shape[1])
    if inner is not None and settings.detail and loses_detail(size, seen := inner(size)):
        translated = add_detail(frame.pixels, translated, seen, settings.detail)
    if masks is None:
        if settings.keep_colour:
            translated = keep_colour(frame.pixels, translated)
        return translated if settings.strength == 1 else blend(frame.pixels, translated, settings.strength)
    weights = masks(frame) * np.float32(settings.strength)
    out, inside = frame.pixels.copy(), weights > 0
    source, translated = out[inside], translated[inside]
    if settings.keep_colour:
        translated = keep_colour(source, translated)
    out[inside] = blend(source, translated, weights[inside])
    return out


def finished(
    frames: Iterable[Frame],
    translated: Callable[[Iterator[Frame]], Iterator[Pixels]],
    each: Callable[[Frame, Pixels], Pixels],
) -> Iterator[Pixels]:
    """Yield each(frame, picture) for every frame and its picture in `translated(frames)`."""
    waiting: deque[Frame] = deque()

    def fed() -> Iterator[Frame]:
        for frame in frames:
            waiting.append(frame)
            yield frame

    for picture in translated(fed()):
        yield each(waiting.popleft(), picture)


@contextmanager
def masks_of(
    source: Path | Source, settings: TranslateSettings, *, end: Fraction | None = None, job: Job | None = None
) -> Iterator[Masks | None]:
    """Open the masks that `settings` name for a source, up to `end` in its seconds; None if they name none.

    `job` is told if masks are stretched, and in the end if none had anything inside.

    Raises FootageError as `open_masks`, and if the source cannot be read.
    """
    if settings.mask is None:
        yield None
        return
    with (
        opened(source, settings) as reader,
        open_masks(settings.mask, reader, feather=settings.feather, end=end) as masks,
    ):
        if job is not None and masks.note:
            job.say(masks.note)
        yield masks
        if job is not None and (problem := masks.problem()):
            job.say(problem)
