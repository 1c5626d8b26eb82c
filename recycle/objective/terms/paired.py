"""Distance to the true counterpart."""

from collections.abc import Iterator

from torch import Tensor

from recycle.config import Pipeline
from recycle.domains import Direction
from recycle.losses.consistency import paired_loss
from recycle.objective.terms.base import Seen, Term


class Paired(Term):
    """The translation equals the true counterpart, which paired footage has (Isola et al. 2017)."""

    name = "paired"
    whole = True

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """Paired footage is required."""
        if not pipeline.footage.paired:
            yield "'losses.weights.paired' needs 'footage.paired = true'"

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.consistency.paired_loss`."""
        return paired_loss(seen.p.real(d.target), seen.p.clip(d))
