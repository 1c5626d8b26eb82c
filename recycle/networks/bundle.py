"""A trained model as a folder: `config.json` and `model.safetensors`, enough by itself to translate."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.overrides import TorchFunctionMode

from recycle.config import DomainNames, NetworkSettings, Settings, parse_settings, unless_letters
from recycle.domains import AB, DIRECTIONS, LETTERS, Names
from recycle.errors import BundleError, ConfigError
from recycle.networks.both_ways import BothWays
from recycle.networks.weights import check_finite, misfit, read_header
from recycle.run_folder import IDENTITY
from recycle.system.atomic import atomic_path, write_text

_LARGEST_CONFIG = 1 << 20
"""Bytes."""


class BundleConfig(Settings):
    """What a bundle says of itself in `config.json`."""

    format: Literal["recycle"] = "recycle"
    version: Literal[1] = 1
    name: str = "recycle"
    domains: DomainNames = LETTERS
    """What people call the domains. Not written where they are called a and b, as earlier versions wrote nothing."""
    networks: NetworkSettings = NetworkSettings()
    predictors: bool = True
    """Whether the model was trained with predictors (without: CycleGAN, and no smoothing)."""
    short_side: int = Field(256, ge=16, le=65536)
    """Short side in pixels of the frames that were trained on: the scale at which the generators work best."""
    step: int = Field(0, ge=0, le=10**15)
    """Training steps taken."""

    @model_serializer(mode="wrap")
    def _without_the_usual_names(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return unless_letters(write(self))


class Bundle(BothWays):
    """The networks that translation needs: two generators and, where trained, two predictors."""

    def __init__(self, config: BundleConfig) -> None:
        super().__init__(config.networks, predictors=config.predictors)
        self.config = config


def digest(bundle: Bundle) -> str:
    """SHA-256 (64 hex digits) of all that a translation depends on: settings and weights."""
    config = bundle.config.model_dump_json(exclude={"name", "domains", "step"})
    total = hashlib.sha256(config.encode())
    for key, tensor in sorted(bundle.state_dict().items()):
        total.update(key.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write `bundle` to `folder`, each file atomically, the weights first."""
    weights = {key: tensor.detach().cpu().contiguous() for key, tensor in bundle.state_dict().items()}
    with atomic_path(folder / "model.safetensors") as temporary:
        temporary.write_bytes(save(weights))  # save_file lets nobody else read the file
    write_text(folder / "config.json", bundle.config.model_dump_json(indent=2) + "\n")


def load_bundle(folder: Path) -> Bundle:
    """Load the bundle in `folder` onto the CPU, in evaluation mode.

    Nothing but its two files is read, and no network is built before the header of the weights agrees with the
    settings. Raises BundleError, in one line, if a file is missing, damaged, or of another model than its config says,
    and for weights that are not finite or give no finite picture.
    """
    config_file, weights_file = _files(folder)
    config = _read_config(config_file)
    try:
        expected = _shapes(config)
    except ConfigError as error:
        raise BundleError(f"{config_file} does not describe a recycle model: {error}") from error
    difference = misfit(expected, read_header(weights_file))
    if difference:
        raise BundleError(f"{weights_file} holds other weights than {config_file.name} describes: {difference}")
    bundle = Bundle(config)
    try:
        bundle.load_state_dict(load_file(weights_file))
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleError(
            f"{weights_file} is damaged ({reason}); copy the bundle again or save it anew by `recycle train`"
        ) from error
    check_finite(bundle.state_dict(), weights_file)
    bundle.eval().requires_grad_(False)
    if not _gives_pictures(bundle):
        raise BundleError(f"{weights_file} holds weights so large that the pictures are not finite; use another model")
    return bundle


def names_of(model: str | Path) -> Names:
    """What people call the domains of the bundle in a folder, or of the model that changes nothing. Raises
    BundleError where there is no bundle."""
    return LETTERS if str(model) == IDENTITY else _read_config(_files(Path(model))[0]).domains


def name_domains(folder: Path, names: Names) -> None:
    """Give the domains of a saved bundle other names. Raises BundleError where there is no bundle."""
    file, _ = _files(folder)
    config = _read_config(file)
    if config.domains != names:
        write_text(file, config.model_copy(update={"domains": names}).model_dump_json(indent=2) + "\n")


def _files(folder: Path) -> tuple[Path, Path]:
    """The settings and the weights of a bundle. Raises BundleError where one is not there."""
    files = folder / "config.json", folder / "model.safetensors"
    for file in files:
        if not file.is_file():
            raise BundleError(
                f"{folder} is neither a run nor a model bundle: it has no {file.name}; give the folder of a run, or "
                "its folder 'model'"
            )
    return files


def _read_config(file: Path) -> BundleConfig:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_CONFIG + 1)
        if len(content) > _LARGEST_CONFIG:
            raise ValueError(f"it has more than {_LARGEST_CONFIG >> 20} MiB")
        return parse_settings(BundleConfig, json.loads(content.decode("utf-8-sig")))
    except OSError as error:
        raise BundleError(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, ConfigError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:300]
        raise BundleError(f"{file} does not describe a recycle model: {reason}") from error


class _OffDevice(TorchFunctionMode):
    """Within `torch.device("meta")`: what networks read values of while they are built stays on the CPU."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.linspace:
            given["device"] = "cpu"
        return func(*args, **given)


def check_networks(config: BundleConfig, *, size: tuple[int, int]) -> None:
    """Raise ConfigError for networks that cannot be built, or cannot be trained on frames of `size` (height, width)."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _OffDevice():
        generator = Bundle(config).generator(AB)
    multiple, least = generator.multiple, generator.least_side
    if any(side < least or side % multiple for side in size):
        raise ConfigError(
            f"'train.size' {size} does not suit generators of kind '{config.networks.generator.kind}': height and "
            f"width must be multiples of {multiple} and at least {least}"
        )


def _shapes(config: BundleConfig) -> dict[str, Tensor]:
    """Names, shapes and types of a bundle's weights, without memory for them. The random state stays as it is."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _OffDevice():
        return dict(Bundle(config).state_dict())


@torch.no_grad()
def _gives_pictures(bundle: Bundle) -> bool:
    """Whether all networks give finite values for small pictures."""
    multiple = bundle.generator(AB).multiple
    side = -(-max(16, bundle.generator(AB).least_side) // multiple) * multiple
    picture = torch.linspace(-1, 1, 3 * side**2).reshape(1, 3, side, side)
    given = [bundle.generator(d)(picture) for d in DIRECTIONS]
    count = bundle.config.networks.predictor.past
    for predictor in map(bundle.predictor, DIRECTIONS):
        if predictor is not None:
            past = torch.linspace(-1, 1, 3 * count * predictor.multiple**2)
            given.append(predictor(past.reshape(1, count, 3, predictor.multiple, predictor.multiple)))
    return all(bool(torch.isfinite(pictures).all()) for pictures in given)
