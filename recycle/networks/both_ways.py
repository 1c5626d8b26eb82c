"""The networks that translate: a generator for each direction, a predictor in each domain."""

from collections.abc import Sequence

from torch import nn

from recycle.config import NetworkSettings
from recycle.domains import BY_TARGET, DIRECTIONS, Direction
from recycle.networks.generator import GeneratorNetwork
from recycle.networks.predictor import PredictorNetwork
from recycle.networks.registry import make_generator, make_predictor


class BothWays(nn.Module):
    """Generators and predictors, named as in bundles and checkpoints (see `Direction`)."""

    gen_ab: GeneratorNetwork
    """The networks of a direction are None if the model does not translate in it."""
    gen_ba: GeneratorNetwork
    pred_a: PredictorNetwork | None
    pred_b: PredictorNetwork | None

    def __init__(
        self,
        networks: NetworkSettings,
        *,
        predictors: bool,
        pretrained: bool = False,
        directions: Sequence[Direction] = DIRECTIONS,
    ) -> None:
        """Build the networks of `directions`. Raises ConfigError if a network cannot be built."""
        super().__init__()
        for d in DIRECTIONS:
            used = d in directions
            self.add_module(d.generator, make_generator(networks.generator, pretrained=pretrained) if used else None)
        for d in BY_TARGET:
            used = predictors and d in directions
            self.add_module(d.predictor, make_predictor(networks.predictor) if used else None)

    def generator(self, d: Direction) -> GeneratorNetwork:
        """The generator of a direction, which must be among the `directions`."""
        generator: GeneratorNetwork = getattr(self, d.generator)
        return generator

    def predictor(self, d: Direction) -> PredictorNetwork | None:
        """The predictor of a direction's target domain; None if there are no predictors."""
        predictor: PredictorNetwork | None = getattr(self, d.predictor)
        return predictor
