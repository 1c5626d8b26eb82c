"""The training loop: clips in, a bundle out; can be stopped at any moment and continued."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from pydantic import ValidationError
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from recycle.atomic import write_text
from recycle.config import Pipeline, TrainSettings
from recycle.devices import make_fabric
from recycle.errors import BundleError, FootageError, Interrupted, RecycleError
from recycle.footage.augment import Augment
from recycle.footage.clips import FEW_CLIPS, Domain, Shot, Split, UnpairedClips, load_clips, split
from recycle.networks.bundle import BundleConfig, save_bundle
from recycle.progress import StepProgress
from recycle.training.checkpoint import load_checkpoint, save_checkpoint
from recycle.training.ema import MovingAverage
from recycle.training.model import RecycleGAN
from recycle.training.pool import FramePool
from recycle.training.preview import held_out_clip, preview, write_preview
from recycle.training.step import NotFiniteError, Optimisers, training_step

ROLLBACKS = 3
"""Times that a run goes back to the same checkpoint after a loss that is not finite, before it gives up."""

MAY_CHANGE = {
    "steps",
    "decay",
    "device",
    "precision",
    "workers",
    "log_every",
    "preview_every",
    "checkpoint_every",
}
"""Training settings that may differ when a run is continued."""


@dataclass
class TrainReport:
    """What a call of `train` did."""

    step: int
    resumed_from: int
    model: Path
    notices: list[str] = field(default_factory=list)


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Constant, then linear decay over the last `decay` part of the steps; never 0 at a step that is taken."""
    decaying = round(settings.steps * settings.decay)
    remaining = settings.steps - step
    return settings.learning_rate * min(1.0, remaining / (decaying + 1))


class Run:
    """State of one training run, in memory and in its folder."""

    def __init__(self, pipeline: Pipeline, folder: Path, fabric: Fabric, short_side: int) -> None:
        self.pipeline, self.folder, self.fabric = pipeline, folder, fabric
        settings = pipeline.train
        self.step = 0
        self.rollbacks = 0
        self.stuck = 0  # rollbacks since the last regular checkpoint
        torch.manual_seed(settings.seed)
        model = RecycleGAN(pipeline).to(memory_format=torch.channels_last)
        self.model: Any = fabric.setup_module(model)
        self.optimisers = Optimisers(*(self._adam(p) for p in (model.translators(), model.discriminators())))
        config = BundleConfig(
            name=pipeline.name,
            networks=pipeline.networks,
            frames=settings.frames,
            predictors=model.has_predictors,
            short_side=short_side,
        )
        self.average = MovingAverage(model.bundle(config), settings.ema)
        self.pools = (
            FramePool(settings.pool_size, settings.seed),
            FramePool(settings.pool_size, settings.seed + 1),
        )

    def _adam(self, parameters: list[torch.nn.Parameter]) -> Any:
        settings = self.pipeline.train
        adam = torch.optim.Adam(parameters, lr=settings.learning_rate, betas=settings.betas, fused=True)
        return self.fabric.setup_optimizers(adam)

    @property
    def checkpoint(self) -> Path:
        """The file that this run continues from."""
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        """Write the checkpoint and the bundle."""
        state = {
            "pipeline": self.pipeline.model_dump_json(),
            "step": self.step,
            "rollbacks": self.rollbacks,
            "model": self.model.state_dict(),
            "average": self.average.bundle.state_dict(),
            "average_updates": self.average.updates,
            "optimisers": [o.state_dict() for o in (self.optimisers.translators, self.optimisers.discriminators)],
            "pools": [pool.state_dict() for pool in self.pools],
            "random": torch.get_rng_state(),
        }
        save_checkpoint(self.checkpoint, state)
        bundle = self.average.bundle
        bundle.config = bundle.config.model_copy(update={"step": self.step})
        save_bundle(bundle, self.folder / "model")

    def load(self) -> None:
        """Continue from the checkpoint. Raises RecycleError if it is damaged or of other settings."""
        state = load_checkpoint(self.checkpoint)
        _same_settings(state["pipeline"], self.pipeline, self.checkpoint)
        self.model.load_state_dict(state["model"])
        self.average.bundle.load_state_dict(state["average"])
        self.average.updates = state["average_updates"]
        for optimiser, own in zip(
            (self.optimisers.translators, self.optimisers.discriminators), state["optimisers"], strict=True
        ):
            optimiser.load_state_dict(own)
        for pool, own in zip(self.pools, state["pools"], strict=True):
            pool.load_state_dict(own, self.fabric.device)
        torch.set_rng_state(state["random"])
        self.step, self.rollbacks = state["step"], state["rollbacks"]

    def roll_back(self, reason: str) -> None:
        """Go back to the checkpoint and draw other clips from there. Raises RecycleError after ROLLBACKS times."""
        rollbacks = self.rollbacks + 1
        self.stuck += 1
        if self.stuck > ROLLBACKS:
            raise RecycleError(
                f"training stopped at step {self.step}: {reason}, again after {ROLLBACKS} rollbacks; lower "
                "'train.learning_rate' or use train.precision = \"fp32\""
            )
        self.load()
        self.rollbacks = rollbacks
        self.save()


def train(
    pipeline: Pipeline,
    shots_a: list[Shot],
    shots_b: list[Shot],
    folder: Path,
    *,
    progress: StepProgress,
    say: Callable[[str], None] = lambda notice: None,
) -> TrainReport:
    """Train on the shots of both domains, in `folder`; continue there if it holds a checkpoint.

    Writes `pipeline.json`, `checkpoint.pt`, `model/` (the bundle of the averaged weights), `logs/` (TensorBoard)
    and `previews/`. Notices, one line each, go to `say` at once and into the report. SIGINT and SIGTERM save,
    then raise Interrupted. Raises FootageError for too little footage, BundleError for a damaged checkpoint,
    RecycleError where losses stay not finite.
    """
    settings = pipeline.train
    fabric = make_fabric(settings.device, settings.precision)
    splits = [split(shots, settings.held_out) for shots in (shots_a, shots_b)]
    domains = [_domain(own, name, settings) for own, name in zip(splits, "ab", strict=True)]
    run = Run(pipeline, folder, fabric, short_side=min(side for domain in domains for side in domain.canvas))
    resumed = run.checkpoint.exists()
    run.load() if resumed else run.save()
    write_text(folder / "pipeline.json", pipeline.model_dump_json(indent=2) + "\n")
    report = TrainReport(run.step, run.step, folder / "model")

    def notice(text: str) -> None:
        report.notices.append(text)
        say(text)

    if run.step < settings.steps:
        for text in _notices(domains):
            notice(text)
    writer = SummaryWriter(str(folder / "logs"), purge_step=run.step + 1 if resumed else None)
    with writer, _stop_between_steps() as stop:
        while run.step < settings.steps:
            try:
                _train_until_done(run, domains, splits, writer, stop, progress)
            except NotFiniteError as error:
                notice(f"step {run.step}: {error}; went back to the last checkpoint")
                run.roll_back(str(error))
    report.step = run.step
    return report


def _train_until_done(
    run: Run,
    domains: list[Domain],
    splits: list[Split],
    writer: SummaryWriter,
    stop: "_Stop",
    progress: StepProgress,
) -> None:
    settings, fabric = run.pipeline.train, run.fabric
    augment = Augment(settings.augment, settings.size)
    # After a rollback other clips are drawn: the same ones would give the same loss again.
    batch = run.step + run.rollbacks * settings.steps
    last = batch + settings.steps - run.step
    loader = load_clips(
        UnpairedClips(domains[0], domains[1], last * settings.batch_size),
        first=batch * settings.batch_size,
        batch_size=settings.batch_size,
        workers=settings.workers,
        pin_memory=fabric.device.type == "cuda",
    )
    detail = ""
    for number, clips in enumerate(loader, batch):
        seeds = np.random.SeedSequence([settings.seed, number]).generate_state(2)
        a, b = (augment(fabric.to_device(clip), int(seed)) for clip, seed in zip(clips, seeds, strict=True))
        rate = learning_rate(run.step, settings)
        _set_rate(run.optimisers.translators, rate)
        _set_rate(run.optimisers.discriminators, rate * settings.discriminator_rate)
        losses = training_step(
            run.model,
            run.optimisers,
            run.pools,
            a,
            b,
            run.pipeline.losses,
            clip_norm=settings.clip_norm,
            fabric=fabric,
        )
        run.step += 1
        run.average.update(run.model.module)
        if run.step % settings.log_every == 0 or run.step == 1:
            detail = _log(writer, run.step, losses, rate)
        if run.step % settings.preview_every == 0 or run.step == settings.steps:
            _preview(run, splits, writer)
        if run.step % settings.checkpoint_every == 0 or run.step == settings.steps:
            run.save()
            run.stuck = 0
        progress(run.step, settings.steps, detail)
        if stop.asked:
            run.save()
            raise Interrupted(f"stopped and saved at step {run.step}; run the same command again to continue")


def _set_rate(optimiser: Any, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def _log(writer: SummaryWriter, step: int, losses: dict[str, Tensor], rate: float) -> str:
    values = {name: float(loss) for name, loss in losses.items()}
    for name, value in values.items():
        writer.add_scalar(f"loss/{name}", value, step)
    writer.add_scalar("learning_rate", rate, step)
    return " ".join(f"{name} {value:.2f}" for name, value in values.items())


def _preview(run: Run, splits: list[Split], writer: SummaryWriter) -> None:
    a, b = (held_out_clip(own.held_out).to(run.fabric.device) for own in splits)
    with run.fabric.autocast():
        rows = preview(run.average.bundle, a, b)
    picture = write_preview(rows, run.folder / "previews" / f"step-{run.step:06d}")
    writer.add_image("preview", np.ascontiguousarray(picture), run.step, dataformats="HWC")


def _domain(own: Split, name: str, settings: TrainSettings) -> Domain:
    domain = Domain(own.train, name=name, frames=settings.frames, stride=settings.stride, seed=settings.seed)
    (height, width), (h, w) = domain.canvas, settings.size
    if h > height or w > width:
        raise FootageError(
            f"train.size {h}x{w} (height x width) is larger than the frames of domain {name} ({height}x{width}); "
            "lower train.size or extract with a larger short_side"
        )
    return domain


def _notices(domains: list[Domain]) -> list[str]:
    return [
        f"domain {name} has only {len(domain.windows)} clips; below {FEW_CLIPS} expect a model that knows little else"
        for name, domain in zip("ab", domains, strict=True)
        if len(domain.windows) < FEW_CLIPS
    ]


def _same_settings(saved: str, new: Pipeline, checkpoint: Path) -> None:
    try:
        old = Pipeline.model_validate_json(saved)
    except ValidationError as error:
        raise BundleError(f"{checkpoint} is of another version of recycle; give another --out folder") from error
    for group in ("networks", "losses", "train"):
        before, now = (getattr(p, group).model_dump() for p in (old, new))
        for key, value in before.items():
            if now[key] != value and key not in MAY_CHANGE:
                raise RecycleError(
                    f"{checkpoint} was trained with {group}.{key} = {value}, the pipeline now says {now[key]}; "
                    "put it back, or give another --out folder"
                )


class _Stop:
    asked = False


@contextmanager
def _stop_between_steps() -> Iterator[_Stop]:
    """SIGINT and SIGTERM set a flag; a second SIGINT interrupts at once."""
    stop = _Stop()

    def ask(number: int, frame: Any) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller looks after signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
