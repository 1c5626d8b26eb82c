"""MLflow, at the place that MLFLOW_TRACKING_URI names."""

import time
from collections.abc import Mapping

import mlflow
import numpy as np
from mlflow.entities import Metric
from numpy.typing import NDArray

from recycle.training.trackers.base import PROJECT, Tracked


class MLflow:
    """Sends curves to MLflow. A continued run continues its record."""

    def __init__(self, run: Tracked) -> None:
        self._client = mlflow.MlflowClient()
        known = run.identifier("mlflow")
        if known is None:
            experiment = self._client.get_experiment_by_name(PROJECT)
            place = experiment.experiment_id if experiment else self._client.create_experiment(PROJECT)
            known = run.remember("mlflow", self._client.create_run(place, run_name=run.name).info.run_id)
            self._client.log_dict(known, dict(run.settings), "settings.json")
        else:
            self._client.update_run(known, status="RUNNING")
        self._run = known

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve."""
        now = round(1000 * time.time())
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics, synchronous=False)

    def add_image(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Add an image, RGB (H, W, 3)."""
        self._client.log_image(self._run, picture, key=name, step=step, synchronous=False)

    def close(self) -> None:
        """Send what is left."""
        mlflow.flush_async_logging()
        self._client.set_terminated(self._run)
