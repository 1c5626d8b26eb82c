"""What the hardware can do at best: floating-point operations per second of a large convolution."""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

CHANNELS, SIDE, BATCH = 256, 64, 8
"""Of the convolution: that of the residual blocks at 256 pixels, in a batch."""
_AT_ONCE = 10
"""Calls that a GPU is given before it is waited for."""


def convolution(device: torch.device, dtype: torch.dtype) -> Callable[[], float]:
    """A function that runs a 3×3 convolution, and gives its seconds per floating-point operation."""
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    kernel = torch.randn(CHANNELS, CHANNELS, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    operations = flops(lambda: F.conv2d(x, kernel, padding=1))

    def run() -> float:
        return seconds(lambda: F.conv2d(x, kernel, padding=1), device, least=0.5) / operations

    return run


def seconds(work: Callable[[], object], device: torch.device, *, least: float) -> float:
    """Mean seconds of one call, over calls that take at least so many seconds together."""
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
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def flops(work: Callable[[], Tensor]) -> int:
    """Floating-point operations of one call, by the shapes of its matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        work()
    return counter.get_total_flops()
