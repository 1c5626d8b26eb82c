"""Writes the report of a run, and describes which of its models to use."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import recycle
from recycle.config import FootageSettings, Pipeline
from recycle.dataset.shots import Shot
from recycle.domains import DIRECTIONS, Domain, Names
from recycle.errors import FootageError
from recycle.evaluation.curves import read_scalars
from recycle.evaluation.page import VideoRow
from recycle.evaluation.report import write_report
from recycle.evaluation.verdict import Verdict, judge
from recycle.inputs import open_source
from recycle.names import plain
from recycle.networks.bundle import read_config
from recycle.plural import counted
from recycle.run_folder import RunFolder, model_in
from recycle.runs.learning import learning_of
from recycle.runs.scoring import TestClip
from recycle.training.loop import TrainReport

_PATHS = 3
"""Maximum number of footage paths per domain that a report lists."""


def model_lines(where: RunFolder) -> list[str]:
    """Lines that name the model of a trained run to use, and the command that translates with it."""
    chosen = model_in(where.folder)
    folder, names = shlex.quote(plain(str(where.folder))), read_config(chosen).domains
    return [
        f"model       {chosen}   <- {_described(where, chosen)}",
        f"translate   recycle translate INPUT OUTPUT --model {folder} --to {names.b}   (or --to {names.a})",
    ]


def write_run_report(
    pipeline: Pipeline,
    where: RunFolder,
    *,
    model: Path,
    trained: TrainReport,
    clips: Sequence[TestClip],
    scores: dict[str, float],
    footage: FootageSettings,
    shots: Mapping[Domain, Sequence[Shot]],
    command: str = "",
) -> Verdict:
    """Write the report of a run, an HTML page, and return the verdict at its beginning.

    `model` is the bundle that translated `clips`, `trained` the report of the training, and `scores` those of
    metrics.json. `footage` holds the paths of the training footage, and `shots` the shots extracted from them.
    `command` is the command as the user typed it; '' if unknown.
    """
    names, rows = pipeline.domains, []
    for clip in clips:
        videos = [("source", clip.source), ("translated", clip.translated)]
        videos += [("truth", clip.truth)] if clip.truth else []
        videos += [("translated back", clip.back)] if clip.back else []
        rows.append(VideoRow(f"{names.way(clip.direction)}: {clip.source.name}", videos))
    verdict = judge(scores, learning_of(where, trained.step, trained.seconds), names)
    write_report(
        where.report,
        title=pipeline.name,
        rows=rows,
        metrics=scores,
        curves=read_scalars(where.logs),
        neighbours={names.way(d): file for d in DIRECTIONS if (file := where.neighbours(d.name)).is_file()},
        previews=where.preview_images(),
        facts={
            "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
            "duration of training": f"{timedelta(seconds=round(trained.seconds))} for {counted(trained.step, 'step')}",
            "model": f"{model.name}: {_described(where, model)}",
            **_footage_facts(footage, shots, clips, names),
            "generator": pipeline.networks.generator.description,
            "training size": "{1}×{0}".format(*pipeline.train.size),
            "recycle": recycle.__version__,
        },
        command=command,
        verdict=verdict,
        names=names,
    )
    return verdict


def _described(where: RunFolder, model: Path) -> str:
    """The step of a run's model, and the reason why it is chosen."""
    step, last = read_config(model).step, read_config(where.model).step
    if model == where.model:
        return f"the last model, from step {step}"
    if step == last:
        return f"the last model, from step {step}; no other one has a clearly better validation score"
    return (
        f"from step {step}, with a better validation score than the last; {where.model.name} holds that, of step {last}"
    )


def _footage_facts(
    footage: FootageSettings, shots: Mapping[Domain, Sequence[Shot]], clips: Sequence[TestClip], names: Names
) -> dict[str, str]:
    """Facts for the report: paths and length of the training footage and test clips of each domain."""
    facts = {}
    for d in DIRECTIONS:
        own = shots[d.source]
        frames = sum(len(shot.files) for shot in own)
        seconds = sum(len(shot.files) * shot.interval for shot in own)
        length = f", {seconds:.4g} s" if all(shot.interval for shot in own) else ""
        paths = _named(footage.learned(d.source))
        counts = f"{counted(len(own), 'shot')}, {counted(frames, 'frame')}"
        facts[f"footage {names.of(d.source)}"] = f"{paths} ({counts}{length})"
    for d in DIRECTIONS:
        sources = [clip.source for clip in clips if clip.direction == d]
        if sources:
            length = f"{counted(len(sources), 'clip')}{_length(sources)}"
            facts[f"test clips {names.of(d.source)}"] = f"{_named(sources)} ({length})"
    return facts


def _named(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _PATHS} more" if len(paths) > _PATHS else ""
    return ", ".join(plain(str(path)) for path in paths[:_PATHS]) + more


def _length(sources: Sequence[Path]) -> str:
    """Total length of the videos as text, from their stated durations; '' if the duration of one is unknown."""
    seconds = 0.0
    for source in sources:
        try:
            with open_source(source) as reader:
                duration = reader.info.duration
        except FootageError:
            duration = None
        if duration is None:
            return ""
        seconds += float(duration)
    return f", {seconds:.4g} s"
