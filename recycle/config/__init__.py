"""All settings with their defaults and validation: the schema of a pipeline's TOML file.

All defaults of the project are defined in this package.
"""

from recycle.config.base import (
    MAX_PIXELS,
    Adversarial,
    Appearance,
    Codec,
    Differentiable,
    DomainNames,
    Precision,
    Settings,
    TranslatePrecision,
    unless_letters,
)
from recycle.config.commands import DistillSettings, FilmSettings, TuneSettings
from recycle.config.evaluate import EvaluateSettings
from recycle.config.footage import ExtractSettings, FootageSettings, StreetSettings
from recycle.config.load import (
    description_of,
    find_pipeline,
    load_pipeline,
    parse_pipeline,
    parse_settings,
    shipped_pipelines,
)
from recycle.config.losses import LossSettings, LossWeights
from recycle.config.networks import (
    DISCRIMINATORS,
    GENERATORS,
    PREDICTORS,
    CutSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    Kinds,
    NetworkSettings,
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
from recycle.config.pipeline import Pipeline
from recycle.config.training import AugmentSettings, TrainSettings
from recycle.config.translate import EncodeSettings, TranslateSettings

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "MAX_PIXELS",
    "PREDICTORS",
    "Adversarial",
    "Appearance",
    "AugmentSettings",
    "Codec",
    "CutSettings",
    "Differentiable",
    "DiscriminatorSettings",
    "DistillSettings",
    "DomainNames",
    "EncodeSettings",
    "EvaluateSettings",
    "ExtractSettings",
    "FilmSettings",
    "FootageSettings",
    "GeneratorSettings",
    "Kinds",
    "LossSettings",
    "LossWeights",
    "NetworkSettings",
    "PatchSettings",
    "Pipeline",
    "Pix2PixHDSettings",
    "Pix2PixSettings",
    "Precision",
    "PredictorSettings",
    "ProjectedSettings",
    "ResNetPredictorSettings",
    "ResNetSettings",
    "Settings",
    "SmpSettings",
    "StreetSettings",
    "TrainSettings",
    "TranslatePrecision",
    "TranslateSettings",
    "TuneSettings",
    "UNetSettings",
    "description_of",
    "find_pipeline",
    "load_pipeline",
    "parse_pipeline",
    "parse_settings",
    "shipped_pipelines",
    "unless_letters",
]
