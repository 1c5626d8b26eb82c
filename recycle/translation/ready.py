"""Prepares a generator for translation."""

from functools import partial

import torch
from torch import Tensor

from recycle.networks.generator import GeneratorNetwork, at_any_size
from recycle.networks.inference import layout
from recycle.translation.tiles import Network


def ready(generator: GeneratorNetwork, device: torch.device, dtype: torch.dtype, *, int8: bool) -> Network:
    """The generator as a function of float32 (B, 3, H, W) on the device, of any size; the result has this shape.

    It computes in `dtype`, with `int8` its convolutions in 8-bit integers. The generator is on the device. Raises as
    `recycle.networks.int8.generator.Int8Generator`.
    """
    order = layout(device, dtype)
    computed = generator.for_inference(device, dtype)

    def network(frames: Tensor) -> Tensor:
        out: Tensor = computed(frames.contiguous(memory_format=order))
        return out.float()

    whole: Network = network
    if int8:
        from recycle.networks.int8.generator import Int8Generator  # most translations need neither it nor exports

        whole = Int8Generator(generator, network)
    return partial(at_any_size, whole, multiple=generator.multiple, least=generator.least_side)
