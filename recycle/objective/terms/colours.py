"""Colour loss."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from recycle.config import Pipeline
from recycle.domains import DOMAINS, Direction
from recycle.losses.colours import colour_loss, place_colours
from recycle.objective.kinds import STRIDE, Kinds
from recycle.objective.passing import Pass
from recycle.objective.terms.base import Crops, Seen, Term


class Colours(Term):
    """Each kind of place has, in the translation, colours that it has in real frames of the target.

    Discriminators compare all patches with all patches. If one domain shows more sky, they reward a generator that
    gives part of the sky the colour of the verge. A network that was trained on photographs recognises sky.
    """

    name = "colours"
    sees_features = True
    studies = True

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """Frames must be large enough for several places."""
        if min(pipeline.train.size) < STRIDE:
            yield f"'losses.weights.colours' needs frames of at least {STRIDE} × {STRIDE} pixels; raise 'train.size'"

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline)
        self._size = pipeline.train.size

    def networks(self, generator: Any, eyes: Any) -> dict[str, nn.Module]:
        """The kinds, which have no trainable parameters."""
        return {"kinds": Kinds(eyes, self._size)}

    def study(self, crops: Crops, translators: Any) -> None:
        """Find the kinds of places in both domains."""
        kinds: Kinds = translators.kinds
        kinds.learn(*(kinds.places(crops(domain)) for domain in DOMAINS))

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """The loss itself, summed over time."""
        kinds: Kinds = translators.kinds
        clip = p.clip(d)
        shown = kinds(p.source(d).flatten(0, 1), d.source)
        found = place_colours(clip.flatten(0, 1), (shown.shape[1], shown.shape[2]))
        return {self.name: colour_loss(found, *kinds.colours_of(shown, d.target)) * clip.shape[1]}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.colours.colour_loss`."""
        loss: Tensor = seen.p.get(d, self.name)
        return loss
