"""Feature matching."""

from collections.abc import Iterator

import torch
from torch import Tensor

from recycle.config import Pipeline
from recycle.domains import Direction
from recycle.losses.features import feature_matching_loss, perceptual_loss
from recycle.networks.discriminator import Judgement
from recycle.objective.terms.base import Seen, Term


class FeatureMatching(Term):
    """Translated and real frames match in each layer of the discriminators: on average, or as pairs."""

    name = "feature_matching"

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """The discriminators of the adversarial loss are required."""
        if pipeline.footage.paired and pipeline.losses.augment:
            yield "'losses.weights.feature_matching' compares places of pairs, which 'losses.augment' shifts; unset one"
        if not pipeline.losses.weights.adversarial:
            yield "'losses.weights.feature_matching' needs the discriminators of the adversarial loss"

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.features`; summed over the discriminators of the target."""
        compare = perceptual_loss if seen.discriminators.conditional else feature_matching_loss
        names = [*seen.judges(d), *seen.judges(d, clips=True)]
        return torch.stack([compare(_flat(seen.wanted[name]), _flat(seen.judged[name])) for name in names]).sum()


def _flat(judgement: Judgement) -> list[Tensor]:
    return [layer.flatten(0, 1) for layer in judgement.layers]
