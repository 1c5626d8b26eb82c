"""Features of EfficientNet-Lite2, the default judge of translations; training never uses this network."""

import torch
from torch import Tensor, nn

from recycle.networks.features import open_network, pooled

LINES = 224
"""Shorter side in pixels to which frames are resized; close to the size of the network's training pictures."""
WIDEST = 4
"""Maximum ratio of the sides of a resized frame. Longer frames are squeezed, which bounds memory use."""


class LiteNetwork(nn.Module):
    """Maps uint8 RGB (N, 3, H, W) to features (N, mid + deep) float32, with a network trained on ImageNet.

    The features are the levels of stride 8 (textures and small parts) and 32 (objects and scenes), each averaged over
    all positions and scaled to norm √d (see recycle.networks.features.pooled). Source: Tan & Le, "EfficientNet" (ICML
    2019), Lite2 variant.
    """

    def __init__(self) -> None:
        """Raises ConfigError if the package with the weights is missing, BundleError if the weights are damaged."""
        super().__init__()
        self.body = open_network("lite2")
        self._mid, self._deep = self.body.strides.index(8), self.body.strides.index(32)
        self.mid: int = self.body.channels[self._mid]
        """Number of leading features that are from stride 8."""

    @staticmethod
    def size_for(height: int, width: int) -> tuple[int, int]:
        """Height and width to which a frame is resized: LINES for the shorter side, at most WIDEST * LINES each."""
        scale = LINES / min(height, width)
        return min(round(height * scale), WIDEST * LINES), min(round(width * scale), WIDEST * LINES)

    def forward(self, frames: Tensor) -> Tensor:
        """Features (N, mid + deep) of frames (N, 3, H, W) uint8, resized to `size_for`."""
        levels = self.body(frames.float() / 127.5 - 1)
        return torch.cat([pooled(levels[self._mid]), pooled(levels[self._deep])], dim=1)
