"""Contrastive loss of patches."""

from typing import Any

import torch
from torch import Tensor, nn

from recycle.config import Pipeline
from recycle.domains import DIRECTIONS, Direction
from recycle.losses.contrastive import draw_places, patch_nce_loss, take_patches
from recycle.networks.projector import Projector
from recycle.objective.passing import CLIP, Pass
from recycle.objective.terms.base import Seen, Term

STRIDES = (4, 8, 16)
"""Strides of the frozen network's layers that distinguish patches."""


class PatchNCE(Term):
    """Each translated patch must match its source patch better than other source patches (Park et al. 2020).

    The features are those of the generator's encoder, as in the paper, or of a frozen network, which training cannot
    adapt to make the task easier.
    """

    name = "patch_nce"

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline)
        self.sees_features = pipeline.losses.patch_nce_by == "features"

    def networks(self, generator: Any, eyes: Any) -> dict[str, nn.Module]:
        """One projector per direction."""
        channels = eyes.channels_at(STRIDES) if self.sees_features else generator.feature_channels
        return {f"project_{d.name}": Projector(channels) for d in DIRECTIONS if self.weight(d)}

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """Projected patches (N, S, 256) of G(x) and of x for each layer, at the same random places."""
        if self.sees_features:
            pair = ((CLIP, p.clip(d)), ("source", p.source(d)))
            seen = (p.features(d, name, clip, translators.eyes, STRIDES) for name, clip in pair)
            layers = [torch.cat(both) for both in zip(*seen, strict=True)]
        else:
            frames = torch.cat((p.clip(d).flatten(0, 1), p.source(d).flatten(0, 1)))
            layers = translators.generator(d).features(frames)
        project = getattr(translators, f"project_{d.name}")
        patches = project([take_patches(layer, draw_places(layer)) for layer in layers])
        count = len(layers[0]) // 2
        return {"patches": [x[:count] for x in patches], "wanted patches": [x[count:] for x in patches]}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.contrastive.patch_nce_loss`."""
        return patch_nce_loss(seen.p.get(d, "patches"), seen.p.get(d, "wanted patches"))
