"""The results of a benchmark: a printed table, and JSON."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from recycle.system.atomic import write_text
from tools.benchmarking.rounds import Rounds, Spread


@dataclass(frozen=True)
class Goal:
    """A measured ratio, and its goal."""

    name: str
    ratio: Spread
    least: float | None = None
    most: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the median reaches the goal."""
        return (self.least is None or self.ratio.median >= self.least) and (
            self.most is None or self.ratio.median <= self.most
        )

    @property
    def wanted(self) -> str:
        """The goal as text, such as '≥ 2.5'; '' without a goal."""
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}" if self.most is not None else ""


@dataclass(frozen=True)
class Results:
    """The results of one benchmark."""

    benchmark: str
    unit: str
    """Unit of work, such as 'frame'."""
    rounds: Rounds
    goals: Sequence[Goal]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further measurements and settings, by name."""

    def show(self) -> None:
        """Print the tables."""
        times = Table("", f"ms per {self.unit}", "least … most", f"{self.unit}s per second", title=self.benchmark)
        for name in self.rounds.seconds:
            time, speed = self.rounds.time(name), self.rounds.speed(name)
            low, high = _short(1000 * time.low), _short(1000 * time.high)
            times.add_row(name, _short(1000 * time.median), f"{low} … {high}", _short(speed.median))
        ratios = Table("ratio", "median", "least … most", "wanted", "")
        for goal in self.goals:
            state = "" if not goal.wanted else "reached" if goal.reached else "missed"
            low, median, high = (_short(value) for value in (goal.ratio.low, goal.ratio.median, goal.ratio.high))
            ratios.add_row(goal.name, median, f"{low} … {high}", goal.wanted, state)
        console = Console()
        console.print(times, ratios)
        for name, fact in self.facts.items():
            console.print(f"{name}: {fact}", highlight=False)

    def write(self, file: Path) -> None:
        """Write everything, with the machine and the command, as JSON."""
        content = {
            "benchmark": self.benchmark,
            "unit": self.unit,
            "seconds_per_unit": dict(self.rounds.seconds),
            "ratios": {
                goal.name: {**goal.ratio._asdict(), "wanted": goal.wanted, "reached": goal.reached}
                for goal in self.goals
            },
            "facts": dict(self.facts),
            "command": " ".join(sys.argv),
            "machine": machine(),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def machine() -> dict[str, Any]:
    """The machine and the date of the measurements."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": version("torch"),
        "threads": torch.get_num_threads(),
    }


def processor() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _short(value: float) -> str:
    """The number with three significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
