"""Weight initialisation."""

import torch
from torch import nn


def initialise(module: nn.Module, *, std: float = 0.02) -> None:
    """Draw weights from N(0, std²) and set biases to 0 (Radford et al. 2016; CycleGAN)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def start_bilinear(layer: nn.ConvTranspose2d) -> None:
    """Initialise a 3×3 transposed convolution that doubles the size as a bilinear interpolation (Long et al. 2015).

    Its central weights mix the channels. Fully random weights would cause a checkerboard that takes long to unlearn.
    """
    if layer.weight.is_meta:  # has no values; computing with it would import torch's compiler, which takes a second
        return
    hat = torch.tensor([0.5, 1.0, 0.5])
    layer.weight.copy_(layer.weight[..., 1:2, 1:2] * hat * hat[:, None])
