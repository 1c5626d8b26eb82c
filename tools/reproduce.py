"""Reproduce the two Viper tables of the ReCycle-GAN paper, in kind, on the procedural street.

Usage, from the repository's folder:
  python -m tools.reproduce --size cpu                      both tables: cycle, recycle, published, default × 3 seeds
  python -m tools.reproduce --size cpu --ablation           each part of the objective on or off
  python -m tools.reproduce --size gpu --methods cycle,recycle --seeds 2 --seconds 600

One training serves both tables, since both directions are trained together. Run the same command again to continue:
what is finished is kept in the work folder. Results: results.json and results.md (ablation: ablation.json and
ablation.md), and sheet.png of each run.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import recycle
from recycle.atomic import write_text
from recycle.cores import cores
from recycle.devices import find_device
from recycle.errors import ConfigError, Interrupted, RecycleError
from recycle.progress import Terminal
from tools.reproduction.footage import TrainingFootage, test_scenes, training_footage
from tools.reproduction.plan import PLAN, Overlay, Plan, Size, digest, load_plan, pipeline_of
from tools.reproduction.runs import Bench, Run, finish, step_seconds, threads
from tools.reproduction.scores import Scores, score, yardsticks
from tools.reproduction.segmenter import make_segmenter, open_segmenter
from tools.reproduction.tables import markdown, normalised, summarise

METHODS = ("cycle", "recycle", "published", "default")
ABLATION_SEEDS = 1
_RARELY = 10**9


@dataclass(frozen=True)
class Command:
    """What was asked for."""

    size: str
    out: Path
    methods: tuple[str, ...] = ()
    """Those of the plan to run; empty: METHODS, or all of the ablation's."""
    ablation: bool = False
    seeds: int | None = None
    seconds: float | None = None
    """Of training for each run, instead of the size's."""
    steps: int | None = None
    """Of each run, instead of equal seconds."""
    jobs: int | None = None
    """Runs that are trained at once. None: on the CPU one for each core, with one thread, which takes less time than
    one after the other with several; else one."""
    device: str = "auto"
    plan: Path = PLAN


def reproduce(command: Command, console: Terminal) -> dict[str, Any]:
    """Train and score all that is asked for and not finished yet; the content of results.json.

    Raises RecycleError; Interrupted when it was stopped and can be continued.
    """
    began = time.perf_counter()
    plan = load_plan(command.plan)
    size = _chosen(plan.sizes, [command.size], "size")[command.size]
    overlays = _overlays(plan, command)
    size = size.model_copy(update={"seconds": command.seconds or size.seconds})
    footage = training_footage(size.footage, command.out / "frames", console)
    bench = _bench(size, footage, command, console)
    place = command.out / "runs" / digest(size.footage)
    yardsticks = _yardsticks(bench, command, console)
    common = {"device": command.device, "preview_every": _RARELY}
    plain = {method: pipeline_of(size, over, name=method, **common) for method, over in overlays.items()}
    console.say("measuring the time of a step")
    jobs = command.jobs or (cores() if find_device(command.device) == "cpu" else 1)
    seconds = step_seconds(plain, footage, place, jobs=jobs)
    runs = [
        Run(
            method,
            seed,
            pipeline_of(
                size,
                overlay,
                name=method,
                **common,
                seed=seed,
                steps=command.steps or max(1, round(size.seconds / seconds[method])),
            ),
            place,
        )
        for seed in range(command.seeds or (ABLATION_SEEDS if command.ablation else size.seeds))
        for method, overlay in overlays.items()
    ]
    with console.bar("training", unit="steps") as progress:
        outcomes = finish(
            runs,
            footage,
            bench,
            smoothed=not command.ablation,
            jobs=jobs,
            device=command.device,
            progress=progress,
        )
    rows = [
        {
            "method": f"{run.method}, smoothed" if smoothing else run.method,
            "seed": run.seed,
            "folder": str(run.folder.relative_to(command.out)),
        }
        | taken
        | {"scores": normalised(scores, yardsticks["truth"])}
        for run, smoothing, taken, scores in outcomes
    ]
    results = {
        "command": {
            "size": command.size,
            "seconds": None if command.steps else size.seconds,
            "steps": command.steps,
            "jobs": jobs,
        },
        "date": time.strftime("%Y-%m-%d"),
        "machine": _machine(command.device, jobs),
        "ablation": command.ablation,
        "size": size.model_dump(mode="json"),
        "methods": overlays,
        "step_seconds": seconds,
        "yardsticks": {name: normalised(scores, yardsticks["truth"]) for name, scores in yardsticks.items()},
        "runs": rows,
        "summary": summarise(rows),
        "seconds_of_this_call": time.perf_counter() - began,
    }
    name = "ablation" if command.ablation else "results"
    write_text(command.out / f"{name}.json", json.dumps(results, indent=2) + "\n")
    write_text(command.out / f"{name}.md", markdown(results))
    return results


def _overlays(plan: Plan, command: Command) -> dict[str, Overlay]:
    if command.ablation:
        return _chosen(plan.ablation, command.methods or tuple(plan.ablation), "objective of the ablation")
    return _chosen(plan.methods, command.methods or METHODS, "method")


def _chosen(known: Mapping[str, Any], names: Sequence[str], kind: str) -> dict[str, Any]:
    for name in names:
        if name not in known:
            raise ConfigError(f"the plan has no {kind} '{name}'; it has {', '.join(known)}")
    return {name: known[name] for name in names}


def _bench(size: Size, footage: TrainingFootage, command: Command, console: Terminal) -> Bench:
    segmenter = make_segmenter(
        size.segmenter, size.footage, footage, command.out, device=command.device, console=console
    )
    return Bench(test_scenes(size.footage, console), segmenter, size.segmenter, digest(size.footage, size.segmenter))


def _yardsticks(bench: Bench, command: Command, console: Terminal) -> dict[str, Scores]:
    file = command.out / f"yardsticks-{bench.key}.json"
    if not file.is_file():
        console.say("scoring the yardsticks")
        segmenter = open_segmenter(bench.segmenter, bench.settings, command.device)
        found = {name: score(render, bench.scenes, segmenter) for name, render in yardsticks(bench.scenes).items()}
        write_text(file, json.dumps(found, indent=2) + "\n")
    kept: dict[str, Scores] = json.loads(file.read_text(encoding="utf-8"))
    return kept


def _machine(device: str, jobs: int) -> dict[str, Any]:
    kind = find_device(device)
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        processor = next(iter(names), processor)
    return {
        "processor": processor,
        "cores": cores(),
        "threads": threads(jobs) or torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if kind == "cuda" else kind,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "recycle": recycle.__version__,
    }


def main() -> None:
    """Parse, run, print the tables; an error that a user can act on is one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="cpu", help="one of the plan's: cpu, gpu, smoke")
    parser.add_argument("--methods", default="", help="some of the plan's, with commas between; for the ablation too")
    parser.add_argument("--seeds", type=int, help="how many, instead of the size's (ablation: 1)")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--seconds", type=float, help="of training for each run, instead of the size's")
    budget.add_argument("--steps", type=int, help="of each run: equal steps instead of equal time")
    parser.add_argument("--ablation", action="store_true", help="the plan's ablation instead of the two tables")
    parser.add_argument("--out", type=Path, help="work folder; default: runs/reproduce-SIZE")
    parser.add_argument("--jobs", type=int, help="runs at once; default: on the CPU one for each core, else one")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--plan", type=Path, default=PLAN, help="another file instead of tools/reproduce.toml")
    given = parser.parse_args()
    out = given.out or Path("runs") / f"reproduce-{given.size}"
    command = Command(
        size=given.size,
        out=out,
        methods=tuple(name.strip() for name in given.methods.split(",") if name.strip()),
        ablation=given.ablation,
        seeds=given.seeds,
        seconds=given.seconds,
        steps=given.steps,
        jobs=given.jobs,
        device=given.device,
        plan=given.plan,
    )
    try:
        results = reproduce(command, Terminal())
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run the same command again to continue\n")
        sys.exit(130)
    except RecycleError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(130 if isinstance(error, Interrupted) else 1)
    sys.stdout.write(markdown(results))


if __name__ == "__main__":
    main()
