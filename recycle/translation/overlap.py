"""Work that runs ahead in a thread, so that decoding, networks and encoding overlap."""

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from queue import Empty, Queue
from threading import Condition, Event, Thread
from typing import TypeVar

HELD_BYTES = 256 << 20
"""Bytes of the items that wait between two stages, at most: eight frames up to 4K, two of 8K."""

T = TypeVar("T")


def ahead(
    source: Iterable[T], depth: int, *, size: Callable[[T], int] = lambda item: 0, most: int = HELD_BYTES
) -> Generator[T, None, None]:
    """Yield the items of `source`, which a thread takes at most `depth` items ahead of their use.

    Of items whose `size` is given in bytes, no more wait than `most` bytes hold, but always one. An exception of
    `source` is raised here, after the items before it. Close this generator (contextlib.closing) to end the thread
    early: it stops before its next item, and is always joined.
    """
    items: Queue[tuple[T, int] | BaseException | None] = Queue(depth)
    stop = Event()
    budget = _Budget(most)

    def work() -> None:
        try:
            for item in source:
                bytes_taken = size(item)
                budget.take(bytes_taken)
                items.put((item, bytes_taken))
                del item  # what is used elsewhere must not be kept here until the next is ready
                if stop.is_set():
                    return
            items.put(None)
        except BaseException as error:
            items.put(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while (entry := items.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            item, bytes_taken = entry
            del entry
            budget.give(bytes_taken)
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
    """Bytes that wait: as many as are allowed, or those of one item that is larger."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._changed = Condition()

    def take(self, size: int) -> None:
        """Wait until `size` bytes are free, or all are."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + size <= self._most)
            self._held += size

    def give(self, size: int) -> None:
        """Free them."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()
