"""Times, states, sizes and messages in plain words."""

import re

from recycle.domains import Names
from recycle.runs.listing import PipelineInfo, RunInfo
from recycle.ui.desk import Work

_STATES = {
    "training": "training now",
    "finished": "finished",
    "unfinished": "can be continued",
    "model": "model",
    "waiting": "waiting",
    "running": "running",
    "stopping": "stopping and saving",
    "done": "done",
    "stopped": "stopped",
    "failed": "failed",
}

_FIELDS = {
    "a": "“Footage A”",
    "b": "“Footage B”",
    "hours": "“Length”",
    "mask": "“Mask”",
    "mask-a": "“Mask of A”",
    "mask-b": "“Mask of B”",
    "model": "“Model”",
    "out": "“Name of the run”",
    "overwrite": "“Replace it if it exists”",
    "stabilise": "“Reduce flicker”",
    "start-from": "“Build on a model”",
    "steps": "“Length”",
    "strength": "“Strength”",
}
"""Options of the command line → what the page has in their place."""
_OPTION = re.compile(r"(?:(give) )?(?<![\w-])--([a-z][a-z-]*[a-z]|[ab])\b(?: folder\b| (\d+|keep|source|fp32)\b)?")


def offered(message: str) -> str:
    """A message with the fields of the page in place of the options of the command line.

    An option that has no field becomes the name of its setting. Commands in quotes stay as they are.
    """

    def named(found: re.Match[str]) -> str:
        give, option, value = found.groups()
        setting = option.replace("-", "_") + (f" = {value}" if value else "")
        name = _FIELDS.get(option, f"'{setting}'")
        return f"{'tick' if option == 'overwrite' else give} {name}" if give else name

    parts = re.split(r"('recycle [^']*')", message)
    return "".join(part if part.startswith("'recycle ") else _OPTION.sub(named, part) for part in parts)


def state(name: str) -> str:
    """The state of a run or a work in words."""
    return _STATES[name]


def duration(seconds: float) -> str:
    """A length of time, roughly: '40 s', '12 min', '3 h 20 min', '2 days 4 h'."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"
    return f"{hours // 24} days {hours % 24} h"


def progress(work: Work) -> str:
    """What a work does now, how far it is, and how long it still takes."""
    now = work.progress
    if work.over or work.state == "waiting" or now is None:
        return state(work.state) if work.state != "running" else "starting"
    parts = [now.what]
    if now.total:
        parts.append(f"{now.done} of {now.total} {now.unit}")
    elif now.done:
        parts.append(f"{now.done} {now.unit}")
    if work.state == "stopping":
        parts.append(state("stopping"))
    elif work.left is not None and (now.total is None or now.done < now.total):
        parts.append(f"about {duration(work.left)} left")
    return " · ".join(parts)


def share(work: Work) -> float | None:
    """The completed share of the current part of a work, from 0 to 1; None if unknown."""
    now = work.progress
    return min(1.0, now.done / now.total) if now is not None and now.total else None


def length(run: RunInfo) -> str:
    """How far a run is: 'step 340 of 2000', or 'step 340, trains 4 h' if it ends after a time."""
    if run.steps:
        return f"step {run.step} of {run.steps}"
    return f"step {run.step}{f', trains {run.hours:g} h' if run.hours else ''}"


def score(run: RunInfo) -> str:
    """The validation score of the best model in words; '' if there is none."""
    return f"score {run.best[1]:.3f} at step {run.best[0]}" if run.best else ""


def named(run: RunInfo) -> str:
    """The name of a run's model, with its domains."""
    return f"{run.name}: {pair(run.domains)}"


def pair(names: Names) -> str:
    """The two domains of a model: 'day ↔ night'."""
    return f"{names.a} ↔ {names.b}"


def pipeline(info: PipelineInfo) -> str:
    """What an included pipeline is for, its size and its length."""
    train, made = info.pipeline.train, info.pipeline.footage.street is not None
    height, width = train.size
    time = f"{train.hours:g} hours" if train.hours else f"{train.steps:,} steps".replace(",", " ")
    footage = "makes its own footage if you give none" if made else "needs two sets of footage"
    return f"{info.description} Trains on {width}×{height} pixels for {time}; {footage}."
