"""What a model from which training starts determines of a chosen pipeline."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycle.config import DiscriminatorSettings, GeneratorSettings
from recycle.networks.bundle import DISCRIMINATORS, BundleConfig, read_config
from recycle.run_folder import model_place
from recycle.system.hub import find_model


@dataclass(frozen=True)
class Start:
    """A model from which training starts."""

    place: Path
    """The run or bundle, as for `train.start_from`."""
    config: BundleConfig
    """The content of its config.json."""
    judged: bool
    """Whether it holds discriminators."""

    def networks(self, side: int) -> dict[str, Any]:
        """The settings of its networks for training frames of `side` pixels.

        Those of its discriminators are left out if it holds none, or if they need larger frames; those of its
        predictors, because a chosen pipeline has none.
        """
        own = self.config.networks
        kept: dict[str, Any] = {"generator": _table(own.generator)}
        if self.judged and all(each.least_side <= side for each in own.discriminators):
            tables = [_table(each) for each in own.discriminators]
            kept["discriminator"] = tables if len(tables) > 1 else tables[0]
        return kept

    def complete(self, data: dict[str, Any], reasons: dict[str, str]) -> None:
        """Add the setting to a chosen pipeline, with the reasons."""
        data["train"]["start_from"] = self.place
        reasons["train.start_from"] = "its networks are trained further"
        for role in self.networks(min(data["train"]["size"])):
            for name in [name for name in reasons if name.startswith(f"networks.{role}")]:
                reasons[name] = "as in the model from which training starts"


def start_of(model: Path) -> Start:
    """Look at a run or bundle from which training is to start. Raises BundleError if it is neither."""
    folder = find_model(model, further=DISCRIMINATORS)
    return Start(model_place(model, Path.cwd()), read_config(folder), (folder / DISCRIMINATORS).is_file())


def _table(settings: GeneratorSettings | DiscriminatorSettings) -> dict[str, Any]:
    return {"kind": settings.kind, **settings.model_dump(mode="json")}
