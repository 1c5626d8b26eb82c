"""A trained model as a folder: `config.json` and `model.safetensors`, enough by itself to translate."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from recycle.atomic import atomic_path, write_text
from recycle.config import NetworkSettings, Settings
from recycle.errors import BundleError
from recycle.networks.generator import Generator
from recycle.networks.predictor import make_predictor


class BundleConfig(Settings):
    """What a bundle says of itself in `config.json`."""

    format: Literal["recycle"] = "recycle"
    version: Literal[1] = 1
    name: str = "recycle"
    networks: NetworkSettings = NetworkSettings()
    predictors: bool = True
    """Whether the model was trained with predictors (without: CycleGAN, and no smoothing)."""
    short_side: int = Field(256, ge=16)
    """Short side in pixels of the frames that were trained on: the scale at which the generators work best."""
    step: int = Field(0, ge=0)
    """Training steps taken."""


class Bundle(nn.Module):
    """The networks that translation needs: two generators and, where trained, two predictors."""

    def __init__(self, config: BundleConfig) -> None:
        super().__init__()
        self.config = config
        networks = config.networks
        self.gen_ab = Generator(networks.generator)
        self.gen_ba = Generator(networks.generator)
        self.pred_a = make_predictor(networks.predictor) if config.predictors else None
        self.pred_b = make_predictor(networks.predictor) if config.predictors else None


def digest(bundle: Bundle) -> str:
    """SHA-256 (64 hex digits) of all that a translation depends on: settings and weights."""
    config = bundle.config.model_dump_json(exclude={"name", "step"})
    total = hashlib.sha256(config.encode())
    for key, tensor in sorted(bundle.state_dict().items()):
        total.update(key.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write `bundle` to `folder`, each file atomically, the weights first."""
    weights = {key: tensor.detach().cpu().contiguous() for key, tensor in bundle.state_dict().items()}
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(weights, temporary)
    write_text(folder / "config.json", bundle.config.model_dump_json(indent=2) + "\n")


def load_bundle(folder: Path) -> Bundle:
    """Load the bundle in `folder` onto the CPU, in evaluation mode.

    Raises BundleError, in one line, if a file is missing, damaged, or of another model than its config says.
    """
    config_file, weights_file = folder / "config.json", folder / "model.safetensors"
    for file in (config_file, weights_file):
        if not file.is_file():
            raise BundleError(
                f"{folder} is not a model bundle: it has no {file.name}; give the folder 'model' of a run"
            )
    try:
        config = BundleConfig.model_validate(json.loads(config_file.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{config_file} does not describe a recycle model: {reason}") from error
    bundle = Bundle(config)
    try:
        bundle.load_state_dict(load_file(weights_file))
    except (SafetensorError, OSError) as error:
        raise BundleError(
            f"{weights_file} is damaged ({error}); copy the bundle again or save it anew by `recycle train`"
        ) from error
    except RuntimeError as error:
        raise BundleError(f"{weights_file} holds other weights than {config_file.name} describes") from error
    return bundle.eval().requires_grad_(False)
