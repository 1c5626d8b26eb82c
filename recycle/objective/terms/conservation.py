"""Conservation loss outside of masks."""

from collections.abc import Iterator

from torch import Tensor

from recycle.config import Pipeline
from recycle.domains import Direction
from recycle.losses.consistency import conservation_loss
from recycle.objective.terms.base import Seen, Term


class Conservation(Term):
    """Outside of the mask of a frame, its translation equals it."""

    name = "conservation"

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """It needs masks."""
        if not pipeline.footage.masked:
            yield "'losses.weights.conservation' needs masks; set 'footage.mask_a' and 'footage.mask_b', or remove it"

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.consistency.conservation_loss`."""
        x, y = seen.p.source(d), seen.p.clip(d)
        return conservation_loss(x, y, seen.p.inside(d.source)[:, : x.shape[1]], self.losses.distance)
