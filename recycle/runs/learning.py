"""What the records of a run say about its training, for the verdict."""

from datetime import timedelta

from recycle.evaluation.verdict import Learning
from recycle.plural import counted
from recycle.run_folder import RunFolder
from recycle.training.logs import read_faults
from recycle.training.validation import LEAST_STEPS, Scores


def learning_of(where: RunFolder, step: int, seconds: float = 0.0) -> Learning:
    """Facts about the training of a run that has taken `step` steps in `seconds`; 0: the time is unknown."""
    scores = Scores.read(where.validation)
    return Learning(
        scores.best,
        scores.by_step[max(scores.by_step)] if scores.by_step else None,
        len(scores.by_step),
        scores.improved_late,
        _too_short(step, seconds),
        relative=bool(scores.kind),
        faults=read_faults(where),
    )


def _too_short(step: int, seconds: float) -> str:
    """Why a training was too short to judge, and how long is enough; '' if it was long enough."""
    if step >= LEAST_STEPS:
        return ""
    needed = timedelta(seconds=round(LEAST_STEPS * seconds / max(1, step)))
    time = f", about {needed} at the speed of this run" if seconds else ""
    steps = counted(step, "step")
    return f"{steps} cannot show whether longer training helps; train for at least {LEAST_STEPS} steps{time}"
