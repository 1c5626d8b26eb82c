"""Runs a function over items in several processes, which end with their parent."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

import cv2

from recycle.errors import Interrupted
from recycle.events import Job

Item = TypeVar("Item")
Result = TypeVar("Result")
Function = Callable[[Item, Callable[[int], None]], Result]
"""A function of an item and of a callback that adds to the count of completed units."""

_POLL_SECONDS = 0.2
_RUN, _STOP, _END = range(3)
"""Values of the shared flag: items run; they stop at their next count; their processes end at once."""
# State of a worker process: the shared counts, the shared flag, and whether it may be interrupted.
# Each item has its own count, so that no lock is needed: an interrupted or killed process could keep it.
_counts: Any = None
_stopping: Any = None
_busy = False


def run_all(
    function: Function[Item, Result],
    items: Sequence[Item],
    *,
    workers: int,
    crashed: Result,
    report: Callable[[int], None],
    job: Job | None = None,
) -> list[Result]:
    """Results of `function` for all items, in order; with one worker, it runs in this process.

    `function` and the items must be picklable. `report` receives the number of units completed since its last call. An
    item whose process dies gets the result `crashed`; other items are not affected. Raises Interrupted after the job is
    cancelled: no further item starts, and the callback of running items raises it too.
    """
    job = job or Job()
    if workers <= 1:
        return [_alone(function, item, report, job) for item in items]
    results: dict[int, Result] = _run_pool(function, dict(enumerate(items)), workers, report, job)
    for index in range(len(items)):
        if index not in results:  # the pool broke because of this item or another: run it alone
            results |= _run_pool(function, {index: items[index]}, 1, report, job)
        results.setdefault(index, crashed)
    return [results[index] for index in range(len(items))]


def _alone(function: Function[Item, Result], item: Item, report: Callable[[int], None], job: Job) -> Result:
    def count(units: int) -> None:
        report(units)
        job.check()

    job.check()
    return function(item, count)


def _run_pool(
    function: Function[Item, Result], items: dict[int, Item], workers: int, report: Callable[[int], None], job: Job
) -> dict[int, Result]:
    """Results by index; items that were lost with a dying process are missing."""
    context = multiprocessing.get_context("spawn")
    counts, stop = context.RawArray("q", len(items)), context.RawValue("b", _RUN)
    seen = 0
    results: dict[int, Result] = {}
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(counts, stop))
    try:
        # A pool whose start is interrupted would never end.
        with _deferring_signals(), without_main(function, list(items.values())):
            # Processes inherit the blocked SIGINT: Ctrl-C causes no traceback while they import.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                futures: dict[Future[Result], int] = {
                    pool.submit(_call, function, item, place): index
                    for place, (index, item) in enumerate(items.items())
                }
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        pending = set(futures)
        while pending:
            job.check()
            finished, pending = wait(pending, timeout=_POLL_SECONDS)
            for future in finished:
                if not isinstance(future.exception(), BrokenProcessPool):
                    results[futures[future]] = future.result()
            done = sum(counts)
            if done > seen:
                report(done - seen)
                seen = done
    finally:
        with _deferring_signals() as arrived:
            stop.value = _STOP
            closing = threading.Thread(target=pool.shutdown, kwargs={"cancel_futures": True})
            closing.start()
            while closing.is_alive():
                closing.join(_POLL_SECONDS)
                if arrived:  # a second Ctrl-C: do not wait for the items
                    stop.value = _END
    return results


@contextmanager
def _deferring_signals() -> Iterator[list[int]]:
    """Handle SIGINT, SIGTERM and SIGHUP at the end of the block only. Yields the list of those that arrived."""
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # it gets no signals
        yield arrived
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    ours = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in ours:
            signal.signal(number, lambda number, frame: arrived.append(number))
        yield arrived
    finally:
        try:
            _restore(ours)
        except BaseException:  # a signal came in between, and its handler raised
            _restore(ours)
            raise
        if arrived:
            ours[signal.Signals(arrived[0])](arrived[0], None)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def without_main(*sent: object) -> Iterator[None]:
    """Start processes that do not run the caller's script again: it needs no `if __name__ == "__main__":`.

    multiprocessing imports the parent's main module in every process that it starts, for what is defined there. This
    package's processes need it only if something that is sent to them, such as a kind of source, is defined there.
    """
    if any(b"__main__" in pickle.dumps(each) for each in sent):
        yield
        return
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _start_worker(counts: Any, stop: Any) -> None:
    global _counts, _stopping
    _counts, _stopping = counts, stop
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    end_with_parent(lambda: _stopping.value == _END)


def _stop(number: int, frame: object) -> None:
    """Handle Ctrl-C: raise KeyboardInterrupt, once, while an item is running, so that it cleans up.

    A process without an item waits for its parent, which gets Ctrl-C too. It must not end by itself: while it waits for
    an item it holds the lock of the queue, and a process that still runs would wait for that lock forever.
    """
    global _busy
    if _busy:
        _busy = False
        raise KeyboardInterrupt


def end_with_parent(requested: Callable[[], bool] | None = None) -> None:
    """Make this process, started by multiprocessing, end when its parent ends, even by SIGKILL, or if `requested()`.

    The parent holds the other end of a pipe. PyTorch's own watcher checks the parent's process id, which is that of the
    fork server if there is one.
    """

    def watch(parent: "multiprocessing.process.BaseProcess") -> None:
        while parent.is_alive() and not (requested and requested()):
            parent.join(_POLL_SECONDS if requested else None)
        os._exit(1)

    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=watch, args=(parent,), daemon=True, name="watch").start()


def _call(function: Function[Item, Result], item: Item, place: int) -> Result:
    """Run one item. `place` is that of its count."""
    global _busy

    def count(units: int) -> None:
        _counts[place] += units
        if _stopping.value != _RUN:
            raise Interrupted

    if _stopping.value != _RUN:  # it was on its way to this process already
        raise Interrupted
    _busy = True
    try:
        return function(item, count)
    finally:
        _busy = False
