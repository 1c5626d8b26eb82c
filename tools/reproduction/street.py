"""Tasks on the procedural street in two appearances: training films, and unseen films with their true counterparts."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from recycle.config import Appearance
from recycle.domains import Domain
from recycle.events import Job
from recycle.street.film import Street
from tools.reproduction.drawing import Reel, draw_all
from tools.reproduction.plan import StreetSettings, TaskSize
from tools.reproduction.task import Film, Films, TrainingFootage

SEEDS: dict[str, int] = {"a": 4000, "b": 5000, "test_a": 6000, "test_b": 7000}
"""Seeds of the four streets, which have no scene in common."""
_ASPECT = 5 / 3


def street_footage(settings: StreetSettings, size: TaskSize, folder: Path, job: Job) -> TrainingFootage:
    """Draw missing footage. Raises OutputError."""
    one, other = (
        Reel(_street(settings, size, name, size.train_seconds), look, folder)
        for name, look in zip(("a", "b"), settings.looks, strict=True)
    )
    draw_all([one, other], job)
    return TrainingFootage(one.shots(), other.shots())


def street_films(settings: StreetSettings, size: TaskSize) -> Films:
    """The middle of each unseen scene of each domain, with the same moments in the other appearance as their truth."""
    a, b = settings.looks
    return {"a": _films(settings, size, "a", a, b), "b": _films(settings, size, "b", b, a)}


def _films(
    settings: StreetSettings, size: TaskSize, domain: Domain, look: Appearance, counterpart: Appearance
) -> list[Film]:
    street = _street(settings, size, f"test_{domain}", size.test_seconds)
    cuts = street.cuts()
    each = max(2, size.scored // len(cuts))
    films = []
    for start, end in pairwise((*cuts, len(street))):
        first = max(start, (start + end - each) // 2)
        moments = range(first, min(first + each, end))
        frames, truth = (np.stack([street.frame(i, it) for i in moments]) for it in (look, counterpart))
        films.append(Film.of(frames, truth))
    return films


def _street(settings: StreetSettings, size: TaskSize, name: str, seconds: float) -> Street:
    width = round(size.lines * _ASPECT / 4) * 4
    return Street(SEEDS[name], width, size.lines, settings.fps, seconds)
