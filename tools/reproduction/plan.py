"""What is to be run: the content of tools/reproduce.toml and tools/tasks.toml, and the pipeline of each run."""

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
"""Of the task `labels`."""
TASKS = PLAN.with_name("tasks.toml")
"""Of all others."""
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


class Budget(Settings):
    """One scale of a task."""

    seconds: float = Field(gt=0)
    """Of training, for each run."""
    seeds: int = Field(ge=1)
    pipeline: Overlay


class Size(Budget):
    """One scale of the task `labels`."""

    footage: FootageSize
    segmenter: SegmenterSettings


class Plan(Settings):
    """The whole file of the task `labels`."""

    sizes: dict[str, Size]
    methods: dict[str, Overlay]
    ablation: dict[str, Overlay]


class TaskSize(Budget):
    """One scale of the other tasks."""

    lines: int = Field(ge=32)
    """Height of the frames, or for upright footage their width."""
    train_seconds: float = Field(gt=0)
    """Of street for each domain; other scenes in each."""
    test_seconds: float = Field(gt=0)
    """Of street for each domain, of scenes that nobody trained on."""
    scored: int = Field(ge=2)
    """Unseen frames of each domain that are scored, at most: the middle of each scene of the street, or the first ones
    of real footage."""


class StreetSettings(Settings):
    """The procedural street in two appearances, whose true counterparts are known."""

    looks: tuple[Appearance, Appearance]
    fps: int = Field(12, ge=1)
    pipeline: Overlay = Field({})
    default: Overlay = Field({}, exclude=True)
    """What `recycle train` chooses otherwise for this footage than the method `default` says; the footage's key does
    not depend on it."""
    ablation: tuple[str, ...] = ()
    """Rows of the ablation; none: all."""


class RealSettings(Settings):
    """Real footage: videos and folders of videos or of numbered images, relative to the folder of footage."""

    a: tuple[str, ...] = Field(min_length=1)
    b: tuple[str, ...] = Field(min_length=1)
    test_a: tuple[str, ...] = ()
    """Unseen; none: the end of a is held out. So for b."""
    test_b: tuple[str, ...] = ()
    held_out: float = Field(0.2, gt=0, le=0.5)
    """Part of the frames of each domain that is held out where there is no unseen footage."""
    fps: float | None = Field(None, gt=0)
    """At most so many frames a second."""
    pipeline: Overlay = Field({})
    default: Overlay = Field({}, exclude=True)
    ablation: tuple[str, ...] = ()


class TaskPlan(Settings):
    """The whole file of the other tasks."""

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
    """Those of these names, in their order. Raises ConfigError for a name that is not known."""
    for name in names:
        if name not in known:
            raise ConfigError(f"the plan has no {kind} '{name}'; it has {', '.join(known)}")
    return {name: known[name] for name in names}


def pipeline_of(size: Budget, overlay: Overlay, *, name: str, **train: Any) -> Pipeline:
    """The pipeline of a method: the size's, the overlay's settings in place of its own, then those of `train`.

    Raises ConfigError.
    """
    rarely = {"preview_every": 10**9}
    data = merged(merged(size.pipeline, overlay), {"name": name, "train": rarely | train})
    generator = data.get("networks", {}).get("generator", {})
    if generator.get("kind") == "unet":  # of the size's settings for ResNets, those that a U-Net has
        known = UNetSettings.model_fields
        data["networks"]["generator"] = {key: value for key, value in generator.items() if key in known}
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
