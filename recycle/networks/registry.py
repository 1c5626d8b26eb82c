"""Creates networks from their settings; one entry per kind.

A built-in kind has its settings class in `recycle.config.networks` and its entry here. `add_generator`,
`add_discriminator` and `add_predictor` register further kinds: see docs/design/add-a-generator.md.
"""

from collections.abc import Callable
from typing import Any

from recycle.config import (
    DISCRIMINATORS,
    GENERATORS,
    PREDICTORS,
    CutSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    PatchSettings,
    Pix2PixHDSettings,
    Pix2PixSettings,
    PredictorSettings,
    ProjectedSettings,
    ResNetPredictorSettings,
    ResNetSettings,
    SmpSettings,
    UNetSettings,
)
from recycle.networks.cut import CutGenerator
from recycle.networks.discriminator import DiscriminatorNetwork, PatchDiscriminator
from recycle.networks.generator import GeneratorNetwork
from recycle.networks.pix2pixhd import Pix2PixHDGenerator
from recycle.networks.predictor import Pix2PixPredictor, PredictorNetwork, ResNetPredictor, SmpPredictor
from recycle.networks.projected import ProjectedDiscriminator
from recycle.networks.resnet import ResNetGenerator
from recycle.networks.unet import UNetGenerator

_GENERATORS: dict[type[GeneratorSettings], Callable[[Any], GeneratorNetwork]] = {
    ResNetSettings: ResNetGenerator,
    UNetSettings: UNetGenerator,
    CutSettings: CutGenerator,
    Pix2PixHDSettings: Pix2PixHDGenerator,
}
_DISCRIMINATORS: dict[type[DiscriminatorSettings], Callable[[Any, int], DiscriminatorNetwork]] = {
    PatchSettings: PatchDiscriminator,
    ProjectedSettings: ProjectedDiscriminator,
}
_PREDICTORS: dict[type[PredictorSettings], Callable[[Any], PredictorNetwork]] = {
    SmpSettings: SmpPredictor,
    Pix2PixSettings: Pix2PixPredictor,
    ResNetPredictorSettings: ResNetPredictor,
}


def make_generator(settings: GeneratorSettings, *, pretrained: bool = False) -> GeneratorNetwork:
    """A new generator with random weights or, with `pretrained`, the weights from which its kind starts training.

    Raises ConfigError if it cannot be built with these settings, or if its weights are unavailable.
    """
    generator = _GENERATORS[type(settings)](settings)
    if pretrained:
        generator.load_pretrained()
    return generator


def make_discriminator(settings: DiscriminatorSettings, channels: int = 3) -> DiscriminatorNetwork:
    """A new discriminator; `channels` is 3 for a frame, 6 for a pair, 3 T for a clip of T frames.

    Raises ConfigError as `make_generator`.
    """
    return _DISCRIMINATORS[type(settings)](settings, channels)


def make_predictor(settings: PredictorSettings) -> PredictorNetwork:
    """A new predictor. Raises ConfigError as `make_generator`."""
    return _PREDICTORS[type(settings)](settings)


def add_generator(settings: type[GeneratorSettings], network: Callable[[Any], GeneratorNetwork]) -> None:
    """Register a kind of generator: its settings class, and the function that creates the network from them.

    Pipeline files and bundles can then use its `kind`. Raises ValueError if the name is taken.
    """
    GENERATORS.add(settings)
    _GENERATORS[settings] = network


def add_discriminator(
    settings: type[DiscriminatorSettings], network: Callable[[Any, int], DiscriminatorNetwork]
) -> None:
    """Register a kind of discriminator; `network` takes the settings and the number of input channels.

    Raises ValueError if the name is taken.
    """
    DISCRIMINATORS.add(settings)
    _DISCRIMINATORS[settings] = network


def add_predictor(settings: type[PredictorSettings], network: Callable[[Any], PredictorNetwork]) -> None:
    """Register a kind of predictor. Raises ValueError if the name is taken."""
    PREDICTORS.add(settings)
    _PREDICTORS[settings] = network
