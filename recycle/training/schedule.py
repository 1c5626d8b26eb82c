"""What changes as training goes on: learning rate, resolution, and when predictors are relied on."""

from recycle.config import TrainSettings

PATIENCE = 0.98
"""Part of the former running mean of errors that is kept at each step."""
LEAST = 1e-3
"""Part of the learning rate that is left when the time of a run that `hours` bounds is over."""


def learning_rate(step: int, settings: TrainSettings, part: float = 0.0) -> float:
    """Constant, then linear decay over the last `decay` part of the run; never 0 at a step that is taken.

    part: how much of the run is over, 0 to 1; of account only where `hours` bounds it instead of steps.
    """
    if settings.hours is not None:
        return settings.learning_rate * min(1.0, max(1 - part, LEAST) / max(settings.decay, LEAST))
    decaying = round(settings.steps * settings.decay)
    remaining = settings.steps - step
    return settings.learning_rate * min(1.0, remaining / (decaying + 1))


def shrinking(step: int, settings: TrainSettings, part: float = 0.0) -> int:
    """By what the frames of this step are divided: 2^grow, 2^(grow−1) … during the first half of the run, then 1."""
    if not settings.grow:
        return 1
    stages = 2 * settings.grow
    stage = step * stages // settings.steps if settings.hours is None else int(part * stages)
    return 2 ** max(0, settings.grow - stage)


class Reliance:
    """Whether predictors are better than copying the last frame: then the recycle loss may begin.

    Compares running means of the recurrent loss and of that of copying, over about 50 steps. Once it is on it
    stays on. The idea is joliGEN's.
    """

    def __init__(self, *, wait: bool) -> None:
        self.on = not wait
        self.predicting: float | None = None
        self.copying: float | None = None
        self.steps = 0

    def update(self, predicting: float, copying: float) -> bool:
        """Take the losses of one step; True if this switched it on."""
        self.steps += 1
        self.predicting = _mean(self.predicting, predicting)
        self.copying = _mean(self.copying, copying)
        if self.on or self.steps < 1 / (1 - PATIENCE) or self.predicting >= self.copying:
            return False
        self.on = True
        return True

    def state_dict(self) -> dict[str, float | int | bool | None]:
        """All that it remembers."""
        return {"on": self.on, "predicting": self.predicting, "copying": self.copying, "steps": self.steps}

    def load_state_dict(self, state: dict[str, float | int | bool | None]) -> None:
        """Restore what `state_dict` gave."""
        self.on, self.predicting, self.copying = bool(state["on"]), state["predicting"], state["copying"]
        self.steps = int(state["steps"] or 0)


def _mean(before: float | None, now: float) -> float:
    return now if before is None else PATIENCE * before + (1 - PATIENCE) * now
