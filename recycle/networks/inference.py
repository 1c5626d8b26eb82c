"""Optimisations of generators for inference: the same values in less time."""

import torch
from torch import nn

from recycle.system.devices import memory_format

_TILE = 32
"""Number of channels that the matrix units of a CPU compute at a time; fewer take the same time."""


def layout(device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """The fastest memory format: that of `memory_format`, but contiguous in float32 on CPUs."""
    return torch.contiguous_format if device.type == "cpu" and dtype == torch.float32 else memory_format(device)


@torch.no_grad()
def split(conv: nn.Conv2d) -> nn.Sequential:
    """Split a k × k convolution with few outputs into one along the rows and a sum along the columns.

    Σ_j Σ_i w[o, :, j, i] x[:, y+j, x+i]: the first computes the inner sums of all j and o as separate channels, k times
    as many; the second adds them at their positions. The values are equal up to the rounding of the inner sums.
    """
    (k, _), outs, ins = conv.kernel_size, conv.out_channels, conv.in_channels
    inner = -(-k * outs // _TILE) * _TILE
    rows = nn.Conv2d(ins, inner, (1, k), bias=False).requires_grad_(False)
    rows.weight.zero_()
    rows.weight[: k * outs] = conv.weight.permute(2, 0, 1, 3).reshape(k * outs, ins, 1, k)
    columns = nn.Conv2d(inner, outs, (k, 1), bias=conv.bias is not None).requires_grad_(False)
    columns.weight.zero_()
    for j in range(k):
        for o in range(outs):
            columns.weight[o, j * outs + o, j] = 1
    if conv.bias is not None and columns.bias is not None:
        columns.bias.copy_(conv.bias)
    return nn.Sequential(rows, columns).to(conv.weight.device, conv.weight.dtype)
