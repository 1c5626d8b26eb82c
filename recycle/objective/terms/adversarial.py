"""Adversarial loss of single frames."""

from torch import Tensor

from recycle.domains import Direction
from recycle.losses.adversarial import generator_loss
from recycle.objective.sides import mean
from recycle.objective.terms.base import Seen, Term


class Adversarial(Term):
    """L_g: the discriminators of frames classify the translation as real (Bansal et al. 2018, eq. 1).

    The sum over the discriminators of a domain, each multiplied by its own weight and averaged over its scales.
    """

    name = "adversarial"
    clips = False

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.adversarial.generator_loss`."""
        total = None
        for name in seen.judges(d, clips=self.clips):
            patches = seen.judged[name].patches
            loss = mean(generator_loss(logits, self.losses.adversarial, inside) for logits, inside in patches)
            if (weight := seen.discriminators.weights[name]) != 1:
                loss = weight * loss
            total = loss if total is None else total + loss
        assert total is not None, "a weight brings a discriminator"
        return total
