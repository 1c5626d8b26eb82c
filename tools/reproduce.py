"""Train several methods for equal time on one kind of footage, and score their translations of unseen films.

Usage, from the repository's folder:
  python -m tools.reproduce --task signers --size cpu       default, published, previous × 3 seeds, on real footage
  python -m tools.reproduce --task street --size cpu --ablation   each part of the objective on or off
  python -m tools.reproduce --size cpu                      experiments like the paper's two Viper tables (task labels)
  python -m tools.reproduce --size gpu --methods cycle,recycle --seeds 2 --seconds 600

Tasks: labels (tools/reproduce.toml), and street, thermal, signers, lake-mountain, lake-highway and cows-camel
(tools/tasks.toml). One training serves both directions. Run the same command again to continue; finished work is kept
in the work folder. Results: results.json, results.md and sheets.png (with --ablation: ablation.json and so on), and
sheet.png of each run.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import recycle
from recycle.cli.terminal import Terminal
from recycle.errors import Interrupted, RecycleError
from recycle.events import Job
from recycle.system.atomic import write_text
from recycle.system.cores import cores
from recycle.system.devices import find_device
from tools.benchmarking.results import processor
from tools.reproduction.judged_tables import judged_page
from tools.reproduction.kinds import LABELS, open_task
from tools.reproduction.plan import chosen
from tools.reproduction.recolour import colour_transfer
from tools.reproduction.runs import Outcome, Run, finish, step_seconds, threads
from tools.reproduction.sheets import write_overview
from tools.reproduction.tables import facts, markdown, normalised, summarise
from tools.reproduction.task import Bench, Scores, TrainingFootage

FOOTAGE = Path(__file__).parents[2] / "shared" / "footage"
"""Default folder of real footage."""
ABLATION_SEEDS = 1
COLOURS = "colours of the target"
"""Name of a yardstick; see `recolour.colour_transfer`."""
COMPOSED = "real places, composed as the source"
"""Name of a yardstick; see `Judge.composed`."""


@dataclass(frozen=True)
class Command:
    """The arguments of the command line."""

    size: str
    out: Path
    task: str = LABELS
    methods: tuple[str, ...] = ()
    """Methods of the plan to run; empty: the task's usual ones, or all of the ablation's."""
    ablation: bool = False
    seeds: int | None = None
    seconds: float | None = None
    """Seconds of training per run, instead of the size's."""
    steps: int | None = None
    """Steps per run, instead of equal seconds."""
    jobs: int | None = None
    """Number of runs that train at once. None: on the CPU one per core with one thread each, which takes less time than
    one after the other with several threads; otherwise one."""
    device: str = "auto"
    plan: Path | None = None
    """Plan file; None: the task's own."""
    footage: Path = FOOTAGE
    """Folder of real footage."""


def reproduce(command: Command, job: Job) -> dict[str, Any]:
    """Train and score everything requested that is not finished yet; returns the content of results.json.

    Raises RecycleError; Interrupted if it was stopped by Ctrl-C or the job, after which it can be continued.
    """
    began = time.perf_counter()
    task = open_task(command.task, command.size, plan=command.plan, footage=command.footage)
    if command.ablation:
        overlays = chosen(task.ablation, command.methods or tuple(task.ablation), "objective of the ablation")
    else:
        overlays = chosen(task.methods, command.methods or task.usual, "method")
    device = command.device
    plain = {method: task.pipeline(over, name=method, device=device) for method, over in overlays.items()}
    footage = task.training(command.out / "frames", job)
    bench = task.bench(footage, command.out, command.device, job)
    place = command.out / "runs" / task.key
    yardsticks, judged_yardsticks = _yardsticks(bench, footage, command, job)
    job.say("measuring the time of a step")
    jobs = command.jobs or (cores() if find_device(command.device) == "cpu" else 1)
    seconds = step_seconds(plain, footage, place, jobs=jobs)
    budget = command.seconds or task.size.seconds
    steps = {method: command.steps or max(1, round(budget / each)) for method, each in seconds.items()}
    runs = [
        Run(method, seed, task.pipeline(over, name=method, device=device, seed=seed, steps=steps[method]), place)
        for seed in range(command.seeds or (ABLATION_SEEDS if command.ablation else task.size.seeds))
        for method, over in overlays.items()
    ]
    outcomes = finish(runs, footage, bench, twice=not command.ablation, jobs=jobs, device=device, job=job)
    rows = [_row(outcome, command) for outcome in outcomes]
    if command.task == LABELS:
        rows = [row | {"scores": normalised(row["scores"], yardsticks["truth"])} for row in rows]
        yardsticks = {name: normalised(scores, yardsticks["truth"]) for name, scores in yardsticks.items()}
    results = {
        "task": command.task,
        "command": {
            "size": command.size,
            "seconds": None if command.steps else budget,
            "steps": command.steps,
            "jobs": jobs,
        },
        "date": time.strftime("%Y-%m-%d"),
        "machine": _machine(command.device, jobs),
        "ablation": command.ablation,
        "size": task.size.model_copy(update={"seconds": budget}).model_dump(mode="json"),
        "methods": overlays,
        "step_seconds": seconds,
        "yardsticks": yardsticks,
        "judged_yardsticks": judged_yardsticks,
        "runs": rows,
        "summary": summarise(rows),
        "judged_summary": summarise(rows, "judged"),
        "seconds_of_this_call": time.perf_counter() - began,
    }
    name = "ablation" if command.ablation else "results"
    write_text(command.out / f"{name}.json", json.dumps(results, indent=2) + "\n")
    write_text(command.out / f"{name}.md", page(results))
    write_overview(command.out / f"{name}.png", {run.method: run.sheet for run in runs if run.seed == 0})
    return results


def page(results: Mapping[str, Any]) -> str:
    """All tables of results, as Markdown."""
    tables = markdown(results) if results["task"] == LABELS else facts(results)
    return tables + "\n" + judged_page(results)


def _row(outcome: Outcome, command: Command) -> dict[str, Any]:
    run = outcome.run
    return {
        "method": f"{run.method}, {outcome.way}" if outcome.way else run.method,
        "seed": run.seed,
        "folder": str(run.folder.relative_to(command.out)),
        **outcome.taken,
        "scores": outcome.scores,
        "judged": outcome.judged,
    }


def _yardsticks(
    bench: Bench, footage: TrainingFootage, command: Command, job: Job
) -> tuple[dict[str, Scores], dict[str, Scores]]:
    """Scores for comparison with those of runs: with true frames, and without."""
    file = command.out / f"yardsticks-{bench.key}.json"
    kept: dict[str, dict[str, Scores]] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if COMPOSED not in kept.get("judged", {}):
        job.say("scoring the yardsticks")
        judged = {"untouched input": bench.judge(lambda frames, to: frames)}
        judged[COLOURS] = bench.judge(colour_transfer(footage.shots))
        judged["real training frames"] = bench.judge.distances(footage.shots)
        judged[COMPOSED] = bench.judge.composed(footage.shots)
        kept = {"truth": bench.yardsticks(), "judged": judged}
        write_text(file, json.dumps(kept, indent=2) + "\n")
    return kept["truth"], kept["judged"]


def _machine(device: str, jobs: int) -> dict[str, Any]:
    kind = find_device(device)
    return {
        "processor": processor(),
        "cores": cores(),
        "threads": threads(jobs) or torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if kind == "cuda" else kind,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "recycle": recycle.__version__,
    }


def main() -> None:
    """Parse the command line, run, and print the tables; user errors are one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default=LABELS, help="the kind of footage; see above")
    parser.add_argument("--size", default="cpu", help="a size of the plan: cpu, gpu, smoke")
    parser.add_argument("--methods", default="", help="methods of the plan, separated by commas; also with --ablation")
    parser.add_argument("--seeds", type=int, help="number of seeds, instead of the size's (ablation: 1)")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--seconds", type=float, help="seconds of training per run, instead of the size's")
    budget.add_argument("--steps", type=int, help="steps per run: equal steps instead of equal time")
    parser.add_argument("--ablation", action="store_true", help="the plan's ablation instead of the two tables")
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help=f"folder of real footage; default: {FOOTAGE}")
    parser.add_argument("--out", type=Path, help="work folder; default: runs/reproduce-TASK-SIZE")
    parser.add_argument("--jobs", type=int, help="runs at once; default: on the CPU one for each core, else one")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--plan", type=Path, help="another file instead of tools/reproduce.toml or tools/tasks.toml")
    given = parser.parse_args()
    of_task = "" if given.task == LABELS else f"{given.task}-"
    out = given.out or Path("runs") / f"reproduce-{of_task}{given.size}"
    command = Command(
        size=given.size,
        out=out,
        task=given.task,
        methods=tuple(name.strip() for name in given.methods.split(",") if name.strip()),
        ablation=given.ablation,
        seeds=given.seeds,
        seconds=given.seconds,
        steps=given.steps,
        jobs=given.jobs,
        device=given.device,
        plan=given.plan,
        footage=given.footage,
    )
    try:
        with Terminal() as terminal:
            results = reproduce(command, Job(terminal))
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run the same command again to continue\n")
        sys.exit(130)
    except RecycleError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(130 if isinstance(error, Interrupted) else 1)
    sys.stdout.write(page(results))


if __name__ == "__main__":
    main()
