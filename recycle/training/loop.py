"""The training loop: clips in, a bundle out; can be stopped at any moment and continued."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.utils.tensorboard import SummaryWriter

from recycle.config import Pipeline, TrainSettings
from recycle.errors import FootageError, Interrupted
from recycle.footage.augment import Augment, shrink
from recycle.footage.clips import FEW_CLIPS, Domain, PairedClips, Shot, Split, UnpairedClips, align, load_clips, split
from recycle.processes import any_of, average, on_devices
from recycle.progress import StepProgress
from recycle.training.objective import bare
from recycle.training.preview import held_out_clip, preview, write_preview
from recycle.training.run import Run
from recycle.training.schedule import learning_rate, shrinking
from recycle.training.step import NotFiniteError, StepReport, training_step


@dataclass
class TrainReport:
    """What a call of `train` did."""

    step: int
    resumed_from: int
    model: Path
    notices: list[str] = field(default_factory=list)


def train(
    pipeline: Pipeline,
    shots_a: list[Shot],
    shots_b: list[Shot],
    folder: Path,
    *,
    progress: StepProgress,
    say: Callable[[str], None] = lambda notice: None,
    fabric: Fabric | None = None,
) -> TrainReport:
    """Train on the shots of both domains, in `folder`; continue there if it holds a checkpoint.

    Writes `checkpoint.pt`, `model/` (the bundle of the averaged weights), `logs/` (TensorBoard) and
    `previews/`. Notices, one line each, go to `say` at once and into the report. SIGINT and SIGTERM save,
    then raise Interrupted. fabric: of `on_devices`, which is called here where none is given; on several devices all
    processes call this, and rank 0 alone writes. Raises FootageError for too little footage, BundleError for a
    damaged checkpoint, RecycleError where losses stay not finite.
    """
    if fabric is None:
        with on_devices(pipeline) as fabric:
            return train(pipeline, shots_a, shots_b, folder, progress=progress, say=say, fabric=fabric)
    settings = pipeline.train
    if pipeline.footage.paired:
        shots_a, shots_b = align(shots_a, shots_b)
    splits = [split(shots, settings.held_out) for shots in (shots_a, shots_b)]
    domains = [_domain(own, name, settings) for own, name in zip(splits, "ab", strict=True)]
    run = Run(pipeline, folder, fabric, short_side=min(side for domain in domains for side in domain.canvas))
    resumed = fabric.broadcast(run.checkpoint.exists())
    run.load() if resumed else run.save()
    report = TrainReport(run.step, run.step, folder / "model")

    def notice(text: str) -> None:
        report.notices.append(text)
        say(text)

    if run.step < settings.steps:
        for text in _notices(domains):
            notice(text)
    purge = run.step + 1 if resumed else None
    writer = SummaryWriter(str(folder / "logs"), purge_step=purge) if fabric.is_global_zero else None
    with writer or nullcontext(), _stop_between_steps() as stop:
        while run.step < settings.steps:
            try:
                _train_until_done(run, domains, splits, writer, stop, progress, notice)
            except NotFiniteError as error:
                notice(f"step {run.step}: {error}; went back to the last checkpoint")
                run.roll_back(str(error))
    report.step = run.step
    return report


def _train_until_done(
    run: Run,
    domains: list[Domain],
    splits: list[Split],
    writer: SummaryWriter | None,  # of rank 0 alone
    stop: "_Stop",
    progress: StepProgress,
    say: Callable[[str], None],
) -> None:
    settings, fabric = run.pipeline.train, run.fabric
    paired, batch_size = run.pipeline.footage.paired, settings.batch_size
    whole, own = batch_size * fabric.world_size, batch_size * fabric.global_rank  # of each step's samples
    augment = Augment(settings.augment, settings.size)
    # After a rollback other clips are drawn: the same ones would give the same loss again.
    batch = run.step + run.rollbacks * settings.steps
    last = batch + settings.steps - run.step
    loader = load_clips(
        (PairedClips if paired else UnpairedClips)(domains[0], domains[1], last * whole),
        first=batch * whole + own,
        batch_size=batch_size,
        every=whole,
        workers=settings.workers,
        pin_memory=fabric.device.type == "cuda",
    )
    detail = ""
    for number, clips in enumerate(loader, batch):
        samples = range(number * whole + own, number * whole + own + batch_size)
        seeds = np.stack([np.random.SeedSequence([settings.seed, n]).generate_state(2) for n in samples], axis=1)
        if paired:
            seeds[1] = seeds[0]
        a, b = (augment(fabric.to_device(clip), each.tolist()) for clip, each in zip(clips, seeds, strict=True))
        a, b = (shrink(clip, shrinking(run.step, settings)) for clip in (a, b))
        rate = learning_rate(run.step, settings)
        run.set_rate(rate)
        # All that the step draws follows from its number, so a continued run draws the same, and from the process.
        draws = np.random.SeedSequence([settings.seed, number, 1, fabric.global_rank])
        torch.manual_seed(int(draws.generate_state(1)[0]))
        report = training_step(
            run.model,
            run.optimisers,
            run.pools,
            a,
            b,
            run.pipeline.losses,
            fabric=fabric,
            clip_norm=settings.clip_norm,
            step=run.step,
            recycle=run.reliance.on,
        )
        report = report._replace(losses=average(fabric, report.losses), measures=average(fabric, report.measures))
        if not run.reliance.on:
            predicting, copying = report.losses["recurrent"], report.measures["copying"]
            if run.reliance.update(float(predicting), float(copying)):
                say(f"step {run.step}: the predictors are better than copying; the recycle loss begins")
        run.step += 1
        run.average.update(bare(run.model.translators))
        if writer and (run.step % settings.log_every == 0 or run.step == 1):
            detail = _log(writer, run.step, report, rate)
        if writer and (run.step % settings.preview_every == 0 or run.step == settings.steps):
            _preview(run, splits, writer)
        if run.step % settings.checkpoint_every == 0 or run.step == settings.steps:
            run.save()
            run.stuck = 0
        progress(run.step, settings.steps, detail)
        if any_of(fabric, stop.asked):
            run.save()
            raise Interrupted(f"stopped and saved at step {run.step}; run the same command again to continue")


def _log(writer: SummaryWriter, step: int, report: StepReport, rate: float) -> str:
    values = {name: float(loss) for name, loss in report.losses.items()}
    for name, value in values.items():
        writer.add_scalar(f"loss/{name}", value, step)
    for name, measure in report.measures.items():
        writer.add_scalar(f"measure/{name}", float(measure), step)
    writer.add_scalar("learning_rate", rate, step)
    return " ".join(f"{name} {value:.2f}" for name, value in values.items())


def _preview(run: Run, splits: list[Split], writer: SummaryWriter) -> None:
    a, b = (held_out_clip(own.held_out).to(run.fabric.device) for own in splits)
    with run.fabric.autocast():
        rows = preview(run.average.bundle, a, b)
    picture = write_preview(rows, run.folder / "previews" / f"step-{run.step:06d}")
    writer.add_image("preview", np.ascontiguousarray(picture), run.step, dataformats="HWC")


def _domain(own: Split, name: str, settings: TrainSettings) -> Domain:
    domain = Domain(own.train, name=name, frames=settings.frames, strides=settings.strides, seed=settings.seed)
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


class _Stop:
    asked = False
    since = 0.0


@contextmanager
def _stop_between_steps() -> Iterator[_Stop]:
    """SIGINT and SIGTERM set a flag; another, more than a second later, interrupts at once."""
    stop = _Stop()

    def ask(number: int, frame: Any) -> None:
        now = time.monotonic()
        if stop.asked and now > stop.since + 1:  # torchrun passes on what the keyboard has sent already
            raise KeyboardInterrupt
        stop.asked, stop.since = True, now

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller looks after signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
