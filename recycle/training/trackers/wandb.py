"""Weights & Biases. Its own environment variables apply, such as WANDB_MODE=offline."""

from collections.abc import Mapping

import numpy as np
import wandb
from numpy.typing import NDArray

from recycle.training.trackers.base import PROJECT, Tracked


class Wandb:
    """Sends curves to Weights & Biases. A continued run continues its page."""

    def __init__(self, run: Tracked) -> None:
        identifier = run.identifier("wandb") or run.remember("wandb")
        self._run = wandb.init(
            project=PROJECT, name=run.name, id=identifier, resume="allow", config=dict(run.settings), dir=str(run.logs)
        )
        # wandb's own step never goes back, but a run that continues from a checkpoint repeats steps.
        self._run.define_metric("*", step_metric="step")

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve."""
        self._run.log({**values, "step": step})

    def add_image(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Add an image, RGB (H, W, 3)."""
        self._run.log({name: wandb.Image(picture), "step": step})

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()
