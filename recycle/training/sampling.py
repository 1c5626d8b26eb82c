"""The samples of a training: the clips of both domains, matched crops, and batches in an order that depends on the
seed."""

import sys
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from recycle.config import Pipeline
from recycle.dataset.augment import Augment, shrink
from recycle.dataset.clips import DomainClips, PairedClips, UnpairedClips, load_clips, loading_processes
from recycle.dataset.shots import Shot, Split
from recycle.domains import Domain
from recycle.errors import FootageError
from recycle.events import Job
from recycle.networks.features import open_network
from recycle.system.memory import release
from recycle.training.clock import Tick
from recycle.training.matching import MatchedClips, Matches, candidates, find_matches
from recycle.training.prefetch import copied_ahead
from recycle.training.preview import held_out_name
from recycle.training.run import Run
from recycle.training.schedule import shrinking


def facts_of(
    footage: Mapping[Domain, Sequence[Shot]],
) -> tuple[dict[Domain, list[str]], tuple[Domain, ...]]:
    """The folder names of each domain's sources, which contain their names and fingerprints; and the domains of which
    all footage has one channel."""
    names = {domain: sorted({shot.files[0].parent.name for shot in shots}) for domain, shots in footage.items()}
    return names, tuple(domain for domain, shots in footage.items() if all(shot.grey for shot in shots))


def was_trained_on(held_out: Shot, domain: Domain, run: Run) -> bool:
    """Whether an earlier call may have trained on the held-out frames, because it held out other frames."""
    known = held_out.files[0].parent.name in run.earlier.get(domain, ())
    kept = run.where.held_out
    return bool(run.step) and known and kept.is_dir() and not (kept / held_out_name(held_out, domain)).exists()


def domain_of(own: Split, name: Domain, pipeline: Pipeline) -> DomainClips:
    """The clips of one domain. Raises FootageError if its frames are smaller than the training size."""
    settings = pipeline.train
    domain = DomainClips(
        own.train,
        name=name,
        frames=settings.frames,
        strides=settings.strides,
        seed=settings.seed,
        size=settings.size,
        called=pipeline.domains.of(name),
        masked=bool(pipeline.footage.masks(name)),
    )
    (height, width), (h, w) = domain.canvas, settings.size
    if h > height or w > width:
        raise FootageError(
            f"train.size {h}x{w} (height x width) is larger than the frames of domain {domain.called} "
            f"({height}x{width}); lower train.size or extract with a larger short_side"
        )
    return domain


def matches_of(run: Run, domains: list[DomainClips], job: Job) -> Matches:
    """Matched crops, found by rank 0 for all processes, because rounding could make their results differ.

    Raises FootageError if there is nothing to choose from, Interrupted if the job is cancelled.
    """
    settings, fabric = run.pipeline.train, run.fabric
    a, b = domains
    crops = candidates(a, settings.size, settings.seed), candidates(b, settings.size, settings.seed)
    found: Matches | None = None
    if fabric.is_global_zero:
        found = find_matches((a, b), crops, settings.size, open_network("lite0"), fabric.device, job=job)
        job.say(
            f"matched sampling among {len(crops[0])} crops of domain {a.called} and {len(crops[1])} of "
            f"{b.called}: similarity of matched pairs {found.similarity:.2f}, of random ones 0"
        )
    release(fabric.device)
    shared = fabric.broadcast(found)
    assert shared is not None
    return shared


class Batches:
    """The batches of a run from its next step on."""

    def __init__(self, run: Run, domains: list[DomainClips], matches: Matches | None) -> None:
        settings, fabric = run.pipeline.train, run.fabric
        self._run, self._size = run, settings.batch_size
        # Number of samples per step, and offset of this process in them.
        self._whole, self._own = self._size * fabric.world_size, self._size * fabric.global_rank
        self._alike = run.pipeline.footage.paired or matches is not None
        self._augment = Augment(settings.augment)
        # After a rollback, other clips are drawn: the same clips would reproduce the failure.
        self.first = run.step + run.rollbacks * (settings.steps if settings.hours is None else 1 << 32)
        """Number of the first batch."""
        last = self.first + settings.steps - run.step if settings.hours is None else sys.maxsize // self._whole
        pinned = fabric.device.type == "cuda"
        loader = load_clips(
            _clips(run, domains, matches, last * self._whole),
            first=self.first * self._whole + self._own,
            batch_size=self._size,
            every=self._whole,
            workers=loading_processes(
                settings.workers, fabric.device, beside=fabric.world_size // (settings.nodes or 1)
            ),
            pin_memory=pinned,
        )
        self.loader: Iterable[tuple[Tensor, Tensor]] = copied_ahead(loader, fabric.device) if pinned else loader
        """Clips of a and b, cropped: uint8 (B, T, 3, H, W)."""

    def prepare(self, clips: tuple[Tensor, Tensor], number: int, tick: Tick) -> tuple[Tensor, Tensor]:
        """The clips of batch `number` on the device, augmented and reduced as the schedule states.

        Returns float32 (B, T, 3, h, w) in [-1, 1] for a and b. With masks there is a fourth channel, in [0, 1].
        """
        run, settings = self._run, self._run.pipeline.train
        samples = range(number * self._whole + self._own, number * self._whole + self._own + self._size)
        sides = (0, 0) if self._alike else (0, 1)  # the same changes keep places comparable
        drawn = [[self._augment.draw([settings.seed, n, side, 7]) for n in samples] for side in sides]
        changes = torch.from_numpy(np.array(drawn))
        if run.fabric.device.type == "cuda":
            changes = changes.pin_memory()  # so that copying it does not wait for the device
        moved = zip(run.fabric.to_device(clips), run.fabric.to_device(changes), strict=True)
        a, b = (shrink(self._augment(*each), shrinking(run.step, settings, tick.part)) for each in moved)
        return a, b


def _clips(run: Run, domains: list[DomainClips], matches: Matches | None, length: int) -> UnpairedClips | PairedClips:
    if matches:
        return MatchedClips(domains[0], domains[1], length, matches, run.pipeline.train)
    return (PairedClips if run.pipeline.footage.paired else UnpairedClips)(domains[0], domains[1], length)
