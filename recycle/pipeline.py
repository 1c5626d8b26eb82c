"""`recycle run`: every stage of a pipeline in order, each skipped where its result is there already."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

import recycle
from recycle.atomic import write_text
from recycle.config import (
    Domain,
    EvaluateSettings,
    FootageSettings,
    Pipeline,
    StreetSettings,
    TranslateSettings,
    find_pipeline,
    load_pipeline,
    parse_pipeline,
)
from recycle.devices import find_device
from recycle.errors import ConfigError, FootageError
from recycle.evaluation.curves import read_scalars
from recycle.evaluation.evaluate import ClipSet, Direction, evaluate
from recycle.evaluation.features import describe_broadly, open_features
from recycle.evaluation.findings import findings
from recycle.evaluation.inception import load_inception
from recycle.evaluation.memorisation import Gallery
from recycle.evaluation.neighbours import write_neighbours
from recycle.evaluation.page import VideoRow
from recycle.evaluation.report import write_report
from recycle.evaluation.street_features import cache_file, street_network
from recycle.footage.clips import Shot, find_shots
from recycle.footage.decode import find_sources
from recycle.footage.extract import extract
from recycle.footage.manifest import fingerprint
from recycle.footage.street import Street
from recycle.networks.bundle import load_bundle
from recycle.processes import on_devices, once
from recycle.progress import Terminal
from recycle.training.loop import TrainReport, train
from recycle.training.review import BEST
from recycle.translation.translator import IDENTITY, Translator


def open_pipeline(file: Path, **changes: Mapping[str, Any]) -> Pipeline:
    """Load a pipeline by path or shipped name, with settings of its groups replaced where not None.

    The footage's paths become absolute, so that the record in a run's folder names it wherever it is read. Steps that
    are given take the place of hours in the file. Raises ConfigError as load_pipeline, and for both given.
    """
    path = find_pipeline(file)
    data = load_pipeline(path).model_dump()
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
    return parse_pipeline(data, where=str(path))


@dataclass(frozen=True)
class Layout:
    """Where a run keeps its things."""

    folder: Path

    @property
    def footage(self) -> Path:
        """Footage of our own making."""
        return self.folder / "footage"

    @property
    def frames(self) -> Path:
        """Extracted frames, `a` and `b`."""
        return self.folder / "frames"

    @property
    def pipeline(self) -> Path:
        """The pipeline that it was last trained with, as JSON."""
        return self.folder / "pipeline.json"

    @property
    def checkpoint(self) -> Path:
        """What training continues from."""
        return self.folder / "checkpoint.pt"

    @property
    def logs(self) -> Path:
        """Curves, as TensorBoard keeps them."""
        return self.folder / "logs"

    @property
    def model(self) -> Path:
        """The bundle."""
        return self.folder / "model"

    @property
    def best(self) -> Path:
        """The bundle with the best score on held-out frames."""
        return self.folder / BEST

    @property
    def translated(self) -> Path:
        """Translated test videos."""
        return self.folder / "translated"

    @property
    def metrics(self) -> Path:
        """Scores, a flat JSON object."""
        return self.folder / "metrics.json"

    def neighbours(self, direction: Direction) -> Path:
        """Translated frames above the nearest training frames."""
        return self.folder / f"nearest_{direction}.png"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"


@dataclass(frozen=True)
class TestClip:
    """An unseen video and what becomes of it."""

    direction: Direction
    source: Path
    truth: Path | None
    translated: Path
    back: Path

    @property
    def to(self) -> Domain:
        """The domain that it is translated to."""
        return _target(self.direction)


def run(pipeline: Pipeline, folder: Path, console: Terminal) -> Layout:
    """Footage → frames → training → translation of the test clips → scores → report, all in `folder`.

    What is done already is skipped, so that an interrupted run continues when it is called again. Training alone uses
    several devices. Raises RecycleError subclasses of the stages.
    """
    where = Layout(folder)
    with on_devices(pipeline) as fabric:
        console.muted = not fabric.is_global_zero
        footage, shots_a, shots_b = once(fabric, lambda: prepare_footage(pipeline, where, console))
        find_sources((*footage.test_a, *footage.test_b, *footage.truth_ab, *footage.truth_ba))  # missing: say so now
        once(fabric, lambda: _prepare_features(pipeline.evaluate, console))
        train_model(pipeline, shots_a, shots_b, where, console, fabric)
    clips = translate_tests(footage, pipeline.translate, str(where.model), where, console)
    scores = evaluate_tests(pipeline, clips, where, console, trained={"a": shots_a, "b": shots_b})
    _report(pipeline, clips, scores, where)
    return where


def make_street(settings: StreetSettings, folder: Path, console: Terminal, *, paired: bool = False) -> FootageSettings:
    """Film the street: training footage for a and b, of different scenes unless paired, and one unseen clip seen
    both ways."""
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
                with console.bar(f"filming {path.name} ({look})") as progress:
                    street.write(path, look, progress=progress)
    return footage


def street_footage(folder: Path) -> FootageSettings:
    """Where a street's films lie in `folder`."""
    a, b, test_a, test_b = ((folder / name,) for name in ("a.mp4", "b.mp4", "test_a.mp4", "test_b.mp4"))
    return FootageSettings(a=a, b=b, test_a=test_a, test_b=test_b, truth_ab=test_b, truth_ba=test_a)


def prepare_footage(
    pipeline: Pipeline, where: Layout, console: Terminal
) -> tuple[FootageSettings, list[Shot], list[Shot]]:
    """The footage's paths and the shots of both domains.

    A street is filmed; footage that is not extracted yet is extracted into the run's folder.
    """
    footage = pipeline.footage
    if footage.street is not None:
        footage = make_street(footage.street, where.footage, console, paired=footage.paired)
    both = []
    for domain, paths in (("a", footage.a), ("b", footage.b)):
        if not paths:
            raise FootageError(
                f"no footage for domain {domain}; name it in the pipeline file as footage.{domain} or by --{domain}"
            )
        if all(_is_extracted(path) for path in paths):
            both.append([shot for path in paths for shot in find_shots(path)])
            continue
        with console.bar(f"extracting {domain}") as progress:
            report = extract(paths, where.frames / domain, pipeline.extract, progress=progress)
        for path, reason in report.failed:
            console.say(f"skipped {path}: {reason}")
        for notice in report.notices:
            console.say(notice)
        both.append(find_shots(where.frames / domain))
    return footage, both[0], both[1]


def train_model(
    pipeline: Pipeline, shots_a: list[Shot], shots_b: list[Shot], where: Layout, console: Terminal, fabric: Fabric
) -> TrainReport:
    """Train, or continue to train, in the run's folder, with the fabric of `on_devices`."""
    with console.bar("training", unit="steps") as progress:
        return train(pipeline, shots_a, shots_b, where.folder, progress=progress, say=console.say, fabric=fabric)


def translate_tests(
    footage: FootageSettings, settings: TranslateSettings, model: str, where: Layout, console: Terminal
) -> list[TestClip]:
    """Translate every test video to the other domain, and back again for the cycle error."""
    clips = test_clips(footage, where.translated)
    model_key = model if model == IDENTITY else fingerprint(Path(model) / "model.safetensors")
    translator: Translator | None = None
    for clip in clips:
        origin: Domain = "a" if clip.to == "b" else "b"
        for source, output, to in (
            (clip.source, clip.translated, clip.to),
            (clip.translated, clip.back, origin),
        ):
            with translation_stage(source, output, to, model_key, settings) as stage:
                if not stage.needed:
                    continue
                translator = translator or Translator.from_pretrained(
                    model, device=settings.device, precision=settings.precision
                )
                with console.bar(f"translating to {output.name}") as progress:
                    report = translator.translate_video(
                        source, output, to=to, settings=settings, overwrite=True, progress=progress
                    )
                for notice in report.notices:
                    console.say(f"{source.name}: {notice}")
    return clips


def translation_stage(source: Path, output: Path, to: Domain, model_key: str, settings: TranslateSettings) -> "Stage":
    """Whether `output` is to be translated from `source`; `model_key` is the fingerprint of the model's weights."""
    key = {"settings": settings.model_dump(), "model": model_key, "source": fingerprint(source), "to": to}
    return Stage(output.name, key, [output], output.parent)


def score_model(task: Pipeline, model: str, folder: Path, console: Terminal) -> dict[str, float]:
    """Translate the test videos of `task.footage` with the bundle `model` into `folder`, and score them there.

    `task.footage.a` and `.b` are extracted frames that the model learned from, where they are known.
    """
    _prepare_features(task.evaluate, console)
    where = Layout(folder)
    learned: dict[Domain, tuple[Path, ...]] = {"a": task.footage.a, "b": task.footage.b}
    trained = {domain: [shot for path in paths for shot in find_shots(path)] for domain, paths in learned.items()}
    clips = translate_tests(task.footage, task.translate, model, where, console)
    if not clips:
        raise FootageError("no clips to evaluate; give unseen videos of domain a or b by --a or --b")
    return evaluate_tests(task, clips, where, console, trained=trained)


def evaluate_tests(
    pipeline: Pipeline,
    clips: Sequence[TestClip],
    where: Layout,
    console: Terminal,
    *,
    trained: Mapping[Domain, Sequence[Shot]],
) -> dict[str, float]:
    """Score the translated test videos, write metrics.json, and say what failed.

    trained: the frames that the model learned from; beside the scores, a picture for each direction shows those that
    are nearest to the translation.
    """
    settings = pipeline.evaluate
    videos = [video for clip in clips for video in (clip.source, clip.truth, clip.translated, clip.back) if video]
    folders = sorted({shot.files[0].parent for shots in trained.values() for shot in shots})
    network = [settings.features] if isinstance(settings.features, Path) else []
    key = {"settings": settings.model_dump(), "files": [fingerprint(path) for path in [*videos, *folders, *network]]}
    directions: dict[Direction, list[ClipSet]] = {}
    for clip in clips:
        clip_set = ClipSet(clip.source, clip.translated, clip.back, clip.truth, name=clip.source.name)
        directions.setdefault(clip.direction, []).append(clip_set)
    pictures = {direction: where.neighbours(direction) for direction in directions if trained[_target(direction)]}
    with Stage("metrics", key, [where.metrics, *pictures.values()], where.folder) as stage:
        if stage.needed:
            named = settings.features
            features = None if named is None else open_features(named, device=settings.device)
            galleries: dict[Domain, Gallery] = {}
            for domain in map(_target, pictures):
                with console.bar(f"looking at training frames of {domain}") as progress:
                    galleries[domain] = Gallery.of(trained[domain], features or describe_broadly, progress=progress)
            with console.bar("evaluating") as progress:
                scores = evaluate(directions, settings, features=features, trained=galleries, progress=progress)
            for direction, picture in pictures.items():
                translated = [clip.translated for clip in clips if clip.direction == direction]
                gallery = galleries[_target(direction)]
                write_neighbours(picture, translated, gallery, max_frames=settings.max_frames)
            write_text(where.metrics, json.dumps(scores, indent=2) + "\n")
    result: dict[str, float] = json.loads(where.metrics.read_text(encoding="utf-8"))
    for line in findings(result):
        console.say(line)
    return result


def _report(pipeline: Pipeline, clips: Sequence[TestClip], scores: dict[str, float], where: Layout) -> None:
    names: dict[Direction, str] = {"ab": "a → b", "ba": "b → a"}
    rows = []
    for clip in clips:
        videos = [("source", clip.source), ("translated", clip.translated)]
        videos += [("truth", clip.truth)] if clip.truth else []
        rows.append(VideoRow(f"{names[clip.direction]}: {clip.source.name}", [*videos, ("back again", clip.back)]))
    generator = pipeline.networks.generator
    facts = {
        "steps": str(load_bundle(where.model).config.step),
        "generator": f"{generator.blocks} blocks, width {generator.width}",
        "training size": "{1}×{0}".format(*pipeline.train.size),
        "recycle": recycle.__version__,
    }
    write_report(
        where.report,
        title=pipeline.name,
        rows=rows,
        metrics=scores,
        curves=read_scalars(where.logs),
        neighbours={names[d]: file for d in names if (file := where.neighbours(d)).is_file()},
        previews=sorted((where.folder / "previews").glob("*.png")),
        facts=facts,
    )


def test_clips(footage: FootageSettings, folder: Path) -> list[TestClip]:
    """The test videos of `footage`, and where in `folder` their translations lie."""
    clips = []
    for direction, sources, truths in (
        ("ab", footage.test_a, footage.truth_ab),
        ("ba", footage.test_b, footage.truth_ba),
    ):
        for number, source in enumerate(sources):
            stem = (
                f"{source.stem}_{direction}"
                if len({s.stem for s in sources}) == len(sources)
                else f"{number}_{direction}"
            )
            clips.append(
                TestClip(
                    direction,  # type: ignore[arg-type]
                    source,
                    truths[number] if truths else None,
                    folder / f"{stem}.mp4",
                    folder / f"{stem}_back.mp4",
                )
            )
    return clips


def _prepare_features(settings: EvaluateSettings, console: Terminal) -> None:
    """Before long work: train the street's feature network where it is not there yet; refuse unusable settings."""
    if settings.features is not None:
        find_device(settings.device)
    if isinstance(settings.features, Path):
        load_inception(settings.features)
    elif settings.features == "street" and not cache_file().exists():
        with console.bar("training the feature network, once", unit="steps") as progress:
            street_network(progress=progress)


def _target(direction: Direction) -> Domain:
    return "b" if direction == "ab" else "a"


def _is_extracted(path: Path) -> bool:
    return path.is_dir() and any(path.glob("**/manifest.json"))


class Stage:
    """Remembers, in a small file, from what a stage's outputs were made; `needed` tells whether to make them anew."""

    def __init__(self, name: str, made_from: Any, outputs: Sequence[Path], folder: Path) -> None:
        self._stamp = folder / ".done" / f"{name}.json"
        self._made_from = json.dumps(made_from, sort_keys=True, default=str)
        self._outputs = outputs
        old = self._stamp.read_text(encoding="utf-8") if self._stamp.is_file() else None
        self.needed = old != self._made_from or not all(output.exists() for output in outputs)
        self.done_before = old is not None

    def remove(self) -> None:
        """Remove the outputs, which are files, and what is remembered of them."""
        for file in (*self._outputs, self._stamp):
            file.unlink(missing_ok=True)
        for folder in (self._stamp.parent, self._stamp.parent.parent):
            with suppress(OSError):  # something else is in it
                folder.rmdir()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, error: type[BaseException] | None, *details: object) -> None:
        if self.needed and error is None:
            write_text(self._stamp, self._made_from)
