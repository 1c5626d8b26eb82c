"""The training loop: clips in, a bundle out; can be stopped at any moment and continued."""

import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from recycle.atomic import remove_leftovers, write_text
from recycle.config import Domain as DomainName
from recycle.config import Pipeline, TrainSettings
from recycle.disk import writing
from recycle.errors import FootageError, Interrupted
from recycle.events import Job, Step
from recycle.footage.augment import Augment, shrink
from recycle.footage.clips import (
    Domain,
    PairedClips,
    Shot,
    Split,
    UnpairedClips,
    align,
    load_clips,
    loading_processes,
    split,
)
from recycle.footage.faults import faults
from recycle.memory import peak_memory, release
from recycle.networks.features import open_network
from recycle.objective.sides import bare
from recycle.processes import any_of, average, on_devices
from recycle.run_folder import RunFolder
from recycle.survey import survey_shots
from recycle.training.clock import awaited
from recycle.training.lock import alone_in
from recycle.training.logs import Logs
from recycle.training.matching import MatchedClips, Matches, candidates, find_matches
from recycle.training.memory import Portions, plan
from recycle.training.preview import held_out_name
from recycle.training.review import DOMAINS, Review
from recycle.training.run import Run
from recycle.training.schedule import learning_rate, shrinking
from recycle.training.step import StepError, StepReport, training_step
from recycle.training.study import study

REVIEWS = 10
"""Reviews that a run by the clock has at least, however slow its steps are: enough for the learning curve to speak."""


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
    job: Job | None = None,
    fabric: Fabric | None = None,
) -> TrainReport:
    """Train on the shots of both domains, in `folder`; continue there if it holds a checkpoint.

    Writes `pipeline.json`, `checkpoint.pt`, `model/` (the bundle of the averaged weights), `model-best/` (the one
    with the best score on held-out frames), `held-out/` (those), `validation.json` (the scores), `logs/` (TensorBoard)
    and `previews/`. The job is told of each step, of reviews, and of notices, which go into the report, too. Where it
    is cancelled, and after SIGINT, SIGTERM and SIGHUP, the run is saved between two steps and Interrupted is raised.
    fabric: of `on_devices`, which is called here where none is given; on several devices all of them call this, and
    rank 0 alone writes. Raises FootageError for too little footage, BundleError for a damaged checkpoint, OutputError
    if another process trains in `folder` or a file cannot be written, RecycleError where losses stay not finite.
    """
    job = job or Job()
    if fabric is None:
        with on_devices(pipeline) as fabric:
            return train(pipeline, shots_a, shots_b, folder, job=job, fabric=fabric)
    with alone_in(folder, fabric, job):
        if fabric.is_global_zero:
            where = RunFolder(folder)
            for own in (folder, where.model, where.best, where.previews, where.held_out):
                remove_leftovers(own)
        return _train(pipeline, shots_a, shots_b, folder, job, fabric)


def _train(
    pipeline: Pipeline,
    shots_a: list[Shot],
    shots_b: list[Shot],
    folder: Path,
    job: Job,
    fabric: Fabric,
) -> TrainReport:
    settings = pipeline.train
    if pipeline.footage.paired:
        shots_a, shots_b = align(shots_a, shots_b)
    splits = [split(shots, settings.held_out) for shots in (shots_a, shots_b)]
    domains = [_domain(own, name, settings) for own, name in zip(splits, "ab", strict=True)]
    smallest = min(side for domain in domains for side in domain.canvas)
    run = Run(pipeline, folder, fabric, smallest, {"a": _sources(shots_a), "b": _sources(shots_b)})
    resumed = fabric.broadcast(run.saved is not None)
    changes = run.load() if resumed else []
    if not resumed:
        study(run, domains, job)
        run.save()
    if fabric.is_global_zero:
        with writing(run.where.pipeline):
            write_text(run.where.pipeline, pipeline.model_dump_json(indent=2) + "\n")
    report = TrainReport(run.step, run.step, run.where.model)
    noted = job.keeping(report.notices)
    for text in changes:
        noted.say(text)
    if run.tick().over:
        return report
    if run.step:
        left = run.clock.left()
        job.say(f"continuing from step {run.step}{f', {left}' if left else f' of {settings.steps}'}")
    for n, name in enumerate(DOMAINS):
        if not (own := splits[n]).unseen:
            noted.say(
                f"domain {name} has too little footage to keep frames from training: its previews and the validation "
                "score are of frames that are trained on"
            )
        elif _was_trained_on(own.held_out, name, run):
            splits[n] = replace(own, unseen=False)
            noted.say(
                f"the frames of domain {name} that are held out now were trained on before its footage changed: "
                "previews and the validation score are of frames that it knows"
            )
    for text in faults(domains[0], domains[1], paired=pipeline.footage.paired):
        noted.say(text)
    if fabric.is_global_zero and not resumed:
        for text in survey_shots(domains[0].shots, domains[1].shots).in_words():
            job.say(text)
    matches = _matches(run, domains, noted) if settings.match else None
    purge = run.step + 1 if resumed else None
    logs = Logs(run.where.logs, purge_step=purge, job=noted) if fabric.is_global_zero else None
    with logs or nullcontext():
        review = None if logs is None else Review(run, splits, logs, noted)
        portions = Portions(pipeline, fabric, noted)
        plan(run, portions, job)
        with _stop_between_steps(job) as stop:
            while not run.tick().over:
                try:
                    _train_until_done(run, domains, matches, review, portions, logs, stop, noted)
                    continue
                except StepError as error:
                    failed, reason, kind = run.step, str(error), type(error)
                # Here the error is gone, and with it what its frames held.
                release(fabric.device)
                run.roll_back(reason, kind)
                noted.say(
                    f"step {failed}: {reason}; went back to the last checkpoint, step {run.step}, and go on at "
                    f"{run.slowing:.3g} of the learning rate; if this comes again, {kind.remedy}"
                )
    if review and (advice := review.scores.advice()):
        noted.say(advice)
    report.step = run.step
    return report


def _train_until_done(
    run: Run,
    domains: list[Domain],
    matches: Matches | None,
    review: Review | None,  # this and the logs: of rank 0 alone
    portions: Portions,
    logs: Logs | None,
    stop: "_Stop",
    job: Job,
) -> None:
    settings, fabric = run.pipeline.train, run.fabric
    paired, batch_size = run.pipeline.footage.paired, settings.batch_size
    whole, own = batch_size * fabric.world_size, batch_size * fabric.global_rank  # of each step's samples
    augment = Augment(settings.augment, settings.size)
    # After a rollback other clips are drawn: the same ones would give the same loss again.
    batch = run.step + run.rollbacks * (settings.steps if settings.hours is None else 1 << 32)
    last = batch + settings.steps - run.step if settings.hours is None else sys.maxsize // whole
    loader = load_clips(
        _clips(run, domains, matches, last * whole),
        first=batch * whole + own,
        batch_size=batch_size,
        every=whole,
        workers=loading_processes(settings.workers, fabric.device, beside=fabric.world_size // (settings.nodes or 1)),
        pin_memory=fabric.device.type == "cuda",
    )
    reviewed = run.tick().part
    for number, (clips, waited) in enumerate(awaited(_until_stopped(loader, stop)), batch):
        tick = run.tick()
        samples = range(number * whole + own, number * whole + own + batch_size)
        seeds = np.stack([np.random.SeedSequence([settings.seed, n]).generate_state(2) for n in samples], axis=1)
        if paired or matches:  # flipped alike, so that places stay comparable
            seeds[1] = seeds[0]
        a, b = (augment(fabric.to_device(clip), each.tolist()) for clip, each in zip(clips, seeds, strict=True))
        a, b = (shrink(clip, shrinking(run.step, settings, tick.part)) for clip in (a, b))
        rate = run.set_rate(learning_rate(run.step, settings, tick.part))
        with run.clock.measured("step"):
            report = portions.fit(partial(take_step, run, a, b, number))
        measures = report.measures | {"waiting": torch.full((), waited, device=fabric.device)}
        means = average(fabric, report.losses | measures)
        report = report._replace(
            losses={name: means[name] for name in report.losses}, measures={name: means[name] for name in measures}
        )
        if not run.reliance.on:
            predicting, copying = report.losses["recurrent"], report.measures["copying"]
            if run.reliance.update(float(predicting), float(copying)):
                job.say(f"step {run.step}: the predictors are better than copying; the recycle loss begins")
        for text in run.health.observe(report, a, b, tick.part):
            job.say(f"step {run.step}: {text}")
        run.step += 1
        tick = run.tick()
        run.average.update(bare(run.model.translators))
        losses: dict[str, float] = {}
        if logs and (run.step % settings.log_every == 0 or run.step == 1):
            losses = _log(logs, run.step, report, rate)
            if (peak := peak_memory(fabric.device)) is not None:
                logs.add_scalar("memory/peak_gib", peak / 2**30, run.step)
        due = run.step % settings.preview_every == 0 or tick.over
        if settings.hours is not None:  # the first tells how long the end will take
            due = due or number == batch or tick.part - reviewed > 1 / REVIEWS
        if review and due:
            reviewed = tick.part
            with run.clock.measured("preview"):
                review.hold()
        if run.step % settings.checkpoint_every == 0 or tick.over or tick.unsaved:
            run.save()
            run.stuck = 0
        job.emit(Step(run.step, run.clock.total(run.step), rate, losses, run.clock.left()))
        if any_of(fabric, stop.asked):
            raise _saved(run)
        if tick.over:
            return
    if stop.asked:  # while it waited for clips
        if fabric.world_size > 1:  # the others are elsewhere, and saving takes all of them
            raise Interrupted("stopped; run the same command again to continue from the last checkpoint")
        raise _saved(run)


def _clips(run: Run, domains: list[Domain], matches: Matches | None, length: int) -> UnpairedClips | PairedClips:
    if matches:
        return MatchedClips(domains[0], domains[1], length, matches, run.pipeline.train)
    return (PairedClips if run.pipeline.footage.paired else UnpairedClips)(domains[0], domains[1], length)


def _matches(run: Run, domains: list[Domain], job: Job) -> Matches:
    """Found by rank 0 for all: what is nearest must not depend on a process's rounding."""
    settings, fabric = run.pipeline.train, run.fabric
    a, b = domains
    crops = candidates(a, settings.size, settings.seed), candidates(b, settings.size, settings.seed)
    found: Matches | None = None
    if fabric.is_global_zero:
        found = find_matches((a, b), crops, settings.size, open_network("lite0"), fabric.device, job=job)
        job.say(
            f"matched sampling among {len(crops[0])} crops of domain a and {len(crops[1])} of b: similarity of matched "
            f"pairs {found.similarity:.2f}, of random ones 0"
        )
    release(fabric.device)
    shared = fabric.broadcast(found)
    assert shared is not None
    return shared


def _saved(run: Run) -> Interrupted:
    run.save()
    return Interrupted(f"stopped and saved at step {run.step}; run the same command again to continue")


def _until_stopped(loader: Iterable[tuple[Tensor, Tensor]], stop: "_Stop") -> Iterator[tuple[Tensor, Tensor]]:
    """The batches; no more once the signal that stops the run has ended the processes that load them."""
    try:
        yield from loader
    except RuntimeError:
        if not stop.asked:
            raise


def take_step(run: Run, a: Tensor, b: Tensor, number: int, parts: int = 1) -> StepReport:
    """Train on the batch of that number: clips a, b (B, T, 3, H, W) on the run's device. Raises as training_step."""
    settings = run.pipeline.train
    # All that the step draws follows from its number, so a continued run draws the same, and from the process.
    draws = np.random.SeedSequence([settings.seed, number, 1, run.fabric.global_rank])
    torch.manual_seed(int(draws.generate_state(1)[0]))
    return training_step(
        run.model,
        run.optimisers,
        run.pools,
        a,
        b,
        run.pipeline.losses,
        fabric=run.fabric,
        clip_norm=settings.clip_norm,
        step=run.step,
        recycle=run.reliance.on,
        parts=parts,
    )


def _log(logs: Logs, step: int, report: StepReport, rate: float) -> dict[str, float]:
    values = {name: float(loss) for name, loss in report.losses.items()}
    for name, value in values.items():
        logs.add_scalar(f"loss/{name}", value, step)
    for name, measure in report.measures.items():
        logs.add_scalar(f"measure/{name}", float(measure), step)
    logs.add_scalar("learning_rate", rate, step)
    return values


def _sources(shots: list[Shot]) -> list[str]:
    """Names of the folders that hold the shots' frames: of a source, and of what is in it."""
    return sorted({shot.files[0].parent.name for shot in shots})


def _was_trained_on(held_out: Shot, domain: DomainName, run: Run) -> bool:
    """Whether an earlier call may have trained on what is held out now, because it held out other frames."""
    known = held_out.files[0].parent.name in run.earlier.get(domain, ())
    kept = run.where.held_out
    return bool(run.step) and known and kept.is_dir() and not (kept / held_out_name(held_out, domain)).exists()


def _domain(own: Split, name: str, settings: TrainSettings) -> Domain:
    domain = Domain(own.train, name=name, frames=settings.frames, strides=settings.strides, seed=settings.seed)
    (height, width), (h, w) = domain.canvas, settings.size
    if h > height or w > width:
        raise FootageError(
            f"train.size {h}x{w} (height x width) is larger than the frames of domain {name} ({height}x{width}); "
            "lower train.size or extract with a larger short_side"
        )
    return domain


@dataclass
class _Stop:
    """Whether a signal or the job stops the run."""

    job: Job
    signalled: bool = False
    since: float = 0.0

    @property
    def asked(self) -> bool:
        return self.signalled or self.job.stopping


@contextmanager
def _stop_between_steps(job: Job) -> Iterator[_Stop]:
    """SIGINT, SIGTERM and SIGHUP set a flag; another, more than a second later, interrupts at once.

    SIGHUP comes when a terminal closes; where it is ignored, as under nohup, it stays so.
    """
    stop = _Stop(job)

    def ask(number: int, frame: Any) -> None:
        now = time.monotonic()
        if stop.signalled and now > stop.since + 1:  # torchrun passes on what the keyboard has sent already
            raise KeyboardInterrupt
        stop.signalled, stop.since = True, now

    stopping = [signal.SIGINT, signal.SIGTERM]
    stopping += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    try:
        before = {number: signal.signal(number, ask) for number in stopping}
    except ValueError:  # not in the main thread: the caller looks after signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
