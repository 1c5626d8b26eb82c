"""The report: one HTML page with videos in step, scores, loss curves and previews."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from recycle.domains import DIRECTIONS, LETTERS, Names
from recycle.evaluation.charts import charts
from recycle.evaluation.findings import findings
from recycle.evaluation.page import VideoRow, data_uri, write_page
from recycle.evaluation.table import score_rows

PREVIEW_LIMIT = 12


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
    names: Names = LETTERS,
) -> None:
    """Write the page to `path` (atomically): one file that needs no network and no other file.

    metrics: the flat dict of recycle.evaluation.evaluate. curves: tag → (step, value) points, of
    recycle.evaluation.curves.read_scalars. neighbours: by direction, the picture of
    recycle.evaluation.neighbours.write_neighbours. previews: pictures written during training, in order; more than
    PREVIEW_LIMIT are thinned evenly. facts: name → value, shown below the title. names: those of the
    domains.

    The page holds its videos and is a third larger than they are; very large ones are linked (see
    recycle.evaluation.page.write_page): it must then be moved together with them.

    Raises FootageError for a video or picture that cannot be read, OutputError where nothing can be written.
    """
    write_page(
        path,
        "report.html.jinja",
        title=title,
        facts=facts or {},
        rows=rows,
        scores=score_rows(metrics),
        ways=[names.way(d) for d in DIRECTIONS],
        findings=findings(metrics, names),
        neighbours=[(name, data_uri(picture)) for name, picture in (neighbours or {}).items()],
        charts=charts(curves, names),
        previews=[(picture.stem, data_uri(picture)) for picture in _thin(previews)],
        left_out=max(0, len(previews) - PREVIEW_LIMIT),
    )


def _thin(previews: Sequence[Path]) -> list[Path]:
    count = min(len(previews), PREVIEW_LIMIT)
    return [previews[i] for i in np.linspace(0, len(previews) - 1, count).round().astype(int)]
