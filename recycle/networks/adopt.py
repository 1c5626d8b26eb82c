"""Makes a bundle of checkpoints that other projects trained."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recycle.config import NetworkSettings, PatchSettings, PredictorSettings
from recycle.domains import BY_TARGET, DIRECTIONS, Names
from recycle.errors import BundleError, ConfigError, OutputError
from recycle.networks.bundle import Bundle, BundleConfig, check_pictures, save_bundle
from recycle.networks.published import Published, UnknownLayoutError, recognise
from recycle.networks.weights import check_finite
from recycle.run_folder import is_bundle
from recycle.system.disk import writing
from recycle.system.entries import refuse_special

_NAMED = re.compile(r"(?:^|_)net_?([GPD])_([AB])$")
"""A checkpoint named by the published code, such as latest_net_G_A.pth: kind of network, and A or B."""
_ROLES = {"G": ("gen_ab", "gen_ba"), "P": ("pred_a", "pred_b"), "D": ("disc_b", "disc_a")}
"""recycle's names of the networks that the published code calls A and B. Its discriminator A judges the translations of
its generator A, which are in domain b."""


class Adopted(NamedTuple):
    """A checkpoint, recognised."""

    file: Path
    role: str
    """Its name in the bundle, such as gen_ab."""
    network: Published


def adopt(files: Sequence[Path], *, name: str, domains: Names, short_side: int) -> tuple[Bundle, list[Adopted]]:
    """Load published checkpoints of generators, predictors and discriminators as a bundle; no code in them is executed.

    A file with the published name, such as latest_net_G_A.pth, is the network of this name. Other files are generators,
    first a → b, then b → a, predictors, first of a, then of b, or discriminators, first of b, then of a. Raises
    BundleError for a file that is not such a checkpoint, ConfigError for files that do not make a model.
    """
    adopted: list[Adopted] = []
    for number, file in enumerate(files):
        if file.resolve() in (other.resolve() for other in files[:number]):
            raise ConfigError(f"{file} is given twice; give each checkpoint once")
        network = _read(file)
        adopted.append(Adopted(file, _role(file, network, [each.role for each in adopted]), network))
    roles = {each.role: each for each in adopted}
    config = _config(roles, name=name, domains=domains, short_side=short_side)
    bundle = Bundle(config).eval().requires_grad_(False)
    for role, each in roles.items():
        check_finite(each.network.weights, each.file)
        if role not in _ROLES["D"]:
            bundle.get_submodule(role).load_state_dict(each.network.weights)
    check_pictures(bundle, adopted[0].file)
    return bundle, adopted


def write_adopted(bundle: Bundle, adopted: Sequence[Adopted], out: Path, *, overwrite: bool) -> None:
    """Write the bundle, and the discriminators among the `adopted` networks, to the folder `out`.

    Raises OutputError if it cannot be written, or exists without `overwrite`.
    """
    if out.exists() and not (overwrite and is_bundle(out)) and (not out.is_dir() or any(out.iterdir())):
        hint = "give another --out, or --overwrite" if is_bundle(out) else "give another --out"
        raise OutputError(f"{out} exists already; {hint}")
    with writing(out):
        judges = {f"{each.role}.{key}": own for each in adopted for key, own in each.network.weights.items()}
        judges = {key: own for key, own in judges.items() if key.startswith(_ROLES["D"])}
        save_bundle(bundle, out, discriminators=judges)


def _read(file: Path) -> Published:
    try:
        refuse_special(file)
        file.open("rb").close()
    except OSError as error:
        raise BundleError(f"cannot read {file}: {error.strerror or error}") from error
    try:
        held: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises many types
        raise BundleError(
            f"{file} is no checkpoint that can be loaded safely; expected the weights of one network, saved by "
            "torch.save(network.state_dict(), …)"
        ) from error
    if not isinstance(held, dict) or not held or not all(_is_weight(*item) for item in held.items()):
        raise BundleError(f"{file} does not hold the weights of one network; expected a state dict, name → tensor")
    if odd := next((name for name, tensor in held.items() if not _is_dense(tensor)), None):
        raise BundleError(
            f"{file}: '{odd}' is a tensor of {held[odd].dtype} on {held[odd].device}; expected floating-point numbers, "
            "not quantised, saved with their values"
        )
    try:
        return recognise(held)
    except UnknownLayoutError as error:
        raise BundleError(f"{file} has a layout that recycle does not know: {error}") from error


def _is_weight(name: object, tensor: object) -> bool:
    return isinstance(name, str) and isinstance(tensor, Tensor) and tensor.layout == torch.strided


def _is_dense(tensor: Tensor) -> bool:
    """Whether a tensor has values, and is of real numbers, or the counter of batches of a BatchNorm."""
    return tensor.device.type == "cpu" and (tensor.is_floating_point() or tensor.dtype == torch.int64)


def _role(file: Path, network: Published, taken: Sequence[str]) -> str:
    """The name in the bundle, from the file's name, else the first free one for its kind. Raises ConfigError."""
    settings = network.settings
    kind = "P" if isinstance(settings, PredictorSettings) else "D" if isinstance(settings, PatchSettings) else "G"
    match = _NAMED.search(file.stem)
    wanted: tuple[str, ...] = _ROLES[kind]
    if match is not None and match[1] == kind:
        wanted = (_ROLES[kind]["AB".index(match[2])],)
    role = next((each for each in wanted if each not in taken), None)
    if role is None:
        raise ConfigError(f"{file}: there is another file for {wanted[-1]} already; give each network once")
    return role


def _config(roles: dict[str, Adopted], *, name: str, domains: Names, short_side: int) -> BundleConfig:
    directions = [d for d in DIRECTIONS if d.generator in roles]
    if not directions:
        raise ConfigError("none of the files is a generator, such as latest_net_G_A.pth; give at least one")
    predicted = [d for d in BY_TARGET if d.predictor in roles]
    needed = [d for d in BY_TARGET if d in directions]
    if predicted and predicted != needed:
        wanted = " and ".join(f"that of {d.target} (latest_net_P_{d.target.upper()}.pth)" for d in needed)
        raise ConfigError(f"predictors must match the generators: expected {wanted}, or no predictor")
    judged = [d for d in DIRECTIONS if d.discriminator in roles]
    if extra := [d for d in judged if d not in directions]:
        raise ConfigError(f"{roles[extra[0].discriminator].file} belongs to a generator that is missing; leave it out")
    networks = {
        "generator": _same([roles[d.generator] for d in directions]),
        **({"predictor": _same([roles[d.predictor] for d in predicted])} if predicted else {}),
        **({"discriminator": _same([roles[d.discriminator] for d in judged])} if judged else {}),
    }
    return BundleConfig(
        name=name,
        domains=domains,
        networks=NetworkSettings.model_validate(networks),
        predictors=bool(predicted),
        only=None if len(directions) == len(DIRECTIONS) else directions[0].name,
        short_side=short_side,
    )


def _same(networks: Sequence[Adopted]) -> Any:
    """The settings that these networks share. Raises ConfigError if they differ."""
    first, *others = networks
    for other in others:
        if other.network.settings != first.network.settings:
            raise ConfigError(
                f"{first.file} ({first.network.words}) and {other.file} ({other.network.words}) have different "
                "layouts, which one model cannot hold; import each as a model of one direction"
            )
    return first.network.settings
