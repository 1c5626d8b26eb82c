"""Logits of a discriminator that judges each kind of place by itself."""

from torch import Tensor
from torch.nn import functional as F

KINDS = 12
"""Number of kinds of places."""


def logits_at(scores: Tensor, kinds: Tensor | None) -> Tensor:
    """Logits (N, 1, H, W): the score of every place, plus the score that its kind has there.

    `scores`: (N, 1 + KINDS, H, W). `kinds`: (N, 1, H', W') in [0, KINDS], where 0 is no kind, which has no further
    score; None: no place has a kind.

    Source: the projection discriminator, Miyato & Koyama, "cGANs with Projection Discriminator" (ICLR 2018), eq. 4,
    whose embedding of the class is here a convolution's weights; for places of a frame as in the perceptual
    discriminator of Richter et al., "Enhancing Photorealism Enhancement" (TPAMI 2022).
    """
    if kinds is None:
        return scores[:, :1]
    chosen = F.interpolate(kinds.float(), scores.shape[-2:], mode="nearest").long()
    further = F.pad(scores[:, 1:], (0, 0, 0, 0, 1, 0))  # channel 0: no kind
    return scores[:, :1] + further.gather(1, chosen)
