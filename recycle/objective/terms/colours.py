"""Colour loss."""

from typing import Any

from torch import Tensor

from recycle.domains import Direction
from recycle.losses.colours import colour_loss, place_colours
from recycle.objective.passing import Pass
from recycle.objective.terms.base import Seen, Term


class Colours(Term):
    """Each kind of place has, in the translation, colours that it has in real frames of the target.

    Discriminators compare all patches with all patches. If one domain shows more sky, they reward a generator that
    gives part of the sky the colour of the verge. A network that was trained on photographs recognises sky.
    """

    name = "colours"

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """The loss itself, summed over time."""
        clip = p.clip(d)
        kinds = p.kinds(d.source)[:, : clip.shape[1]].flatten(0, 1)
        found = place_colours(clip.flatten(0, 1), (kinds.shape[1], kinds.shape[2]))
        return {self.name: colour_loss(found, *translators.kinds.colours_of(kinds, d.target)) * clip.shape[1]}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.colours.colour_loss`."""
        loss: Tensor = seen.p.get(d, self.name)
        return loss
