"""Losses that compare a frame with its translation by the features of a frozen network."""

from typing import Any, ClassVar

from torch import Tensor

from recycle.domains import Direction
from recycle.losses.features import Layers
from recycle.objective.passing import CLIP, Pass
from recycle.objective.terms.base import Seen, Term


class ByFeatures(Term):
    """A loss that compares layers of the frozen feature network for each source frame and its translation."""

    strides: ClassVar[tuple[int, ...]]
    """Strides of the compared layers."""
    sees_features = True

    def distance(self, source: Layers, translated: Layers) -> Tensor:
        """The loss of the layers (B·N, C, H, W) of the N frames of a clip, averaged over all frames."""
        raise NotImplementedError

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """The loss itself, summed over time, so that the features need not leave the pass."""
        pair = (("source", p.source(d)), (CLIP, p.clip(d)))
        source, translated = (p.features(d, name, clip, translators.eyes, self.strides) for name, clip in pair)
        return {self.name: self.distance(source, translated) * p.clip(d).shape[1]}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `distance`; summed over time."""
        loss: Tensor = seen.p.get(d, self.name)
        return loss
