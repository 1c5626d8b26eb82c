"""Self-similarity loss."""

from torch import Tensor

from recycle.losses.features import Layers, self_similarity_loss
from recycle.objective.terms.by_features import ByFeatures


class SelfSimilarity(ByFeatures):
    """Places that look alike in the source look alike in its translation, by the features of a frozen network."""

    name = "self_similarity"
    strides = (4, 8)

    def distance(self, source: Layers, translated: Layers) -> Tensor:
        """See `recycle.losses.features.self_similarity_loss`."""
        return self_similarity_loss(source, translated)
