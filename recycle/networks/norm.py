"""Normalisations that keep the frames of a batch independent, in the fastest form for the device."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.networks.statistics import current


class Centred(nn.Module):
    """Subtracts from each channel of a frame its mean, before the first convolution of a network with `InstanceNorm`.

    In exact arithmetic such a network gives the same values with and without it. But convolutions round relative to the
    values, and normalisations amplify that in frames of low contrast: without it, a twentieth of the contrast in the
    dark costs 25 dB in bfloat16, and a flat frame may become noise even in float32.
    """

    def forward(self, frames: Tensor) -> Tensor:
        """(B, C, H, W) float → the same shape."""
        if (tile := current()) is not None:
            return frames - tile.moments(frames).mean[..., None, None]
        apart = frames - frames[..., :1, :1]  # exactly 0 in a flat frame, whose mean runtimes round
        return apart - apart.mean((2, 3), keepdim=True)


class InstanceNorm(nn.InstanceNorm2d):
    """`nn.InstanceNorm2d` without running statistics; the same values, faster on CPUs.

    PyTorch's version reorders channels_last frames twice; batch normalisation of one frame does not. Group
    normalisation with one channel per group would be faster still. For channels_last frames, however, it computes the
    variance as the mean of squares minus the square of the mean, which is noise for nearly flat channels. For
    contiguous frames it does not, and is more exact than batch normalisation. While torch.export traces it, it is one
    operation, in float32 also for frames of lower precision. The first pixel is subtracted before, which changes no
    value: a flat channel, as of a black frame, is then exactly 0. Other runtimes round its mean, and each further
    normalisation would multiply this rounding by up to 316, 1 / √eps.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float → the same shape; mean 0 and variance 1 in each channel of each frame."""
        if torch.compiler.is_exporting():
            affine = (self.weight, self.bias) if self.weight is None else (self.weight.float(), self.bias.float())
            apart = x.float() - x[..., :1, :1].float()
            return torch.instance_norm(apart, *affine, None, None, True, 0.0, self.eps, False).to(x.dtype)
        if (tile := current()) is not None and self.weight is None:
            return tile.normalised(x, self.eps)
        if x.device.type != "cpu":
            return super().forward(x)
        if x.is_contiguous() and not torch.is_grad_enabled():
            return F.group_norm(x, x.shape[1], self.weight, self.bias, self.eps)
        frames = [F.batch_norm(frame, None, None, self.weight, self.bias, True, 0.0, self.eps) for frame in x.split(1)]
        return frames[0] if len(frames) == 1 else torch.cat(frames)


class GroupNorm(nn.GroupNorm):
    """`nn.GroupNorm` (Wu & He 2018); the same values, faster on CPUs.

    There its backward pass for channels_last bfloat16 is several times slower than for contiguous frames.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float → the same shape; mean 0 and variance 1 in each group of channels of each frame."""
        return super().forward(x.contiguous() if x.device.type == "cpu" else x)


class StoredBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` that always uses its stored statistics, also in training, so that frames stay independent."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.train(False)

    def train(self, mode: bool = True) -> "StoredBatchNorm":
        """Stay in evaluation mode."""
        super().train(False)
        return self


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "instance": InstanceNorm,
    "batch": StoredBatchNorm,
    "none": nn.Identity,
}
"""Normalisations by the name of the setting, for a number of channels."""
