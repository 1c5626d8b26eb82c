"""Ranks runs by their scores and names the best one, unless the scores do not allow a decision."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from recycle.domains import DIRECTIONS, LETTERS, Direction, Names
from recycle.evaluation.findings import find_failures
from recycle.evaluation.table import FIGURES, Figure, text

ALIKE = 1e-3
"""Maximum relative difference of scores that are from the same video; decoding differs slightly between machines."""
CLOSE = 0.1
"""Relative difference of the deciding score below which two runs count as equal. As measured on three kinds of footage
with 2 to 4 seeds, the mean KID of runs that differ only in their seed has a standard deviation of 1 to 12 %."""


@dataclass(frozen=True)
class Ranking:
    """The result of ranking runs."""

    best: str | None
    """Name of the best run; None if the scores do not allow a decision."""
    headline: str
    """One or two sentences: the best run and the deciding score, or why no run is named."""
    lines: tuple[str, ...] = ()
    """Table of the deciding scores for a terminal, the best run first; empty if no score decides."""


class _Place(NamedTuple):
    """Sort key of a run; smaller is better."""

    failed: bool
    distance: float
    """Mean over directions: the KID, or the RMS error to the truth as a fraction of 255."""
    name: str
    values: tuple[float, ...]
    """The deciding score, by direction."""


def rank(runs: Mapping[str, Mapping[str, float]], names: Names = LETTERS) -> Ranking:
    """Rank runs (name → scores of `recycle.evaluation.evaluate.evaluate`); runs without scores are left out.

    KID decides, averaged over the tested directions; if a run has no KID, PSNR against the truth decides. A run with a
    certain failure (see recycle.evaluation.findings) ranks after those without. Runs that were tested on different
    clips or directions, or with different features, are not ranked. `names` are those of the domains.
    """
    scored = {name: metrics for name, metrics in runs.items() if metrics}
    if len(scored) < 2:
        return Ranking(None, "No best run: fewer than two runs have scores; 'recycle run' writes them.")
    decisive = next((key for key in ("kid", "psnr") if all(_ways(own, key) for own in scored.values())), None)
    if decisive is None or len({_ways(own, decisive) for own in scored.values()}) > 1:
        return Ranking(None, "Not comparable: the runs do not all have KID, or PSNR, for the same directions.")
    ways = _ways(next(iter(scored.values())), decisive)
    if not all(alike([own.get(f"{decisive}_{way.name}_input") for own in scored.values()]) for way in ways):
        return Ranking(
            None, "Not comparable: the runs were tested on different clips, or scored with different feature networks."
        )
    places = sorted(_place(name, own, decisive, ways) for name, own in scored.items())
    return _named(places, decisive, ways, names)


def alike(values: Sequence[float | None]) -> bool:
    """Whether all known values are equal up to a relative difference of ALIKE, as for the same video."""
    known = [value for value in values if value is not None]
    return all(math.isclose(value, known[0], rel_tol=ALIKE, abs_tol=1e-9) for value in known)


def _ways(metrics: Mapping[str, float], figure: str) -> tuple[Direction, ...]:
    """The directions for which a run has the score `figure`."""
    return tuple(d for d in DIRECTIONS if f"{figure}_{d.name}" in metrics)


def _place(name: str, metrics: Mapping[str, float], figure: str, ways: Sequence[Direction]) -> _Place:
    values = tuple(metrics[f"{figure}_{way.name}"] for way in ways)
    distances = values if figure == "kid" else tuple(10 ** (-value / 20) for value in values)  # RMS error / 255
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
            f"Too close to decide: {both} by {of}. Runs that differ only in their seed differ as much; "
            "train each with several seeds, or watch the videos."
        )
        return Ranking(None, headline, lines)
    headline = f"Best: {first.name}, by {of}: {both}."
    if first.failed:
        headline += " But its scores show a failure too: see its report."
    elif second.failed:
        headline += f" The scores of {second.name} show a failure: see its report."
    return Ranking(first.name, headline, lines)


def _table(places: Sequence[_Place], figure: Figure, ways: Sequence[str]) -> tuple[str, ...]:
    heads = [*(f"{figure.name} {way}" for way in ways), *(["mean"] if len(ways) > 1 else [])]
    rows = [["run", *heads]]
    for place in places:
        values = [text(value, figure) for value in place.values] + ([_mean(place, figure)] if len(ways) > 1 else [])
        rows.append([place.name, *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    marked = "  failure: see its report"  # not "failed": the verdict of a short run is "unfinished"
    return (lines[0], *(line + marked * place.failed for line, place in zip(lines[1:], places, strict=True)))


def _mean(place: _Place, figure: Figure) -> str:
    return text(sum(place.values) / len(place.values), figure)
