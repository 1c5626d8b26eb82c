"""Generators prepared for inference: the same values in less time, and as exact in a low precision."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.networks.few import column_sums, row_kernels
from recycle.networks.norm import InstanceNorm
from recycle.system.devices import memory_format

_TILE = 32
"""Number of channels that the matrix units of a CPU compute at a time; fewer take the same time."""


def layout(device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """The fastest memory format: that of `memory_format`, but contiguous in float32 on CPUs."""
    return torch.contiguous_format if device.type == "cpu" and dtype == torch.float32 else memory_format(device)


def drop_biases(network: nn.Module) -> None:
    """Remove the biases that an instance normalisation removes right after; a low precision rounds relative to them."""
    for layers in network.modules():
        if isinstance(layers, nn.Sequential):
            for conv, norm in pairwise(layers):
                if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, InstanceNorm):
                    conv.bias = None


@torch.no_grad()
def split(conv: nn.Conv2d) -> nn.Sequential:
    """Split a k × k convolution with few outputs into the two of `recycle.networks.few`, with a full tile between."""
    (k, _), outs, ins = conv.kernel_size, conv.out_channels, conv.in_channels
    inner = -(-k * outs // _TILE) * _TILE
    rows = nn.Conv2d(ins, inner, (1, k), bias=False).requires_grad_(False)
    rows.weight.zero_()
    rows.weight[: k * outs] = row_kernels(conv.weight)
    columns = nn.Conv2d(inner, outs, (k, 1), bias=conv.bias is not None).requires_grad_(False)
    columns.weight.zero_()
    columns.weight[:, : k * outs] = column_sums(outs, k)
    if conv.bias is not None and columns.bias is not None:
        columns.bias.copy_(conv.bias)
    return nn.Sequential(rows, columns).to(conv.weight.device, conv.weight.dtype)


class Folded(nn.Module):
    """A k × k convolution with few inputs and outputs that computes `COLUMNS` neighbouring columns as channels.

    In channels_last memory, neighbouring pixels of C channels are one pixel of COLUMNS · C channels, so no data is
    copied. Matrix units then compute COLUMNS · outputs at a time instead of a few. A quarter of the products are with
    zeros. The values are equal up to the order of the sums.
    """

    COLUMNS = 4
    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d) -> None:
        """Take over the weights of `conv`, whose kernel is square and of odd size up to 2 COLUMNS + 1."""
        super().__init__()
        n, (k, _), outs, ins = self.COLUMNS, conv.kernel_size, conv.out_channels, conv.in_channels
        self.padding = n, n, k // 2, k // 2
        """Pixels that `forward` expects around the frames: left, right, top, bottom."""
        weight = conv.weight.new_zeros(n * outs, n * ins, k, 3)
        for column in range(n):
            for i in range(k):
                block, place = divmod(n + column + i - k // 2, n)
                rows, inputs = slice(column * outs, (column + 1) * outs), slice(place * ins, (place + 1) * ins)
                weight[rows, inputs, :, block] = conv.weight[:, :, :, i].detach()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().repeat(n))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H + top + bottom, W + left + right) → (B, outputs, H, W); W is a multiple of COLUMNS."""
        n, pixels = self.COLUMNS, x.permute(0, 2, 3, 1)
        folded = pixels.unflatten(2, (-1, n)).flatten(3).permute(0, 3, 1, 2)
        out = F.conv2d(folded, self.weight, self.bias).permute(0, 2, 3, 1)
        return out.unflatten(3, (n, -1)).flatten(2, 3).permute(0, 3, 1, 2)
