"""Compares training runs on one page: their settings, scores and curves, and their translations of the same clips."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from recycle.config import FootageSettings, Settings, TranslateSettings
from recycle.config.base import two_names
from recycle.domains import DIRECTIONS, LETTERS, Direction, Names
from recycle.errors import BundleError, ConfigError, FootageError, OutputError, RecycleError
from recycle.evaluation.compare import TEMPLATE, ComparedRun, write_comparison
from recycle.evaluation.curves import read_scalars
from recycle.evaluation.page import VideoRow, is_page, videos_folder
from recycle.evaluation.ranking import Ranking, rank
from recycle.evaluation.table import NONE
from recycle.events import Event, Job, Observer, Progress
from recycle.inputs import open_source
from recycle.networks.bundle import read_config
from recycle.run_folder import WEIGHTS, RunFolder, is_bundle, model_in
from recycle.runs.pipeline import street_footage
from recycle.runs.scoring import TestClip, test_clips, translation_stage
from recycle.runs.stage import Stage
from recycle.training.checkpoint import load_checkpoint
from recycle.translation.translator import Translator
from recycle.video.fingerprint import fingerprint
from recycle.video.padding import is_padded

Key = tuple[Direction, str]
"""Direction and fingerprint of a test video. Equal keys mean equal clips, even at different paths."""
S = TypeVar("S", bound=Settings)


def compare(
    folders: Sequence[Path],
    out: Path,
    *,
    a: Sequence[Path] = (),
    b: Sequence[Path] = (),
    overwrite: bool = False,
    job: Job | None = None,
) -> Ranking:
    """Write the page `out` about the runs in `folders`, finished or not, and return their ranking.

    The page shows the videos `a` and `b`. If none are given, it shows the test clips that all runs share; without such
    clips, the held-out frames that all runs share. Translations that a run made with its present model are reused.
    Without `overwrite`, an existing file is replaced only if this function wrote it.

    Raises RecycleError for fewer than two runs, for a folder given twice, and for a folder that is not a run's;
    ConfigError if a JSON file of a run cannot be read; OutputError if the page exists or cannot be written;
    FootageError if a video cannot be read; BundleError for a damaged model; Interrupted if the job is cancelled.
    """
    job = job or Job()
    _check_output(out, overwrite)
    if len(folders) < 2:
        raise RecycleError("there is nothing to compare; give the folders of at least two runs")
    runs = [
        TrainedRun(name, RunFolder(folder), _read_settings(RunFolder(folder)))
        for name, folder in zip(unique_names(folders), folders, strict=True)
    ]
    names = _shared_names(runs)
    shown = _shown(runs, a, b, job)
    compared = [run.compared() for run in runs]
    work = videos_folder(out)
    made: list[Stage] = []
    columns = []
    for number, run in enumerate(runs, 1):
        place = work / f"{number}-{run.where.folder.resolve().name}"
        columns.append([run.translated(clip, made, overwrite, job) for clip in test_clips(shown.clips, place)])
    rows = []
    for clip, *videos in zip(test_clips(shown.clips, work), *columns, strict=True):
        row: list[tuple[str, Path | None]] = [("source", clip.source)]
        row += [(run.name, video) for run, video in zip(runs, videos, strict=True)]
        truth = shown.truths.get((clip.direction, fingerprint(clip.source)))
        row += [("truth", truth)] if truth else []
        name = "held-out frames" if shown.held_out else clip.source.name
        rows.append(VideoRow(f"{names.way(clip.direction)}: {name}", row))
    ranking = rank({run.name: run.metrics for run in compared}, names)
    if write_comparison(out, compared, rows=rows, ranking=ranking, names=names):
        for stage in made:
            stage.remove()
        with suppress(OSError):  # the folder is not empty
            work.rmdir()
    return ranking


def unique_names(folders: Sequence[Path]) -> list[str]:
    """The names of the folders, each with as many parents as it takes to make them unique, such as 'a/run'.

    Raises RecycleError if a folder is given twice.
    """
    parts = [folder.resolve().parts for folder in folders]
    names = []
    for own, folder in zip(parts, folders, strict=True):
        if parts.count(own) > 1:
            raise RecycleError(f"the run {folder} is given twice; give each run once")
        length = next(n for n in range(1, len(own) + 1) if sum(other[-n:] == own[-n:] for other in parts) == 1)
        names.append("/".join(own[-length:]))
    return names


@dataclass(frozen=True)
class TrainedRun:
    """A training run to compare."""

    name: str
    where: RunFolder
    settings: dict[str, Any]
    """Its Pipeline as JSON, possibly written by another version of recycle."""

    @cached_property
    def model(self) -> Path | None:
        """The folder of its best model, or of its last one if there is no best; None if it has no model yet."""
        found = model_in(self.where.folder)
        return found if is_bundle(found) else None

    @cached_property
    def weights(self) -> str | None:
        """Fingerprint of the weights of `model`; None without a model."""
        return None if self.model is None else fingerprint(self.model / WEIGHTS)

    @cached_property
    def tests(self) -> dict[Key, TestClip]:
        """Its test clips that still exist."""
        clips = [clip for clip in self._all_tests[0] if clip.source.exists()]
        return {(clip.direction, fingerprint(clip.source)): clip for clip in clips}

    @cached_property
    def held_out(self) -> dict[tuple[Direction, str], Path]:
        """Its clips of held-out frames, by direction and file name. Equal names mean equal frames."""
        found = ((d, file) for d in DIRECTIONS for file in self.where.held_out.glob(f"{d.source}-*.mp4"))
        return {(d, file.name): file for d, file in found}

    @property
    def paired(self) -> bool:
        """Whether its footage is paired."""
        return self._group(FootageSettings, "footage").paired

    def translated(self, clip: TestClip, made: list[Stage], overwrite: bool, job: Job) -> Path | None:
        """The translation of `clip` with the run's model: an existing one of the run, or a new one.

        The stage of a new one is added to `made`. None if the run has no model yet.
        """
        if self.model is None or self.weights is None:
            return None
        settings = self._group(TranslateSettings, "translate")
        own = self.tests.get((clip.direction, fingerprint(clip.source)))
        if own and not translation_stage(own.source, own.translated, own.to, self.weights, settings).needed:
            return own.translated
        look = {"scale", "smoothing", "stabilise", "detail", "batch_size"}
        settings = TranslateSettings(**settings.model_dump(include=look))
        with translation_stage(clip.source, clip.translated, clip.to, self.weights, settings) as stage:
            if stage.needed:
                Translator.from_pretrained(self.model).translate_video(
                    clip.source,
                    clip.translated,
                    to=clip.to,
                    settings=settings,
                    overwrite=overwrite or stage.done_before,
                    job=job.observed_by(self._named(job)),
                )
        made.append(stage)
        return clip.translated

    def _named(self, job: Job) -> Observer:
        """An observer that forwards progress to `job` with the run's name, and drops other events."""

        def observe(event: Event) -> None:
            if isinstance(event, Progress):
                job.emit(replace(event, what=f"{self.name}: {event.what}"))

        return observe

    def compared(self) -> ComparedRun:
        """The facts that the page shows about the run."""
        hours, planned = (self.settings["train"].get(name) for name in ("hours", "steps"))
        length = f"steps in {hours:g} h" if hours else f"of {planned} steps"
        step = None if self.model is None else self._step(self.where.model)
        metrics, notes = self._metrics(), []
        if step is None:
            notes.append("no model yet")
        elif not hours and planned and step < planned:
            notes.append("training is not finished")
        if not metrics:
            notes.append("no scores yet")
        elif old := self._old_scores():
            notes.append(old)
        clips, reasons = self._all_tests
        notes += [
            *reasons,
            *(f"the test clip {clip.source.name} no longer exists" for clip in clips if not clip.source.exists()),
        ]
        return ComparedRun(
            name=self.name,
            steps=NONE if step is None else f"{step} {length}",
            model=self._shown_model(),
            notes=notes,
            settings=self.settings,
            metrics=metrics,
            curves=read_scalars(self.where.logs),
        )

    @cached_property
    def _all_tests(self) -> tuple[list[TestClip], list[str]]:
        """Its test clips, including missing ones; if they cannot be determined, an empty list and the reason."""
        footage = self._group(FootageSettings, "footage")
        if footage.street is not None:
            footage = street_footage(self.where.footage)
        try:
            return test_clips(footage, self.where.translated), []
        except FootageError as error:  # a folder is empty now, or its number of videos changed
            return [], [str(error)]

    def _group(self, model: type[S], name: str) -> S:
        """A group of its settings. If another version wrote them and they are not valid now, the defaults."""
        try:
            return model.model_validate(self.settings.get(name, {}))
        except ValidationError:
            return model()

    def _step(self, model: Path) -> int | None:
        try:
            return read_config(model).step
        except BundleError:
            return None

    def _shown_model(self) -> str:
        """The model that is shown, as text, such as 'best, step 3000'."""
        if self.model is None:
            return NONE
        kind = "best" if self.model == self.where.best else "last"
        return f"{kind}, step {self._step(self.model)}"

    def _metrics(self) -> dict[str, float]:
        if not self.where.metrics.is_file():
            return {}
        metrics = _read_json(self.where.metrics)
        return {name: value for name, value in metrics.items() if isinstance(value, int | float)}

    def _old_scores(self) -> str:
        """A note if its scores are not those of the model that is shown; '' if they are."""
        stamps = [_read_json(file) for file in self.where.stamps.glob("[!.]*.json")]
        others = {stamp.get("model") for stamp in stamps} - {self.weights}
        if not others:
            return ""
        last = self.where.model / WEIGHTS
        if last.is_file() and others == {fingerprint(last)}:
            return "the scores are of the last model; run 'recycle run' again to score the best one"
        return "the scores are of an earlier model; run 'recycle run' again to score this one"


def _check_output(out: Path, overwrite: bool) -> None:
    if out.is_dir():
        raise OutputError(f"cannot write {out}: it is a folder; give the name of a file, such as compare.html")
    if out.exists() and not overwrite and not is_page(out, TEMPLATE):
        raise OutputError(f"{out} exists and was not written by 'recycle compare'; give --overwrite to replace it")


def _read_settings(where: RunFolder) -> dict[str, Any]:
    if where.pipeline.is_file():
        settings = _read_json(where.pipeline)
    elif where.checkpoint.is_file():  # early versions of recycle wrote no pipeline.json
        try:
            settings = json.loads(load_checkpoint(where.checkpoint)["pipeline"])
        except KeyError as error:
            raise BundleError(f"{where.checkpoint} was not written by recycle; give the folder of a run") from error
    else:
        raise RecycleError(
            f"{where.folder} is not the folder of a run: it has neither {where.pipeline.name} nor "
            f"{where.checkpoint.name}; give one that 'recycle train' or 'recycle run' wrote, such as runs/demo"
        )
    if not isinstance(settings.get("train"), dict):
        raise RecycleError(f"{where.pipeline} holds no settings of a run; give a folder that 'recycle train' wrote")
    return settings


def _read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a run. Raises ConfigError if the file cannot be read or holds no JSON object."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read {file}: {error}; remove it and run 'recycle run' again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} holds no JSON object; remove it and run 'recycle run' again")
    return content


def _shared_names(runs: Sequence[TrainedRun]) -> Names:
    """Names of the domains if all runs use the same names, else the letters."""
    try:
        first, *others = [two_names(run.settings.get("domains", LETTERS)) for run in runs]
    except ValueError:  # written by another version
        return LETTERS
    return first if all(each == first for each in others) else LETTERS


class _Shown(NamedTuple):
    """The clips that the page shows."""

    clips: FootageSettings
    """The clips, as `test_a` and `test_b`."""
    truths: dict[Key, Path]
    """The known true counterparts."""
    held_out: bool
    """Whether the clips are held-out frames of the runs' own footage."""


def _shown(runs: Sequence[TrainedRun], a: Sequence[Path], b: Sequence[Path], job: Job) -> _Shown:
    tests = [run.tests for run in runs]
    known = {key: clip.truth for own in reversed(tests) for key, clip in own.items() if clip.truth}
    for path in (*a, *b):
        with open_source(path) as source:
            if source.still:
                raise FootageError(f"{path} is a single image; give a video, or a folder of numbered images")
    if a or b:
        given = zip(DIRECTIONS, (a, b), strict=True)
        chosen = {(way, fingerprint(path)): path for way, paths in given for path in paths}
    else:
        chosen = {key: clip.source for key, clip in tests[0].items() if all(key in own for own in tests)}
    if held_out := not chosen:
        shared = {key: file for key, file in runs[0].held_out.items() if all(key in run.held_out for run in runs)}
        chosen = {(way, fingerprint(file)): file for (way, _), file in shared.items()}
        if runs[0].paired and len(chosen) == len(DIRECTIONS):
            known = dict(zip(chosen, reversed(chosen.values()), strict=True))
    truths = {key: known[key] for key, path in chosen.items() if key in known and _fits(known[key], path, job)}
    test_a, test_b = (tuple(path for key, path in chosen.items() if key[0] == way) for way in DIRECTIONS)
    return _Shown(FootageSettings(test_a=test_a, test_b=test_b), truths, held_out)


def _fits(truth: Path, source: Path, job: Job) -> bool:
    """Whether `truth` exists and has the size of `source`; if not, the job receives a notice with the reason."""
    if not truth.exists():
        job.say(f"left out {truth}, the true counterpart of {source.name}: it no longer exists")
        return False
    with open_source(truth) as one, open_source(source) as other:
        sizes = [(reader.info.width, reader.info.height) for reader in (one, other)]
    if not is_padded(sizes[1], sizes[0]):
        shown = ["{}×{}".format(*size) for size in sizes]
        job.say(
            f"left out {truth}, the true counterpart of {source.name}: it has {shown[0]} pixels, the source {shown[1]}"
        )
        return False
    return True
