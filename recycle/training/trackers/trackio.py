"""Trackio: a local dashboard (`trackio show`), or a Space on the Hugging Face hub if its variables say so."""

from collections.abc import Mapping

import numpy as np
import trackio
from numpy.typing import NDArray

from recycle.training.trackers.base import PROJECT, Tracked


class Trackio:
    """Writes curves to Trackio's database. A continued run continues under its name."""

    def __init__(self, run: Tracked) -> None:
        name = run.identifier("trackio") or run.remember("trackio")
        self._run = trackio.init(
            project=PROJECT, name=f"{run.name}-{name}", config=dict(run.settings), resume="allow", embed=False
        )

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve."""
        self._run.log(dict(values), step=step)

    def add_image(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Add an image, RGB (H, W, 3)."""
        self._run.log({name: trackio.Image(picture)}, step=step)

    def close(self) -> None:
        """Write what is left."""
        self._run.finish()
