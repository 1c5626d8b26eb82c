"""Tasks on real footage, whose true counterparts are unknown."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recycle.config import ExtractSettings
from recycle.dataset.extract import extract
from recycle.dataset.shots import Shot, find_shots
from recycle.domains import Domain
from recycle.errors import ConfigError, FootageError
from recycle.events import Job
from tools.reproduction.footage import read_all
from tools.reproduction.plan import RealSettings, TaskSize
from tools.reproduction.task import Film, Films, TrainingFootage

_LEAST = 2
"""Minimum number of unseen frames of a domain for scores."""


def real_footage(
    name: str, settings: RealSettings, size: TaskSize, root: Path, folder: Path, job: Job
) -> TrainingFootage:
    """Extract footage that is missing in `folder`; `root` is the folder of real footage.

    Raises ConfigError if footage is missing, FootageError if it cannot be read.
    """
    given = {"a": settings.a, "b": settings.b, "test_a": settings.test_a, "test_b": settings.test_b}
    missing = [place for places in given.values() for place in places if not (root / place).exists()]
    if missing:
        raise ConfigError(
            f"the task '{name}' needs {', '.join(missing)}, which {root} does not contain; give their folder with "
            "--footage"
        )
    how = ExtractSettings(fps=settings.fps, short_side=size.lines, format="png")
    place = folder / f"{name}-{size.lines}-{settings.fps or 'all'}"
    shots: dict[str, list[Shot]] = {}
    for part, places in given.items():
        if places:
            report = extract([root / one for one in places], place / part, how, job=job, what=f"extracting {part}")
            if report.failed:
                raise FootageError(report.failed[0][1])
            shots[part] = [shot for one in report.folders for shot in find_shots(one)]
    train: dict[Domain, list[Shot]] = {}
    unseen: dict[Domain, list[Shot]] = {}
    for domain in ("a", "b"):
        if tests := shots.get(f"test_{domain}"):
            train[domain], unseen[domain] = shots[domain], tests
        else:
            train[domain], unseen[domain] = without_end(shots[domain], settings.held_out)
        if sum(len(shot.files) for shot in unseen[domain]) < _LEAST or not train[domain]:
            raise FootageError(f"the task '{name}' has too few frames of domain {domain} in {root}")
    return TrainingFootage(train["a"], train["b"], unseen=unseen)


def without_end(shots: Sequence[Shot], part: float) -> tuple[list[Shot], list[Shot]]:
    """The first frames of all shots, and the last `part` of them, in order; one shot may be split."""
    left = round(sum(len(shot.files) for shot in shots) * (1 - part))
    first, last = [], []
    for shot in shots:
        count = min(left, len(shot.files))
        left -= count
        if count:
            first.append(replace(shot, files=shot.files[:count]))
        if count < len(shot.files):
            last.append(replace(shot, files=shot.files[count:]))
    return first, last


def real_films(footage: TrainingFootage, size: TaskSize) -> Films:
    """The first `size.scored` unseen frames of each domain, one film per shot."""
    films: dict[Domain, list[Film]] = {}
    for domain, shots in footage.unseen.items():
        films[domain], left = [], size.scored
        for shot in shots:
            kept = replace(shot, files=shot.files[:left])
            left -= len(kept.files)
            if kept.files:
                films[domain].append(Film.of(read_all([kept])))
    return films
