"""All settings, their defaults and their validation; the schema of a pipeline's TOML file.

Every default of the project lives in this package and nowhere else.
"""

from recycle.config.base import (
    LONG,
    MANY,
    MAX_PIXELS,
    Adversarial,
    Appearance,
    Beta,
    Codec,
    Differentiable,
    Domain,
    FolderName,
    MaxPixels,
    Pixel,
    Place,
    Places,
    Precision,
    Rate,
    Settings,
    Stride,
    Weight,
    Word,
)
from recycle.config.evaluate import EvaluateSettings
from recycle.config.footage import ExtractSettings, FootageSettings, StreetSettings
from recycle.config.load import (
    find_pipeline,
    load_pipeline,
    parse_pipeline,
    parse_settings,
    read_toml,
    shipped_pipelines,
)
from recycle.config.losses import DirectionName, LossSettings, LossWeights, PredictionSettings
from recycle.config.networks import DiscriminatorSettings, GeneratorSettings, NetworkSettings, PredictorSettings
from recycle.config.pipeline import Pipeline
from recycle.config.training import AugmentSettings, TrainSettings
from recycle.config.translate import EncodeSettings, TranslateSettings

__all__ = [
    "LONG",
    "MANY",
    "MAX_PIXELS",
    "Adversarial",
    "Appearance",
    "AugmentSettings",
    "Beta",
    "Codec",
    "Differentiable",
    "DirectionName",
    "DiscriminatorSettings",
    "Domain",
    "EncodeSettings",
    "EvaluateSettings",
    "ExtractSettings",
    "FolderName",
    "FootageSettings",
    "GeneratorSettings",
    "LossSettings",
    "LossWeights",
    "MaxPixels",
    "NetworkSettings",
    "Pipeline",
    "Pixel",
    "Place",
    "Places",
    "Precision",
    "PredictionSettings",
    "PredictorSettings",
    "Rate",
    "Settings",
    "StreetSettings",
    "Stride",
    "TrainSettings",
    "TranslateSettings",
    "Weight",
    "Word",
    "find_pipeline",
    "load_pipeline",
    "parse_pipeline",
    "parse_settings",
    "read_toml",
    "shipped_pipelines",
]
