"""Contrastive loss of patches."""

from typing import Any

import torch
from torch import Tensor, nn

from recycle.losses.contrastive import draw_places, patch_nce_loss, take_patches
from recycle.networks.projector import Projector
from recycle.objective.direction import BOTH, Direction
from recycle.objective.passing import Pass
from recycle.objective.terms.base import Seen, Term


class PatchNCE(Term):
    """What a patch becomes must tell which patch it was, to the generator's own encoder (Park et al. 2020)."""

    name = "patch_nce"

    def networks(self, generator: Any) -> dict[str, nn.Module]:
        """A projector for each direction."""
        return {f"project_{d.name}": Projector(generator.feature_channels) for d in BOTH if self.weight(d)}

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """Projected patches (N, S, 256) of G(x) and of x, for each layer; draws their places, the same in both."""
        source, translated = p.source(d).flatten(0, 1), p.clip(d).flatten(0, 1)
        layers = translators.generator(d).features(torch.cat((translated, source)))
        project = getattr(translators, f"project_{d.name}")
        patches = project([take_patches(layer, draw_places(layer)) for layer in layers])
        count = len(source)
        return {"patches": [x[:count] for x in patches], "wanted patches": [x[count:] for x in patches]}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.contrastive.patch_nce_loss`."""
        return patch_nce_loss(seen.p.get(d, "patches"), seen.p.get(d, "wanted patches"))
