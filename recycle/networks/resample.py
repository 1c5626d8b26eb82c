"""The 4 × 4 convolutions of a U-Net that halve and double the size, in the fastest form for the device."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL, STRIDE, PADDING = 4, 2, 1


class Halve(nn.Conv2d):
    """`nn.Conv2d` from (B, C, H, W) to half of H and W; the same values, faster on CPUs for few pixels.

    There, with channels_last weights, it is computed as a matrix product: a convolution reorders its weights at each
    call, which takes longer than computing four pixels with them.
    """

    def __init__(self, channels: int, out: int, *, bias: bool = True) -> None:
        super().__init__(channels, out, KERNEL, STRIDE, PADDING, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float, H and W even → (B, out, H / 2, W / 2)."""
        batch, channels, height, width = x.shape
        if not _as_product(x, batch * height * width // 4, self.weight):
            return super().forward(x)
        rows = F.pad(x.permute(0, 2, 3, 1), (0, 0, *(2 * (PADDING, PADDING))))
        patches = rows.unfold(1, KERNEL, STRIDE).unfold(2, KERNEL, STRIDE).permute(0, 1, 2, 4, 5, 3)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        y = F.linear(patches.reshape(-1, KERNEL**2 * channels), weight, self.bias)
        return y.view(batch, height // 2, width // 2, -1).permute(0, 3, 1, 2)


class Double(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` from (B, C, H, W) to double H and W; the same values, faster on CPUs like `Halve`."""

    def __init__(self, channels: int, out: int, *, bias: bool = True) -> None:
        super().__init__(channels, out, KERNEL, STRIDE, PADDING, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) float → (B, out, 2 H, 2 W)."""
        batch, channels, height, width = x.shape
        if output_size is not None or not _as_product(x, batch * height * width, self.weight):
            return super().forward(x, output_size)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        patches = x.permute(0, 2, 3, 1).reshape(-1, channels) @ weight
        patches = patches.view(batch, height * width, KERNEL**2, -1).permute(0, 3, 2, 1).flatten(1, 2)
        y = F.fold(patches, (2 * height, 2 * width), KERNEL, stride=STRIDE, padding=PADDING)
        if self.bias is not None:
            y = y + self.bias.to(y.dtype)[:, None, None]
        return y.contiguous(memory_format=torch.channels_last)


def _as_product(x: Tensor, pixels: int, weight: Tensor) -> bool:
    """Whether a matrix product is faster, by measurements with 256 to 1024 channels and 1 to 256 pixels."""
    few = 2 * pixels < x.shape[1]
    return few and x.device.type == "cpu" and weight.is_contiguous(memory_format=torch.channels_last)
