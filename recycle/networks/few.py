"""The last convolution of a generator, from many channels to three, in the fastest form for training."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FewConv2d(nn.Conv2d):
    """`nn.Conv2d` with few outputs, a large kernel and no padding; the same values, faster to train on CPUs.

    There three output channels take the time of sixteen. So a k × k kernel is applied along the rows to k times as many
    channels, Σ_i w[o, :, j, i] x[:, y, x+i] for every j. A second convolution with a kernel of zeros and ones adds them
    along the columns. `recycle.networks.inference.split` does the same for generators that do not train.
    """

    shifts: Tensor

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__(channels, out, kernel)
        shifts = torch.eye(kernel * out).view(kernel, out, kernel * out).permute(1, 2, 0)
        self.register_buffer("shifts", shifts.unsqueeze(-1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float → (B, out, H − k + 1, W − k + 1)."""
        if not (self.training and x.device.type == "cpu"):
            return super().forward(x)
        out, channels, kernel, _ = self.weight.shape
        rows = self.weight.permute(2, 0, 1, 3).reshape(kernel * out, channels, 1, kernel)
        return F.conv2d(F.conv2d(x, rows), self.shifts.to(x.dtype), self.bias)
