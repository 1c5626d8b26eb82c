"""Adversarial loss of clips."""

from collections.abc import Iterator

from recycle.config import Pipeline
from recycle.objective.terms.adversarial import Adversarial


class Temporal(Adversarial):
    """Discriminators of all T frames of a clip classify the translation as real (Chu et al. 2020, "TecoGAN")."""

    name = "temporal"
    whole = True
    clips = True

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """A clip must have at least two frames."""
        if pipeline.train.frames < 2:
            yield "'losses.weights.temporal' needs 'train.frames' of at least 2"
