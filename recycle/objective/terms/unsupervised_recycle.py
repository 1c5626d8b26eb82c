"""Unsupervised recycle loss."""

from torch import Tensor

from recycle.domains import Direction
from recycle.losses import flow
from recycle.losses.consistency import unsupervised_recycle_loss
from recycle.objective.passing import Pass
from recycle.objective.terms.base import Frames, Seen, Term


class UnsupervisedRecycle(Term):
    """W(G(x)) + Δ, translated back, equals W(x): the recycle loss without a predictor (Wang et al. 2022)."""

    name = "unsupervised_recycle"

    def back(self, p: Pass, d: Direction) -> Frames:
        """W(G(x)) + Δ for the first frame of a clip, with random W and Δ."""
        first = p.clip(d)[:, :1]
        motion = flow.synthetic_flow(first)
        moved = flow.add_noise(flow.warp(first, motion))
        p.put(d, "carried", flow.warp(p.real(d.source)[:, :1], motion))
        return {"carried back": moved}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.consistency.unsupervised_recycle_loss`."""
        return unsupervised_recycle_loss(seen.p.get(d, "carried"), seen.p.get(d, "carried back"), self.losses.distance)
