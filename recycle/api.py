"""The Python interface: a function with the name of a command does the same as the command.

`from recycle import train, translate, …` imports this module when a name is first used.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from os import PathLike, fspath
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
    TranslatePrecision,
    TranslateSettings,
    TuneSettings,
    parse_pipeline,
    parse_settings,
)
from recycle.dataset.extract import ExtractReport
from recycle.dataset.extract import extract as extract_all
from recycle.errors import ConfigError
from recycle.evaluation.ranking import Ranking
from recycle.events import Job
from recycle.networks.adopt import adopt, write_adopted
from recycle.networks.bundle import BundleConfig, names_of
from recycle.networks.export import export as export
from recycle.rendering.pictures import check_settings
from recycle.rendering.prepare import check_output, opened
from recycle.rendering.render import RenderReport
from recycle.rendering.span import WHOLE, preview_span
from recycle.run_folder import RunFolder
from recycle.runs.choice import choose_pipeline, open_task
from recycle.runs.compare import compare as compare_runs
from recycle.runs.listing import list_pipelines as list_pipelines
from recycle.runs.listing import list_runs as list_runs
from recycle.runs.listing import recorded_pipeline
from recycle.runs.listing import run_info as run_info
from recycle.runs.pipeline import learn
from recycle.runs.preset import Choice
from recycle.runs.publish import publish
from recycle.runs.scoring import score_model
from recycle.runs.tuning import TuneReport, search
from recycle.runs.varied import Choices
from recycle.runs.wishes import Wishes
from recycle.safe_text import printable
from recycle.system.hub import find_model
from recycle.training.loop import TrainReport
from recycle.translation.opening import open_translator
from recycle.translation.translator import Translator
from recycle.video.probe import VideoInfo
from recycle.video.probe import probe as look
from recycle.video.source import Source

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
    start_from: AnyPath | None = None,
    mask_a: Paths = (),
    mask_b: Paths = (),
    job: Job | None = None,
) -> TrainReport:
    """Learn the translation between the footage `a` and `b`. The same call continues an interrupted run.

    `pipeline` is a Pipeline, the path of a pipeline file, or the name of an included pipeline. None chooses a pipeline
    for the footage and this machine, as `recycle train --a … --b …` does, and writes it to pipeline.toml in `out`. `a`
    and `b` are videos, folders of videos, or folders of images; if neither is given, the footage of the pipeline is
    used. `domains` are two names for them, such as `["summer", "winter"]`. `out` is the run's folder; None: a folder in
    runs/. `hours` or `steps` (only one of them) replaces the length of the training in the pipeline. `device` and
    `precision` replace those of the pipeline; see `TrainSettings`. `start_from` is a run or a model from whose networks
    a new run starts; a pipeline that is chosen then has these networks. `mask_a` and `mask_b` hold a mask for each path
    of `a` and `b`, to change only what is white in them. The report names the trained bundle.

    Raises ConfigError for invalid settings, FootageError for unusable footage, OutputError if the folder cannot be
    written or is in use, BundleError for a damaged checkpoint, and RecycleError if memory runs out or losses stay
    infinite or NaN. After `job.cancel()` from any thread, the run is saved and Interrupted is raised.
    """
    footage = _footage(a=a, b=b, mask_a=mask_a, mask_b=mask_b)
    wishes = Wishes(footage, _path(out), hours, steps, device, precision, domains, _path(start_from))
    task, folder, origin, surveyed = open_task(_given(pipeline), wishes, job or Job())
    return learn(task, RunFolder(folder), origin=origin, surveyed=surveyed, job=job)


def resume(
    folder: AnyPath, *, hours: float | None = None, steps: int | None = None, job: Job | None = None
) -> TrainReport:
    """Continue the training in the run's folder `folder`, with the settings and the footage that it began with.

    If recycle chose the pipeline, the present content of its pipeline.toml is used. `hours` or `steps` (only one of
    them) replaces the length of the training, for example to train a finished run further. Raises as `train`;
    ConfigError also if the folder is not a run's.
    """
    limits = {"hours": hours, "steps": steps}
    return train(recorded_pipeline(Path(folder)), out=folder, **limits, job=job)  # type: ignore[arg-type]


def plan(
    *,
    a: Paths,
    b: Paths,
    domains: Sequence[str] | None = None,
    hours: float | None = None,
    steps: int | None = None,
    start_from: AnyPath | None = None,
    mask_a: Paths = (),
    mask_b: Paths = (),
    job: Job | None = None,
) -> Choice:
    """The pipeline that `train` would choose for the footage `a` and `b`, with the reason for each setting.

    The arguments are those of `train`; nothing is written. The result also tells the expected number of steps, and how
    long a step takes. Raises ConfigError for invalid arguments, FootageError for unusable footage, and RecycleError if
    there is too little memory.
    """
    footage = _footage(a=a, b=b, mask_a=mask_a, mask_b=mask_b)
    wishes = Wishes(footage, None, hours, steps, domains=domains, start_from=_path(start_from))
    return choose_pipeline(wishes, job=job)


def tune(
    pipeline: Pipeline | AnyPath | None = None,
    *,
    vary: Mapping[str, Choices],
    trials: int = 20,
    a: Paths = (),
    b: Paths = (),
    domains: Sequence[str] | None = None,
    out: AnyPath | None = None,
    hours: float | None = None,
    steps: int | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    job: Job | None = None,
) -> TuneReport:
    """Search better settings by `trials` short trainings. The same call continues an interrupted search.

    `vary` maps names of settings to a `recycle.runs.varied.Span` or a list of values, such as
    `{"train.learning_rate": Span(1e-4, 1e-3, log=True)}`. `hours` or `steps` is the length of one trial. The other
    arguments are those of `train`. The report has the best values, and the pipeline file that was written with them.

    Raises the errors of `train`; ConfigError also for unknown settings, or if optuna is not installed; RecycleError
    also if no trial has a score.
    """
    count = parse_settings(TuneSettings, {"trials": trials}).trials
    wishes = Wishes(_footage(a=a, b=b), _path(out), hours, steps, device, precision, domains)
    task, folder, _, _ = open_task(_given(pipeline), wishes, job or Job())
    return search(task, folder, vary=vary, trials=count, job=job)


def translate(
    source: AnyPath,
    output: AnyPath,
    *,
    model: Translator | AnyPath,
    to: str,
    preview: bool = False,
    overwrite: bool = False,
    retry_failed: bool = False,
    join_images: bool = False,
    job: Job | None = None,
    **settings: Any,
) -> RenderReport | BatchReport:
    """Translate a video, an image, or all of a folder, to a domain. The same call continues interrupted work.

    `model` is the folder of a run, whose best model is used, the folder of a bundle, org/name or org/name@revision of a
    model on the Hugging Face Hub, or a Translator, which many calls can share. `to` is the target domain, by its letter
    or its name in the pipeline file, such as "winter". `preview` translates only four seconds from the middle of a
    video. `overwrite` replaces existing outputs. `retry_failed` tries files of a folder again that failed before.
    `join_images` makes one video of each folder of numbered images in a folder; otherwise every image keeps its name.
    `settings` are those of `TranslateSettings`, such as `codec="hevc"` or `stabilise=0.8`. Returns a RenderReport for a
    video or an image, and a BatchReport for a folder; errors of single files of a folder are in the report.

    Raises ConfigError for invalid settings, BundleError if a folder holds no model, FootageError if the source cannot
    be read, OutputError if the output exists or cannot be written, and Interrupted after `job.cancel()` from any
    thread.
    """
    chosen = parse_settings(TranslateSettings, settings)
    translator, target = open_translator(model, to, chosen)
    source, output = Path(source), Path(output)
    if not is_batch(source, output):
        check_output(source, output, overwrite=overwrite)
        check_settings(output, chosen)
        with opened(source, chosen) if preview else nullcontext(source) as video:
            span = preview_span(video) if isinstance(video, Source) else WHOLE
            return translator.translate_video(
                video, output, to=target, settings=chosen, span=span, overwrite=overwrite, job=job
            )
    if preview:
        raise ConfigError(f"{source} is a folder; give a single video for a preview")
    folder = Folder(source, output, translator, target, chosen, join_images=join_images)
    with (
        open_ledger(output) as ledger,
        open_engine(folder, overwrite=overwrite, at_once=None, cluster=None) as engine,
    ):
        return translate_all(
            folder, engine=engine, ledger=ledger, overwrite=overwrite, retry_failed=retry_failed, job=job
        )


def extract(
    inputs: Paths,
    out: AnyPath,
    *,
    masks: Paths = (),
    workers: int | None = None,
    job: Job | None = None,
    **settings: Any,
) -> ExtractReport:
    """Split footage into shots and write its frames to folders in `out`. The same call continues interrupted work.

    `inputs` are videos, folders of videos, or folders of images. `masks` has a mask for each, or is empty; see
    `FootageSettings.mask_a`. `workers` is the number of processes; None: one per core. `settings` are those of
    `ExtractSettings`, such as `fps=15`. Raises ConfigError for invalid settings, and the errors of
    `recycle.dataset.extract.extract`.
    """
    chosen = parse_settings(ExtractSettings, settings)
    return extract_all(_paths(inputs), Path(out), chosen, masks=_paths(masks), workers=workers, job=job)


def probe(file: AnyPath, *, cuts: bool = True, max_pixels: int = MAX_PIXELS) -> VideoInfo:
    """Return stream information and potential problems of a video or a folder of numbered images.

    `cuts` decodes the whole file, to find cuts, count frames and find damage. `max_pixels` is the maximum number of
    pixels of a frame. Raises FootageError if the file cannot be read or has larger frames.
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
    precision: TranslatePrecision = "auto",
    job: Job | None = None,
) -> dict[str, float]:
    """Score a model on unseen clips of one or both domains. Writes the translated clips and metrics.json to `out`.

    `model` is the folder of a run, whose best model is used, the folder of a bundle, org/name on the Hugging Face Hub,
    or "identity". `a` and `b` are unseen videos. `truth_ab` and `truth_ba` are their true counterparts in the other
    domain, in the same order. `trained_a` and `trained_b` are extracted frames that the model learned from, to detect
    copies of them. `labels` is the domain that holds label maps, by its letter or name. `palette` defines their
    colours: "street", or a text file with a line `R G B name` for each label. `features` selects the network for FID
    and KID: "lite2", "street", "none", or a file of weights; None: "lite2". Returns the scores by name;
    docs/measurements/metrics.md explains them.

    Raises ConfigError for invalid settings, BundleError if `model` is not a model, FootageError if there is no clip or
    one cannot be read, OutputError if a file cannot be written, and Interrupted after `job.cancel()`.
    """
    bundle = str(find_model(fspath(model)))
    colours = palette if palette == "street" else Path(palette)
    named = {"a": trained_a, "b": trained_b, "test_a": a, "test_b": b, "truth_ab": truth_ab, "truth_ba": truth_ba}
    groups: dict[str, Any] = {
        "domains": names_of(bundle),
        "footage": {name: tuple(_paths(paths)) for name, paths in named.items() if _paths(paths)},
        "evaluate": {"label_domain": labels, "palette": colours if labels else None, "device": device}
        | ({} if features is None else {"features": features}),
        "translate": {"device": device, "precision": precision},
    }
    return score_model(parse_pipeline(groups, where="evaluate"), bundle, Path(out), job=job)


def compare(
    runs: Sequence[AnyPath],
    out: AnyPath,
    *,
    a: Paths = (),
    b: Paths = (),
    overwrite: bool = False,
    job: Job | None = None,
) -> Ranking:
    """Compare the runs in the folders `runs` on the HTML page `out`, and return their ranking.

    The page shows the settings that differ, translations of the same clips, scores and curves. `a` and `b` are videos
    to show; without them, it shows the test clips or else the held-out frames that all runs share. `overwrite` replaces
    a file that recycle did not write.

    Raises RecycleError for fewer than two runs, for a folder given twice, and for a folder that is not a run's; the
    errors of `train` for files that cannot be read or written; Interrupted after `job.cancel()`.
    """
    folders = [Path(folder) for folder in runs]
    return compare_runs(folders, Path(out), a=_paths(a), b=_paths(b), overwrite=overwrite, job=job)


def import_model(
    files: Paths,
    out: AnyPath,
    *,
    domains: Sequence[str] | None = None,
    short_side: int = 256,
    overwrite: bool = False,
    job: Job | None = None,
) -> Path:
    """Make a model bundle of checkpoints from pytorch-CycleGAN-and-pix2pix, CUT or the original ReCycle-GAN code.

    `files` are the generators and, if there are any, the predictors, such as latest_net_G_A.pth, latest_net_G_B.pth,
    latest_net_P_A.pth and latest_net_P_B.pth. One generator alone makes a model of one direction. Discriminators, such
    as latest_net_D_A.pth, serve only further training. Files with other names are taken in this order. ResNets with any
    number of blocks, with InstanceNorm, BatchNorm or no norm, with or without dropout and anti-aliasing are recognised
    by their weights; so are the predictors, U-Nets and ResNets. No code in the files is executed. `domains` are the
    names of domains A and B. `short_side` is the short side in pixels of the frames that the networks were trained on,
    at which they work best. The bundle is written to the folder `out`; `overwrite` replaces a bundle there. Returns its
    path. The job receives one notice for each network.

    The networks compute as in evaluation mode of the published code: BatchNorm uses its stored statistics, and there is
    no dropout. Raises ConfigError for files that do not make a model, BundleError for a file that is no such
    checkpoint, OutputError if `out` exists or cannot be written.
    """
    named = {} if domains is None else {"domains": domains}
    asked = parse_settings(BundleConfig, {"name": printable(Path(out).name), "short_side": short_side, **named})
    bundle, adopted = adopt(_paths(files), name=asked.name, domains=asked.domains, short_side=asked.short_side)
    write_adopted(bundle, adopted, Path(out), overwrite=overwrite)
    for each in adopted:
        (job or Job()).say(f"{each.role}: {each.file.name}, {each.network.words}")
    return Path(out)


def push(
    model: AnyPath,
    name: str,
    *,
    public: bool = False,
    licence: str | None = None,
    footage: str | None = None,
    preview: bool = True,
    job: Job | None = None,
) -> str:
    """Upload a run's best model, or a bundle, to the Hugging Face Hub as `name` (org/name). Returns its page.

    A new model is private unless `public`. A model card is written: domains, use, networks, the scores of the run's
    test videos if they are those of this model, and, with `preview`, the last preview of the run, which shows frames of
    the footage. `licence` is an identifier of the Hub, such as "cc-by-4.0"; `footage` says what footage the model
    learned from, and who agreed to that. Both are required if `public`. Log in with `hf auth login` first. The job
    receives a notice if the model stays private although `public` is set.

    Raises ConfigError for another name, if licence or footage are missing, or if the model exists and is public without
    `public`; BundleError if `model` is not a usable model; OutputError if the Hub cannot be reached or refuses.
    """
    done = publish(Path(model), name, public=public, licence=licence, footage=footage, preview=preview)
    if public and done.private:
        (job or Job()).say(f"{name} existed and stays private; you can change that on its page")
    return done.address


def _given(pipeline: Pipeline | AnyPath | None) -> Pipeline | Path | None:
    return pipeline if isinstance(pipeline, Pipeline) else _path(pipeline)


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)


def _footage(**paths: Paths) -> dict[str, list[Path] | None]:
    """Paths by the names of `FootageSettings`; None where there are none."""
    return {name: _paths(own) or None for name, own in paths.items()}


def _paths(paths: Paths) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | PathLike) else [Path(path) for path in paths]
