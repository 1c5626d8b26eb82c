"""Reads a live source in a thread and keeps only its newest picture; reconnects after a loss."""

import time
from collections.abc import Callable, Iterator
from threading import Condition, Event, Thread
from typing import NamedTuple

from recycle.errors import FootageError
from recycle.events import Job
from recycle.streaming.capture import Develop
from recycle.video.frame import Pixels, sized

BACK_OFF = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
"""Seconds before each attempt to reconnect; after the last one the source counts as gone."""
_POLL_SECONDS = 0.1


class Taken(NamedTuple):
    """The newest picture at the time when it was asked for."""

    pixels: Pixels
    """RGB (H, W, 3) uint8; all have the size of the first."""
    arrived: float
    """Time of `time.monotonic` at which it was decoded."""


class Newest:
    """The newest picture of a live source. Pictures that nobody took before the next one came are dropped."""

    def __init__(self, connect: Callable[[], Iterator[Develop]], job: Job) -> None:
        """`connect` opens the source; its errors are raised by `take`. After a loss it is called again, after each of
        the seconds in BACK_OFF."""
        self.dropped = 0
        """Number of pictures so far that were replaced before they were taken."""
        self.reconnects = 0
        """Number of times that the source was lost and found again."""
        self._connect, self._job = connect, job
        self._changed, self._stop = Condition(), Event()
        self._waiting: tuple[Develop, float] | None = None
        self._error: Exception | None = None
        self._size: tuple[int, int] | None = None
        self._thread = Thread(target=self._read, name="live source", daemon=True)
        self._thread.start()

    def take(self) -> Taken | None:
        """Wait for a picture that was not taken yet; None if the job is cancelled.

        Raises FootageError if the source cannot be opened, or is lost for good, and ConfigError as `connect`.
        """
        with self._changed:
            while self._waiting is None:
                if self._job.stopping:
                    return None
                if self._error is not None:
                    raise self._error
                self._changed.wait(_POLL_SECONDS)
            (develop, arrived), self._waiting = self._waiting, None
        pixels = develop()
        self._size = self._size or (pixels.shape[1], pixels.shape[0])
        return Taken(sized(pixels, self._size), arrived)

    def close(self) -> None:
        """End the thread; a read that waits for data may end some seconds later."""
        self._stop.set()
        self._thread.join(1)

    def _read(self) -> None:
        """Read until the source is gone; after each loss, try to reconnect."""
        attempt, seen = 0, False
        while not self._stop.is_set():
            reason = "the stream ended"
            try:
                for picture in self._connect():
                    if self._stop.is_set():
                        return
                    self._put(picture)
                    if attempt:
                        self.reconnects += 1
                        self._job.say("connected again")
                    attempt, seen = 0, True
            except FootageError as error:
                reason = str(error)
            except Exception as error:  # for whoever waits in `take`
                self._fail(error)
                return
            if not seen or attempt == len(BACK_OFF):
                lost = f"; {attempt} attempts to reconnect failed" if attempt else ""
                self._fail(FootageError(f"{reason}{lost}"))
                return
            if not attempt:
                self._job.say(f"{reason}: trying to reconnect")
            self._stop.wait(BACK_OFF[attempt])
            attempt += 1

    def _put(self, picture: Develop) -> None:
        with self._changed:
            self.dropped += self._waiting is not None
            self._waiting = picture, time.monotonic()
            self._changed.notify()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._changed.notify()
