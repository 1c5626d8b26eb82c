"""What the user asks for in place of a pipeline file. Light to import, because the command line checks it first."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recycle.config import Precision, TrainSettings, parse_pipeline, parse_settings
from recycle.domains import DOMAINS
from recycle.errors import ConfigError
from recycle.safe_text import printable


@dataclass(frozen=True)
class Wishes:
    """The options that the user gives instead of a pipeline file."""

    footage: Mapping[str, Sequence[Path] | None]
    """Paths of footage, by the names of `FootageSettings`, such as 'a', 'mask_a' and 'test_a'."""
    out: Path | None = None
    """The run's folder; None: a folder in runs/, named after the footage."""
    hours: float | None = None
    """Length of the training in hours; at most one of `hours` and `steps` is given."""
    steps: int | None = None
    """Length of the training in steps."""
    device: str | None = None
    """Device, as in `TrainSettings`; None: that of the file, or 'auto'."""
    precision: Precision | None = None
    """Precision, as in `TrainSettings`; None: that of the file, or 'auto'."""
    domains: Sequence[str] | None = None
    """Names of the domains; None: those in the pipeline file, or a and b."""
    start_from: Path | None = None
    """The run or model from whose networks training starts."""

    @property
    def train(self) -> dict[str, object]:
        """The settings of the group 'train' that are asked for; those that are None change nothing."""
        names = ("hours", "steps", "device", "precision", "start_from")
        return {name: getattr(self, name) for name in names}

    @property
    def name(self) -> str:
        """Name of the task, from the first paths of both domains: 'orange-skull' for footage/orange and skull.mp4.

        If both paths have the same name, the names of their folders are used.
        """
        first = [Path((self.footage.get(domain) or [Path()])[0]) for domain in DOMAINS]
        names = [_own_name(path) for path in first]
        if names[0] == names[1]:  # such as camel/frames and cows/frames
            names = [_own_name(path.absolute().parent) for path in first]
        return "-".join(names)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.out or Path("runs") / self.name

    def check(self) -> None:
        """Raise ConfigError if footage is missing, `hours` and `steps` are both given, or a value is invalid."""
        lacking = [f"--{domain}" for domain in DOMAINS if not self.footage.get(domain)]
        if lacking:
            raise ConfigError(
                f"without a pipeline file, both --a and --b are needed ({' and '.join(lacking)} not given), such as "
                "recycle train --a videos/summer --b videos/winter"
            )
        if self.hours is not None and self.steps is not None:
            raise ConfigError("give either a number of steps or of hours, not both")
        if self.domains is not None:
            parse_pipeline({"domains": self.domains}, where="the command line")
        given = {"hours": self.hours, "steps": self.steps}
        parse_settings(TrainSettings, {name: value for name, value in given.items() if value is not None})


def _own_name(path: Path) -> str:
    """The name of a path, in a form that suits a part of a folder's name; at most 48 characters."""
    if path.name in ("", ".."):
        path = path.resolve()
    name = path.name if path.is_dir() else path.stem
    return re.sub(r"[/\\]", "_", printable(name)).strip()[:48] or "footage"
