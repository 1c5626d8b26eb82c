"""The state of one training run, in memory and in its folder."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from pydantic import ValidationError
from torch.distributed.optim import ZeroRedundancyOptimizer

from recycle.config import NetworkSettings, Pipeline
from recycle.config.losses import PerDirection
from recycle.domains import Domain, Names
from recycle.errors import BundleError, RecycleError
from recycle.names import plain
from recycle.networks.bundle import BundleConfig, save_bundle
from recycle.objective.discriminators import Discriminators
from recycle.objective.sides import bare
from recycle.objective.translators import Translators
from recycle.run_folder import WEIGHTS, RunFolder
from recycle.system.devices import memory_format
from recycle.system.disk import writing
from recycle.system.out_of_memory import is_out_of_memory
from recycle.training.adam import Adam
from recycle.training.checkpoint import FORMAT, load_checkpoint, not_finite, previous_of, save_checkpoint
from recycle.training.clock import Clock, Tick
from recycle.training.ema import MovingAverage
from recycle.training.fabric import leave_inputs
from recycle.training.health import Health
from recycle.training.pool import FramePool
from recycle.training.processes import any_of, gathered
from recycle.training.schedule import Reliance
from recycle.training.step import HalfUpdatedError, NotFiniteError, Optimisers, RecycleGAN, StepError, loss_scaler

ROLLBACKS = 3
"""Number of times that a run returns to the same checkpoint after a failed step before it gives up."""

_MOST = 10**15
"""Maximum number of steps of a run."""

_SOURCE = re.compile("(.*)-([0-9a-f]{8})")
"""A source's folder is named by the source and a fingerprint of its content."""

MAY_CHANGE = {
    "steps",
    "hours",
    "decay",
    "device",
    "devices",
    "nodes",
    "sharded",
    "batch_size",
    "learning_rate",
    "discriminator_rate",
    "predictor_rate",
    "clip_norm",
    "precision",
    "workers",
    "log_every",
    "trackers",
    "preview_every",
    "checkpoint_every",
    "start_from",
}
"""Training settings that may change when a run is continued."""


class Run:
    """Networks, optimisers, moving averages and frame pools, with methods to save and continue.

    `footage` lists the names of each domain's extracted sources; a checkpoint must share some of them. `grey` lists the
    domains whose footage has one channel. Raises ConfigError if a network cannot be built.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        folder: Path,
        fabric: Fabric,
        short_side: int,
        footage: Mapping[Domain, Sequence[str]] | None = None,
        grey: tuple[Domain, ...] = (),
    ) -> None:
        self.pipeline, self.fabric, self.where = pipeline, fabric, RunFolder(folder)
        self._footage = {domain: sorted(set(names)) for domain, names in (footage or {}).items()}
        self.earlier: dict[Domain, list[str]] = {}
        """Sources on which earlier calls trained, by domain."""
        settings = pipeline.train
        self.step = 0
        self.rollbacks = 0
        self.stuck = 0  # rollbacks since the last regular checkpoint
        self.slowing = 1.0  # factor of all learning rates, halved at each rollback
        self.clock = Clock(settings)
        layout = memory_format(fabric.device)
        torch.manual_seed(settings.seed)
        translators = Translators(pipeline).to(memory_format=layout)
        discriminators = Discriminators(pipeline).to(memory_format=layout)
        config = BundleConfig(
            name=pipeline.name,
            domains=pipeline.domains,
            networks=pipeline.networks,
            predictors=pipeline.predicts,
            masked=pipeline.footage.masked,
            short_side=short_side,
            grey=grey,
        )
        self.average = MovingAverage(translators.bundle(config), settings.ema)
        self.average.bundle.to(fabric.device).to(memory_format=layout)  # that of the weights
        leave_inputs(fabric)
        self.model = RecycleGAN(
            fabric.setup_module(translators),
            fabric.setup_module(discriminators) if discriminators.networks else discriminators,
        )
        self.optimisers = Optimisers(
            self._adam([translators.generators(), translators.predictors()]),
            self._adam([list(discriminators.parameters())]),
        )
        judged = [
            name for name in discriminators.networks if name.startswith("disc")
        ]  # the others take only current frames
        first = settings.seed + fabric.global_rank * len(judged)
        self.pools = {name: FramePool(settings.pool_size, first + i) for i, name in enumerate(judged)}
        self.reliance = Reliance(wait=pipeline.losses.prediction.wait)
        self.health = Health(pipeline)

    def _adam(self, groups: list[list[torch.nn.Parameter]]) -> Any:
        settings = self.pipeline.train
        given = [{"params": group} for group in groups if group]
        if not given:
            return None
        rates: dict[str, Any] = {"lr": settings.learning_rate, "betas": settings.betas}
        if settings.sharded and self.fabric.world_size > 1:  # it does not support fused Adam's state on a GPU
            return self.fabric.setup_optimizers(ZeroRedundancyOptimizer(given, torch.optim.Adam, **rates))
        return self.fabric.setup_optimizers(Adam(given, **rates))

    def set_rate(self, rate: float) -> float:
        """Set the learning rates of all optimisers; returns that of the generators."""
        settings, rate = self.pipeline.train, rate * self.slowing
        for group, factor in zip(self.optimisers.translators.param_groups, (1, settings.predictor_rate), strict=False):
            group["lr"] = rate * factor
        if self.optimisers.discriminators is not None:
            for group in self.optimisers.discriminators.param_groups:
                group["lr"] = rate * settings.discriminator_rate
        return rate

    @property
    def saved(self) -> Path | None:
        """The file from which this run continues; None for a new run.

        This is the previous checkpoint if the latest is missing, deleted by a person or lost by a kill between two
        renames on a file system without hard links.
        """
        latest = self.where.checkpoint
        return next((file for file in (latest, previous_of(latest)) if file.exists()), None)

    def _parts(self) -> dict[str, Any]:
        """Objects with a state of their own, by their keys in the checkpoint."""
        parts = {
            "translators": bare(self.model.translators),
            "discriminators": bare(self.model.discriminators),
            "average": self.average.bundle,
            "optimiser_translators": self.optimisers.translators,
            "optimiser_discriminators": self.optimisers.discriminators,
            "reliance": self.reliance,
            "health": self.health,
            "loss_scaler": loss_scaler(self.fabric),
        }
        return {key: part for key, part in parts.items() if part is not None}

    @property
    def shares_time(self) -> bool:
        """Whether several processes must agree on the time that is left."""
        return self.pipeline.train.hours is not None and self.fabric.world_size > 1

    def tick(self) -> Tick:
        """Progress of the run; with a time limit on several devices, that of rank 0."""
        tick = self.clock.tick(self.step)
        if self.shares_time:
            return self.fabric.broadcast(tick)
        return tick if self.fabric.world_size == 1 else tick._replace(unsaved=False)

    def save(self) -> None:
        """Write the bundle and the checkpoint; all processes take part, and rank 0 writes.

        The checkpoint is written last, so that its bundle exists. Raises OutputError if a file cannot be written,
        NotFiniteError if weights or moments are not finite: these are never saved.
        """
        with self.clock.measured("save"):
            self._save()

    def _save(self) -> None:
        pools = gathered(self.fabric, {name: pool.state_dict() for name, pool in self.pools.items()})
        state: dict[str, Any] = {key: part.state_dict() for key, part in self._parts().items()}
        state |= {
            "pipeline": self.pipeline.model_dump_json(),
            "footage": self._footage,
            "trained_on": {d: sorted({*names, *self.earlier.get(d, ())}) for d, names in self._footage.items()},
            "step": self.step,
            "rollbacks": self.rollbacks,
            "slowing": self.slowing,
            "clock": self.clock.state_dict(),
            "average_updates": self.average.updates,
            "pools": pools,
        }
        bad = not_finite(state)
        if any_of(self.fabric, bad is not None):
            raise NotFiniteError(f"{bad or 'a weight of another process'} is not finite")
        if self.fabric.is_global_zero:
            self.write_bundle(self.where.model)
            save_checkpoint(self.where.checkpoint, state)
        self.fabric.barrier()

    def write_bundle(self, folder: Path) -> None:
        """Write the averaged networks, and the discriminators of this step, to the bundle in `folder`.

        Raises OutputError if it cannot be written.
        """
        bundle = self.average.bundle
        bundle.config = bundle.config.model_copy(update={"step": self.step})
        judges = bare(self.model.discriminators).networks.state_dict()
        with writing(folder / WEIGHTS):
            save_bundle(bundle, folder, discriminators=judges)

    def load(self, *, again: bool = False) -> list[str]:
        """Continue from the checkpoint; returns notices about it and about changed footage, one line each.

        `again` states that this call of `train` rolls back, so that its time counts. Raises BundleError if the
        checkpoint is damaged or of another version; RecycleError if it has other settings or other footage.
        """
        file = self.saved or self.where.checkpoint
        state = load_checkpoint(file)
        if state.get("format") != FORMAT:
            raise _of_another_version(file)
        try:
            notices = self._restore(state, file, again=again)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            raise BundleError(
                f"{file} does not contain the state of a run with these settings; restore it from a copy, or give "
                "another --out folder"
            ) from error
        if file != self.where.checkpoint:
            notices.insert(
                0, f"{self.where.checkpoint} is missing; continuing from the previous checkpoint, of step {self.step}"
            )
        return notices

    def _restore(self, state: dict[str, Any], file: Path, *, again: bool) -> list[str]:
        _check_counts(state)
        self.optimisers.overflows = 0
        _same_settings(state["pipeline"], self.pipeline, file)
        notices = _same_footage(state.get("footage", {}), self._footage, self.where.folder, self.pipeline.domains)
        start = self.pipeline.train.start_from
        if start is not None and json.loads(state["pipeline"])["train"].get("start_from") != plain(str(start)):
            notices.append(f"this run began without {start}; 'train.start_from' has an effect only on the first step")
        self.earlier = state.get("trained_on", {})
        for key, part in self._parts().items():
            if key.startswith("optimiser"):  # a sharded optimiser has different options
                own = [{**group, "params": saved["params"]} for group, saved in _groups(part, state[key])]
                state[key]["param_groups"] = own
            if key != "loss_scaler" or key in state:  # missing if the run had another precision
                part.load_state_dict(state[key])
        self.average.updates = state["average_updates"]
        for name, pool in self.pools.items():
            pool.clear()  # a new process starts with empty pools
            if self.fabric.global_rank < len(state["pools"]):
                pool.load_state_dict(state["pools"][self.fabric.global_rank][name], self.fabric.device)
        self.step, self.rollbacks, self.slowing = int(state["step"]), int(state["rollbacks"]), float(state["slowing"])
        if not again:
            self.clock.load_state_dict(state["clock"])
        return notices

    def roll_back(self, reason: str, kind: type[StepError]) -> None:
        """Return to the checkpoint, and continue with other clips, at half the learning rate if that may help.

        Raises RecycleError after ROLLBACKS attempts. On several devices it also raises for an error that only one
        process may have, because the others would wait for it.
        """
        if kind is HalfUpdatedError and self.fabric.world_size > 1:
            raise RecycleError(f"training stopped at step {self.step}: {reason}; {kind.remedy}")
        rollbacks, slowing = self.rollbacks + 1, self.slowing / 2 if kind.slower else self.slowing
        self.stuck += 1
        if self.stuck > ROLLBACKS:
            raise RecycleError(
                f"training stopped at step {self.step}: {reason}, again after {ROLLBACKS} rollbacks; {kind.remedy}"
            )
        self.load(again=True)
        self.rollbacks, self.slowing = rollbacks, slowing
        self.save()


def _check_counts(state: dict[str, Any]) -> None:
    """Raise ValueError for impossible counts; tensors are checked when the file is read."""
    counts = [state["step"], state["rollbacks"], state["average_updates"]]
    fine = all(isinstance(count, int) and 0 <= count <= _MOST for count in counts) and 0 < state["slowing"] <= 1
    if not (fine and isinstance(state.get("trained_on", {}), dict) and isinstance(state.get("footage", {}), dict)):
        raise ValueError("a count is out of its range")


def _groups(optimiser: Any, state: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    return zip(optimiser.param_groups, state["param_groups"], strict=True)


def _of_another_version(checkpoint: Path) -> BundleError:
    return BundleError(f"{checkpoint} was written by an incompatible version of recycle; give another --out folder")


def _leaves(settings: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Individual settings by their dotted names."""
    for key, value in settings.items():
        weights = isinstance(value, dict) and value.keys() == PerDirection.model_fields.keys()  # one setting
        if isinstance(value, dict) and not weights:
            yield from _leaves(value, f"{above}{key}.")
        elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            yield from _leaves({str(number): each for number, each in enumerate(value)}, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _same_footage(
    saved: Mapping[Domain, Sequence[str]], now: Mapping[Domain, Sequence[str]], folder: Path, called: Names
) -> list[str]:
    """Notices about changed sources. Raises RecycleError if no source is the same, neither by name nor by content."""
    notices = []
    for domain, names in now.items():
        before = set(saved.get(domain, names))
        if _halves(before).isdisjoint(_halves(names)):
            raise RecycleError(
                f"{folder} was trained on other footage of domain {called.of(domain)} ({_some(before)}; now "
                f"{_some(names)}); give another --out folder, or the previous footage"
            )
        new, gone = len(set(names) - before), len(before - set(names))
        if new or gone:
            notices.append(
                f"the footage of domain {called.of(domain)} has changed since this run began: new sources: {new}, "
                f"missing: {gone}; training continues with the present sources"
            )
    return notices


def _halves(names: Collection[str]) -> set[str]:
    """Name and fingerprint of each source; a renamed source keeps one of them, a changed source the other."""
    found = (_SOURCE.fullmatch(name) for name in names)
    return {half for name, match in zip(names, found, strict=True) for half in (match.groups() if match else [name])}


def _some(names: Collection[str]) -> str:
    first = min(names)
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"


def _same_settings(saved: str, new: Pipeline, checkpoint: Path) -> None:
    # Compare individual settings: as a whole, the saved ones may not be valid in this version.
    old, unset, present = json.loads(saved), Pipeline().model_dump(mode="json"), new.model_dump(mode="json")
    old["networks"], unset["networks"] = _same_kinds(old.get("networks", {}), new, checkpoint).in_full(), {}
    present["networks"] = new.networks.in_full()
    for group in ("networks", "losses", "train"):
        before, default, now = (dict(_leaves(each.get(group, {}))) for each in (old, unset, present))
        before = default | before
        if not before.keys() <= now.keys():
            raise _of_another_version(checkpoint)
        for key, value in before.items():
            if now[key] != value and key not in MAY_CHANGE:
                raise RecycleError(
                    f"{checkpoint} was trained with {group}.{key} = {value}, the pipeline now says {now[key]}; "
                    "restore that setting, or give another --out folder"
                )


def _same_kinds(networks: dict[str, Any], new: Pipeline, checkpoint: Path) -> NetworkSettings:
    """The saved settings of the networks, with defaults filled in.

    Raises RecycleError if a network has another kind, because kinds have different settings.
    """
    try:
        before = NetworkSettings.model_validate(networks)
    except ValidationError as error:
        raise _of_another_version(checkpoint) from error
    for role in NetworkSettings.model_fields:
        was, now = (" and ".join(_kinds(getattr(each, role))) for each in (before, new.networks))
        if was != now:
            raise RecycleError(
                f"{checkpoint} was trained with networks.{role} of kind {was}, the pipeline now says {now}; "
                "restore that setting, or give another --out folder"
            )
    return before


def _kinds(settings: Any) -> list[str]:
    return [each.kind for each in (settings if isinstance(settings, tuple) else (settings,))]
