"""Perceptual loss of cycled and recycled frames."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from recycle.config import Pipeline
from recycle.domains import Direction
from recycle.losses.features import perceptual_loss
from recycle.objective.passing import Pass
from recycle.objective.terms.base import Seen, Term

STRIDES = (4, 8, 16)
"""Of the frozen network's layers that are compared."""


class Perceptual(Term):
    """Cycled and recycled frames look like the real ones: to the source's discriminator, or to a frozen network."""

    name = "perceptual"

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline)
        self.sees_features = pipeline.losses.perceptual_by == "features"

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """There must be a way back, and a network that looks."""
        weights = pipeline.losses.weights
        if not (weights.cycle or weights.recycle):
            yield "'losses.weights.perceptual' compares cycled or recycled frames: weigh one of them"
        if pipeline.footage.paired:
            yield "'losses.weights.perceptual' is for unpaired footage; feature_matching does it for pairs"
        if not weights.adversarial and pipeline.losses.perceptual_by == "discriminator":
            yield "'losses.weights.perceptual' needs the discriminators of the adversarial loss"

    def _ways_back(self, p: Pass, d: Direction) -> list[tuple[str, Tensor, Tensor]]:
        """Each way's name, real frames, and what came back of them."""
        real = p.real(d.source)
        ways = [(name, start, p.get(d, name)) for name, start in (("cycle", 0), ("recycled", self.past))]
        return [(name, real[:, start : start + back.shape[1]], back) for name, start, back in ways if back is not None]

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """By the frozen network: the loss itself."""
        if not self.sees_features:
            return {}

        def levels(name: str, clip: Tensor) -> list[Tensor]:
            return p.features(d, name, clip, translators.eyes, STRIDES)

        losses = [
            perceptual_loss(levels(f"real of {way}", real), levels(way, back)) * back.shape[1]
            for way, real, back in self._ways_back(p, d)
        ]
        return {"perceptual": torch.stack(losses).sum()} if losses else {}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.features.perceptual_loss`; the sum over time and over the ways back."""
        if self.sees_features:
            found = seen.p.get(d, "perceptual")
            return seen.p.a.new_zeros(()) if found is None else found
        network = seen.discriminators.networks[seen.judges(d.back)[0]]
        losses = []
        for _, real, back in self._ways_back(seen.p, d):
            with torch.no_grad():
                wanted = network(real.flatten(0, 1)).layers
            losses.append(perceptual_loss(wanted, network(back.flatten(0, 1)).layers) * back.shape[1])
        return torch.stack(losses).sum() if losses else seen.p.a.new_zeros(())
