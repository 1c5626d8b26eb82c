"""The hardware's limit: floating-point operations per second of a large convolution."""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from recycle.rendering.overlap import AT_ONCE
from recycle.translation.lanes import Lanes

SHAPES = ((256, 64, 8), (256, 64, 1), (512, 32, 8), (128, 128, 1))
"""Channels, side and batch of the convolutions; the first is that of the residual blocks at 256 pixels, in a batch."""
_AT_ONCE = 10
"""Number of calls queued on a GPU before it is synchronised."""


def convolution(device: torch.device, dtype: torch.dtype) -> Callable[[], float]:
    """A function that runs a 3×3 convolution and returns its seconds per floating-point operation.

    It is the fastest of several that are tried here: of SHAPES and, on a CPU, with all threads together or one frame
    per thread.
    """
    tried = [each for shape in SHAPES for each in _arrangements(*shape, device, dtype)]
    return min(tried, key=lambda run: min(run() for _ in range(2)))


def _arrangements(
    channels: int, side: int, batch: int, device: torch.device, dtype: torch.dtype
) -> list[Callable[[], float]]:
    x = torch.randn(batch, channels, side, side, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    kernel = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    work = partial(F.conv2d, x, kernel, padding=1)
    operations = flops(work)
    runs: list[Callable[[], float]] = [lambda: seconds(work, device, least=0.5) / operations]
    if device.type == "cpu" and batch == 1:
        lanes = Lanes(device)
        many = 4 * max(AT_ONCE, torch.get_num_threads())

        def one_each() -> None:
            for _ in lanes.through(_once(work), range(many), limit=torch.get_num_threads()):
                pass

        runs.append(lambda: seconds(one_each, device, least=0.5) / (many * operations))
    return runs


def _once(work: Callable[[], object]) -> Callable[[list[int]], None]:
    def run(group: list[int]) -> None:
        with torch.inference_mode():
            work()

    return run


def seconds(work: Callable[[], object], device: torch.device, *, least: float) -> float:
    """Mean seconds of one call, over calls that take at least `least` seconds together."""
    with torch.inference_mode():
        wait_for(device)
        start, calls = time.perf_counter(), 0
        while (taken := time.perf_counter() - start) < least or not calls:
            for _ in range(1 if device.type == "cpu" else _AT_ONCE):
                work()
                calls += 1
            wait_for(device)
        return taken / calls


def wait_for(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def flops(work: Callable[[], Tensor]) -> int:
    """Floating-point operations of one call, computed from the shapes of its matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        work()
    return counter.get_total_flops()
