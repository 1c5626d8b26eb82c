"""Self-similarity loss."""

from typing import Any

from torch import Tensor

from recycle.losses.features import self_similarity_loss
from recycle.objective.direction import Direction
from recycle.objective.passing import CLIP, Pass
from recycle.objective.terms.base import Seen, Term

STRIDES = (4, 8)
"""Of the layers whose places are compared."""


class SelfSimilarity(Term):
    """Places that look alike in the source look alike in its translation, to a frozen feature network."""

    name = "self_similarity"
    sees_features = True

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """The loss itself: the features need not leave the pass."""
        pair = (("source", p.source(d)), (CLIP, p.clip(d)))
        source, translated = (p.features(d, name, clip, translators.eyes, STRIDES) for name, clip in pair)
        return {"self_similarity": self_similarity_loss(source, translated) * p.clip(d).shape[1]}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.features.self_similarity_loss`; the sum over time."""
        loss: Tensor = seen.p.get(d, "self_similarity")
        return loss
