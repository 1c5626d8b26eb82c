"""Initial weights."""

from torch import nn


def initialise(module: nn.Module, *, std: float = 0.02) -> None:
    """Draw convolution weights from N(0, std) and set biases to 0 (Radford et al. 2016; CycleGAN)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
