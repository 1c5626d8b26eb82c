"""Work that runs ahead in a thread, so that decoding, networks and encoding overlap."""

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from queue import Empty, Queue
from threading import Condition, Event, Thread
from typing import TypeVar

AT_ONCE = 8
"""Frames that a device is given at once, and that one stage may be ahead of the next, where nothing else is said."""
HELD_BYTES = 256 << 20
"""Bytes of the items that one stage may be ahead of the next: eight frames up to 4K, two of 8K."""

T = TypeVar("T")


def ahead(
    source: Iterable[T], depth: int, *, size: Callable[[T], int] = lambda item: 0, most: int = HELD_BYTES
) -> Generator[T, None, None]:
    """Yield the items of `source`, which a thread takes at most `depth` items ahead of their use.

    If their `size` in bytes is given, it also takes no more than `most` bytes ahead, but always one item. An exception
    of `source` is raised here, after the items before it. Close this generator (contextlib.closing) to end the thread
    early: it stops before its next item, and is always joined.
    """
    items: Queue[tuple[T, int] | BaseException | None] = Queue(depth)
    stop = Event()
    budget = _Budget(most)

    def work() -> None:
        iterator = iter(source)
        expected = 0  # an item is as large as the one before, in all likelihood
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
                del item  # else it stays in memory until the next is ready
            items.put(None)
        except BaseException as error:
            items.put(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
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
        thread.join()


class _Budget:
    """Bytes that may be held: as many as are allowed, or those of one item that is larger."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._changed = Condition()

    def take(self, size: int) -> None:
        """Wait until `size` bytes are free, or all are."""
        with self._changed:
            self._changed.wait_for(lambda: self._held <= 0 or self._held + size <= self._most)
            self._held += size

    def give(self, size: int) -> None:
        """Free them."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()
