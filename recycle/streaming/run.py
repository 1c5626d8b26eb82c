"""Translates live video: the newest picture wins, and memory does not grow."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from recycle.config import TranslateSettings
from recycle.errors import ConfigError, Interrupted, OutputError
from recycle.events import Job
from recycle.safe_text import redact
from recycle.streaming.capture import check_source, pictures_of
from recycle.streaming.newest import Newest, Taken
from recycle.streaming.sinks import WINDOW, Closed, Sink, check_sink, open_sink
from recycle.translation.translator import Translator
from recycle.video.frame import Pixels

_RECENT = 100
"""Number of pictures over which latency and rate are computed."""


@dataclass(frozen=True)
class LiveReport:
    """What became of a live translation."""

    frames: int
    """Number of pictures that were translated and shown."""
    dropped: int
    """Number of pictures that a newer one replaced before they were translated."""
    reconnects: int
    """Number of times that the source was lost and found again."""
    latency: float
    """Median seconds from the arrival of a picture to the end of its translation, of the last 100 pictures."""
    rate: float
    """Pictures per second, of the last 100."""


def run_live(
    source: str,
    sink: str = WINDOW,
    *,
    translator: Translator,
    to: str,
    settings: TranslateSettings,
    record: str | None = None,
    overwrite: bool = False,
    job: Job | None = None,
) -> LiveReport:
    """Translate `source` until it ends, the window is closed, the job is cancelled or Ctrl-C is pressed.

    `source` is described in `recycle.streaming.capture.pictures_of`, `sink` in `recycle.streaming.sinks.check_sink`.
    `record` is a file that gets the translation too. Each picture is translated as soon as it arrives; if several
    arrive meanwhile, the newest is taken and the others are dropped. `settings` gives `scale`, `smoothing`,
    `stabilise`, `detail` and `max_pixels`.
    The job receives the number of pictures, and latency and dropped pictures as the detail of its progress.

    A file appears, complete, in every case but an error in writing that file itself. Raises FootageError if the source
    cannot be opened or is lost for good, OutputError if a sink cannot be written or its receiver is lost, ConfigError
    for an unknown source, sink or domain, for a `record` that is the sink, and if a package is missing.
    """
    job = job or Job()
    targets = [sink, *([] if record is None else [record])]
    if len({Path(target).absolute() for target in targets}) < len(targets):
        raise ConfigError(f"the sink {redact(sink)} is written already; give another file to record to, or none")
    check_source(source)
    for target in targets:
        check_sink(target, overwrite=overwrite)
    to = translator.target(to)
    newest = Newest(partial(pictures_of, source, max_pixels=settings.max_pixels), job)
    lost: list[Exception] = []
    with ExitStack() as stack:
        stack.callback(newest.close)
        title = f"recycle live: {redact(source)}"
        sinks = [stack.enter_context(_alone(open_sink(target, title), lost)) for target in targets]
        live = _Live(newest, sinks, job, redact(source))
        try:
            live.run(translator, to, settings)
        except (KeyboardInterrupt, Interrupted, Closed):
            pass  # the usual ways to end it
        except Exception as error:
            if not live.frames:
                raise
            lost.append(error)  # files are finished first
    if lost:
        raise lost[0]
    return live.report()


@contextmanager
def _alone(opening: AbstractContextManager[Sink], lost: list[Exception]) -> Iterator[Sink]:
    """A sink whose error, when it is closed, is added to `lost`, so that the other sinks are finished too."""
    closing = False
    try:
        with opening as sink:
            yield sink
            closing = True
    except OutputError as error:
        if not closing:
            raise
        lost.append(error)


class _Live:
    def __init__(self, newest: Newest, sinks: list[Sink], job: Job, name: str) -> None:
        self.frames = 0
        self._newest, self._sinks, self._name, self._job = newest, sinks, name, job
        self._latencies: deque[float] = deque(maxlen=_RECENT)
        self._times: deque[float] = deque(maxlen=_RECENT)

    def run(self, translator: Translator, to: str, settings: TranslateSettings) -> None:
        waiting: deque[Taken] = deque()

        def pictures() -> Iterator[Pixels]:
            while (taken := self._newest.take()) is not None:
                waiting.append(taken)
                yield taken.pixels

        look = settings.model_dump(include={"scale", "smoothing", "stabilise", "detail"})
        stream = translator.stream(pictures(), to=to, **look)
        count, started = self._job.counting(f"live {self._name}"), None
        for picture in stream:
            arrived = waiting.popleft().arrived
            started = arrived if started is None else started
            for sink in self._sinks:
                sink.show(picture, arrived - started)
            self.frames += 1
            now = time.monotonic()
            self._latencies.append(now - arrived)
            self._times.append(now)
            count(self.frames, detail=self._status())

    def _status(self) -> str:
        report = self.report()
        return f"latency {1000 * report.latency:.0f} ms, {report.dropped} dropped"

    def report(self) -> LiveReport:
        times = self._times
        rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0
        latency = median(self._latencies) if self._latencies else 0.0
        return LiveReport(self.frames, self._newest.dropped, self._newest.reconnects, latency, rate)
