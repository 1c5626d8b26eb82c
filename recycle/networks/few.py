"""A convolution with few outputs as two that CPUs compute faster: along the rows, then a sum along the columns.

Σ_j Σ_i w[o, :, j, i] x[:, y+j, x+i]: the first convolution computes the inner sums of all j and o as separate channels,
k times as many. The second adds them at their positions. The values are equal up to the rounding of the inner sums.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FewConv2d(nn.Conv2d):
    """`nn.Conv2d` with few outputs, a large kernel and no padding; the same values, faster to train on CPUs.

    There three output channels take the time of sixteen. `recycle.networks.inference.split` does the same for
    generators that do not train.
    """

    sums: Tensor

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__(channels, out, kernel)
        self.register_buffer("sums", column_sums(out, kernel), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float → (B, out, H − k + 1, W − k + 1)."""
        if not (self.training and x.device.type == "cpu"):
            return super().forward(x)
        return F.conv2d(F.conv2d(x, row_kernels(self.weight)), self.sums.to(x.dtype), self.bias)


def row_kernels(weight: Tensor) -> Tensor:
    """Weight of the first convolution, (k·out, C, 1, k), of a `weight` (out, C, k, k)."""
    return weight.permute(2, 0, 1, 3).flatten(0, 1).unsqueeze(2)


def column_sums(out: int, kernel: int) -> Tensor:
    """Weight of the second convolution, (out, k·out, k, 1) float32: zeros and ones."""
    ones = torch.eye(kernel * out).view(kernel, out, kernel * out)
    return ones.permute(1, 2, 0).unsqueeze(-1)
