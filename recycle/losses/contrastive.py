"""PatchNCE: each translated patch must match its source patch better than other source patches."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from recycle.losses.adversarial import at_least_float32

TEMPERATURE = 0.07
"""Temperature of the softmax."""
PATCHES = 256
"""Maximum number of patches drawn from each frame and layer."""


def patch_nce_loss(translated: Sequence[Tensor], source: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of identifying, for each patch of G(x), the patch of x at the same place among those of its frame.

    translated, source: for each layer the projected patches (N, S, C) of unit length, at the same S places of N frames.
    Gradients flow only into `translated`, as in CUT. The result is the mean over patches and layers.

    Source: Park et al., "Contrastive Learning for Unpaired Image-to-Image Translation" (ECCV 2020), eq. 3.
    """
    losses = []
    for query, key in zip(translated, source, strict=True):
        with torch.autocast(query.device.type, enabled=False):
            similarity = at_least_float32(query) @ at_least_float32(key.detach()).mT / TEMPERATURE
        target = torch.arange(query.shape[1], device=query.device).expand(len(query), -1)
        losses.append(F.cross_entropy(similarity.flatten(0, 1), target.flatten()))
    return torch.stack(losses).mean()


def draw_places(layer: Tensor) -> Tensor:
    """Random places of patches in a layer (N, C, H, W): at most PATCHES distinct indices of H·W, (S,) int64."""
    count = layer.shape[-2] * layer.shape[-1]
    return torch.randperm(count, device=layer.device)[:PATCHES]


def take_patches(layer: Tensor, places: Tensor) -> Tensor:
    """(N, C, H, W), (S,) → (N, S, C): the features at these places."""
    return layer.flatten(2)[:, :, places].mT
