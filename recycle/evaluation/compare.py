"""Writes a page that compares training runs: differing settings, synchronised videos, scores and curves."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycle.domains import DIRECTIONS, LETTERS, Names
from recycle.evaluation import table
from recycle.evaluation.charts import overlaid
from recycle.evaluation.page import VideoRow, write_page
from recycle.evaluation.ranking import Ranking, alike
from recycle.evaluation.table import Figure

TEMPLATE = "compare.html.jinja"
DIFFERS = "differs"
_UNNAMED = {"networks.generator.kind": "resnet", "networks.discriminator.kind": "patch"}
"""Kinds that settings leave out when they are written, as the first version did."""


@dataclass(frozen=True)
class ComparedRun:
    """One run on the page; parts that an unfinished run lacks are empty."""

    name: str
    """Unique name of the run."""
    steps: str
    """Training progress, in words."""
    model: str
    """The model of the run that is shown and scored."""
    notes: Sequence[str]
    """Caveats for the comparison."""
    settings: Mapping[str, Any]
    """Its Pipeline as nested JSON objects."""
    metrics: Mapping[str, float]
    """The result of `recycle.evaluation.evaluate.evaluate`; empty without scores."""
    curves: Mapping[str, Sequence[tuple[int, float]]]
    """Tag → (step, value) points, from `recycle.evaluation.curves.read_scalars`."""


@dataclass(frozen=True)
class SettingRow:
    """A setting that differs between runs."""

    path: str
    """Dotted path, such as losses.weights.recycle."""
    values: tuple[str, ...]
    """One value per run, as text."""


@dataclass(frozen=True)
class RunScore:
    """The cell of one run in a row of scores."""

    value: str
    best: bool
    untouched: str
    """Score of the untouched input if that differs between runs; else empty."""


@dataclass(frozen=True)
class FigureRow:
    """The scores of all runs for one figure and direction."""

    direction: str
    untouched: str
    runs: tuple[RunScore, ...]
    truth: str


def write_comparison(
    path: Path,
    runs: Sequence[ComparedRun],
    *,
    rows: Sequence[VideoRow],
    ranking: Ranking,
    names: Names = LETTERS,
) -> bool:
    """Write the comparison page to `path` atomically.

    `rows` are the test clips, each with one video per run's model; `names` are those of the domains. Returns and raises
    the same as `recycle.evaluation.page.write_page`.
    """
    scores = score_rows([run.metrics for run in runs], names)
    return write_page(
        path,
        TEMPLATE,
        title=f"{len(runs)} runs compared",
        runs=runs,
        ranking=ranking,
        settings=setting_rows([run.settings for run in runs]),
        rows=rows,
        scores=scores,
        other_clips=any(row.untouched == DIFFERS for _, group in scores for row in group),
        charts=overlaid({run.name: run.curves for run in runs}, names),
    )


def setting_rows(runs: Sequence[Mapping[str, Any]]) -> list[SettingRow]:
    """The settings that differ between the runs' pipelines, in order of first appearance.

    A setting that a run does not have, for example because it is from another version of recycle, counts as unset.
    """
    flat = [_flat(settings) for settings in runs]
    paths = dict.fromkeys(path for settings in flat for path in settings)
    rows = []
    for path in paths:
        values = [settings.get(path) for settings in flat]
        if len({json.dumps(value) for value in values}) > 1:
            rows.append(SettingRow(path, tuple(_setting(value) for value in values)))
    return rows


def score_rows(runs: Sequence[Mapping[str, float]], names: Names = LETTERS) -> list[tuple[Figure, list[FigureRow]]]:
    """The rows of the table of scores, grouped by figure.

    `runs` has the scores of each run, empty if a run has none; `names` are those of the domains. The best score of each
    row is marked, unless the scores of the untouched inputs show that the runs were tested on different clips.
    """
    keys = {key for metrics in runs for key in metrics}
    groups = []
    for name, figure in table.figures(keys):
        ways = {name: ""} if name in keys else {f"{name}_{d.name}": names.way(d) for d in DIRECTIONS}
        rows = [_score_row(key, way, figure, runs) for key, way in ways.items() if key in keys]
        if rows:
            groups.append((figure, rows))
    return groups


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings that are set, by their dotted paths, with the kinds of networks that files do not name."""
    flat = dict(_leaves(settings))
    for path, kind in _UNNAMED.items():
        if any(other.startswith(path.removesuffix("kind")) for other in flat):
            flat.setdefault(path, kind)
    return flat


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted paths and values of all settings that are set."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):  # networks of several kinds
            for each in value:
                yield from _leaves(each, f"{above}{key}.{each['kind']}." if "kind" in each else f"{above}{key}.")
        elif value not in (None, [], ()):
            yield f"{above}{key}", value


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value))
    return table.NONE if value is None else value if isinstance(value, str) else json.dumps(value)


def _score_row(key: str, direction: str, figure: Figure, runs: Sequence[Mapping[str, float]]) -> FigureRow:
    untouched, truth = ([metrics.get(f"{key}_{twin}") for metrics in runs] for twin in ("input", "truth"))
    same = alike(untouched)
    shown = [None if (value := metrics.get(key)) is None else _rounded(value, figure) for metrics in runs]
    best = _best([value for value in shown if value is not None], figure) if same else None
    cells = tuple(
        RunScore(
            table.text(metrics.get(key), figure),
            best=value is not None and value == best,
            untouched="" if same or own is None else table.text(own, figure),
        )
        for metrics, value, own in zip(runs, shown, untouched, strict=True)
    )
    return FigureRow(direction, _shared(untouched, figure), cells, _shared(truth, figure))


def _best(values: Sequence[float], figure: Figure) -> float | None:
    """The best of the rounded values; None if all are equal or the figure has no better direction."""
    if not figure.better or len(set(values)) < 2:
        return None
    return max(values) if figure.better == "higher" else min(values)


def _rounded(value: float, figure: Figure) -> float:
    return round(value * figure.scale, figure.digits)


def _shared(values: Sequence[float | None], figure: Figure) -> str:
    if not alike(values):
        return DIFFERS
    return table.text(next((value for value in values if value is not None), None), figure)
