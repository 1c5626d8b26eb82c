"""The trackers that exist, by name. Their packages are imported when a run uses them."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec

from recycle.errors import ConfigError
from recycle.training.trackers.base import Tracked, Tracker


def _opener(name: str, kind: str) -> Callable[[Tracked], Tracker]:
    return lambda run: getattr(import_module(f"recycle.training.trackers.{name}"), kind)(run)


TRACKERS: Mapping[str, Callable[[Tracked], Tracker]] = {
    "tensorboard": _opener("tensorboard", "TensorBoard"),
    "trackio": _opener("trackio", "Trackio"),
    "wandb": _opener("wandb", "Wandb"),
    "mlflow": _opener("mlflow", "MLflow"),
}
"""How each tracker begins to follow a run; see `recycle.vocabulary.TrackerName`."""


def check_trackers(names: Sequence[str]) -> None:
    """Raise ConfigError, before any work, if the package of a tracker is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(f"train.trackers: '{name}' needs its package; run: pip install 'recycle[{name}]'")
