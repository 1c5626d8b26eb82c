"""Analyses the footage before the first step."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from recycle.dataset.clips import DomainClips
from recycle.domains import DOMAINS, Domain
from recycle.events import Job
from recycle.objective.sides import bare
from recycle.system.memory import release
from recycle.training.crops import pictures, spread_crops
from recycle.training.run import Run

PIXELS, FEWEST, MOST = 6_000_000, 64, 400
"""Approximate total pixels of the crops that are analysed per domain; minimum and maximum number of crops."""


def study(run: Run, domains: Sequence[DomainClips], job: Job) -> None:
    """Find the kinds of places in both domains, on rank 0 for all, because rounding could make results differ.

    Raises FootageError for a damaged frame, Interrupted if the job is cancelled.
    """
    translators = bare(run.model.translators)
    if translators.kinds is None:
        return
    fabric, settings = run.fabric, run.pipeline.train

    def crops(name: Domain) -> Iterator[Tensor]:
        domain = domains[DOMAINS.index(name)]
        found = spread_crops(domain, settings.size, settings.seed)
        wanted = max(FEWEST, min(MOST, PIXELS // (settings.size[0] * settings.size[1])))
        every = -(-len(found) // wanted)
        count = job.counting(f"analysing domain {domain.called}", total=len(found[::every]), unit="crops")
        for batch in pictures(domain, found[::every], settings.size):
            yield fabric.to_device(batch).float() / 127.5 - 1
            count.add(len(batch))

    if fabric.is_global_zero:
        translators.study(crops)
    release(fabric.device)
    for buffer in translators.buffers():
        buffer.copy_(fabric.broadcast(buffer))
