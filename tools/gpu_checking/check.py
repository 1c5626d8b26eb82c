"""What a check is, where it runs, and what became of it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from recycle.config import Precision
from recycle.errors import ConfigError
from recycle.system.devices import Device, compute_dtype

Group = Literal["correctness", "figures"]
State = Literal["passed", "failed", "skipped", "crashed", "timed out", "not run"]


class Unmet(Exception):
    """The check cannot run here; the text says what is missing."""


@dataclass(frozen=True)
class Place:
    """Where a check runs."""

    device: Device
    folder: Path
    """An empty folder for its files."""

    @property
    def torch(self) -> torch.device:
        """The device, as torch names it."""
        return torch.device(self.device)

    @property
    def gpu(self) -> bool:
        """Whether the real sizes apply; a twin on a CPU has tiny ones."""
        return self.device != "cpu"

    def precisions(self, *, training: bool) -> list[Precision]:
        """The precisions in which the device computes."""
        found: list[Precision] = []
        each: Precision
        for each in ("fp32", "bf16", "fp16"):
            try:
                compute_dtype(self.device, each, training=training)
            except ConfigError:
                continue
            found.append(each)
        return found


Figures = Mapping[str, Any]
"""What a check found, by name: numbers or text, in reading order. An exception means that it failed."""


@dataclass(frozen=True)
class Check:
    """A check by its name."""

    name: str
    group: Group
    claim: str
    """The statement that is true if it passes."""
    run: Callable[[Place], Figures]
    seconds: float
    """Time limit on a GPU."""


@dataclass(frozen=True)
class Row:
    """The outcome of a check."""

    name: str
    group: Group
    claim: str
    state: State
    seconds: float
    detail: str = ""
    """Why it failed or was skipped, in one line."""
    figures: Figures = field(default_factory=dict)
    log: str = ""
    """The end of what it printed, if it failed."""

    @property
    def bad(self) -> bool:
        """Whether it counts against the machine."""
        return self.state not in ("passed", "skipped")

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def expect(holds: bool, otherwise: str) -> None:
    """Raise AssertionError with the text unless the statement holds; unlike `assert`, also with python -O."""
    if not holds:
        raise AssertionError(otherwise)
