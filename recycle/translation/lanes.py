"""Processes several frames at a time, and returns the results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Barrier
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from recycle.rendering.overlap import AT_ONCE, HELD_BYTES
from recycle.system.cores import granted
from recycle.system.memory import free_memory, keep_freed_memory

_COPIES = 16
"""Bytes of a frame's float32 copies on a GPU, for each byte of the frame: before, during and after scaling, while it is
rounded."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Lanes:
    """Runs work on groups of items so that a device is always busy.

    On a CPU, each thread of torch processes one frame alone, in the memory of finished ones. So no core waits for
    another at the end of an operation, and the data of a frame stay in the cache of one core. On a GPU, the caller's
    thread starts batches, which the GPU computes asynchronously.
    """

    def __init__(self, device: torch.device) -> None:
        if device.type == "cpu":
            keep_freed_memory()
        self._device = device
        self._threads = min(torch.get_num_threads(), granted())
        self._pool = _threads(self._threads) if device.type == "cpu" else None

    def through(self, work: Callable[[list[Item]], Result], items: Iterable[Item], *, limit: int) -> Iterator[Result]:
        """Split `items` into groups, and yield work(group) for each group, in order.

        On a CPU a group is one item; otherwise, it has up to `limit` items. At most `limit` items are read before the
        first of them is finished; on a GPU twice as many, unless the limit is 1. With a limit of 1, a CPU processes
        each item with all threads. An exception of `work` is raised after the results before it.
        """
        items = iter(items)
        size, most = (limit, min(limit, 2)) if self._pool is None else (1, limit)
        waiting: deque[Future[Result]] = deque()
        try:
            while group := list(islice(items, size)):
                waiting.append(self._begin(work, group, alone=most == 1))
                if len(waiting) >= most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def limit(self, size: int, frame: int = 0) -> int:
        """The `limit` for `through` if each frame needs `size` bytes in the networks and `frame` bytes outside them.

        AT_ONCE, or the number of frames that HELD_BYTES hold if this is lower. On a GPU at most as many as fit in half
        of its free memory, with the float32 copies from which they are scaled. On a CPU at least the number of threads;
        if one frame for each thread does not fit into half of the free memory, the number that fits. At least 1.
        """
        waiting = min(AT_ONCE, max(1, HELD_BYTES // max(1, frame)))
        free = free_memory(self._device)
        if self._pool is None:
            return waiting if free is None else min(waiting, max(1, free // 2 // (size + _COPIES * frame)))
        fitting = self._threads if free is None else max(1, free // 2 // size)
        return fitting if fitting < self._threads else max(waiting, self._threads)

    def group(self, most: int) -> int:
        """The `limit` for `through` with which at most `most` items are held."""
        return most if self._pool is not None else max(1, most // 2)

    def upload(self, pixels: NDArray[Any]) -> Tensor:
        """Copy an array to the device. A GPU continues to compute during the copy."""
        tensor = torch.from_numpy(pixels)
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)

    def download(self, tensor: Tensor) -> Callable[[], NDArray[Any]]:
        """Start to copy a tensor from the device. The returned function waits for the copy and returns the array."""
        if tensor.device.type != "cuda":
            return lambda: tensor.cpu().numpy()
        here = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        here.copy_(tensor, non_blocking=True)
        there = torch.cuda.current_stream(tensor.device).record_event()

        def wait() -> NDArray[Any]:
            there.synchronize()
            return here.numpy()

        return wait

    def _begin(self, work: Callable[[list[Item]], Result], group: list[Item], *, alone: bool) -> "Future[Result]":
        if self._pool is not None and not alone:
            return self._pool.submit(work, group)
        done: Future[Result] = Future()
        done.set_result(work(group))
        return done


def _threads(count: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(count, "lane", initializer=_take_one_thread)
    everyone = Barrier(count)
    try:
        for ready in [pool.submit(everyone.wait) for _ in range(count)]:
            ready.result()
    except BaseException:  # otherwise, after Ctrl-C, the threads that have started wait for the others forever
        everyone.abort()
        pool.shutdown(wait=False)
        raise
    torch.set_num_threads(count)  # for later threads; those of the pool have set theirs
    return pool


def _take_one_thread() -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread adopts the number at its first use
