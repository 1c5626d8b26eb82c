"""From the settings of a network to the network: one entry for each kind.

A kind that ships has its settings class in `recycle.config.networks` and its entry here. `add_generator` and its two
sisters add a kind from outside: see docs/design/add-a-generator.md.
"""

from collections.abc import Callable
from typing import Any

from recycle.config import (
    DISCRIMINATORS,
    GENERATORS,
    PREDICTORS,
    DiscriminatorSettings,
    GeneratorSettings,
    PatchSettings,
    Pix2PixSettings,
    PredictorSettings,
    ProjectedSettings,
    ResNetSettings,
    SmpSettings,
    UNetSettings,
)
from recycle.networks.discriminator import DiscriminatorNetwork, PatchDiscriminator
from recycle.networks.generator import GeneratorNetwork
from recycle.networks.predictor import Pix2PixPredictor, PredictorNetwork, SmpPredictor
from recycle.networks.projected import ProjectedDiscriminator
from recycle.networks.resnet import ResNetGenerator
from recycle.networks.unet import UNetGenerator

_GENERATORS: dict[type[GeneratorSettings], Callable[[Any], GeneratorNetwork]] = {
    ResNetSettings: ResNetGenerator,
    UNetSettings: UNetGenerator,
}
_DISCRIMINATORS: dict[type[DiscriminatorSettings], Callable[[Any, int], DiscriminatorNetwork]] = {
    PatchSettings: PatchDiscriminator,
    ProjectedSettings: ProjectedDiscriminator,
}
_PREDICTORS: dict[type[PredictorSettings], Callable[[Any], PredictorNetwork]] = {
    SmpSettings: SmpPredictor,
    Pix2PixSettings: Pix2PixPredictor,
}


def make_generator(settings: GeneratorSettings, *, pretrained: bool = False) -> GeneratorNetwork:
    """A new generator: with random weights, or with those that its kind starts training from.

    Raises ConfigError if it cannot be built with these settings, or its weights cannot be had.
    """
    generator = _GENERATORS[type(settings)](settings)
    if pretrained:
        generator.load_pretrained()
    return generator


def make_discriminator(settings: DiscriminatorSettings, channels: int = 3) -> DiscriminatorNetwork:
    """A new discriminator of frames with that many channels: 3 for a frame, 6 for a pair, 3 T for a clip of T frames.
    Raises ConfigError as `make_generator`."""
    return _DISCRIMINATORS[type(settings)](settings, channels)


def make_predictor(settings: PredictorSettings) -> PredictorNetwork:
    """A new predictor. Raises ConfigError as `make_generator`."""
    return _PREDICTORS[type(settings)](settings)


def add_generator(settings: type[GeneratorSettings], network: Callable[[Any], GeneratorNetwork]) -> None:
    """Make a kind of generator known: the class of its settings, and what makes the network of them.

    From then on pipeline files and bundles may name its `kind`. Raises ValueError if the name is taken.
    """
    GENERATORS.add(settings)
    _GENERATORS[settings] = network


def add_discriminator(
    settings: type[DiscriminatorSettings], network: Callable[[Any, int], DiscriminatorNetwork]
) -> None:
    """Make a kind of discriminator known; `network` takes the settings and the channels of a frame. Raises as
    `add_generator`."""
    DISCRIMINATORS.add(settings)
    _DISCRIMINATORS[settings] = network


def add_predictor(settings: type[PredictorSettings], network: Callable[[Any], PredictorNetwork]) -> None:
    """Make a kind of predictor known. Raises as `add_generator`."""
    PREDICTORS.add(settings)
    _PREDICTORS[settings] = network
