"""Cycle loss."""

from torch import Tensor

from recycle.domains import Direction
from recycle.losses.consistency import cycle_loss
from recycle.objective.passing import Pass
from recycle.objective.terms.base import Frames, Seen, Term


class Cycle(Term):
    """L_c: frames that are translated there and back equal the originals, for the frames translated one by one."""

    name = "cycle"

    def back(self, p: Pass, d: Direction) -> Frames:
        """All translated frames."""
        return {"cycle": p.clip(d)}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.consistency.cycle_loss`."""
        return cycle_loss(seen.p.source(d), seen.p.get(d, "cycle"), self.losses.distance)
