"""Unsupervised spatial loss."""

from typing import Any

from torch import Tensor

from recycle.domains import Direction
from recycle.losses import flow
from recycle.losses.consistency import unsupervised_spatial_loss
from recycle.objective.passing import Pass
from recycle.objective.terms.base import Frames, Seen, Term


class UnsupervisedSpatial(Term):
    """W(G(x)) = G(W(x) + Δ) for a synthetic motion W and noise Δ, for the first frame of a clip (Wang et al. 2022)."""

    name = "unsupervised_spatial"

    def there(self, p: Pass, d: Direction) -> Frames:
        """W(x) + Δ for the first frame of a clip, with random W and Δ."""
        first = p.real(d.source)[:, :1]
        motion = flow.synthetic_flow(first)
        p.put(d, "spatial motion", motion)
        return {"of moved": flow.add_noise(flow.warp(first, motion))}

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """W(G(x))."""
        return {"moved": flow.warp(p.clip(d)[:, :1], p.get(d, "spatial motion"))}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.consistency.unsupervised_spatial_loss`."""
        return unsupervised_spatial_loss(seen.p.get(d, "moved"), seen.p.get(d, "of moved"), self.losses.distance)
