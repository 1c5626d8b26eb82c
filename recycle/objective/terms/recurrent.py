"""Recurrent loss."""

from collections.abc import Iterator

import torch
from torch import Tensor

from recycle.config import LossSettings, Pipeline
from recycle.domains import Direction
from recycle.losses.consistency import recurrent_loss
from recycle.objective.passing import NEXT, Pass, windows
from recycle.objective.terms.base import Frames, Seen, Term
from recycle.objective.terms.recycle import enough_frames


class Recurrent(Term):
    """L_τ: the predictor in the target of a direction predicts the next real frame from past real frames."""

    name = "recurrent"

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """A clip must have a frame after the past frames of the predictor."""
        yield from enough_frames(pipeline)

    def ahead(self, p: Pass, d: Direction) -> Frames:
        """Runs of real frames."""
        return {NEXT: windows(p.real(d.target)[:, :-1], self.past)}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.consistency.recurrent_loss`."""
        return recurrent_loss(seen.p.real(d.target)[:, self.past :], seen.p.get(d, NEXT), self.losses.distance)


@torch.no_grad()
def copying_error(a: Tensor, b: Tensor, settings: LossSettings, past: int) -> Tensor:
    """The recurrent loss, summed over both directions, of a predictor that copies the last frame."""
    one, other = (recurrent_loss(x[:, past:], x[:, past - 1 : -1], settings.distance) for x in (a, b))
    return one + other
