"""Content loss."""

from torch import Tensor

from recycle.losses.features import Layers, content_loss
from recycle.objective.terms.by_features import ByFeatures


class Content(ByFeatures):
    """The translation has the same content at the same places as its source, by the features of a frozen network."""

    name = "content"
    strides = (8, 16)

    def distance(self, source: Layers, translated: Layers) -> Tensor:
        """See `recycle.losses.features.content_loss`."""
        return content_loss(source, translated)
