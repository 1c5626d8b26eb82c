"""Identity loss."""

from torch import Tensor

from recycle.domains import Direction
from recycle.losses.consistency import identity_loss
from recycle.objective.passing import Pass
from recycle.objective.terms.base import Frames, Seen, Term


class Identity(Term):
    """A frame that is already in the target domain stays unchanged."""

    name = "identity"

    def there(self, p: Pass, d: Direction) -> Frames:
        """Real frames of the target."""
        return {"same": p.real(d.target)}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.consistency.identity_loss`."""
        return identity_loss(seen.p.real(d.target), seen.p.get(d, "same"), self.losses.distance)
