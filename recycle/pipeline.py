"""`recycle run`: every stage of a pipeline in order, each skipped where its result is there already."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

import recycle
from recycle.atomic import write_text
from recycle.config import (
    Domain,
    FootageSettings,
    Pipeline,
    StreetSettings,
    TranslateSettings,
    find_pipeline,
    load_pipeline,
    parse_pipeline,
)
from recycle.errors import FootageError
from recycle.evaluation.curves import read_scalars
from recycle.evaluation.evaluate import ClipSet, Direction, evaluate
from recycle.evaluation.report import VideoRow, write_report
from recycle.footage.clips import Shot, find_shots
from recycle.footage.decode import find_sources
from recycle.footage.extract import extract
from recycle.footage.manifest import fingerprint
from recycle.footage.street import Street
from recycle.networks.bundle import load_bundle
from recycle.processes import on_devices, once
from recycle.progress import Terminal
from recycle.training.loop import TrainReport, train
from recycle.translation.translator import IDENTITY, Translator


def open_pipeline(file: Path, **changes: Mapping[str, Any]) -> Pipeline:
    """Load a pipeline by path or shipped name, with settings of its groups replaced where not None.

    Raises ConfigError as load_pipeline.
    """
    path = find_pipeline(file)
    data = load_pipeline(path).model_dump()
    for group, values in changes.items():
        given = {key: value for key, value in values.items() if value is not None}
        if group == "footage" and given:
            data["footage"] = FootageSettings(paired=data["footage"]["paired"]).model_dump()
        data[group] |= given
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
    def model(self) -> Path:
        """The bundle."""
        return self.folder / "model"

    @property
    def translated(self) -> Path:
        """Translated test videos."""
        return self.folder / "translated"

    @property
    def metrics(self) -> Path:
        """Scores, a flat JSON object."""
        return self.folder / "metrics.json"

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
        return "b" if self.direction == "ab" else "a"


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
        train_model(pipeline, shots_a, shots_b, where, console, fabric)
    clips = translate_tests(footage, pipeline.translate, str(where.model), where, console)
    scores = evaluate_tests(pipeline, clips, where, console)
    _report(pipeline, clips, scores, where)
    return where


def make_street(settings: StreetSettings, folder: Path, console: Terminal, *, paired: bool = False) -> FootageSettings:
    """Film the street: training footage for a and b, of different scenes unless paired, and one unseen clip seen
    both ways."""
    train, test = settings.seconds, settings.test_seconds
    films = (
        ("a.mp4", 3 * settings.seed, train, settings.a),
        ("b.mp4", 3 * settings.seed + (0 if paired else 1), train, settings.b),
        ("test_a.mp4", 3 * settings.seed + 2, test, settings.a),
        ("test_b.mp4", 3 * settings.seed + 2, test, settings.b),
    )
    paths = [folder / name for name, *_ in films]
    with _Stage("footage", settings.model_dump() | {"paired": paired}, paths, folder) as stage:
        if stage.needed:
            for path, (_, seed, seconds, look) in zip(paths, films, strict=True):
                street = Street(
                    seed=seed, width=settings.width, height=settings.height, fps=settings.fps, seconds=seconds
                )
                with console.bar(f"filming {path.name} ({look})") as progress:
                    street.write(path, look, progress=progress)
    a, b, test_a, test_b = ((path,) for path in paths)
    return FootageSettings(a=a, b=b, test_a=test_a, test_b=test_b, truth_ab=test_b, truth_ba=test_a, paired=paired)


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
    clips = _test_clips(footage, where.translated)
    model_key = model if model == IDENTITY else fingerprint(Path(model) / "model.safetensors")
    translator: Translator | None = None
    for clip in clips:
        origin: Domain = "a" if clip.to == "b" else "b"
        for source, output, to in (
            (clip.source, clip.translated, clip.to),
            (clip.translated, clip.back, origin),
        ):
            key = {"settings": settings.model_dump(), "model": model_key, "source": fingerprint(source), "to": to}
            with _Stage(output.name, key, [output], where.translated) as stage:
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


def score_model(task: Pipeline, model: str, folder: Path, console: Terminal) -> dict[str, float]:
    """Translate the test videos of `task.footage` with the bundle `model` into `folder`, and score them there."""
    where = Layout(folder)
    clips = translate_tests(task.footage, task.translate, model, where, console)
    if not clips:
        raise FootageError("no clips to evaluate; give unseen videos of domain a or b by --a or --b")
    return evaluate_tests(task, clips, where, console)


def evaluate_tests(pipeline: Pipeline, clips: Sequence[TestClip], where: Layout, console: Terminal) -> dict[str, float]:
    """Score the translated test videos, and write metrics.json."""
    videos = [video for clip in clips for video in (clip.source, clip.truth, clip.translated, clip.back) if video]
    key = {"settings": pipeline.evaluate.model_dump(), "videos": [fingerprint(video) for video in videos]}
    with _Stage("metrics", key, [where.metrics], where.folder) as stage:
        if stage.needed:
            directions: dict[Direction, list[ClipSet]] = {}
            for clip in clips:
                clip_set = ClipSet(clip.source, clip.translated, clip.back, clip.truth, name=clip.source.name)
                directions.setdefault(clip.direction, []).append(clip_set)
            with console.bar("evaluating") as progress:
                scores = evaluate(directions, pipeline.evaluate, progress=progress)
            write_text(where.metrics, json.dumps(scores, indent=2) + "\n")
    result: dict[str, float] = json.loads(where.metrics.read_text(encoding="utf-8"))
    return result


def _report(pipeline: Pipeline, clips: Sequence[TestClip], scores: dict[str, float], where: Layout) -> None:
    names = {"ab": "a → b", "ba": "b → a"}
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
        curves=read_scalars(where.folder / "logs"),
        previews=sorted((where.folder / "previews").glob("*.png")),
        facts=facts,
    )


def _test_clips(footage: FootageSettings, folder: Path) -> list[TestClip]:
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


def _is_extracted(path: Path) -> bool:
    return path.is_dir() and any(path.glob("**/manifest.json"))


class _Stage:
    """Remembers, in a small file, from what a stage's outputs were made; `needed` tells whether to make them anew."""

    def __init__(self, name: str, made_from: Any, outputs: Sequence[Path], folder: Path) -> None:
        self._stamp = folder / ".done" / f"{name}.json"
        self._made_from = json.dumps(made_from, sort_keys=True, default=str)
        old = self._stamp.read_text(encoding="utf-8") if self._stamp.is_file() else None
        self.needed = old != self._made_from or not all(output.exists() for output in outputs)

    def __enter__(self) -> "_Stage":
        return self

    def __exit__(self, error: type[BaseException] | None, *details: object) -> None:
        if self.needed and error is None:
            write_text(self._stamp, self._made_from)
