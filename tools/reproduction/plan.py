"""Plans of experiments: the content of tools/reproduce.toml and tools/tasks.toml, and the pipeline of each run."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from recycle.config import Appearance, Pipeline, Settings, parse_pipeline, parse_settings
from recycle.config.networks import UNetSettings
from recycle.errors import ConfigError

PLAN = Path(__file__).parents[1] / "reproduce.toml"
"""Plan of the task `labels`."""
TASKS = PLAN.with_name("tasks.toml")
"""Plan of all other tasks."""
CONDITIONS: tuple[Appearance, ...] = ("day", "sunset", "rain", "snow", "night")
ALL = "all"
COLUMNS: tuple[str, ...] = (*CONDITIONS, ALL)
"""Columns of the paper's tables."""

Overlay = dict[str, Any]
"""A part of a pipeline file."""


class FootageSize(Settings):
    """Amount of street footage."""

    width: int
    height: int
    fps: int
    train_seconds: float
    """Seconds per condition for domain a; domain b has the same total, of other scenes."""
    test_seconds: float
    """Seconds per condition, of scenes that are not used for training."""
    window: int = Field(ge=2)
    """Number of consecutive frames that are scored, in the middle of each test scene."""


class SegmenterSettings(Settings):
    """The segmentation network that reads translated label maps."""

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    width: int = Field(ge=8)
    learning_rate: float = Field(1e-3, gt=0)
    seed: int = 0


class Budget(Settings):
    """One size of a task."""

    seconds: float = Field(gt=0)
    """Seconds of training per run."""
    seeds: int = Field(ge=1)
    pipeline: Overlay


class Size(Budget):
    """One size of the task `labels`."""

    footage: FootageSize
    segmenter: SegmenterSettings


class Plan(Settings):
    """The plan file of the task `labels`."""

    sizes: dict[str, Size]
    methods: dict[str, Overlay]
    ablation: dict[str, Overlay]


class TaskSize(Budget):
    """One size of the other tasks."""

    lines: int = Field(ge=32)
    """Height of the frames, or their width for portrait footage, in pixels."""
    train_seconds: float = Field(gt=0)
    """Seconds of street for each domain, of different scenes."""
    test_seconds: float = Field(gt=0)
    """Seconds of street for each domain, of scenes that are not used for training."""
    scored: int = Field(ge=2)
    """Maximum number of scored unseen frames per domain: the middle of each scene of the street, or the first ones of
    real footage."""


class StreetSettings(Settings):
    """The procedural street in two appearances, whose true counterparts are known."""

    looks: tuple[Appearance, Appearance]
    fps: int = Field(12, ge=1)
    pipeline: Overlay = Field({})
    default: Overlay = Field({}, exclude=True)
    """Settings by which the choice of `recycle train` for this footage differs from the method `default`; the footage's
    key does not depend on them."""
    ablation: tuple[str, ...] = ()
    """Rows of the ablation; empty: all."""


class RealSettings(Settings):
    """Real footage: videos and folders of videos or of numbered images, relative to the folder of footage."""

    a: tuple[str, ...] = Field(min_length=1)
    b: tuple[str, ...] = Field(min_length=1)
    test_a: tuple[str, ...] = ()
    """Unseen footage; empty: the end of a is held out. Likewise for b."""
    test_b: tuple[str, ...] = ()
    held_out: float = Field(0.2, gt=0, le=0.5)
    """Proportion of the frames of each domain that is held out if there is no unseen footage."""
    fps: float | None = Field(None, gt=0)
    """Maximum frames per second."""
    pipeline: Overlay = Field({})
    default: Overlay = Field({}, exclude=True)
    ablation: tuple[str, ...] = ()


class TaskPlan(Settings):
    """The plan file of the other tasks."""

    sizes: dict[str, TaskSize]
    tasks: dict[str, StreetSettings | RealSettings]
    methods: dict[str, Overlay]
    ablation: dict[str, Overlay]


PlanKind = TypeVar("PlanKind", Plan, TaskPlan)
Value = TypeVar("Value")


def load_plan(path: Path = PLAN) -> Plan:
    """Read the plan of the task `labels`. Raises ConfigError."""
    return _load(Plan, path)


def load_tasks(path: Path = TASKS) -> TaskPlan:
    """Read the plan of the other tasks. Raises ConfigError."""
    return _load(TaskPlan, path)


def _load(kind: type[PlanKind], path: Path) -> PlanKind:
    try:
        return parse_settings(kind, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the plan {path}: {error}") from error


def chosen(known: Mapping[str, Value], names: Sequence[str], kind: str) -> dict[str, Value]:
    """The entries with these names, in order. Raises ConfigError for an unknown name."""
    for name in names:
        if name not in known:
            raise ConfigError(f"the plan has no {kind} '{name}'; it has {', '.join(known)}")
    return {name: known[name] for name in names}


def pipeline_of(size: Budget, overlay: Overlay, *, name: str, **train: Any) -> Pipeline:
    """The pipeline of a method: the size's settings, overridden by the overlay's and by those of `train`.

    Raises ConfigError.
    """
    rarely = {"preview_every": 10**9}
    data = merged(merged(size.pipeline, overlay), {"name": name, "train": rarely | train})
    generator = data.get("networks", {}).get("generator", {})
    if generator.get("kind") == "unet":  # the size's settings are for ResNets: keep those that a U-Net has
        known = UNetSettings.model_fields
        data["networks"]["generator"] = {key: value for key, value in generator.items() if key in known}
    return parse_pipeline(data, where=f"method '{name}'")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with its values replaced by those of `over`, table by table."""
    result = dict(base)
    for key, value in over.items():
        own = result.get(key)
        result[key] = merged(own, value) if isinstance(own, Mapping) and isinstance(value, Mapping) else value
    return result


def digest(*settings: Settings) -> str:
    """Eight hex digits that identify settings."""
    return hashlib.sha256("\n".join(s.model_dump_json() for s in settings).encode()).hexdigest()[:8]
