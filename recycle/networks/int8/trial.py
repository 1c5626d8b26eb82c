"""Measures how fast 8-bit integers are on this machine."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from recycle.config import ResNetSettings
from recycle.networks.export import pictures
from recycle.networks.int8.generator import Int8Generator
from recycle.networks.resnet import ResNetGenerator

_WIDTH = 16
_PICTURE = (1, 192, 256)
"""Batch, height and width."""
_ROUNDS = 5


def gain(dtype: torch.dtype) -> float:
    """The time that a frame takes in `dtype` on one thread, divided by its time in 8 bits: the best of five, in turn.

    The generator is a narrow ResNet, as in `pipelines/fast.toml`. Raises ConfigError as `Int8Generator`.
    """
    generator = ResNetGenerator(ResNetSettings(width=_WIDTH, skip=True)).eval()
    for last in generator.model[-2].parameters():
        nn.init.zeros_(last)  # random weights make noise, which 8 bits round too much
    usual = generator.for_inference(torch.device("cpu"), dtype)
    frames, threads = pictures(*_PICTURE), torch.get_num_threads()
    networks: list[Callable[[Tensor], Tensor]] = [usual, Int8Generator(generator, usual)]
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            rounds = [[_seconds(network, frames) for network in networks] for _ in range(1 + _ROUNDS)]
    finally:
        torch.set_num_threads(threads)
    slow, fast = (min(times) for times in zip(*rounds[1:], strict=True))  # the first of them also prepares
    return slow / fast


def _seconds(network: Callable[[Tensor], Tensor], frames: Tensor) -> float:
    start = time.perf_counter()
    network(frames)
    return time.perf_counter() - start
