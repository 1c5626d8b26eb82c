"""Schedules: learning rate, resolution, and when the recycle loss starts."""

from recycle.config import TrainSettings

PATIENCE = 0.98
"""Decay of the running means of errors per step."""
LEAST = 1e-3
"""Proportion of the learning rate that remains at the end of a run with a time limit."""


def learning_rate(step: int, settings: TrainSettings, part: float = 0.0) -> float:
    """Learning rate of a step: constant, then linear decay over the last proportion `decay` of the run; never 0.

    `part` is the completed proportion of the run, in [0, 1]; it is used only if `hours` limits the run.
    """
    if settings.hours is not None:
        return settings.learning_rate * min(1.0, max(1 - part, LEAST) / max(settings.decay, LEAST))
    decaying = round(settings.steps * settings.decay)
    remaining = settings.steps - step
    return settings.learning_rate * min(1.0, remaining / (decaying + 1))


def shrinking(step: int, settings: TrainSettings, part: float = 0.0) -> int:
    """Divisor of the frame size at a step: 2^grow, 2^(grow−1) … during the first half of the run, then 1.

    `part` is the completed proportion of the run, in [0, 1]; it is used only if `hours` limits the run.
    """
    if not settings.grow:
        return 1
    stages = 2 * settings.grow
    stage = step * stages // settings.steps if settings.hours is None else int(part * stages)
    return 2 ** max(0, settings.grow - stage)


class Reliance:
    """Whether predictors are better than copying the last frame, so that the recycle loss can start.

    Compares running means, over about 50 steps, of the recurrent loss and of the loss of copying. Once on, it stays on.
    The idea is from joliGEN.
    """

    def __init__(self, *, wait: bool) -> None:
        self.on = not wait
        self.predicting: float | None = None
        self.copying: float | None = None
        self.steps = 0

    def update(self, predicting: float, copying: float) -> bool:
        """Add the losses of one step; True if this switches it on."""
        self.steps += 1
        self.predicting = _mean(self.predicting, predicting)
        self.copying = _mean(self.copying, copying)
        if self.on or self.steps < 1 / (1 - PATIENCE) or self.predicting >= self.copying:
            return False
        self.on = True
        return True

    def state_dict(self) -> dict[str, float | int | bool | None]:
        """State for a checkpoint."""
        return {"on": self.on, "predicting": self.predicting, "copying": self.copying, "steps": self.steps}

    def load_state_dict(self, state: dict[str, float | int | bool | None]) -> None:
        """Restore the state of `state_dict`."""
        self.on, self.predicting, self.copying = bool(state["on"]), state["predicting"], state["copying"]
        self.steps = int(state["steps"] or 0)


def _mean(before: float | None, now: float) -> float:
    return now if before is None else PATIENCE * before + (1 - PATIENCE) * now
