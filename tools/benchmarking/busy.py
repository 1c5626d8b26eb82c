"""A training step beside other work: OpenMP's threads spin or sleep while they wait for each other."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from recycle.system.cores import cores
from recycle.system.waiting import CHOICES
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Contender, take_turns

CHOSEN: Mapping[str, Mapping[str, str]] = {
    "threads spin": {},
    "threads spin 1000 times": {"GOMP_SPINCOUNT": "1000"},
    "threads sleep": {"OMP_WAIT_POLICY": "passive"},
}
"""Environment variables of the contenders. The default spin count of GNU's OpenMP is far above 1000."""
WARM, STEPS = 3, 5
"""Steps of each process: those before the measurement, and those of which the median is taken."""


def busy(*, rounds: int, beside: int, say: Callable[[str], None]) -> Results:
    """Measure a step of pipelines/signers.toml in a new process, beside `beside` programs that only count.

    OpenMP reads its environment once, so each turn starts a process.
    """
    with _counting(beside):
        times = take_turns({name: _step(variables) for name, variables in CHOSEN.items()}, rounds=rounds, say=say)
    goals = [Goal("asleep ÷ spinning, times as fast", times.faster("threads sleep", "threads spin"))]
    fair = cores() ** 2 / (cores() + beside)
    facts = {"programs beside it": beside, "fair share": f"{fair:.2f} of {cores()} cores"}
    return Results(f"busy {beside}", "step", times, goals, facts)


@contextmanager
def _counting(number: int) -> Iterator[None]:
    """Run `number` programs that each keep a core busy."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def _step(variables: Mapping[str, str]) -> Contender:
    inherited = {name: value for name, value in os.environ.items() if name not in (*CHOICES, "OMP_NUM_THREADS")}

    def run() -> float:
        command = [sys.executable, "-m", "tools.benchmarking.busy"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**inherited, **variables})
        return float(done.stdout)

    return run


def _measure() -> float:
    """Median seconds of a step on noise."""
    import statistics
    import time
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import torch

    from recycle.runs.pipeline import open_pipeline
    from recycle.training.loop import take_step
    from tools.benchmarking.train import open_run

    pipeline = open_pipeline(Path("signers"), train={"device": "cpu", "precision": "fp32"})
    height, width = pipeline.train.size
    seconds = []
    with TemporaryDirectory() as folder:
        run = open_run(pipeline, Path(folder))
        a, b = torch.rand(2, 1, 1, 3, height, width) * 2 - 1
        for number in range(WARM + STEPS):
            start = time.perf_counter()
            take_step(run, a, b, number)
            seconds.append(time.perf_counter() - start)
            run.step += 1
    return statistics.median(seconds[WARM:])


if __name__ == "__main__":
    print(_measure())
