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
"""Strides of the compared layers of the frozen network."""


class Perceptual(Term):
    """Cycled and recycled frames match the real ones by the features of the source's discriminator or of a frozen
    network."""

    name = "perceptual"

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline)
        self.sees_features = pipeline.losses.perceptual_by == "features"

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """A cycle or recycle loss and a network with features are required."""
        weights = pipeline.losses.weights
        if not (weights.cycle or weights.recycle):
            yield "'losses.weights.perceptual' compares cycled or recycled frames; set 'cycle' or 'recycle' too"
        if pipeline.footage.paired:
            yield "'losses.weights.perceptual' is for unpaired footage; use 'feature_matching' for pairs"
        if not weights.adversarial and pipeline.losses.perceptual_by == "discriminator":
            yield "'losses.weights.perceptual' needs the discriminators of the adversarial loss"

    def _ways_back(self, p: Pass, d: Direction) -> list[tuple[str, Tensor, Tensor]]:
        """Name, real frames and reconstructed frames of each way back."""
        real = p.real(d.source)
        ways = [(name, start, p.get(d, name)) for name, start in (("cycle", 0), ("recycled", self.past))]
        return [(name, real[:, start : start + back.shape[1]], back) for name, start, back in ways if back is not None]

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """With the frozen network: the loss itself."""
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
        """See `recycle.losses.features.perceptual_loss`; summed over time and over the ways back."""
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
