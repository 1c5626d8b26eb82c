"""Projection of a generator's features for the contrastive loss."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from recycle.networks.initialise import initialise

WIDTH = 256
"""Dimension of projected patches."""


class Projector(nn.Module):
    """Maps the patches of each layer to unit vectors of 256 dimensions, by two linear maps with a ReLU between.

    Source: Park et al. (ECCV 2020), section 3.2 and appendix C.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(count, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)) for count in channels
        )
        initialise(self)

    def forward(self, patches: Sequence[Tensor]) -> list[Tensor]:
        """For each layer (N, S, C) → (N, S, 256) of norm 1."""
        return [F.normalize(head(x), dim=-1) for head, x in zip(self.heads, patches, strict=True)]
