"""Two kinds of source that only tests have: a text file of colours, and a camera that cannot go back."""

from collections.abc import Generator
from fractions import Fraction
from itertools import count
from pathlib import Path

import numpy as np

from recycle.errors import FootageError
from recycle.video.frame import LazyFrame, StreamInfo
from recycle.video.source import USUAL, Reading, Source, numbers

WIDTH, HEIGHT, RATE = 64, 48, Fraction(10)


class Colours(Source):
    """A .colours file: each line is the red, green and blue of one frame."""

    kind = "list of colours"

    def __init__(self, path: Path, reading: Reading = USUAL) -> None:
        super().__init__(path, reading)
        try:
            self.colours = [tuple(map(int, line.split())) for line in path.read_text().splitlines()]
        except (OSError, ValueError) as error:
            raise FootageError(f"cannot read {path}: {error}") from error
        number = len(self.colours)
        self.info = StreamInfo(WIDTH, HEIGHT, 1 / RATE, average_rate=RATE, frame_count=number)

    @classmethod
    def takes(cls, path: Path) -> bool:
        return path.suffix == ".colours"

    def read(
        self, *, start: int | None = None, end: int | None = None, entry: int | None = None
    ) -> Generator[LazyFrame]:
        for number in numbers(len(self.colours), start, end):
            yield LazyFrame.of(np.full((HEIGHT, WIDTH, 3), self.colours[number], np.uint8), number, 1 / RATE)


class Camera(Source):
    """`camera:N` sees a bar that moves, from when it is opened on; its times begin when it was switched on, at N."""

    kind = "camera"
    seekable = False
    opened = 0
    """How many were opened."""

    def __init__(self, path: Path, reading: Reading = USUAL) -> None:
        super().__init__(path, reading)
        Camera.opened += 1
        first = int(path.name.removeprefix("camera:"))
        self._moments = count(first)
        self.info = StreamInfo(WIDTH, HEIGHT, 1 / RATE, average_rate=RATE, start=first / RATE)

    @classmethod
    def takes(cls, path: Path) -> bool:
        return path.name.startswith("camera:")

    def read(
        self, *, start: int | None = None, end: int | None = None, entry: int | None = None
    ) -> Generator[LazyFrame]:
        for moment in self._moments:
            if end is not None and moment >= end:
                return
            if start is None or moment >= start:
                picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
                picture[:, moment % WIDTH :][:, :8] = 220
                yield LazyFrame.of(picture, moment, 1 / RATE)
