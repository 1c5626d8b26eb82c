"""Runs the stages of a pipeline in order. A stage is skipped if its result is up to date."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from recycle.config import (
    DistillSettings,
    FootageSettings,
    Pipeline,
    ResNetSettings,
    StreetSettings,
    find_pipeline,
    load_pipeline,
    parse_pipeline,
    parse_settings,
)
from recycle.dataset.extract import extract
from recycle.dataset.manifest import is_extracted
from recycle.dataset.shots import Shot, find_shots
from recycle.domains import DOMAINS
from recycle.errors import ConfigError, FootageError
from recycle.events import Job, ignore
from recycle.networks.bundle import DISCRIMINATORS, BundleConfig, check_networks, load_bundle, read_config
from recycle.run_folder import RunFolder, model_in, model_place
from recycle.runs.origin import claim
from recycle.runs.outcome import write_run_report
from recycle.runs.scoring import evaluate_tests, foresee_tests, prepare_features, test_clips, translate_tests
from recycle.runs.stage import Stage
from recycle.safe_text import printable
from recycle.street.film import Street
from recycle.system.atomic import write_text
from recycle.system.disk import writing
from recycle.system.hub import find_model
from recycle.system.nvidia import tell_unused_gpu
from recycle.training.lock import alone_in
from recycle.training.loop import TrainReport, train
from recycle.training.processes import on_devices, once
from recycle.training.trackers import check_trackers
from recycle.video.find import find_sources


def open_pipeline(
    pipeline: Pipeline | Path, *, domains: Sequence[str] | None = None, **changes: Mapping[str, Any]
) -> Pipeline:
    """Open a pipeline from settings, a path, or the name of an included pipeline, and apply changes.

    `domains` replaces the names of the domains. Each of `changes` replaces settings of the group of its name; values of
    None change nothing. If any footage is given, it replaces all footage of the pipeline; only `paired` is kept. Steps
    replace the hours of the file. Paths of footage become absolute, so that they stay valid in the record in the run's
    folder. Raises ConfigError as `load_pipeline`, for invalid changes, and if both steps and hours are given.
    """
    if isinstance(pipeline, Pipeline):
        where, data = f"pipeline '{pipeline.name}'", pipeline.model_dump()
    else:
        path = find_pipeline(pipeline)
        where, data = str(path), load_pipeline(path).model_dump()
    if domains is not None:
        data["domains"] = domains
    for group, values in changes.items():
        given = {key: value for key, value in values.items() if value is not None}
        if group == "footage" and given:
            data["footage"] = FootageSettings(paired=data["footage"]["paired"]).model_dump()
        if group == "train" and "steps" in given:
            if "hours" in given:
                raise ConfigError("give either a number of steps or of hours, not both")
            given["hours"] = None
        data[group] |= given
    for name, paths in data["footage"].items():
        if isinstance(paths, tuple | list):
            data["footage"][name] = tuple(Path(each).absolute() for each in paths)
    for name in ("teacher", "start_from"):
        if (model := data["train"][name]) is not None:
            data["train"][name] = model_place(Path(model), Path.cwd())
    return parse_pipeline(data, where=where)


def distillation(model: Path, *, width: int, blocks: int, **changes: Mapping[str, Any]) -> Pipeline:
    """A pipeline that trains small generators to imitate the translations of the bundle `model`.

    `width` is their number of channels, and `blocks` their number of residual blocks. Each of `changes` replaces
    settings of the group of its name; values of None change nothing. Raises BundleError if `model` is not a bundle,
    ConfigError for invalid settings.
    """
    small = parse_settings(DistillSettings, {"width": width, "blocks": blocks})
    teacher = load_bundle(model).config
    side = teacher.short_side // 4 * 4
    own = teacher.networks.generator
    kept = own.model_dump() if isinstance(own, ResNetSettings) else {"skip": getattr(own, "skip", False)}
    data: dict[str, Any] = {
        "name": re.sub(r"[/\\]", "_", printable(teacher.name))[:90] + "-fast",
        "domains": teacher.domains,
        "extract": {"short_side": teacher.short_side},
        "networks": {"generator": kept | small.model_dump(include={"width", "blocks"})},
        "losses": {"weights": {"adversarial": 0, "distillation": 1}},
        "train": {
            "teacher": model.absolute(),
            "size": (side, side),
            **small.model_dump(include={"steps", "learning_rate", "preview_every"}),
        },
    }
    for group, values in changes.items():
        data[group] = data.get(group, {}) | {key: value for key, value in values.items() if value is not None}
    return parse_pipeline(data, where=f"distillation of {model}")


def run(
    pipeline: Pipeline,
    folder: Path,
    *,
    origin: str | None = None,
    surveyed: bool = False,
    command: str = "",
    job: Job | None = None,
) -> RunFolder:
    """Extract footage, train, translate the test clips, score them, and write a report, all in `folder`.

    Finished stages are skipped, so the same call continues an interrupted run. Only training uses several devices. The
    best model translates, or the last one if there is no best (`model_in`). `origin` is the pipeline file (see
    `recycle.runs.origin`). `surveyed`: see `recycle.training.loop.train`. `command` is the command as the user typed
    it, for the report. Raises the errors of the stages, subclasses of RecycleError; Interrupted if the job is
    cancelled.
    """
    job = job or Job()
    where = RunFolder(folder)
    footage = pipeline.footage
    # Missing files must cause an error now, not after hours.
    find_sources((*footage.test_a, *footage.test_b, *footage.truth_ab, *footage.truth_ba))
    test_clips(footage, where.translated)
    check_pipeline(pipeline)
    with ExitStack() as whole:  # the folder is locked to the end; the devices only during training
        with on_devices(pipeline) as fabric:
            job = _of_this_process(job, fabric)
            whole.enter_context(alone_in(where.folder, fabric, job))
            once(fabric, lambda: _begin(pipeline, where, origin))
            tell_unused_gpu(pipeline.train.device, job)
            once(fabric, lambda: foresee_tests(footage, pipeline.translate, where, job=job))
            footage, shots_a, shots_b = once(fabric, lambda: prepare_footage(pipeline, where, job=job))
            once(fabric, lambda: prepare_features(pipeline.evaluate, job=job))
            trained = train(pipeline, shots_a, shots_b, where.folder, surveyed=surveyed, job=job, fabric=fabric)
        model = model_in(where.folder)
        shots = dict(zip(DOMAINS, (shots_a, shots_b), strict=True))
        clips = translate_tests(footage, pipeline.translate, str(model), where, job=job)
        scores = evaluate_tests(pipeline, clips, where, trained=shots, step=read_config(model).step, job=job)
        verdict = write_run_report(
            pipeline,
            where,
            model=model,
            trained=trained,
            clips=clips,
            scores=scores,
            footage=footage,
            shots=shots,
            command=command,
        )
        job.say(verdict.headline)
    return where


def _of_this_process(job: Job, fabric: Fabric) -> Job:
    """The job of this process: `job` in rank 0; in other processes, one that reports nothing."""
    return job if fabric.is_global_zero else job.observed_by(ignore)


def make_street(
    settings: StreetSettings, folder: Path, *, paired: bool = False, job: Job | None = None
) -> FootageSettings:
    """Render the street into `folder`, and return the paths of the videos.

    The training footage of a and b shows different scenes, or the same ones with `paired`. One unseen clip is rendered
    in both appearances. Raises Interrupted if the job is cancelled, and OutputError if a file cannot be written.
    """
    train, test = settings.seconds, settings.test_seconds
    films = (
        (3 * settings.seed, train, settings.a),
        (3 * settings.seed + (0 if paired else 1), train, settings.b),
        (3 * settings.seed + 2, test, settings.a),
        (3 * settings.seed + 2, test, settings.b),
    )
    footage = street_footage(folder).model_copy(update={"paired": paired})
    paths = (*footage.a, *footage.b, *footage.test_a, *footage.test_b)
    made_from = settings.model_dump() | ({"paired": True} if paired else {})
    with Stage("footage", made_from, paths, folder) as stage:
        if stage.needed:
            for path, (seed, seconds, look) in zip(paths, films, strict=True):
                street = Street(
                    seed=seed, width=settings.width, height=settings.height, fps=settings.fps, seconds=seconds
                )
                street.write(path, look, job=job)
    return footage


def street_footage(folder: Path) -> FootageSettings:
    """The paths of a street's videos in `folder`."""
    a, b, test_a, test_b = ((folder / name,) for name in ("a.mp4", "b.mp4", "test_a.mp4", "test_b.mp4"))
    return FootageSettings(a=a, b=b, test_a=test_a, test_b=test_b, truth_ab=test_b, truth_ba=test_a)


def prepare_footage(
    pipeline: Pipeline, where: RunFolder, *, job: Job | None = None
) -> tuple[FootageSettings, list[Shot], list[Shot]]:
    """Prepare the training footage; returns the footage settings and the shots of domains a and b.

    A street is rendered. Footage that is not extracted yet is extracted into the run's folder; frames of other sources,
    which an earlier call left there, are not used. Raises FootageError if a domain has no footage, and the errors of
    `recycle.dataset.extract.extract`.
    """
    job = job or Job()
    footage = pipeline.footage
    if footage.street is not None:
        footage = make_street(footage.street, where.footage, paired=footage.paired, job=job)
    for domain in DOMAINS:  # both, before the first is extracted
        paths = footage.learned(domain)
        if not paths:
            raise FootageError(
                f"there is no footage for domain {pipeline.domains.of(domain)}; give --{domain}, or set "
                f"footage.{domain} in the file"
            )
        if not all(is_extracted(path) for path in paths):
            find_sources(paths)
    both = []
    for domain in DOMAINS:
        paths, called = footage.learned(domain), pipeline.domains.of(domain)
        masks = footage.masks(domain)
        if all(is_extracted(path) for path in paths):
            shots = [shot for path in paths for shot in find_shots(path)]
            if masks and not (masks == paths and all(shot.masked for shot in shots)):
                raise FootageError(
                    f"footage.{domain} is already extracted, so footage.mask_{domain} must name the same folders, made "
                    "with masks: 'recycle extract VIDEO… --mask MASK… --out FOLDER'"
                )
            both.append(shots)
            continue
        report = extract(
            paths, where.frames / domain, pipeline.extract, masks=masks, job=job, what=f"extracting {called}"
        )
        for line in (*report.failures, *report.notices):
            job.say(line)
        both.append([shot for folder in report.folders for shot in find_shots(folder)])
    return footage, both[0], both[1]


def learn(
    pipeline: Pipeline,
    where: RunFolder,
    *,
    origin: str | None = None,
    surveyed: bool = False,
    job: Job | None = None,
) -> TrainReport:
    """Prepare the footage and train in the run's folder, on all requested devices; the same call continues.

    Only one process prepares the footage. `origin` is the pipeline file (see `recycle.runs.origin`). `surveyed`: see
    `recycle.training.loop.train`. Raises the errors of `prepare_footage`, `recycle.training.loop.train` and
    `recycle.runs.origin.claim`; ConfigError if a network cannot be built or a tracker is not installed; Interrupted if
    the job is cancelled.
    """
    job = job or Job()
    check_pipeline(pipeline)
    with on_devices(pipeline) as fabric, alone_in(where.folder, fabric, own := _of_this_process(job, fabric)):
        once(fabric, lambda: _begin(pipeline, where, origin))
        tell_unused_gpu(pipeline.train.device, own)
        _, shots_a, shots_b = once(fabric, lambda: prepare_footage(pipeline, where, job=own))
        return train(pipeline, shots_a, shots_b, where.folder, surveyed=surveyed, job=own, fabric=fabric)


def _begin(pipeline: Pipeline, where: RunFolder, origin: str | None) -> None:
    """Record to which file the run belongs and, for a new run, its pipeline: it may be stopped before it trains.

    Training replaces the record of the pipeline; that of a run with a checkpoint stays until the checkpoint is loaded.
    Raises, before the footage of a new run is prepared, FootageError if it does not exist, and BundleError if the run
    is to start from a model that does not exist.
    """
    claim(where, origin)
    if not where.checkpoint.exists():
        if pipeline.train.start_from is not None:
            read_config(find_model(pipeline.train.start_from, further=DISCRIMINATORS))
        if pipeline.footage.street is None:
            for domain in DOMAINS:
                find_sources([path for path in pipeline.footage.learned(domain) if not is_extracted(path)])
        with writing(where.pipeline):
            write_text(where.pipeline, pipeline.model_dump_json(indent=2) + "\n")


def check_pipeline(pipeline: Pipeline) -> None:
    """Raise ConfigError if a network cannot be built or a tracker is missing; called before the footage is prepared."""
    check_trackers(pipeline.train.trackers)
    check_networks(BundleConfig(networks=pipeline.networks, predictors=pipeline.predicts), size=pipeline.train.size)
