"""Work that runs ahead in a thread, so that decoding, networks and encoding overlap."""

from collections.abc import Generator, Iterable
from contextlib import suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")


def ahead(source: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield the items of `source`, which a thread takes at most `depth` items ahead of their use.

    An exception of `source` is raised here, after the items before it. Close this generator
    (contextlib.closing) to end the thread early: it stops before its next item, and is always joined.
    """
    items: Queue[tuple[T] | BaseException | None] = Queue(depth)
    stop = Event()

    def work() -> None:
        try:
            for item in source:
                items.put((item,))
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
            yield entry[0]
    finally:
        stop.set()
        while thread.is_alive():
            with suppress(Empty):
                items.get(timeout=0.01)
        thread.join()
