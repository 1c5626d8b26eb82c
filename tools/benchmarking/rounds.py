"""Fair timing on a busy machine: contenders take turns, and ratios are computed within a round."""

import multiprocessing
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple, Self

Contender = Callable[[], float]
"""Does a piece of work, and returns the seconds per unit of work."""


class Spread(NamedTuple):
    """A value over several rounds."""

    median: float
    low: float
    """The minimum."""
    high: float
    """The maximum."""

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Rounds:
    """Seconds per unit of each contender, by round."""

    seconds: Mapping[str, list[float]]

    def time(self, name: str) -> Spread:
        """Seconds per unit."""
        return Spread.of(self.seconds[name])

    def speed(self, name: str) -> Spread:
        """Units per second."""
        return Spread.of([1 / seconds for seconds in self.seconds[name]])

    def faster(self, name: str, than: str) -> Spread:
        """How many times as fast one contender is as another; ratios are computed within each round."""
        pairs = zip(self.seconds[than], self.seconds[name], strict=True)
        return Spread.of([theirs / ours for theirs, ours in pairs])


class Apart:
    """A contender in a separate process, which the settings of this process (allocator, threads) do not affect.

    `make` is called once in that process and must be picklable. Close it at the end, or use it as a context manager.
    """

    def __init__(self, make: Callable[[], Contender]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, there), daemon=True)
        self._process.start()
        there.close()

    def __call__(self) -> float:
        """Take one turn. Raises RuntimeError if the process has ended; it has printed its error."""
        try:
            self._pipe.send(None)
            return float(self._pipe.recv())
        except (EOFError, OSError) as error:
            raise RuntimeError("a contender's process has ended") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pipe.close()
        self._process.join()


def _serve(make: Callable[[], Contender], pipe: Connection) -> None:
    contender = make()
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(contender())


def take_turns(
    contenders: Mapping[str, Contender], *, rounds: int, say: Callable[[str], None] = lambda line: None
) -> Rounds:
    """Measure all contenders, one after the other, `rounds` times; every other round in reverse order.

    Each is called once before, to warm up.
    """
    for name, run in contenders.items():
        say(f"{name}: warming up")
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders) if number % 2 == 0 else list(contenders)[::-1]
        for name in names:
            say(f"round {number + 1} of {rounds}: {name}")
            seconds[name].append(contenders[name]())
    return Rounds(seconds)
