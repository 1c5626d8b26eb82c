"""The judge: features of EfficientNet-Lite2, which no training here looks through."""

import torch
from torch import Tensor, nn

from recycle.networks.features import open_network, pooled

LINES = 224
"""Pixels of the shorter side to which frames are resized: about what the network was trained on."""
WIDEST = 4
"""Longest side, in shorter sides: of a wider frame the rest is squeezed, so that memory stays bounded."""


class LiteNetwork(nn.Module):
    """uint8 RGB (N, 3, H, W) → features (N, mid + deep) float32, of a network trained on ImageNet.

    Levels of strides 8 (textures and small parts) and 32 (things and scenes), each averaged over all places and scaled
    to norm √d (recycle.networks.features.pooled). Source: Tan & Le, "EfficientNet" (ICML 2019), the Lite2 variant.
    """

    def __init__(self) -> None:
        """Raises ConfigError where the package with the weights is absent, BundleError where they are damaged."""
        super().__init__()
        self.body = open_network("lite2")
        self._mid, self._deep = self.body.strides.index(8), self.body.strides.index(32)
        self.mid: int = self.body.channels[self._mid]
        """How many of the first features are those of stride 8."""
        self.num_features: int = self.mid + self.body.channels[self._deep]

    @staticmethod
    def size_for(height: int, width: int) -> tuple[int, int]:
        """Height and width to which a frame is resized: LINES for its shorter side, at most WIDEST times as many."""
        scale = LINES / min(height, width)
        return min(round(height * scale), WIDEST * LINES), min(round(width * scale), WIDEST * LINES)

    def forward(self, frames: Tensor) -> Tensor:
        """Features (N, num_features) of frames (N, 3, H, W) uint8, in the size of `size_for`."""
        levels = self.body(frames.float() / 127.5 - 1)
        return torch.cat([pooled(levels[self._mid]), pooled(levels[self._deep])], dim=1)
