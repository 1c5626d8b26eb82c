"""A training step: ours, the published order, and the hardware's limit."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from recycle.config import Appearance, ExtractSettings, Pipeline, Precision, parse_pipeline
from recycle.dataset.augment import Augment
from recycle.dataset.clips import DomainClips, UnpairedClips, load_clips, loading_processes
from recycle.dataset.extract import extract
from recycle.dataset.shots import find_shots
from recycle.objective.sides import bare
from recycle.street.film import Street
from recycle.system.devices import best_precision, find_device
from recycle.system.memory import peak_memory
from recycle.training.fabric import make_fabric
from recycle.training.loop import take_step
from recycle.training.run import Run
from recycle.video.encode import write_video
from tools.benchmarking.ceiling import convolution, wait_for
from tools.benchmarking.published import PublishedRecycleGAN
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Apart, Contender, Rounds, take_turns

Clock = Callable[[], float]
LEAST = {"cpu": 3.5, "cuda": 6.0}
"""Goal for the speed of a step relative to the published order."""


def published_pipeline(size: int, *, precision: Precision, device: str = "auto") -> Pipeline:
    """The published networks and losses at `size` × `size` pixels, one clip of each domain per step."""
    depth = min(8, size.bit_length() - 1)
    settings: dict[str, Any] = {
        "networks": {
            "generator": {"blocks": 6, "width": 64, "blur": False},
            "discriminator": {"width": 64},
            "predictor": {"kind": "pix2pix", "width": 64, "depth": depth},
        },
        "losses": {"weights": {"recycle": 10, "recurrent": 10}, "prediction": {"judged": "unopposed"}},
        "train": {"frames": 3, "size": [size, size], "pool_size": 0, "precision": precision, "device": device},
    }
    return parse_pipeline(settings, where="benchmark")


def train(*, size: int | None, rounds: int, steps: int | None, device: str, say: Callable[[str], None]) -> Results:
    """Measure steps on clips in memory, of `size` pixels (default: 128 on the CPU, 256 on a GPU)."""
    kind = find_device(device)
    size = size or (128 if kind == "cpu" else 256)
    steps = steps or (1 if kind == "cpu" else 10)
    best = best_precision(kind, training=True)
    pipelines = _pipelines(size, kind)
    published = partial(_published, pipelines["ours, fp32"], steps)
    with TemporaryDirectory() as folder, Apart(published) as peer:
        runs = {name: open_run(pipeline, Path(folder)) for name, pipeline in pipelines.items()}
        place = runs["ours"].fabric.device
        a, b = _noise(size, place)
        contenders = _steps(runs, peer, steps)
        dtype = torch.bfloat16 if best == "bf16" else torch.float32
        operations = convolution(place, dtype)
        with FlopCounterMode(display=False) as counter:
            PublishedRecycleGAN(pipelines["ours, fp32"], place).step(a, b)
        work = counter.get_total_flops()
        contenders["ceiling: its convolutions at the speed of the best"] = lambda: operations() * work
        turns = Turns(runs["ours"], film(Path(folder), size), steps)
        contenders["ours, with all else that a turn of training does"] = turns.take
        contenders["waiting for clips, of such a turn"] = turns.wait
        times = take_turns(contenders, rounds=rounds, say=say)
    goals = [
        *_goals(times, kind),
        Goal(
            "waiting for clips ÷ a turn",
            times.faster("ours, with all else that a turn of training does", "waiting for clips, of such a turn"),
            most=0.03,
        ),
        Goal(
            "a turn ÷ published order, times as fast",
            times.faster("ours, with all else that a turn of training does", "published order"),
        ),
        Goal("ours ÷ ceiling", times.faster("ours", "ceiling: its convolutions at the speed of the best")),
    ]
    facts = {"size": size, "precision of ours": best, "operations of a step": f"{work / 1e9:.0f} GFLOP"}
    if (peak := peak_memory(place)) is not None:
        facts["peak memory"] = f"{peak / 2**30:.2f} GiB (all contenders but the published order)"
    return Results("train", "step", times, goals, facts)


def train_by_processor_time(*, size: int | None, rounds: int, steps: int | None, say: Callable[[str], None]) -> Results:
    """Compare steps on the CPU by their processor time, for a machine that is busy with other work.

    They run with one thread, because threads that wait for each other also use processor time.
    """
    torch.set_num_threads(1)
    steps = steps or 1
    pipelines = _pipelines(size or 128, "cpu")
    published = partial(_published, pipelines["ours, fp32"], steps, threads=1, clock=time.process_time)
    with TemporaryDirectory() as folder, Apart(published) as peer:
        runs = {name: open_run(pipeline, Path(folder)) for name, pipeline in pipelines.items()}
        times = take_turns(_steps(runs, peer, steps, clock=time.process_time), rounds=rounds, say=say)
    facts = {"size": size or 128, "seconds": "of the processor, with one thread"}
    return Results("train by processor time", "step", times, _goals(times, "cpu"), facts)


def _pipelines(size: int, device: str) -> dict[str, Pipeline]:
    return {
        "ours": published_pipeline(size, precision="auto", device=device),
        "ours, fp32": published_pipeline(size, precision="fp32", device=device),
    }


def _steps(
    runs: Mapping[str, Run], peer: Contender, steps: int, *, clock: Clock = time.perf_counter
) -> dict[str, Contender]:
    """Steps of our runs, and `peer`, which takes steps in the published order."""
    contenders: dict[str, Contender] = {}
    for name, run in runs.items():
        a, b = _noise(run.pipeline.train.size[0], run.fabric.device)
        contenders[name] = timed(partial(take_step, run, a, b, 0), steps, run.fabric.device, clock=clock)
    return {**contenders, "published order": peer}


def _goals(times: Rounds, kind: str) -> list[Goal]:
    return [
        Goal("ours ÷ published order, times as fast", times.faster("ours", "published order"), least=LEAST[kind]),
        Goal("ours in fp32 ÷ published order", times.faster("ours, fp32", "published order")),
    ]


def _published(
    pipeline: Pipeline, steps: int, *, threads: int | None = None, clock: Clock = time.perf_counter
) -> Contender:
    """The published order, unmodified, in a separate process; `threads` None: the default number."""
    if threads is not None:
        torch.set_num_threads(threads)
    device = torch.device(pipeline.train.device)
    peer = PublishedRecycleGAN(pipeline, device)
    a, b = _noise(pipeline.train.size[0], device)
    return timed(lambda: peer.step(a, b), steps, device, clock=clock)


def _noise(size: int, device: torch.device) -> list[Tensor]:
    """A clip of each domain (1, 3, 3, size, size)."""
    random = torch.Generator().manual_seed(0)
    return list((torch.rand(2, 1, 3, 3, size, size, generator=random) * 2 - 1).to(device))


def open_run(pipeline: Pipeline, folder: Path) -> Run:
    """A run in memory, on one device."""
    fabric = make_fabric(pipeline.train.device, pipeline.train.precision)
    return Run(pipeline, folder, fabric, short_side=pipeline.train.size[0])


def film(folder: Path, size: int) -> list[DomainClips]:
    """Clips of three frames of the street by day and by night, a tenth larger than the training size."""
    domains = []
    looks: tuple[Appearance, ...] = ("day", "night")
    for name, look in zip("ab", looks, strict=True):
        side = size * 10 // 9 // 2 * 2
        write_video(folder / f"{look}.mp4", Street(1, side * 3 // 2, side, 12, 4).frames(look), fps=12)
        extract([folder / f"{look}.mp4"], folder / name, ExtractSettings(), workers=1)
        domains.append(DomainClips(find_shots(folder / name), name=name, frames=3, size=(size, size), seed=0))
    return domains


class Turns:
    """Turns of the training loop: clips from files, augmentation, a step, its checks, and the moving average."""

    def __init__(self, run: Run, domains: list[DomainClips], steps: int) -> None:
        self._run, settings, device = run, run.pipeline.train, run.fabric.device
        clips = UnpairedClips(domains[0], domains[1], 1 << 40)
        self._workers = loading_processes(settings.workers, device)
        pin = device.type == "cuda"
        self._loader = iter(load_clips(clips, first=0, batch_size=1, workers=self._workers, pin_memory=pin))
        self._augment = Augment(settings.augment)
        self._changes = torch.from_numpy(self._augment.draw([0]))[None].to(device)
        self._count = max(steps, 8 * self._workers)

    def take(self) -> float:
        """Seconds of one turn."""
        for _ in range(2 * self._workers):  # use up clips that were loaded during the turns of others
            self._turn()
        wait_for(self._run.fabric.device)
        start = time.perf_counter()
        for _ in range(self._count):
            self._turn()
        wait_for(self._run.fabric.device)
        return (time.perf_counter() - start) / self._count

    def wait(self) -> float:
        """Seconds of one turn spent waiting for its clips."""
        for _ in range(2 * self._workers):
            self._turn()
        return sum(self._turn() for _ in range(self._count)) / self._count

    def _turn(self) -> float:
        run, start = self._run, time.perf_counter()
        both = next(self._loader)
        waited = time.perf_counter() - start
        a, b = (self._augment(run.fabric.to_device(clip), self._changes) for clip in both)
        report = take_step(run, a, b, 0)
        run.health.observe(report, a, b, 0.5)
        run.average.update(bare(run.model.translators))
        return waited


def timed(
    step: Callable[[], object], steps: int, device: torch.device, *, clock: Clock = time.perf_counter
) -> Contender:
    """A contender that takes `steps` steps on `device`. `clock` returns seconds, such as those of this process."""

    def run() -> float:
        wait_for(device)
        start = clock()
        for _ in range(steps):
            step()
        wait_for(device)
        return (clock() - start) / steps

    return run
