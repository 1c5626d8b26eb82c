"""Adversarial loss of clips."""

from collections.abc import Iterator

from recycle.config import Pipeline
from recycle.objective.terms.adversarial import Adversarial


class Temporal(Adversarial):
    """Discriminators that see all T frames of a clip take the translation for real (Chu et al. 2020, "TecoGAN")."""

    name = "temporal"
    whole = True
    clips = True

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """One frame is no clip."""
        if pipeline.train.frames < 2:
            yield "'losses.weights.temporal' needs 'train.frames' of at least 2"
