"""Runs a function over items in several processes, which end with their parent."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
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
# State of a worker process: the shared counter, the shared flag that stops its item, and whether it has an item.
_counter: Any = None
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
    counter, stop = context.Value("q", 0), context.RawValue("b", 0)  # raw: a killed process could hold a lock
    seen = 0
    results: dict[int, Result] = {}
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(counter, stop))
    try:
        # Processes inherit the blocked SIGINT: Ctrl-C causes no traceback while they import.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with without_main(function, list(items.values())):
                futures: dict[Future[Result], int] = {
                    pool.submit(_call, function, item): index for index, item in items.items()
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
            done = counter.value
            if done > seen:
                report(done - seen)
                seen = done
    except BaseException:
        stop.value = 1
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return results


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


def _start_worker(counter: Any, stop: Any) -> None:
    global _counter, _stopping
    _counter, _stopping = counter, stop
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    end_with_parent()


def _stop(number: int, frame: object) -> None:
    """Handle Ctrl-C: raise KeyboardInterrupt while an item is running, so that it cleans up.

    A process without an item waits for its parent, which gets Ctrl-C too. It must not end by itself: while it waits for
    an item it holds the lock of the queue, and a process that still runs would wait for that lock forever.
    """
    if _busy:
        raise KeyboardInterrupt


def end_with_parent() -> None:
    """Make this process, started by multiprocessing, end when its parent ends, even by SIGKILL.

    The parent holds the other end of a pipe. PyTorch's own watcher checks the parent's process id, which is that of the
    fork server if there is one.
    """

    def watch(parent: "multiprocessing.process.BaseProcess") -> None:
        parent.join()
        os._exit(1)

    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=watch, args=(parent,), daemon=True, name="watch").start()


def _call(function: Function[Item, Result], item: Item) -> Result:
    global _busy
    if _stopping.value:  # it was on its way to this process already
        raise Interrupted
    _busy = True
    try:
        return function(item, _count)
    finally:
        _busy = False


def _count(units: int) -> None:
    with _counter.get_lock():
        _counter.value += units
    if _stopping.value:
        raise Interrupted
