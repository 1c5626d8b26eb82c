"""Initial weights."""

import torch
from torch import nn


def initialise(module: nn.Module, *, std: float = 0.02) -> None:
    """Draw weights from N(0, std) and set biases to 0 (Radford et al. 2016; CycleGAN)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def start_bilinear(layer: nn.ConvTranspose2d) -> None:
    """Make a 3×3 transposed convolution that doubles the size a bilinear interpolation (Long et al. 2015).

    The mixture of channels is that of its central weights. A fully random one prints a checkerboard that takes
    long to unlearn.
    """
    hat = torch.tensor([0.5, 1.0, 0.5])
    layer.weight.copy_(layer.weight[..., 1:2, 1:2] * hat * hat[:, None])
