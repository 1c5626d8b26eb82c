"""Lists training runs and included pipelines, with the facts by which a user chooses among them."""

import json
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from recycle.config import Pipeline, description_of, load_pipeline, shipped_pipelines
from recycle.config.base import two_names
from recycle.domains import DIRECTIONS, LETTERS, Names
from recycle.errors import BundleError, ConfigError
from recycle.evaluation.curves import Curve, read_scalars
from recycle.evaluation.verdict import Verdict, judge
from recycle.names import plain
from recycle.networks.bundle import read_config
from recycle.run_folder import RunFolder, is_bundle, model_in
from recycle.runs.learning import learning_of
from recycle.system.lock import is_held
from recycle.training.validation import Scores

State = Literal["training", "finished", "unfinished", "model"]


@dataclass(frozen=True)
class RunInfo:
    """The facts about one training run, or about a model bundle without a run."""

    name: str
    """Name of its folder."""
    folder: Path
    domains: Names
    """Names of the domains."""
    state: State
    """'training': a process trains it now. 'finished': it has done all its steps or, if it trains by hours, its last
    step was reviewed. 'unfinished': `recycle.resume` continues it. 'model': a bundle without a run."""
    step: int
    """Number of saved steps."""
    steps: int | None
    """Number of steps that its settings ask for; None for a run by hours, and for a bundle."""
    hours: float | None
    """Number of hours that its settings ask for; None for a run by steps, and for a bundle."""
    best: tuple[int, float] | None
    """Step and validation score of its best model; lower is better. None before the first review."""
    targets: tuple[str, ...]
    """Names of the domains to which its model translates: both, or one for an imported model of one direction."""
    model: Path | None
    """The bundle to translate with: the best one, or the last one; None if there is none yet."""
    verdict: Verdict | None
    """What its final scores say; None if it has none, as after `recycle.train`."""
    previews: tuple[Path, ...]
    """Images of translated held-out frames, the oldest first."""
    changed: float
    """When it was last saved, in seconds since 1970."""

    def curves(self) -> dict[str, Curve]:
        """Losses, scores and measures by tag, such as 'loss/cycle': at most 500 points (step, value) each.

        Reads the TensorBoard logs of the run, which lag up to two minutes behind while it trains.
        """
        return read_scalars(RunFolder(self.folder).logs)


def list_runs(folder: str | PathLike[str] = "runs") -> list[RunInfo]:
    """The training runs and models directly inside `folder`, the last changed one first; none if it does not exist.

    Folders that are neither are left out; so are damaged models.
    """
    found = []
    with suppress(OSError):
        for inside in Path(folder).iterdir():
            with suppress(BundleError, ConfigError):
                found.append(run_info(inside))
    return sorted(found, key=lambda run: (-run.changed, run.name))


def run_info(folder: str | PathLike[str]) -> RunInfo:
    """The facts about the training run or the model bundle in `folder`.

    Raises BundleError if it is neither, or if the description of its model is damaged.
    """
    folder = Path(folder)
    where, model = RunFolder(folder), model_in(folder)
    settings = _settings(where)
    bundle = read_config(model) if is_bundle(model) else None
    if settings is None and bundle is None:
        raise BundleError(f"{folder} holds neither a training run nor a model")
    train = (settings or {}).get("train") or {}
    steps, hours = train.get("steps"), train.get("hours")
    step = read_config(where.model).step if is_bundle(where.model) else 0 if bundle is None else bundle.step
    domains = bundle.domains if bundle else _names(settings)
    scores = Scores.read(where.validation)
    return RunInfo(
        name=plain(folder.resolve().name),
        folder=folder,
        domains=domains,
        state="model" if settings is None else _state(where, step, None if hours else steps, scores),
        step=step,
        steps=None if hours else steps,
        hours=hours,
        best=scores.best,
        targets=tuple(domains.of(d.target) for d in (bundle.directions if bundle else DIRECTIONS)),
        model=model if bundle else None,
        verdict=_verdict(where, domains, None if settings is None else step),
        previews=tuple(where.preview_images()),
        changed=max((path.stat().st_mtime for path in (folder, where.checkpoint) if path.exists()), default=0.0),
    )


@dataclass(frozen=True)
class PipelineInfo:
    """A pipeline that is included in the package."""

    name: str
    description: str
    """What it is for, in a sentence or more."""
    pipeline: Pipeline


def list_pipelines() -> list[PipelineInfo]:
    """The included pipelines, by name."""
    return [PipelineInfo(path.stem, description_of(path), load_pipeline(path)) for path in shipped_pipelines()]


def recorded_pipeline(folder: Path) -> Pipeline | Path:
    """The pipeline with which the run in `folder` was started, to continue it.

    That is pipeline.toml if recycle chose it, because the user may have edited it; else the settings in pipeline.json.
    Raises ConfigError if the folder holds neither, or the settings are of another version and cannot be read.
    """
    where = RunFolder(folder)
    if where.chosen.is_file():
        return where.chosen
    if not where.pipeline.is_file():
        raise ConfigError(f"{folder} is not the folder of a training run; there is nothing to continue")
    try:
        return Pipeline.model_validate_json(where.pipeline.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {where.pipeline}; continue with the pipeline file of the run") from error


def _state(where: RunFolder, step: int, steps: int | None, scores: Scores) -> State:
    """The state of a run; `steps` is None if it trains by hours, which ends with a review."""
    if is_held(where.lock):
        return "training"
    done = step >= steps if steps else step > 0 and step == max(scores.by_step, default=None)
    return "finished" if done else "unfinished"


def _settings(where: RunFolder) -> dict[str, Any] | None:
    """The settings of a run, possibly written by another version; None if the folder is not a run's."""
    with suppress(OSError, ValueError):
        data = json.loads(where.pipeline.read_text(encoding="utf-8"))
        return data if isinstance(data, dict) else None
    with suppress(ConfigError):
        return load_pipeline(where.chosen).model_dump(mode="json")
    return None


def _names(settings: dict[str, Any] | None) -> Names:
    with suppress(ValueError):
        return two_names((settings or {}).get("domains", LETTERS))
    return LETTERS


def _verdict(where: RunFolder, domains: Names, step: int | None) -> Verdict | None:
    """The verdict of a report; `step` is that of the training, None for a model alone."""
    with suppress(OSError, ValueError):
        scores = json.loads(where.metrics.read_text(encoding="utf-8"))
        if isinstance(scores, dict) and scores:
            return judge(scores, None if step is None else learning_of(where, step), domains)
    return None
