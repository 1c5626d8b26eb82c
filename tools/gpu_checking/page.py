"""Writes the results as JSON and as a page."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from recycle.evaluation.page import environment
from recycle.system.atomic import write_text
from recycle.system.devices import Device
from tools.benchmarking.results import machine
from tools.gpu_checking.check import Row


@dataclass(frozen=True)
class _Section:
    title: str
    lead: str
    rows: Sequence[Row]


def summary(rows: Sequence[Row]) -> str:
    """How many checks ended how, in one line."""
    counts = Counter(row.state for row in rows)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())


def write_results(folder: Path, rows: Sequence[Row], device: Device) -> None:
    """Write gpu_check.json and gpu_check.html to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {name: value for name, value in machine().items() if value is not None}
    command = " ".join(["python -m tools.gpu_check", *sys.argv[1:]])
    content = {"device": device, "machine": facts, "command": command, "checks": [row.record() for row in rows]}
    write_text(folder / "gpu_check.json", json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")
    write_text(folder / "gpu_check.html", _page(rows, device, {"device": device, **facts}, command))


def _page(rows: Sequence[Row], device: Device, facts: dict[str, object], command: str) -> str:
    bad = [row for row in rows if row.bad]
    where = "this GPU" if device != "cpu" else "the CPU, in place of a GPU"
    headline = f"{len(bad)} of {len(rows)} checks did not pass on {where}" if bad else f"All checks passed on {where}"
    sections = [
        _Section(
            "Correctness",
            "What the documentation claims of GPUs. Differences are from a CPU in float32; a level is 1 of 255.",
            [row for row in rows if row.group == "correctness"],
        ),
        _Section(
            "Figures",
            "Measured on this device." if device != "cpu" else "Of tiny networks on a CPU: they say nothing of a GPU.",
            [row for row in rows if row.group == "figures"],
        ),
    ]
    templates = environment(jinja2.FileSystemLoader(Path(__file__).parent))
    return templates.get_template("page_of_checks.html.jinja").render(
        title="GPU check",
        generator="recycle gpu_check",
        embedded=True,
        rows=(),
        tone="failed" if bad else "good",
        headline=headline,
        summary=summary(rows),
        bad=bad,
        facts=facts,
        command=command,
        sections=[section for section in sections if section.rows],
    )
