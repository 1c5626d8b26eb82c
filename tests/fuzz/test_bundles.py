"""Damaged and hostile bundles give one clear line, or the whole model; never a weight that is not finite."""

import json
import random
import struct
from pathlib import Path

import pytest
import torch

from recycle.config import NetworkSettings, Pix2PixSettings, ResNetSettings
from recycle.errors import BundleError
from recycle.networks.bundle import Bundle, BundleConfig, load_bundle, save_bundle
from tests.fuzz.spoil import ROUNDS, SEED, spoilt

DAMAGES = 60
_HOSTILE = [
    *(0, -1, 1, 2**31, 2**63, 10**30, 1e308, 0.5, True, None, "", "x", "\u0000", "../../etc/passwd"),
    *("tu-hf-hub:evil/model", "hf-hub:evil/model", "resnet18", "pix2pix", [], [1] * 5, {}, {"x": 1}, "NaN"),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    networks = NetworkSettings(generator=ResNetSettings(blocks=1, width=4), predictor=Pix2PixSettings(width=4, depth=3))
    torch.manual_seed(0)
    save_bundle(Bundle(BundleConfig(networks=networks, short_side=32)), folder)
    return folder


def check(folder: Path) -> None:
    weights, refusal = {}, ""
    try:
        weights = load_bundle(folder).state_dict()
    except BundleError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert len(refusal) < 1000
    assert all(bool(torch.isfinite(weight).all()) for weight in weights.values())


def test_spoilt_files(good: Path, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    for name in ("config.json", "model.safetensors"):
        other = next(file for file in good.iterdir() if file.name != name)
        (tmp_path / other.name).write_bytes(other.read_bytes())
        for _ in range(DAMAGES * ROUNDS):
            (tmp_path / name).write_bytes(spoilt((good / name).read_bytes(), rng))
            check(tmp_path)


def test_hostile_values_in_every_place_of_the_settings(good: Path, tmp_path: Path) -> None:
    text = (good / "config.json").read_text(encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes((good / "model.safetensors").read_bytes())
    rng = random.Random(SEED)
    for path in _places(json.loads(text)):
        for value in rng.sample(_HOSTILE, 4 * ROUNDS if len(_HOSTILE) > 4 * ROUNDS else len(_HOSTILE)):
            settings = json.loads(text)
            group = settings
            for key in path[:-1]:
                group = group[key]
            group[path[-1]] = value
            (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
            check(tmp_path)


def test_hostile_headers_of_weights(good: Path, tmp_path: Path) -> None:
    """The header of safetensors names tensors, types, shapes and places in the file: any of them may lie."""
    (tmp_path / "config.json").write_bytes((good / "config.json").read_bytes())
    data = (good / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, weights = json.loads(data[8 : 8 + length]), data[8 + length :]
    rng = random.Random(SEED)
    for _ in range(DAMAGES * ROUNDS):
        lying = json.loads(json.dumps(header))
        name = rng.choice([key for key in lying if key != "__metadata__"])
        kind = rng.choice(["dtype", "shape", "data_offsets", "gone", "other"])
        if kind == "gone":
            del lying[name]
        elif kind == "other":
            lying["x" * rng.choice([1, 10_000])] = lying[name]
        elif kind == "dtype":
            lying[name]["dtype"] = rng.choice(["F64", "F16", "BF16", "I8", "BOOL", "X", 3])
        else:
            lying[name][kind] = rng.choice([[], [0], [0, 0], [1, 2**62], [2**63, 2**63], [-1, 4], ["a"], "x", None])
        text = json.dumps(lying).encode()
        claimed = rng.choice([len(text), len(text), len(text), 0, 2**63, 2**40, len(text) + 5])
        (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", claimed) + text + weights)
        check(tmp_path)


def _places(group: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(group, dict):
        return [path]
    return [path, *(place for key in group for place in _places(group[key], (*path, key)))][0 if path else 1 :]
