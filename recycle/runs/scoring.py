"""Translates test clips to the other domain and back, and scores the results."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from recycle.config import EvaluateSettings, FootageSettings, Pipeline, TranslateSettings
from recycle.dataset.shots import Shot, find_shots
from recycle.domains import DIRECTIONS, DOMAINS, Direction, Domain
from recycle.errors import FootageError
from recycle.evaluation.evaluate import ClipSet, evaluate
from recycle.evaluation.features import describe_for_memorisation, open_features
from recycle.evaluation.findings import findings
from recycle.evaluation.inception import load_inception
from recycle.evaluation.lite import LiteNetwork
from recycle.evaluation.memorisation import Gallery
from recycle.evaluation.neighbours import write_neighbours
from recycle.evaluation.palette import open_palette
from recycle.evaluation.street_features import cache_file, street_network
from recycle.evaluation.table import STEP
from recycle.events import Job
from recycle.inputs import open_source
from recycle.networks.bundle import read_config
from recycle.rendering.prepare import foresee
from recycle.run_folder import IDENTITY, WEIGHTS, RunFolder
from recycle.runs.stage import Stage
from recycle.system.atomic import write_text
from recycle.system.devices import find_device
from recycle.system.lock import only_one
from recycle.translation.translator import Translator
from recycle.video.find import Found, find_footage, find_sources
from recycle.video.fingerprint import fingerprint
from recycle.video.padding import is_padded


@dataclass(frozen=True)
class TestClip:
    """An unseen video, and the paths of its translations."""

    direction: Direction
    """Direction of the translation."""
    source: Path
    """The unseen video."""
    truth: Path | None
    """Its true counterpart in the target domain; None if unknown."""
    translated: Path
    """Path of its translation."""
    back: Path | None
    """Path of the translation back to its own domain; None if the model translates only in this direction."""

    @property
    def to(self) -> Domain:
        """The domain to which it is translated."""
        return self.direction.target


def test_clips(footage: FootageSettings, folder: Path) -> list[TestClip]:
    """The test videos of `footage`, including those in its folders, with the paths of their translations in `folder`.

    Raises FootageError if a folder holds no video, or if there are true counterparts but not one for each video.
    """
    clips = []
    for d in DIRECTIONS:
        given = (footage.tests(d), footage.truths(d))
        sources, truths = ([one for path in paths for one in _videos(path)] for paths in given)
        if truths and len(truths) != len(sources):
            raise FootageError(
                f"there are {len(sources)} test videos of domain {d.source} and {len(truths)} true counterparts of "
                "them; give one for each, in the same order"
            )
        for number, source in enumerate(sources):
            unique = len({s.stem for s in sources}) == len(sources)
            stem = f"{source.stem if unique else number}_{d.name}"
            truth = truths[number] if truths else None
            clips.append(TestClip(d, source, truth, folder / f"{stem}.mp4", folder / f"{stem}_back.mp4"))
    return clips


def _videos(path: Path) -> list[Path]:
    return find_sources([path]) if path.is_dir() else [path]


def translate_tests(
    footage: FootageSettings, settings: TranslateSettings, model: str, where: RunFolder, *, job: Job | None = None
) -> list[TestClip]:
    """Translate each test video to the other domain and, if the model can, back again for the cycle error.

    `model` is the folder of a bundle, or IDENTITY. Translations that are up to date are kept. Returns the clips. Raises
    FootageError as `test_clips`; ConfigError if the model does not translate in a direction; Busy if another process
    translates or evaluates in this folder; Interrupted if the job is cancelled; and the errors of `Translator`.
    """
    job = job or Job()
    clips = _within(test_clips(footage, where.translated), model)
    _check_truths(clips)
    for line in _not_taken(footage):
        job.say(line)
    if clips:
        with _alone(where):
            _translate(clips, settings, model, job)
    return clips


def _check_truths(clips: Sequence[TestClip]) -> None:
    """Raise FootageError if a true counterpart has another size than its video; an encoder may have made it even."""
    for clip in clips:
        if clip.truth is not None:
            with open_source(clip.source) as source, open_source(clip.truth) as truth:
                own, other = source.info, truth.info
            if not is_padded((own.height, own.width), (other.height, other.width)):
                raise FootageError(
                    f"{clip.source.name}: truth is {other.width}×{other.height} pixels and the source "
                    f"{own.width}×{own.height}; both must have the same size, so resize one of them"
                )


def _within(clips: Sequence[TestClip], model: str) -> list[TestClip]:
    """The clips, without the way back if the model translates only in one direction.

    Raises ConfigError if it does not translate a clip.
    """
    if model == IDENTITY or not clips:
        return list(clips)
    config = read_config(Path(model))
    for clip in clips:
        config.target(clip.to)
    return [clip if clip.direction.back in config.directions else replace(clip, back=None) for clip in clips]


def _not_taken(footage: FootageSettings) -> list[str]:
    """Lines about the entries that are left out of folders of test videos, one line for each reason."""
    folders = [path for path in (*footage.test_a, *footage.test_b) if path.is_dir()]
    found = find_footage(folders) if folders else Found()
    return found.messages()


def _alone(where: RunFolder) -> AbstractContextManager[bool]:
    refusal = f"another recycle process is translating or evaluating in {where.folder}; wait for it, or stop it"
    return only_one(where.scoring_lock, refusal)


def _translate(clips: Sequence[TestClip], settings: TranslateSettings, model: str, job: Job) -> None:
    model_key = model if model == IDENTITY else fingerprint(Path(model) / WEIGHTS)
    translator: Translator | None = None
    for clip in clips:
        for source, output, to in (
            (clip.source, clip.translated, clip.to),
            (clip.translated, clip.back, clip.direction.source),
        ):
            if output is None:
                continue
            with translation_stage(source, output, to, model_key, settings) as stage:
                if not stage.needed:
                    continue
                translator = translator or Translator.from_pretrained(
                    model, device=settings.device, precision=settings.precision
                )
                translator.translate_video(
                    source, output, to=to, settings=settings, overwrite=True, job=job.about(source.name)
                )


def foresee_tests(
    footage: FootageSettings, settings: TranslateSettings, where: RunFolder, *, job: Job | None = None
) -> None:
    """Report before the work what cannot be preserved in the translations of the test videos.

    The job receives notices. Raises FootageError, OutputError or ConfigError if a video cannot be translated.
    """
    job = job or Job()
    clips = test_clips(footage, where.translated)
    _check_truths(clips)
    for clip in clips:
        for notice in foresee(clip.source, clip.translated, settings):
            job.say(f"{clip.source.name}: {notice}")


def translation_stage(source: Path, output: Path, to: Domain, model_key: str, settings: TranslateSettings) -> Stage:
    """The stage that translates `source` to `output`; `model_key` is the fingerprint of the weights, or IDENTITY."""
    key = {
        "settings": settings.record(),
        "model": model_key,
        "source": fingerprint(source),
        "to": to,
    }
    return Stage(output.name, key, [output], output.parent)


def score_model(task: Pipeline, model: str, folder: Path, *, job: Job | None = None) -> dict[str, float]:
    """Translate the test videos of `task.footage` into `folder`, and score them. Returns the scores by name.

    `model` is the folder of a bundle, or IDENTITY. `task.footage.a` and `.b` are folders of extracted frames that the
    model learned from; they may be empty. Raises FootageError if there is nothing to score; BundleError if `model` is
    not a bundle; and the errors of `prepare_features`, `translate_tests` and `evaluate_tests`.
    """
    job = job or Job()
    if model != IDENTITY:
        read_config(Path(model))
    prepare_features(task.evaluate, job=job)
    where = RunFolder(folder)
    trained = {each: [shot for path in task.footage.learned(each) for shot in find_shots(path)] for each in DOMAINS}
    clips = translate_tests(task.footage, task.translate, model, where, job=job)
    if not clips:
        raise FootageError("no clips to evaluate; give unseen videos of domain a or b by --a or --b")
    step = None if model == IDENTITY else read_config(Path(model)).step
    return evaluate_tests(task, clips, where, trained=trained, step=step, job=job)


def evaluate_tests(
    pipeline: Pipeline,
    clips: Sequence[TestClip],
    where: RunFolder,
    *,
    trained: Mapping[Domain, Sequence[Shot]],
    step: int | None = None,
    job: Job,
) -> dict[str, float]:
    """Score the translated test videos, and write metrics.json. Returns the scores by name.

    `trained` holds the frames that the model learned from, which may be none. For each direction, a picture beside
    metrics.json shows the training frames that are nearest to the translations. `step` is the training step of the
    model and is recorded with the scores. The job receives progress, and a notice for each failure that the scores
    reveal. Raises Busy if another process translates or evaluates in this folder; Interrupted if the job is cancelled;
    and the errors of `recycle.evaluation.evaluate.evaluate`.
    """
    settings = pipeline.evaluate
    videos = [video for clip in clips for video in (clip.source, clip.truth, clip.translated, clip.back) if video]
    folders = sorted({shot.files[0].parent for shots in trained.values() for shot in shots})
    own = [path for path in (settings.features, settings.palette) if isinstance(path, Path)]
    files = [fingerprint(path) for path in [*videos, *folders, *own]]
    key = {"settings": settings.model_dump(), "files": files, "step": step}
    directions: dict[Direction, list[ClipSet]] = {}
    for clip in clips:
        clip_set = ClipSet(clip.source, clip.translated, clip.back, clip.truth, name=clip.source.name)
        directions.setdefault(clip.direction, []).append(clip_set)
    pictures = {d: where.neighbours(d.name) for d in directions if trained[d.target]}
    with _alone(where), Stage("metrics", key, [where.metrics, *pictures.values()], where.folder) as stage:
        if stage.needed:
            named = settings.features
            features = None if named is None else open_features(named, device=settings.device)
            describe = describe_for_memorisation(features)
            galleries: dict[Domain, Gallery] = {}
            for d in pictures:
                what = f"reading training frames of {pipeline.domains.of(d.target)}"
                galleries[d.target] = Gallery.of(trained[d.target], describe, job=job, what=what)
            scores = evaluate(directions, settings, features=features, trained=galleries, job=job)
            for d, picture in pictures.items():
                translated = [clip.translated for clip in clips if clip.direction == d]
                gallery = galleries[d.target]
                write_neighbours(picture, translated, gallery, max_frames=settings.max_frames)
            scores |= {} if step is None else {STEP: float(step)}
            write_text(where.metrics, json.dumps(scores, indent=2) + "\n")
    result: dict[str, float] = json.loads(where.metrics.read_text(encoding="utf-8"))
    for line in findings(result, pipeline.domains):
        job.say(line)
    return result


def prepare_features(settings: EvaluateSettings, *, job: Job) -> None:
    """Prepare the evaluation before long work: check its settings, and train the street's feature network if missing.

    Raises BundleError, ConfigError or OutputError as `recycle.evaluation.features.open_features`, and the errors of
    `recycle.evaluation.palette.open_palette`.
    """
    if settings.palette is not None:
        open_palette(settings.palette)
    if settings.features is not None:
        find_device(settings.device)
    if isinstance(settings.features, Path):
        load_inception(settings.features)
    elif settings.features == "lite2":
        LiteNetwork()
    elif settings.features == "street" and not cache_file().exists():
        street_network(job=job)
