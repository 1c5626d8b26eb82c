"""The procedural street as a source of frames: a small text file says which street, nothing is filmed beforehand."""

import tomllib
from collections.abc import Callable, Generator
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import numpy as np

from recycle.config import FilmSettings, parse_settings
from recycle.errors import ConfigError, FootageError
from recycle.video.frame import LazyFrame, Pixels, StreamInfo, sized
from recycle.video.index import Index
from recycle.video.source import USUAL, Reading, Source, numbers

_LONGEST = 10_000
"""Bytes of a file that describes a street."""


class StreetSource(Source):
    """The street that a .street file describes, as TOML with the keys of FilmSettings.

    The index of a frame is its pts. A frame is painted when it is requested. There is no sound.
    """

    kind = "street"
    direct = True
    lasting = 1

    def __init__(self, path: Path, reading: Reading = USUAL) -> None:
        """Read the description. Raises FootageError, in one line, for one that does not hold."""
        from recycle.street.film import Street  # imported late: every translation imports this module

        super().__init__(path, reading)
        try:
            with path.open("rb") as file:
                wanted = parse_settings(FilmSettings, tomllib.loads(file.read(_LONGEST).decode()))
        except OSError as error:
            raise FootageError(f"cannot read {path}: {error.strerror or error}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, ConfigError) as error:
            raise FootageError(f"{path} describes no street: {error}") from error
        self._film = Street(wanted.seed, wanted.width, wanted.height, wanted.fps, wanted.seconds)
        self._look = wanted.look
        self.ignores_fps = reading.fps is not None
        count, rate = len(self._film), Fraction(wanted.fps)
        self.info = StreamInfo(
            wanted.width, wanted.height, 1 / rate, average_rate=rate, duration=count / rate, frame_count=count
        )

    @classmethod
    def takes(cls, path: Path) -> bool:
        """Whether the name ends in .street."""
        return path.suffix.lower() == ".street"

    def index(self, *, until: int | None = None) -> Index:
        """Every frame is a key frame."""
        stamps = tuple(range(len(self._film)))
        return Index(stamps, stamps)

    def read(
        self, *, start: int | None = None, end: int | None = None, entry: int | None = None
    ) -> Generator[LazyFrame]:
        """See `Source.read`."""
        for number in numbers(len(self._film), start, end):
            paint: Callable[[], np.ndarray] = cache(partial(self._film.frame, number, self._look))
            yield LazyFrame(partial(_shown, paint), number, self.info.time_base)


def _shown(paint: Callable[[], np.ndarray], size: tuple[int, int] | None, rough: bool) -> Pixels:
    return sized(paint(), size, rough)
