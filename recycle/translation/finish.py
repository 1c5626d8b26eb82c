"""Finishes translated pictures with what is kept of their sources."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from recycle.config import TranslateSettings
from recycle.translation.blend import blend, keep_colour
from recycle.video.frame import Frame, Pixels


def finish(frame: Frame, translated: Pixels, *, settings: TranslateSettings) -> Pixels:
    """The translation of `frame`, with the colours and the share of the source that `settings` keep."""
    if settings.keep_colour:
        translated = keep_colour(frame.pixels, translated)
    return blend(frame.pixels, translated, settings.strength)


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
