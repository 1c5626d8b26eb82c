"""The package from Python: each function does what the command of its name does, with paths, settings and a job.

`from recycle import train, translate, …` imports it when a name is first used.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from recycle.batch.engine import BatchReport
from recycle.batch.ledger import open_ledger
from recycle.batch.task import Folder, is_batch, open_engine, translate_all
from recycle.config import (
    MAX_PIXELS,
    ExtractSettings,
    Pipeline,
    Precision,
    TranslateSettings,
    parse_pipeline,
    parse_settings,
)
from recycle.dataset.extract import ExtractReport
from recycle.dataset.extract import extract as extract_all
from recycle.events import Job
from recycle.networks.bundle import names_of
from recycle.rendering.prepare import check_output
from recycle.rendering.render import RenderReport
from recycle.run_folder import RunFolder, model_in
from recycle.runs.choice import Wishes, open_task
from recycle.runs.pipeline import learn
from recycle.runs.scoring import score_model
from recycle.training.loop import TrainReport
from recycle.translation.translator import Translator
from recycle.video.probe import VideoInfo
from recycle.video.probe import probe as look

AnyPath = str | PathLike[str]
Paths = AnyPath | Sequence[AnyPath]


def train(
    pipeline: Pipeline | AnyPath | None = None,
    *,
    a: Paths = (),
    b: Paths = (),
    domains: Sequence[str] | None = None,
    out: AnyPath | None = None,
    hours: float | None = None,
    steps: int | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    job: Job | None = None,
) -> TrainReport:
    """Learn the translation between the footage `a` and `b`; the same call again continues.

    pipeline: settings, the path of a pipeline file, or the name of a shipped one; None: chosen for the footage and this
    machine, as `recycle train --a … --b …` does, and written to pipeline.toml in `out`. a, b: videos, folders of videos
    or of images; none: those of the pipeline. domains: two names for them, such as `["summer", "winter"]`. out: the
    run's folder; None: a folder in runs/. hours or steps: how long to train, in place of what the pipeline says. The
    report names the bundle that was trained.

    Raises ConfigError for settings that do not fit, FootageError for footage that cannot be trained on, OutputError for
    a folder that cannot be written or is in use, BundleError for a damaged checkpoint, Interrupted after `job.cancel()`
    from any thread: the run is saved.
    """
    footage = {"a": _paths(a) or None, "b": _paths(b) or None}
    wishes = Wishes(footage, None if out is None else Path(out), hours, steps, device, precision, domains)
    limits = {"steps": steps, "hours": hours, "device": device, "precision": precision}
    given = pipeline if pipeline is None or isinstance(pipeline, Pipeline) else Path(pipeline)
    task, folder = open_task(given, wishes, job or Job(), footage=footage, train=limits)
    return learn(task, RunFolder(folder), job=job)


def translate(
    source: AnyPath,
    output: AnyPath,
    *,
    model: Translator | AnyPath,
    to: str,
    overwrite: bool = False,
    retry_failed: bool = False,
    job: Job | None = None,
    **settings: Any,
) -> RenderReport | BatchReport:
    """Translate a video, or all videos of a folder, to a domain; the same call again continues.

    to: the domain, "a" or "b" or the name that the pipeline file gave it, such as "winter".
    model: the folder of a run, whose best model it is, or of a bundle; or a Translator, which is loaded once for many
    calls. retry_failed: of a folder, try again what failed before. settings: those of `TranslateSettings`, such as
    `codec="hevc"` or `stabilise=0.8`. For a video the report is a RenderReport, for a folder a BatchReport.

    Raises ConfigError for settings that do not fit, BundleError for a folder that holds no model, FootageError for
    something that is no video, OutputError where the output exists or cannot be written, Interrupted after
    `job.cancel()` from any thread.
    """
    chosen = parse_settings(TranslateSettings, settings)
    translator = (
        model
        if isinstance(model, Translator)
        else Translator.from_pretrained(Path(model), device=chosen.device, precision=chosen.precision)
    )
    source, output = Path(source), Path(output)
    if not is_batch(source, output):
        check_output(source, output, overwrite=overwrite)
        return translator.translate_video(source, output, to=to, settings=chosen, overwrite=overwrite, job=job)
    folder = Folder(source, output, translator, translator.domains.find(to), chosen)
    with (
        open_ledger(output) as ledger,
        open_engine(folder, overwrite=overwrite, at_once=None, cluster=None) as engine,
    ):
        return translate_all(
            folder, engine=engine, ledger=ledger, overwrite=overwrite, retry_failed=retry_failed, job=job
        )


def extract(
    inputs: Paths, out: AnyPath, *, workers: int | None = None, job: Job | None = None, **settings: Any
) -> ExtractReport:
    """Cut footage into shots and write its frames to folders in `out`; the same call again continues.

    inputs: videos, folders of videos or of images. settings: those of `ExtractSettings`, such as `fps=15`. workers:
    processes, one per core where None; with more than one, a script needs `if __name__ == "__main__":`. Raises
    ConfigError for settings that do not fit, and otherwise as `recycle.dataset.extract.extract`.
    """
    return extract_all(_paths(inputs), Path(out), parse_settings(ExtractSettings, settings), workers=workers, job=job)


def probe(file: AnyPath, *, cuts: bool = True, max_pixels: int = MAX_PIXELS) -> VideoInfo:
    """Stream information of a video, and what of it needs care.

    cuts: decode the whole file to find its cuts. max_pixels: the largest frame that is decoded. Raises FootageError for
    something that is no video.
    """
    return look(Path(file), cuts=cuts, max_pixels=max_pixels)


def evaluate(
    model: AnyPath,
    out: AnyPath,
    *,
    a: Paths = (),
    b: Paths = (),
    truth_ab: Paths = (),
    truth_ba: Paths = (),
    trained_a: Paths = (),
    trained_b: Paths = (),
    labels: str | None = None,
    palette: AnyPath = "street",
    features: str | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    job: Job | None = None,
) -> dict[str, float]:
    """Score a model on unseen clips of both domains; writes them translated, and metrics.json, to `out`.

    a, b: unseen videos. truth_ab, truth_ba: their true counterparts in the other domain, in the same order. trained_a,
    trained_b: extracted frames that the model learned from, to find copies of them. labels: the domain that holds label
    maps, by its letter or name; palette: their colours, "street" or a text file with a line `R G B name` for each
    label. features: whose features FID and KID compare, "lite2", "street", "none" or a file of weights; None: "lite2".
    Returns the scores by name, which docs/measurements/metrics.md explains.

    Raises ConfigError, BundleError, FootageError and OutputError as the command, Interrupted after `job.cancel()`.
    """
    bundle = str(model_in(Path(model)))
    named = {"a": trained_a, "b": trained_b, "test_a": a, "test_b": b, "truth_ab": truth_ab, "truth_ba": truth_ba}
    groups: dict[str, Any] = {
        "domains": names_of(bundle),
        "footage": {name: tuple(_paths(paths)) for name, paths in named.items() if _paths(paths)},
        "evaluate": {"label_domain": labels, "palette": _palette(palette) if labels else None, "device": device}
        | ({} if features is None else {"features": features}),
        "translate": {"device": device, "precision": precision},
    }
    return score_model(parse_pipeline(groups, where="evaluate"), bundle, Path(out), job=job)


def _palette(palette: AnyPath) -> str | Path:
    return "street" if palette == "street" else Path(palette)


def _paths(paths: Paths) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | PathLike) else [Path(path) for path in paths]
