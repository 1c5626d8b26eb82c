"""Which of several runs is the best, by which score, and when one cannot tell."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from recycle.domains import DIRECTIONS, LETTERS, Direction, Names
from recycle.evaluation.findings import find_failures
from recycle.evaluation.table import FIGURES, Figure, text

ALIKE = 1e-3
"""Relative difference up to which two figures are of the same video, decoded on two machines."""
CLOSE = 0.1
"""Relative difference of the deciding figure below which two runs are too close to tell. Measured: the mean KID of runs
that differ in their seed alone has a standard deviation of 1 to 12 % (three kinds of footage, 2 to 4 seeds)."""


@dataclass(frozen=True)
class Ranking:
    """The runs in order, as far as they can be ordered."""

    best: str | None
    """Name of the best run; None: there is none, or one cannot tell."""
    headline: str
    """One or two sentences: which run is the best and by which score, or why none is named."""
    lines: tuple[str, ...] = ()
    """The deciding scores as a table for a terminal, the best run first; empty where nothing decides."""


class _Place(NamedTuple):
    """One run and what decides its place; smaller is better."""

    failed: bool
    distance: float
    name: str
    values: tuple[float, ...]
    """The deciding figure, by direction."""


def rank(runs: Mapping[str, Mapping[str, float]], names: Names = LETTERS) -> Ranking:
    """The ranking of runs by their scores (of recycle.evaluation.evaluate); those without scores have no place.

    KID decides, the mean of the directions that were tested; without it, PSNR against the truth. A run in which the
    scores give a failure away (recycle.evaluation.findings) comes after those without. Runs that were tested on other
    clips or directions, or by other features, are not compared. names: of the domains.
    """
    scored = {name: metrics for name, metrics in runs.items() if metrics}
    if len(scored) < 2:
        return Ranking(None, "No best run: fewer than two runs have scores. 'recycle run' writes them.")
    decisive = next((key for key in ("kid", "psnr") if all(_ways(own, key) for own in scored.values())), None)
    if decisive is None or len({_ways(own, decisive) for own in scored.values()}) > 1:
        return Ranking(None, "Not comparable: no score, KID or PSNR, is there for the same directions of all runs.")
    ways = _ways(next(iter(scored.values())), decisive)
    if not all(alike([own.get(f"{decisive}_{way.name}_input") for own in scored.values()]) for way in ways):
        return Ranking(
            None, "Not comparable: the runs were tested on different clips, or scored by different features."
        )
    places = sorted(_place(name, own, decisive, ways) for name, own in scored.items())
    return _named(places, decisive, ways, names)


def alike(values: Sequence[float | None]) -> bool:
    """Whether figures, as far as they are known, are of the same video."""
    known = [value for value in values if value is not None]
    return all(math.isclose(value, known[0], rel_tol=ALIKE, abs_tol=1e-9) for value in known)


def _ways(metrics: Mapping[str, float], figure: str) -> tuple[Direction, ...]:
    """The directions in which a run has a figure."""
    return tuple(d for d in DIRECTIONS if f"{figure}_{d.name}" in metrics)


def _place(name: str, metrics: Mapping[str, float], figure: str, ways: Sequence[Direction]) -> _Place:
    values = tuple(metrics[f"{figure}_{way.name}"] for way in ways)
    distances = values if figure == "kid" else tuple(10 ** (-value / 20) for value in values)  # part of 255
    failed = any(finding.certain for finding in find_failures(metrics))
    return _Place(failed, sum(distances) / len(distances), name, values)


def _named(places: Sequence[_Place], decisive: str, ways: Sequence[Direction], names: Names) -> Ranking:
    figure = FIGURES[decisive]
    first, second = places[:2]
    lines = _table(places, figure, [names.way(d) for d in ways])
    of = f"{figure.name} (mean of both directions, {figure.better} is better)"
    if len(ways) == 1:
        of = f"{figure.name} ({names.way(ways[0])}, {figure.better} is better)"
    both = f"{first.name} {_mean(first, figure)}, {second.name} {_mean(second, figure)}"
    if first.failed == second.failed and second.distance - first.distance < CLOSE * abs(second.distance):
        headline = (
            f"Too close to tell: {both} by {of}. Runs that differ in their seed alone differ as much; "
            "train each with several seeds, or watch the videos."
        )
        return Ranking(None, headline, lines)
    headline = f"Best: {first.name}, by {of}: {both}."
    if first.failed:
        headline += " But its scores give a failure away too: see its report."
    elif second.failed:
        headline += f" The scores of {second.name} give a failure away: see its report."
    return Ranking(first.name, headline, lines)


def _table(places: Sequence[_Place], figure: Figure, ways: Sequence[str]) -> tuple[str, ...]:
    heads = [*(f"{figure.name} {way}" for way in ways), *(["mean"] if len(ways) > 1 else [])]
    lines = [f"{'run':<32}" + "".join(f"{head:>14}" for head in heads)]
    for place in places:
        values = [text(value, figure) for value in place.values] + ([_mean(place, figure)] if len(ways) > 1 else [])
        lines.append(f"{place.name:<32}" + "".join(f"{value:>14}" for value in values) + "  failed" * place.failed)
    return tuple(lines)


def _mean(place: _Place, figure: Figure) -> str:
    return text(sum(place.values) / len(place.values), figure)
