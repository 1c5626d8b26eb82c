"""Content loss."""

from typing import Any

from torch import Tensor

from recycle.losses.features import content_loss
from recycle.objective.direction import Direction
from recycle.objective.passing import CLIP, Pass
from recycle.objective.terms.base import Seen, Term

STRIDES = (8, 16)
"""Of the layers that are compared."""


class Content(Term):
    """The translation holds the same things at the same places as its source, to a frozen feature network."""

    name = "content"
    sees_features = True

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """The loss itself: the features need not leave the pass."""
        pair = (("source", p.source(d)), (CLIP, p.clip(d)))
        source, translated = (p.features(d, name, clip, translators.eyes, STRIDES) for name, clip in pair)
        return {"content": content_loss(source, translated) * p.clip(d).shape[1]}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.features.content_loss`; the sum over time."""
        loss: Tensor = seen.p.get(d, "content")
        return loss
