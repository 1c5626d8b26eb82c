"""Frames on their way through the networks, several at a time; the results come in order."""

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
from recycle.system.memory import free_memory

Item = TypeVar("Item")
Result = TypeVar("Result")


class Lanes:
    """Keeps a device busy.

    A CPU computes as many frames at a time as torch may use threads, each by one thread alone: then no core waits for
    another at the end of every operation, and what a frame needs stays in the core's own cache. A GPU takes its work in
    batches from the caller's thread and does it meanwhile.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._threads = torch.get_num_threads()
        self._pool = _threads(self._threads) if device.type == "cpu" else None

    def through(self, work: Callable[[list[Item]], Result], items: Iterable[Item], *, limit: int) -> Iterator[Result]:
        """work(group) of the groups into which `items` fall, in order: single ones on a CPU, else `limit` of them.

        No more than `limit` items are taken before the first of them is through; on a GPU twice as many, unless the
        limit is 1. With a limit of 1 a CPU gives each all threads. Raises whatever `work` raises, in its turn.
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
        """How many frames to work on at once, if each takes `size` bytes in the networks, and `frame` bytes outside.

        As many as keep all threads busy, or fewer where these do not fit into half of the memory that is free. Beyond
        that, AT_ONCE frames wait for their turn, or as many as HELD_BYTES hold.
        """
        waiting = min(AT_ONCE, max(1, HELD_BYTES // max(1, frame)))
        if self._pool is None:
            return waiting
        free = free_memory(self._device)
        fitting = self._threads if free is None else max(1, free // 2 // size)
        return fitting if fitting < self._threads else max(waiting, self._threads)

    def group(self, most: int) -> int:
        """The `limit` for `through` with which no more than `most` items are held."""
        return most if self._pool is not None else max(1, most // 2)

    def upload(self, pixels: NDArray[Any]) -> Tensor:
        """The array on the device; a GPU goes on computing meanwhile."""
        tensor = torch.from_numpy(pixels)
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)

    def download(self, tensor: Tensor) -> Callable[[], NDArray[Any]]:
        """Begin to fetch a tensor from the device; the function waits until it is there."""
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
    for ready in [pool.submit(everyone.wait) for _ in range(count)]:
        ready.result()
    torch.set_num_threads(count)  # for threads to come: those of the pool have theirs
    return pool


def _take_one_thread() -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread takes over the number at its first use
