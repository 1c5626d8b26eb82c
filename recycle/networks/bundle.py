"""A trained model as a folder: `config.json` and `model.safetensors`, sufficient for translation.

`discriminators.safetensors` may lie beside them, for further training.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from recycle.config import DomainNames, NetworkSettings, Settings, parse_settings, unless_letters
from recycle.domains import DIRECTIONS, LETTERS, Direction, DirectionName, Domain, Names, into
from recycle.errors import BundleError, ConfigError
from recycle.networks.both_ways import BothWays
from recycle.networks.weights import check_finite, damaged, misfit, read_header
from recycle.run_folder import CONFIG, IDENTITY, WEIGHTS, RunFolder
from recycle.system.atomic import atomic_path, write_text

DISCRIMINATORS = "discriminators.safetensors"
"""Name of the file with the discriminators, from which further training starts."""
_LARGEST_CONFIG = 1 << 20
"""Maximum size of config.json in bytes."""
_GIVE = "give the folder of a run, such as runs/demo, or of a model, such as runs/demo/model"


class BundleConfig(Settings):
    """The content of a bundle's `config.json`."""

    format: Literal["recycle"] = "recycle"
    """Name of the format."""
    version: Literal[1] = 1
    """Version of the format."""
    name: str = "recycle"
    """Name of the model."""
    domains: DomainNames = LETTERS
    """Names of the domains. They are written only if they differ from a and b: files of earlier versions lack them."""
    networks: NetworkSettings = NetworkSettings()
    """Settings of the networks."""
    predictors: bool = True
    """Whether the model has a predictor for each direction; without them it is a CycleGAN, and cannot smooth."""
    only: DirectionName | None = None
    """The only direction in which the model translates, such as "ab". None: both; it is then not written."""
    masked: bool = False
    """Whether it was trained with masks, to translate only objects. It is written only if true."""
    short_side: int = Field(256, ge=16, le=65536)
    """Short side in pixels of the training frames; the generators work best at this scale."""
    grey: tuple[Domain, ...] = Field((), max_length=2)
    """The domains whose training footage had one channel; translations to them are grey, and images of them are written
    with one channel. It is written only if there is such a domain."""
    step: int = Field(0, ge=0, le=10**15)
    """Number of training steps."""

    @model_serializer(mode="wrap")
    def _without_the_usual(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written = unless_letters(write(self))
        return {key: value for key, value in written.items() if key not in ("only", "grey", "masked") or value}

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions in which the model translates."""
        return tuple(d for d in DIRECTIONS if self.only in (None, d.name))

    def target(self, word: str) -> Domain:
        """The domain with this name or letter. Raises ConfigError if there is none, or if the model does not translate
        to it."""
        domain = self.domains.find(word)
        if into(domain) not in self.directions:
            way = self.domains.way(self.directions[0])
            raise ConfigError(f"the model '{self.name}' translates only {way}, not to {self.domains.of(domain)}")
        return domain


class Bundle(BothWays):
    """The networks for translation: a generator and, if trained, a predictor for each direction."""

    def __init__(self, config: BundleConfig) -> None:
        super().__init__(config.networks, predictors=config.predictors, directions=config.directions)
        self.config = config
        self.whole: str | None = None
        """The digest of the model of which this is a part; None: this is a whole model."""


def digest(bundle: Bundle) -> str:
    """SHA-256 (64 hex digits) of everything on which a translation depends: network settings and weights."""
    return bundle.whole or _digest(bundle.config, bundle.state_dict())


def _digest(config: BundleConfig, weights: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256(config.model_dump_json(exclude={"name", "domains", "step", "masked"}).encode())
    for key, tensor in sorted(weights.items()):
        total.update(key.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def save_bundle(bundle: Bundle, folder: Path, *, discriminators: Mapping[str, Tensor] | None = None) -> None:
    """Write `bundle` to `folder`, each file atomically, the weights first. Raises OSError if a file cannot be written.

    `discriminators` are the weights of those against which it was trained, by names such as disc_b.model.0.weight.
    They have a file of their own, which translation does not need and only `train.start_from` reads.
    """
    _save(bundle.state_dict(), folder / WEIGHTS)
    if discriminators:
        _save(discriminators, folder / DISCRIMINATORS)
    else:
        (folder / DISCRIMINATORS).unlink(missing_ok=True)
    write_text(folder / CONFIG, bundle.config.model_dump_json(indent=2) + "\n")


def _save(weights: Mapping[str, Tensor], file: Path) -> None:
    held = {key: tensor.detach().cpu().contiguous() for key, tensor in weights.items()}
    with atomic_path(file) as temporary:
        temporary.write_bytes(save(held))  # save_file would make the file readable by its owner only


def load_discriminators(folder: Path) -> dict[str, dict[str, Tensor]]:
    """The weights of the discriminators of the bundle in `folder`, by their names such as disc_b; {} if it has none.

    Raises BundleError if the file is damaged, or if weights are not finite.
    """
    file, found = folder / DISCRIMINATORS, dict[str, dict[str, Tensor]]()
    if not file.is_file():
        return {}
    read_header(file)
    try:
        weights = load_file(file)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise damaged(file, " ".join(str(error).split())[:200]) from error
    check_finite(weights, file)
    for key, tensor in weights.items():
        name, _, inner = key.partition(".")
        found.setdefault(name, {})[inner] = tensor
    return found


def load_bundle(folder: Path, *, predictors: bool = True) -> Bundle:
    """Load the bundle in `folder` onto the CPU, frozen and in evaluation mode.

    Without `predictors`, which only smoothing needs, they are left out: their library takes a second to import. The
    digest stays that of the whole model.

    Only its two files are read, and no network is built before the header of the weights matches the settings. Raises
    BundleError if a file is missing, damaged, or belongs to a different model, and if the weights are not finite or
    produce images that are not finite.
    """
    config = read_config(folder)
    config_file, weights_file = folder / CONFIG, folder / WEIGHTS
    used = config if predictors or not config.predictors else config.model_copy(update={"predictors": False})
    left_out = () if used == config else tuple(f"{d.predictor}." for d in DIRECTIONS)
    try:
        expected = _shapes(used)
    except ConfigError as error:
        raise BundleError(f"{config_file} does not describe a recycle model: {error}") from error
    if difference := misfit(expected, _without(read_header(weights_file), left_out)):
        raise BundleError(f"{weights_file} holds other weights than {config_file.name} describes: {difference}")
    bundle = Bundle(used)
    try:
        weights = load_file(weights_file)
        bundle.load_state_dict(_without(weights, left_out))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise damaged(weights_file, " ".join(str(error).split())[:200]) from error
    if left_out:
        bundle.whole = _digest(config, weights)
    check_finite(bundle.state_dict(), weights_file)
    bundle.eval().requires_grad_(False)
    check_pictures(bundle, weights_file)
    return bundle


def _without(weights: Mapping[str, Tensor], left_out: tuple[str, ...]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in weights.items() if not key.startswith(left_out)}


def names_of(model: str | Path) -> Names:
    """Names of the domains of the bundle in the folder `model`, or of the model 'identity'. Raises BundleError if there
    is no bundle."""
    return LETTERS if str(model) == IDENTITY else read_config(Path(model)).domains


def target_of(model: str | Path, word: str) -> Domain:
    """The domain `word`, a name or a letter, to which the bundle in the folder `model`, or 'identity', translates.

    Raises ConfigError as `BundleConfig.target`, and BundleError if there is no bundle.
    """
    return LETTERS.find(word) if str(model) == IDENTITY else read_config(Path(model)).target(word)


def name_domains(folder: Path, names: Names) -> None:
    """Give the domains of the bundle in `folder` other names. Raises BundleError if there is no bundle."""
    config = read_config(folder)
    if config.domains != names:
        renamed = config.model_copy(update={"domains": names})
        write_text(folder / CONFIG, renamed.model_dump_json(indent=2) + "\n")


def read_config(folder: Path) -> BundleConfig:
    """The content of config.json of the bundle in `folder`; its weights are not read. Raises BundleError if there is no
    bundle."""
    if not folder.is_dir():
        raise BundleError(f"there is no model {folder}; {_GIVE}")
    for file in (folder / CONFIG, folder / WEIGHTS):
        if not file.is_file():
            if RunFolder(folder).pipeline.is_file():
                raise BundleError(f"the run {folder} has no model yet; train it with 'recycle train', or {_GIVE}")
            raise BundleError(f"{folder} is neither a run nor a model bundle: it has no {file.name}; {_GIVE}")
    return _read_config(folder / CONFIG)


def _read_config(file: Path) -> BundleConfig:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_CONFIG + 1)
        if len(content) > _LARGEST_CONFIG:
            raise ValueError(f"it is larger than {_LARGEST_CONFIG >> 20} MiB")
        return parse_settings(BundleConfig, json.loads(content.decode("utf-8-sig")))
    except OSError as error:
        raise BundleError(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, ConfigError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:300]
        raise BundleError(f"{file} does not describe a recycle model: {reason}") from error


class _OffDevice(TorchFunctionMode):
    """Within `torch.device("meta")`, makes on the CPU what is read or computed while networks are built, and does not
    initialise weights: on this device torch would import its compiler for it, which takes a second."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func in (torch.linspace, torch.eye):
            given["device"] = "cpu"
        elif getattr(func, "__module__", None) == nn.init.__name__:
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


def check_networks(config: BundleConfig, *, size: tuple[int, int]) -> None:
    """Raise ConfigError if the networks cannot be built, or cannot be trained on frames of `size` (height, width)."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _OffDevice():
        generator = Bundle(config).generator(DIRECTIONS[0])
    multiple, least = generator.multiple, generator.least_side
    if any(side < least or side % multiple for side in size):
        raise ConfigError(
            f"'train.size' {size} does not suit generators of kind '{config.networks.generator.kind}': height and "
            f"width must be multiples of {multiple} and at least {least}"
        )


def _shapes(config: BundleConfig) -> dict[str, Tensor]:
    """Names, shapes and dtypes of a bundle's weights, without allocating them or changing the random state."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _OffDevice():
        return dict(Bundle(config).state_dict())


@torch.no_grad()
def check_pictures(bundle: Bundle, file: Path) -> None:
    """Raise BundleError if a network returns values that are not finite for small images. `file` holds the weights."""
    given = []
    for d in bundle.config.directions:
        generator, predictor = bundle.generator(d), bundle.predictor(d)
        side = -(-max(16, generator.least_side) // generator.multiple) * generator.multiple
        given.append(generator(torch.linspace(-1, 1, 3 * side**2).reshape(1, 3, side, side)))
        if predictor is not None:
            count, side = bundle.config.networks.predictor.past, predictor.multiple
            past = torch.linspace(-1, 1, 3 * count * side**2)
            given.append(predictor(past.reshape(1, count, 3, side, side)))
    if not all(bool(torch.isfinite(pictures).all()) for pictures in given):
        raise BundleError(f"{file} holds weights so large that the images are not finite; use another model")
