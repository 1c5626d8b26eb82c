"""Runs an iterator ahead in a thread, so that decoding, networks and encoding overlap."""

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from queue import Empty, Queue
from threading import Condition, Event, Thread
from typing import TypeVar

AT_ONCE = 8
"""Default number of frames per batch, and the maximum by which one stage may be ahead of the next."""
HELD_BYTES = 256 << 20
"""Maximum bytes of items by which one stage may be ahead of the next: eight frames up to 4K, two of 8K."""

T = TypeVar("T")


def ahead(
    source: Iterable[T], depth: int, *, size: Callable[[T], int] = lambda item: 0, most: int = HELD_BYTES
) -> Generator[T, None, None]:
    """Yield the items of `source`, which a thread reads up to `depth` items ahead.

    If `size` returns the bytes of an item, the thread also reads at most `most` bytes ahead, but always at least one
    item. An exception of `source` is raised here after the items before it. Close this generator (contextlib.closing)
    to end the thread early: it stops before its next item, and is always joined.
    """
    items: Queue[tuple[T, int] | BaseException | None] = Queue(depth)
    stop = Event()
    budget = Budget(most)

    def work() -> None:
        iterator = iter(source)
        expected = 0  # an item most likely has the size of the previous one
        try:
            while True:
                budget.take(expected)
                if stop.is_set():
                    return
                try:
                    item = next(iterator)
                except StopIteration:
                    break
                actual = size(item)
                budget.give(expected - actual)
                expected = actual
                items.put((item, actual))
                del item  # otherwise it stays in memory until the next item is ready
            items.put(None)
        except BaseException as error:
            items.put(error)

    thread = Thread(target=work, daemon=True)
    try:
        thread.start()
        while (entry := items.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            item, taken = entry
            del entry
            budget.give(taken)
            yield item
            del item
    finally:
        stop.set()
        while thread.is_alive():
            with suppress(Empty):
                entry = items.get(timeout=0.01)
                budget.give(entry[1] if isinstance(entry, tuple) else 0)
        with suppress(RuntimeError):  # Ctrl-C came before it started
            thread.join()


class Budget:
    """A limit on the bytes held at once; a single item may exceed it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._changed = Condition()

    def take(self, size: int) -> None:
        """Wait until `size` bytes are available or no item is held, then reserve them."""
        with self._changed:
            self._changed.wait_for(lambda: self._held <= 0 or self._held + size <= self._most)
            self._held += size

    def give(self, size: int) -> None:
        """Release `size` bytes."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Release all waiting threads; later calls of `take` return at once."""
        self.give(1 << 62)
