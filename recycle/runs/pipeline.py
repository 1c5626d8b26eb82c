"""`recycle run`: every stage of a pipeline in order, each skipped where its result is there already."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

import recycle
from recycle.config import (
    FootageSettings,
    Pipeline,
    ResNetSettings,
    StreetSettings,
    find_pipeline,
    load_pipeline,
    parse_pipeline,
)
from recycle.dataset.clips import Shot, find_shots
from recycle.dataset.extract import extract
from recycle.dataset.glance import is_extracted
from recycle.domains import DIRECTIONS, DOMAINS
from recycle.errors import ConfigError, FootageError
from recycle.evaluation.curves import read_scalars
from recycle.evaluation.page import VideoRow
from recycle.evaluation.report import write_report
from recycle.events import Job, ignore
from recycle.networks.bundle import BundleConfig, check_networks, load_bundle
from recycle.run_folder import RunFolder
from recycle.runs.scoring import TestClip, evaluate_tests, foresee_tests, prepare_features, test_clips, translate_tests
from recycle.runs.stage import Stage
from recycle.safe_text import printable
from recycle.street.film import Street
from recycle.training.lock import alone_in
from recycle.training.loop import TrainReport, train
from recycle.training.processes import on_devices, once
from recycle.video.find import find_sources


def open_pipeline(
    pipeline: Pipeline | Path, *, domains: Sequence[str] | None = None, **changes: Mapping[str, Any]
) -> Pipeline:
    """A pipeline as given, or by path or shipped name, with names of the domains and settings of its groups
    replaced where not None.

    The footage's paths become absolute, so that the record in a run's folder names it wherever it is read. Steps that
    are given take the place of hours in the file. Raises ConfigError as load_pipeline, and for both given.
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
    if (teacher := data["train"]["teacher"]) is not None:
        data["train"]["teacher"] = Path(teacher).absolute()
    return parse_pipeline(data, where=where)


def distillation(model: Path, *, width: int, blocks: int, **changes: Mapping[str, Any]) -> Pipeline:
    """A pipeline that trains generators of that width and depth to repeat the translations of the bundle `model`.

    changes: settings of its groups; None: as they are. Raises BundleError if `model` is no bundle, ConfigError for
    settings that do not fit.
    """
    teacher = load_bundle(model).config
    side = teacher.short_side // 4 * 4
    own = teacher.networks.generator
    kept = own.model_dump() if isinstance(own, ResNetSettings) else {"skip": getattr(own, "skip", False)}
    data: dict[str, Any] = {
        "name": re.sub(r"[/\\]", "_", printable(teacher.name))[:90] + "-fast",
        "domains": teacher.domains,
        "extract": {"short_side": teacher.short_side},
        "networks": {"generator": kept | {"width": width, "blocks": blocks}},
        "losses": {"weights": {"adversarial": 0, "distillation": 1}},
        "train": {
            "teacher": model.absolute(),
            "size": (side, side),
            "steps": 5000,
            "learning_rate": 1e-3,
            "preview_every": 500,
        },
    }
    for group, values in changes.items():
        data[group] = data.get(group, {}) | {key: value for key, value in values.items() if value is not None}
    return parse_pipeline(data, where=f"distillation of {model}")


def run(pipeline: Pipeline, folder: Path, *, job: Job | None = None) -> RunFolder:
    """Footage → frames → training → translation of the test clips → scores → report, all in `folder`.

    What is done already is skipped, so that an interrupted run continues when it is called again. Training alone uses
    several devices. Raises RecycleError subclasses of the stages; Interrupted where the job is cancelled.
    """
    job = job or Job()
    where = RunFolder(folder)
    footage = pipeline.footage
    # What is missing is said now, not after hours.
    find_sources((*footage.test_a, *footage.test_b, *footage.truth_ab, *footage.truth_ba))
    test_clips(footage, where.translated)
    _check_networks(pipeline)
    with ExitStack() as whole:  # the folder is held to the end, the other devices only while it trains
        with on_devices(pipeline) as fabric:
            job = _of_this_process(job, fabric)
            whole.enter_context(alone_in(where.folder, fabric, job))
            once(fabric, lambda: foresee_tests(footage, pipeline.translate, where, job=job))
            footage, shots_a, shots_b = once(fabric, lambda: prepare_footage(pipeline, where, job=job))
            once(fabric, lambda: prepare_features(pipeline.evaluate, job=job))
            train(pipeline, shots_a, shots_b, where.folder, job=job, fabric=fabric)
        clips = translate_tests(footage, pipeline.translate, str(where.model), where, job=job)
        scores = evaluate_tests(
            pipeline, clips, where, trained=dict(zip(DOMAINS, (shots_a, shots_b), strict=True)), job=job
        )
        _report(pipeline, clips, scores, where)
    return where


def _of_this_process(job: Job, fabric: Fabric) -> Job:
    """Of many processes one alone tells of its work."""
    return job if fabric.is_global_zero else job.observed_by(ignore)


def make_street(
    settings: StreetSettings, folder: Path, *, paired: bool = False, job: Job | None = None
) -> FootageSettings:
    """Film the street: training footage for a and b, of different scenes unless paired, and one unseen clip seen
    both ways. Raises Interrupted where the job is cancelled."""
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
    """Where a street's films lie in `folder`."""
    a, b, test_a, test_b = ((folder / name,) for name in ("a.mp4", "b.mp4", "test_a.mp4", "test_b.mp4"))
    return FootageSettings(a=a, b=b, test_a=test_a, test_b=test_b, truth_ab=test_b, truth_ba=test_a)


def prepare_footage(
    pipeline: Pipeline, where: RunFolder, *, job: Job | None = None
) -> tuple[FootageSettings, list[Shot], list[Shot]]:
    """The footage's paths and the shots of both domains.

    A street is filmed; footage that is not extracted yet is extracted into the run's folder. What lies there of other
    sources, of an earlier call, is left out.
    """
    job = job or Job()
    footage = pipeline.footage
    if footage.street is not None:
        footage = make_street(footage.street, where.footage, paired=footage.paired, job=job)
    both = []
    for domain in DOMAINS:
        paths, called = footage.learned(domain), pipeline.domains.of(domain)
        if not paths:
            raise FootageError(
                f"no footage for domain {called}; name it in the pipeline file as footage.{domain} or by --{domain}"
            )
        if all(is_extracted(path) for path in paths):
            both.append([shot for path in paths for shot in find_shots(path)])
            continue
        report = extract(paths, where.frames / domain, pipeline.extract, job=job, what=f"extracting {called}")
        for path, reason in report.failed:
            job.say(f"skipped {path}: {reason}")
        for notice in report.notices:
            job.say(notice)
        both.append([shot for folder in report.folders for shot in find_shots(folder)])
    return footage, both[0], both[1]


def learn(pipeline: Pipeline, where: RunFolder, *, job: Job | None = None) -> TrainReport:
    """Prepare the footage, once, and train, or continue to train, in the run's folder on all devices asked for.

    Raises as `prepare_footage` and `train`; Interrupted where the job is cancelled.
    """
    job = job or Job()
    _check_networks(pipeline)
    with on_devices(pipeline) as fabric, alone_in(where.folder, fabric, own := _of_this_process(job, fabric)):
        _, shots_a, shots_b = once(fabric, lambda: prepare_footage(pipeline, where, job=own))
        return train(pipeline, shots_a, shots_b, where.folder, job=own, fabric=fabric)


def _check_networks(pipeline: Pipeline) -> None:
    """Raise ConfigError for networks that cannot be built, before the footage is prepared."""
    check_networks(BundleConfig(networks=pipeline.networks, predictors=pipeline.predicts), size=pipeline.train.size)


def _report(pipeline: Pipeline, clips: Sequence[TestClip], scores: dict[str, float], where: RunFolder) -> None:
    names, rows = pipeline.domains, []
    for clip in clips:
        videos = [("source", clip.source), ("translated", clip.translated)]
        videos += [("truth", clip.truth)] if clip.truth else []
        rows.append(VideoRow(f"{names.way(clip.direction)}: {clip.source.name}", [*videos, ("back again", clip.back)]))
    facts = {
        "steps": str(load_bundle(where.model).config.step),
        "generator": pipeline.networks.generator.description,
        "training size": "{1}×{0}".format(*pipeline.train.size),
        "recycle": recycle.__version__,
    }
    write_report(
        where.report,
        title=pipeline.name,
        rows=rows,
        metrics=scores,
        curves=read_scalars(where.logs),
        neighbours={names.way(d): file for d in DIRECTIONS if (file := where.neighbours(d.name)).is_file()},
        previews=sorted(where.previews.glob("*.png")),
        facts=facts,
        names=names,
    )
