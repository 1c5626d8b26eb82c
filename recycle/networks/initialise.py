"""Initial weights."""

import torch
from torch import nn


def initialise(module: nn.Module, *, std: float = 0.02) -> None:
    """Draw convolution weights from N(0, std) and set biases to 0 (Radford et al. 2016; CycleGAN).

    Transposed convolutions that double the size with a 3×3 kernel start as bilinear interpolation (Long et
    al. 2015) after a random mixture of channels: fully random ones print a checkerboard that takes long to
    unlearn.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if isinstance(layer, nn.ConvTranspose2d) and layer.kernel_size == (3, 3):
            with torch.no_grad():
                hat = torch.tensor([0.5, 1.0, 0.5])
                layer.weight.copy_(layer.weight[..., 1:2, 1:2] * hat * hat[:, None])
