"""Encodes several segments of a video at the same time, where the machine has the cores for it."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from queue import SimpleQueue
from typing import Generic, TypeVar

from recycle.rendering.overlap import HELD_BYTES, Budget
from recycle.system.cores import cores
from recycle.video.codecs import ENCODERS, Choice

_CORES_EACH = 4
"""Cores for each encoder. With more threads, x264 gains little and its files grow."""
_MOST = 4
"""Maximum number of encoders at a time."""
_PIXELS = 4096 * 2304
"""Maximum number of pixels of a frame for more than one encoder."""

Item = TypeVar("Item")
Encode = Callable[[int, Iterator[Item]], None]
"""Encodes the items of the segment with this number."""


def encoders_at_once(choice: Choice, pixels: int) -> int:
    """Number of segments of frames of `pixels` to encode at a time: 1 on a GPU, below 8 cores, and beyond 4K, where one
    encoder holds a gigabyte."""
    on_gpu = choice.encoder not in ENCODERS.values()
    return 1 if on_gpu or pixels > _PIXELS else max(1, min(_MOST, cores() // _CORES_EACH))


def encode_segments(
    items: Iterable[tuple[int, Item]],
    encode: Encode[Item],
    *,
    at_once: int,
    size: Callable[[Item], int],
) -> Generator[int]:
    """Encode items, each given with the number of its segment, in order; yield the number of each finished segment.

    Numbers come in order. `encode` runs in a thread for each segment, for up to `at_once` segments at a time. `size`
    returns the bytes of an item; with several encoders, each holds at most HELD_BYTES of waiting items. An exception of
    `encode` is raised here. When this generator is closed, unfinished segments are abandoned: their `encode` gets an
    exception from its iterator.
    """
    running: deque[_Segment[Item]] = deque()
    most = 0 if at_once == 1 else HELD_BYTES
    with ThreadPoolExecutor(at_once, "encoder") as pool:
        try:
            for number, group in groupby(items, key=lambda entry: entry[0]):
                segment = _Segment(number, most, size)
                running.append(segment)  # first: Ctrl-C may come while its thread starts
                segment.start(pool, encode)
                for _, item in group:
                    segment.put(item)
                segment.end()
                while len(running) >= at_once:
                    yield running[0].finish()
                    running.popleft()
            while running:
                yield running[0].finish()
                running.popleft()
        finally:
            for segment in running:
                segment.abandon()


class _Abandoned(Exception):
    """The segment is not needed any more."""


class _Segment(Generic[Item]):
    """A segment that is being encoded in a thread."""

    def __init__(self, number: int, most: int, size: Callable[[Item], int]) -> None:
        self._number, self._size, self._budget = number, size, Budget(most)
        self._waiting: SimpleQueue[Item | _Abandoned | None] = SimpleQueue()
        self._done: Future[None] = Future()

    def start(self, pool: ThreadPoolExecutor, encode: Encode[Item]) -> None:
        """Begin to encode, in a thread of `pool`."""
        self._done = pool.submit(encode, self._number, self._items())
        self._done.add_done_callback(lambda done: self._budget.close())

    def put(self, item: Item) -> None:
        """Add an item; waits while the encoder is too far behind. Raises its error if it has failed."""
        self._budget.take(self._size(item))
        if self._done.done():
            self._done.result()
        self._waiting.put(item)

    def end(self) -> None:
        """State that there are no further items."""
        self._waiting.put(None)

    def finish(self) -> int:
        """Wait for the end of the encoding, and return the number of the segment. Raises the encoder's error."""
        self._done.result()
        return self._number

    def abandon(self) -> None:
        """Stop the encoding."""
        self._waiting.put(_Abandoned())
        if not self._done.cancel():  # it has begun
            with suppress(Exception):
                self._done.result()

    def _items(self) -> Iterator[Item]:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, _Abandoned):
                raise item
            self._budget.give(self._size(item))
            yield item
