"""The training loop, from clips to a bundle; it can be stopped at any moment and continued."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from recycle.config import Pipeline
from recycle.dataset.clips import DomainClips
from recycle.dataset.faults import faults
from recycle.dataset.shots import Shot, Split, align, split
from recycle.dataset.survey import survey_shots
from recycle.domains import DOMAINS, Domain
from recycle.errors import BundleError, Interrupted
from recycle.events import Job, Step
from recycle.networks.bundle import load_bundle, name_domains
from recycle.objective.sides import bare
from recycle.run_folder import RunFolder, is_bundle
from recycle.system.atomic import remove_leftovers, write_text
from recycle.system.disk import writing
from recycle.system.memory import peak_memory, release
from recycle.training.apple import check_losses
from recycle.training.clock import REVIEWING, Tick, awaited
from recycle.training.fabric import kernels_for
from recycle.training.lock import alone_in
from recycle.training.logs import Logs, keep_fault
from recycle.training.matching import Matches
from recycle.training.memory import Portions, plan
from recycle.training.processes import on_devices
from recycle.training.review import Review
from recycle.training.run import Run
from recycle.training.sampling import Batches, domain_of, facts_of, matches_of, was_trained_on
from recycle.training.schedule import learning_rate
from recycle.training.start import begin
from recycle.training.step import StepError, StepReport, training_step
from recycle.training.stop import Stop, stop_between_steps
from recycle.training.study import study
from recycle.training.trackers import Tracked

REVIEWS = 10
"""Number of reviews of a run with a time limit, however slow its steps are; enough for a learning curve."""
STOPPING = "stopping"
"""Name of the number that tells the other processes to stop."""


@dataclass
class TrainReport:
    """The result of a call of `train`."""

    step: int
    """Number of completed steps of the run."""
    resumed_from: int
    """Step from which the call continued; 0 for a new run."""
    model: Path
    """Folder of the bundle."""
    notices: list[str] = field(default_factory=list)
    """Notices of this call, one line each."""
    seconds: float = 0.0
    """Time for which the run has trained, including earlier calls."""


def train(
    pipeline: Pipeline,
    shots_a: list[Shot],
    shots_b: list[Shot],
    folder: Path,
    *,
    surveyed: bool = False,
    job: Job | None = None,
    fabric: Fabric | None = None,
) -> TrainReport:
    """Train on the shots of both domains in `folder`; continue if it holds a checkpoint.

    Writes `pipeline.json`, `checkpoint.pt`, `model/` (the bundle of the averaged weights), `model-best/` (the bundle
    with the best score on held-out frames), `held-out/` (these frames), `validation.json` (the scores), `logs/`
    (TensorBoard) and `previews/`. The job receives each step, reviews, and notices, which are also in the report. If
    the job is cancelled, and after SIGINT, SIGTERM or SIGHUP, the run is saved between two steps and Interrupted is
    raised. `surveyed` states whether the user has already seen the survey of the footage (`recycle.dataset.survey`).
    `fabric` is the result of `on_devices`, which is called here if it is None. On several devices, all processes call
    this function, and only rank 0 writes.

    Raises FootageError for too little footage, BundleError for a damaged checkpoint, OutputError if another process
    trains in `folder` or a file cannot be written, RecycleError if losses stay infinite or NaN.
    """
    job = job or Job()
    if fabric is None:
        with on_devices(pipeline) as fabric:
            return train(pipeline, shots_a, shots_b, folder, surveyed=surveyed, job=job, fabric=fabric)
    check_losses(pipeline, fabric.device)
    with alone_in(folder, fabric, job):
        if fabric.is_global_zero:
            where = RunFolder(folder)
            for own in (folder, where.model, where.best, where.previews, where.held_out):
                remove_leftovers(own)
        return _train(pipeline, shots_a, shots_b, folder, surveyed, job, fabric)


def _train(
    pipeline: Pipeline,
    shots_a: list[Shot],
    shots_b: list[Shot],
    folder: Path,
    surveyed: bool,
    job: Job,
    fabric: Fabric,
) -> TrainReport:
    settings = pipeline.train
    if pipeline.footage.paired:
        shots_a, shots_b = align(shots_a, shots_b)
    splits = [split(shots, settings.held_out) for shots in (shots_a, shots_b)]
    names = pipeline.domains
    domains = [domain_of(own, name, pipeline) for own, name in zip(splits, DOMAINS, strict=True)]
    smallest = min(side for domain in domains for side in domain.canvas)
    run = Run(pipeline, folder, fabric, smallest, *facts_of({"a": shots_a, "b": shots_b}))
    resumed = fabric.broadcast(run.saved is not None)
    changes = run.load() if resumed else begin(run)
    if not resumed:
        study(run, domains, job)
        run.save()
    if fabric.is_global_zero:
        if not resumed:
            run.where.health.unlink(missing_ok=True)
        with writing(run.where.pipeline):
            write_text(run.where.pipeline, pipeline.model_dump_json(indent=2) + "\n")
            for model in filter(is_bundle, (run.where.model, run.where.best)):
                with suppress(BundleError):  # a damaged one is replaced when the run is saved next
                    name_domains(model, names)
    report = TrainReport(run.step, run.step, run.where.model, seconds=run.clock.seconds)
    noted = job.keeping(report.notices)
    for text in changes:
        noted.say(text)
    if run.tick().over:
        _restore_models(run, noted)
        return report
    if run.step:
        left = run.clock.remaining()
        job.say(f"continuing from step {run.step}{f', {left}' if left else f' of {settings.steps}'}")
    splits = [_judged(own, name, run, noted) for own, name in zip(splits, DOMAINS, strict=True)]
    for text in faults(domains[0], domains[1], paired=pipeline.footage.paired):
        noted.say(text)
    if fabric.is_global_zero and not resumed and not surveyed:
        for text in survey_shots(domains[0].shots, domains[1].shots).in_words(names):
            job.say(text)
    matches = matches_of(run, domains, noted) if settings.match else None
    purge = run.step + 1 if resumed else None
    tracked = Tracked(folder.absolute().name, run.where.logs, pipeline.model_dump(mode="json"), purge)
    logs = Logs(tracked, trackers=settings.trackers, job=noted) if fabric.is_global_zero else None
    with logs or nullcontext():
        review = None if logs is None else Review(run, splits, logs, noted)
        portions = Portions(pipeline, fabric, noted)
        plan(run, portions, job)
        with stop_between_steps(job) as stop, kernels_for("growing" if settings.grow else "fixed"):
            _Training(run, domains, matches, review, portions, logs, stop, noted).run_on()
    if review and (advice := review.scores.advice()):
        noted.say(advice)
    report.step, report.seconds = run.step, run.clock.seconds
    return report


def _judged(own: Split, name: Domain, run: Run, job: Job) -> Split:
    """The split of one domain, marked as seen if its held-out frames were used for training."""
    called = run.pipeline.domains.of(name)
    if not own.unseen:
        job.say(
            f"domain {called} has too little footage to hold out frames: its previews and validation scores use "
            "training frames"
        )
    elif was_trained_on(own.held_out, name, run):
        job.say(
            f"the held-out frames of domain {called} were used for training before its footage changed: its previews "
            "and validation scores use frames that the model has seen"
        )
        return replace(own, unseen=False)
    return own


def _restore_models(run: Run, job: Job) -> None:
    """Write the last model of a finished run again, from its checkpoint, if it is lost or damaged.

    A damaged best model is removed; then the last one counts as the best.
    """
    if not run.fabric.is_global_zero:
        return
    last, best = run.where.model, run.where.best
    try:
        load_bundle(last)
    except BundleError:
        run.write_bundle(last)
        job.say(f"{last} was missing or damaged: it holds the model of step {run.step} again")
    try:
        if best.exists():
            load_bundle(best)
    except BundleError:
        shutil.rmtree(best)
        job.say(f"{best} was damaged and is removed: use the last model, of step {run.step}")


@dataclass(frozen=True)
class _Training:
    """The steps of a run, with everything that accompanies them."""

    run: Run
    domains: list[DomainClips]
    matches: Matches | None
    review: Review | None  # None except on rank 0, as are the logs
    portions: Portions
    logs: Logs | None
    stop: Stop
    job: Job

    def run_on(self) -> None:
        """Train until the run is over; after a failed step, continue from the last checkpoint."""
        run = self.run
        while not run.tick().over:
            try:
                self._steps()
                continue
            except StepError as error:
                failed, reason, kind = run.step, str(error), type(error)
            # After the except block, the tensors that the traceback held are freed.
            release(run.fabric.device)
            run.roll_back(reason, kind)
            self._warn(
                f"step {failed}: {reason}; went back to the last checkpoint, step {run.step}, to continue at "
                f"{run.slowing:.3g} of the learning rate; if this happens again, {kind.remedy}"
            )

    def _steps(self) -> None:
        run, settings, fabric, stop = self.run, self.run.pipeline.train, self.run.fabric, self.stop
        batches = Batches(run, self.domains, self.matches)
        tick = run.tick()
        reviewed = tick.part
        for number, (clips, waited) in enumerate(awaited(_until_stopped(batches.loader, stop)), batches.first):
            tick = tick if run.shares_time else run.tick()  # several processes agree on it at the end of each step
            a, b = batches.prepare(clips, number, tick)
            rate = run.set_rate(learning_rate(run.step, settings, tick.part))
            beside = partial(_beside, waited, stop, run)
            with run.clock.measured("step"):
                report = self.portions.fit(partial(take_step, run, a, b, number, beside=beside))
            stopping = report.measures.pop(STOPPING) > 0
            shared = {name: report.measures.pop(name) for name in Tick._fields if run.shares_time}
            self._observe(report, a[:, :, :3], b[:, :, :3], tick.part)
            run.step += 1
            tick = Tick.agreed(shared) if shared else run.tick()
            run.average.update(bare(run.model.translators))
            losses = self._log(report, rate)
            # The first review of a run with a time limit measures how long the closing work takes.
            due = run.step % settings.preview_every == 0 or (settings.hours is not None and number == batches.first)
            if due or (settings.hours is not None and tick.part - reviewed > 1 / REVIEWS):
                reviewed = tick.part
                tick = self._reviewed(tick, share=1.0 if due else REVIEWING)
            elif tick.over:
                self._hold_review()
            if run.step % settings.checkpoint_every == 0 or tick.over or tick.unsaved:
                run.save()
                run.stuck = 0
            self.job.emit(Step(run.step, run.clock.total(run.step), rate, losses, run.clock.left()))
            if stopping or (stop.asked and fabric.world_size == 1):
                raise _saved(run)
            if tick.over:
                return
        if stop.asked:  # while waiting for clips
            if fabric.world_size > 1:  # saving needs all processes, and the others are not at this point
                raise Interrupted("stopped; run the same command again to continue from the last checkpoint")
            raise _saved(run)

    def _reviewed(self, tick: Tick, *, share: float) -> Tick:
        """Hold a review if there is time (see `Clock.affords_preview`), or if the run is over; the state afterwards."""
        held = tick.over or self.run.clock.affords_preview(share)
        if held:
            self._hold_review()
        if not tick.over:
            tick = self.run.tick()
            if tick.over and not held:
                self._hold_review()
        return tick

    def _hold_review(self) -> None:
        if self.review is not None:
            with self.run.clock.measured("preview"):
                self.review.hold()

    def _observe(self, report: StepReport, a: Tensor, b: Tensor, part: float) -> None:
        """Report what a step shows about the run; `part` is the completed proportion of the run."""
        run = self.run
        if not run.reliance.on:
            predicting, copying = report.losses["recurrent"], report.measures["copying"]
            if run.reliance.update(predicting, copying):
                self.job.say(
                    f"step {run.step}: the predictors are better than copying the last frame; the recycle loss starts"
                )
        for text in run.health.observe(report, a, b, part):
            self._warn(f"step {run.step}: {text}")

    def _warn(self, text: str) -> None:
        """Say what goes wrong; the line is kept in the run's folder, for the report."""
        self.job.say(text)
        if self.logs is not None:
            keep_fault(self.run.where, text)

    def _log(self, report: StepReport, rate: float) -> dict[str, float]:
        """Log a step, and return its losses; {} for steps that are not logged."""
        run, logs = self.run, self.logs
        if logs is None or (run.step % run.pipeline.train.log_every != 0 and run.step != 1):
            return {}
        losses = _log(logs, run.step, report, rate)
        if (peak := peak_memory(run.fabric.device)) is not None:
            logs.add_scalars({"memory/peak_gib": peak / 2**30}, run.step)
        return losses


def _beside(waited: float, stop: Stop, run: Run) -> dict[str, float]:
    """What the processes share in each step: the time spent waiting for clips, whether one of them was stopped, and the
    time that is left."""
    shared = {"waiting": waited, STOPPING: float(stop.asked)}
    return shared | run.clock.tick(run.step).numbers() if run.shares_time else shared


def _until_stopped(loader: Iterable[tuple[Tensor, Tensor]], stop: Stop) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches, until the signal that stops the run has ended the loading processes."""
    try:
        yield from loader
    except RuntimeError:
        if not stop.asked:
            raise


def _saved(run: Run) -> Interrupted:
    run.save()
    return Interrupted(f"stopped and saved at step {run.step}; run the same command again to continue")


def take_step(
    run: Run,
    a: Tensor,
    b: Tensor,
    number: int,
    parts: int = 1,
    *,
    beside: Callable[[], Mapping[str, float]] = dict,
) -> StepReport:
    """Train on batch `number`: clips a, b (B, T, 3, H, W) on the run's device. Raises the errors of `training_step`."""
    settings = run.pipeline.train
    # Random numbers depend only on the step and the process, so that a continued run draws the same ones.
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
        beside=beside,
    )


def _log(logs: Logs, step: int, report: StepReport, rate: float) -> dict[str, float]:
    values = {f"loss/{name}": loss for name, loss in report.losses.items()}
    values |= {f"measure/{name}": measure for name, measure in report.measures.items()}
    logs.add_scalars(values | {"learning_rate": rate}, step)
    return dict(report.losses)
