"""What is to be run: the content of tools/reproduce.toml, and the pipeline of each run."""

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from recycle.config import Appearance, Pipeline, Settings, parse_pipeline, parse_settings
from recycle.errors import ConfigError

PLAN = Path(__file__).parents[1] / "reproduce.toml"
CONDITIONS: tuple[Appearance, ...] = ("day", "sunset", "rain", "snow", "night")
ALL = "all"
COLUMNS: tuple[str, ...] = (*CONDITIONS, ALL)
"""Of the paper's tables."""

Overlay = dict[str, Any]
"""A part of a pipeline file."""


class FootageSize(Settings):
    """How much street there is."""

    width: int
    height: int
    fps: int
    train_seconds: float
    """Of each condition for domain a; domain b has as much in all, of other scenes."""
    test_seconds: float
    """Of each condition, of scenes that nobody trained on."""
    window: int = Field(ge=2)
    """Consecutive frames that are scored in the middle of each test scene."""


class SegmenterSettings(Settings):
    """The segmentation network that reads translated label maps."""

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    width: int = Field(ge=8)
    learning_rate: float = Field(1e-3, gt=0)
    seed: int = 0


class Size(Settings):
    """One scale of the experiment."""

    seconds: float = Field(gt=0)
    """Of training, for each run."""
    seeds: int = Field(ge=1)
    footage: FootageSize
    segmenter: SegmenterSettings
    pipeline: Overlay


class Plan(Settings):
    """The whole file."""

    sizes: dict[str, Size]
    methods: dict[str, Overlay]
    ablation: dict[str, Overlay]


def load_plan(path: Path = PLAN) -> Plan:
    """Read the plan. Raises ConfigError."""
    try:
        return parse_settings(Plan, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the plan {path}: {error}") from error


def pipeline_of(size: Size, overlay: Overlay, *, name: str, **train: Any) -> Pipeline:
    """The pipeline of a method: the size's, the overlay's settings in place of its own, then those of `train`.

    Raises ConfigError.
    """
    data = merged(merged(size.pipeline, overlay), {"name": name, "train": train})
    return parse_pipeline(data, where=f"method '{name}'")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` in place of its own, table by table."""
    result = dict(base)
    for key, value in over.items():
        own = result.get(key)
        result[key] = merged(own, value) if isinstance(own, Mapping) and isinstance(value, Mapping) else value
    return result


def digest(*settings: Settings) -> str:
    """Eight hex digits that tell settings apart."""
    return hashlib.sha256("\n".join(s.model_dump_json() for s in settings).encode()).hexdigest()[:8]
