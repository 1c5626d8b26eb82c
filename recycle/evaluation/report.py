"""Writes the report: an HTML page with verdict, synchronised videos, scores, loss curves and previews."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from recycle.domains import DIRECTIONS, LETTERS, Names
from recycle.evaluation.charts import charts
from recycle.evaluation.page import VideoRow, data_uri, write_page
from recycle.evaluation.table import score_rows
from recycle.evaluation.verdict import Verdict, judge

PREVIEW_LIMIT = 12
"""Maximum number of previews on the page."""


def write_report(
    path: Path,
    *,
    title: str,
    rows: Sequence[VideoRow],
    metrics: Mapping[str, float],
    curves: Mapping[str, Sequence[tuple[int, float]]],
    neighbours: Mapping[str, Path] | None = None,
    previews: Sequence[Path] = (),
    facts: Mapping[str, str] | None = None,
    command: str = "",
    verdict: Verdict | None = None,
    names: Names = LETTERS,
) -> None:
    """Write the report to `path` atomically, as one file that needs no network and no other file.

    `rows` are the videos. `metrics` are the scores of `recycle.evaluation.evaluate.evaluate`. `curves` maps tags to
    (step, value) points, from `recycle.evaluation.curves.read_scalars`. `neighbours` maps directions to pictures of
    `recycle.evaluation.neighbours.write_neighbours`. `previews` are pictures from training, in order; if there are more
    than PREVIEW_LIMIT, evenly spaced ones are shown. `facts` maps names to values, shown below the verdict. `command`
    is the command that made the page, '' if unknown. `verdict` is shown first; None derives it from `metrics` alone.
    `names` are those of the domains.

    Embedded videos make the page a third larger than they are. Very large videos are linked instead (see
    `recycle.evaluation.page.write_page`); the page must then be moved together with them.

    Raises FootageError if a video or picture cannot be read, OutputError if the page cannot be written.
    """
    write_page(
        path,
        "report.html.jinja",
        title=title,
        verdict=verdict or judge(metrics, names=names),
        facts=facts or {},
        command=command,
        rows=rows,
        scores=score_rows(metrics),
        ways=[names.way(d) for d in DIRECTIONS],
        neighbours=[(name, data_uri(picture)) for name, picture in (neighbours or {}).items()],
        charts=charts(curves, names),
        previews=[(picture.stem, data_uri(picture)) for picture in _thin(previews)],
        left_out=max(0, len(previews) - PREVIEW_LIMIT),
    )


def _thin(previews: Sequence[Path]) -> list[Path]:
    count = min(len(previews), PREVIEW_LIMIT)
    return [previews[i] for i in np.linspace(0, len(previews) - 1, count).round().astype(int)]
