"""Perceptual loss of cycled and recycled frames."""

from collections.abc import Iterator

import torch
from torch import Tensor

from recycle.config import Pipeline
from recycle.losses.features import perceptual_loss
from recycle.objective.direction import Direction
from recycle.objective.terms.base import Seen, Term


class Perceptual(Term):
    """Cycled and recycled frames look like the real ones to the layers of the source's discriminator."""

    name = "perceptual"

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """There must be a way back, and discriminators."""
        weights = pipeline.losses.weights
        if not (weights.cycle or weights.recycle):
            yield "'losses.weights.perceptual' compares cycled or recycled frames: weigh one of them"
        if pipeline.footage.paired:
            yield "'losses.weights.perceptual' is for unpaired footage; feature_matching does it for pairs"
        if not weights.adversarial:
            yield "'losses.weights.perceptual' needs the discriminators of the adversarial loss"

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.features.perceptual_loss`; the sum over time and over the ways back."""
        network = seen.discriminators.networks[seen.judges(d.back)[0]]
        real, losses = seen.p.real(d.source), []
        for start, name in ((0, "cycle"), (self.past, "recycled")):
            if (back := seen.p.get(d, name)) is not None:
                with torch.no_grad():
                    wanted = network(real[:, start : start + back.shape[1]].flatten(0, 1)).layers
                losses.append(perceptual_loss(wanted, network(back.flatten(0, 1)).layers) * back.shape[1])
        return torch.stack(losses).sum() if losses else real.new_zeros(())
