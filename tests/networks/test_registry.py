"""Networks are selected by kind; earlier versions stay readable, and new kinds can be registered."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn

from recycle.config import (
    DISCRIMINATORS,
    GENERATORS,
    PREDICTORS,
    DiscriminatorSettings,
    GeneratorSettings,
    NetworkSettings,
    PatchSettings,
    PredictorSettings,
    ResNetSettings,
    SmpSettings,
    parse_pipeline,
    parse_settings,
)
from recycle.dataset.shots import find_shots
from recycle.errors import ConfigError
from recycle.networks.bundle import Bundle, BundleConfig, check_networks, digest, load_bundle
from recycle.networks.discriminator import DiscriminatorNetwork, Judgement
from recycle.networks.generator import GeneratorNetwork
from recycle.networks.predictor import PredictorNetwork
from recycle.networks.registry import add_discriminator, add_generator, add_predictor, make_generator
from recycle.training.loop import train
from recycle.translation.translator import Translator
from tests.training.test_loop import SETTINGS, write_frames

pytestmark = pytest.mark.usefixtures("small_looks")

OLD = {
    "35c6c4e184bdcd0d97ca9010ef1e7822544b0932fc1140fe69450f205fe3f5fc": (
        '{"format":"recycle","version":1,"name":"old","networks":{"generator":{"blocks":1,"width":4,"skip":true,'
        '"blur":false},"discriminator":{"layers":2,"width":8,"norm":"spectral","scales":2,"minibatch_std":false},'
        '"predictor":{"past":3,"kind":"pix2pix","width":4,"encoder":"tu-resnet18","depth":3}},"predictors":true,'
        '"short_side":48,"step":7}'
    ),
    "dde9865de6f030441e2625fcf5508962f936166c2a94cab8ae74ebba452b40ca": (
        '{"format":"recycle","version":1,"name":"old","networks":{"generator":{"blocks":1,"width":4,"skip":false,'
        '"blur":true},"discriminator":{"layers":3,"width":64,"norm":"instance","scales":1,"minibatch_std":false},'
        '"predictor":{"past":2,"kind":"smp","width":64,"encoder":"tu-resnet18","depth":4}},"predictors":false,'
        '"short_side":48,"step":7}'
    ),
}
"""What a version without kinds wrote as config.json, by the digest that it gave the bundle with weights n / 128."""


@pytest.mark.parametrize("known", OLD)
def test_bundles_of_versions_without_kinds_are_read_and_keep_their_digest(known: str) -> None:
    config = parse_settings(BundleConfig, json.loads(OLD[known]))
    assert config.model_dump_json() == OLD[known]
    bundle = Bundle(config)
    for number, (_, tensor) in enumerate(sorted(bundle.state_dict().items())):
        tensor.fill_(number / 128)
    assert digest(bundle) == known


def networks(**tables: Any) -> NetworkSettings:
    return parse_settings(NetworkSettings, tables)


def test_a_table_without_a_kind_means_the_first_ones() -> None:
    found = networks(generator={"width": 8}, discriminator={"layers": 2}, predictor={"past": 3})
    assert found == NetworkSettings(
        generator=ResNetSettings(width=8), discriminator=PatchSettings(layers=2), predictor=SmpSettings(past=3)
    )
    assert networks(generator={"kind": "resnet", "width": 8}).generator == found.generator
    assert NetworkSettings.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"generator": {"kind": "resnte"}}, r"'networks\.generator': unknown kind 'resnte'; did you mean 'resnet'\?"),
        ({"discriminator": {"kind": "x"}}, r"'networks\.discriminator': unknown kind 'x'; known kinds: patch"),
        ({"predictor": {"kind": ["smp"]}}, r"'networks\.predictor': unknown kind \['smp'\]; known kinds: smp, pix2pix"),
        ({"generator": {"blokcs": 3}}, r"unknown key 'networks\.generator\.blokcs'; did you mean 'blocks'\?"),
        ({"predictor": {"kind": "pix2pix", "dephts": 3}}, r"unknown key .*dephts'; did you mean 'depth'\?"),
        ({"predictor": {"depth": 6}}, r"'networks\.predictor\.depth': .*less than or equal to 5, got 6"),
        ({"generator": 3}, r"'networks\.generator': expected a table of settings, got 3"),
    ],
)
def test_a_mistake_in_a_network_is_a_one_line_error(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_pipeline({"networks": table}, where="test")
    assert "\n" not in str(caught.value)


class ToySettings(GeneratorSettings):
    """Of a generator that exists in this test alone."""

    kind: Literal["toy"] = "toy"
    channels: int = Field(8, ge=1, le=64)


class Toy(GeneratorNetwork):
    """Two convolutions on half the resolution."""

    multiple = 2

    def __init__(self, settings: ToySettings) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, settings.channels, 2, stride=2)
        self.up = nn.ConvTranspose2d(settings.channels, 3, 2, stride=2)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) → the same shape."""
        return torch.tanh(self.up(torch.relu(self.down(frames))))


@pytest.fixture
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """For this test alone."""
    monkeypatch.setattr(GENERATORS, "_classes", dict(GENERATORS.classes))
    add_generator(ToySettings, Toy)


@pytest.mark.usefixtures("_toy")
def test_a_generator_from_outside_trains_is_saved_and_translates(tmp_path: Path) -> None:
    losses = {"weights": {"cycle": 10, "patch_nce": 1}}
    task = {**SETTINGS, "losses": losses, "networks": {**SETTINGS["networks"], "generator": {"kind": "toy"}}}
    task["train"] = {**SETTINGS["train"], "frames": 1, "steps": 4, "preview_every": 4}
    pipeline = parse_pipeline(task, where="test")
    a, b = (find_shots(write_frames(tmp_path / name, 40, seed=seed)) for seed, name in enumerate("ab"))
    report = train(pipeline, a, b, tmp_path / "out")
    assert report.step == 4
    written = json.loads((report.model / "config.json").read_text())
    assert written["networks"]["generator"] == {"kind": "toy", "channels": 8}
    bundle = load_bundle(report.model)
    assert isinstance(bundle.gen_ab, Toy)
    torch.manual_seed(0)
    untrained = make_generator(ToySettings()).state_dict()
    assert all(not torch.equal(value, untrained[key]) for key, value in bundle.gen_ab.state_dict().items())
    clip = torch.rand(2, 3, 19, 23) * 2 - 1  # no multiples of 2
    out = Translator(bundle, device="cpu", precision="fp32")(clip, to="b")
    with torch.no_grad():
        padded = nn.functional.pad(clip, (0, 1, 0, 1), mode="reflect")
        torch.testing.assert_close(out, bundle.gen_ab(padded)[..., :19, :23])


@pytest.mark.usefixtures("_toy")
def test_an_unsupported_size_is_an_error_before_training() -> None:
    config = BundleConfig(networks=networks(generator={"kind": "toy"}), predictors=False)
    check_networks(config, size=(18, 20))
    with pytest.raises(ConfigError, match=r"'train\.size' \(18, 21\) does not suit generators of kind 'toy': .* of 2"):
        check_networks(config, size=(18, 21))


@pytest.mark.usefixtures("_toy")
def test_the_name_of_a_kind_is_unique() -> None:
    class Another(GeneratorSettings):
        kind: Literal["toy"] = "toy"

    add_generator(ToySettings, Toy)  # again the same
    with pytest.raises(ValueError, match="there is a network of kind 'toy' already"):
        add_generator(Another, Toy)


class JudgeSettings(DiscriminatorSettings):
    """A single convolution."""

    kind: Literal["judge"] = "judge"


class Judge(DiscriminatorNetwork):
    """A single convolution."""

    def __init__(self, _: JudgeSettings, channels: int) -> None:
        super().__init__()
        self.only = nn.Conv2d(channels, 1, 4, stride=4)

    def forward(self, frames: Tensor) -> Judgement:
        """(N, channels, H, W) → Judgement."""
        return Judgement((self.only(frames),), ())


class MeanSettings(PredictorSettings):
    """The weighted mean of the past."""

    kind: Literal["mean"] = "mean"


class Mean(PredictorNetwork):
    """The weighted mean of the past."""

    def __init__(self, settings: MeanSettings) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(settings.past))

    def forward(self, past: Tensor) -> Tensor:
        """(B, P, 3, H, W) → (B, 3, H, W)."""
        return torch.einsum("p,bp...->b...", self.weights.softmax(0), past)


def test_a_discriminator_and_a_predictor_from_outside_train_and_are_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table in (DISCRIMINATORS, PREDICTORS):
        monkeypatch.setattr(table, "_classes", dict(table.classes))
    add_discriminator(JudgeSettings, Judge)
    add_predictor(MeanSettings, Mean)
    own = {"discriminator": {"kind": "judge"}, "predictor": {"kind": "mean", "past": 2}}
    task = {**SETTINGS, "networks": {**SETTINGS["networks"], **own}}
    task["train"] = {**SETTINGS["train"], "steps": 2, "preview_every": 2}
    a, b = (find_shots(write_frames(tmp_path / name, 40, seed=seed)) for seed, name in enumerate("ab"))
    model = train(parse_pipeline(task, where="test"), a, b, tmp_path / "out").model
    assert isinstance(predictor := load_bundle(model).pred_a, Mean)
    assert predictor.weights.any()
    judged = load_file(model / "discriminators.safetensors")
    assert {name.split(".")[0] for name in judged} == {"judge_disc_a", "judge_disc_b"}
