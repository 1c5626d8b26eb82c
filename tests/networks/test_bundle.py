import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recycle.config import NetworkSettings, Pix2PixSettings, ResNetSettings
from recycle.domains import Names
from recycle.errors import BundleError
from recycle.networks.bundle import Bundle, BundleConfig, digest, load_bundle, names_of, save_bundle
from recycle.networks.initialise import initialise

NETWORKS = NetworkSettings(
    generator=ResNetSettings(blocks=2, width=4),
    predictor=Pix2PixSettings(width=4, depth=3),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved bundle."""
    save_bundle(tiny(), tmp_path / "model")
    return tmp_path / "model"


def tiny(*, predictors: bool = True) -> Bundle:
    torch.manual_seed(3)
    config = BundleConfig(name="tiny", networks=NETWORKS, predictors=predictors, short_side=48, step=7)
    bundle = Bundle(config)
    initialise(bundle)
    return bundle


def test_a_loaded_bundle_equals_the_saved_one(folder: Path) -> None:
    saved, loaded = tiny(), load_bundle(folder)
    assert loaded.config == saved.config
    assert {k: v.tolist() for k, v in loaded.state_dict().items()} == {
        k: v.tolist() for k, v in saved.state_dict().items()
    }
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(loaded.gen_ab(x), saved.eval().gen_ab(x))


def test_a_bundle_without_predictors_has_none(tmp_path: Path) -> None:
    save_bundle(tiny(predictors=False), tmp_path)
    loaded = load_bundle(tmp_path)
    assert loaded.pred_a is None
    assert loaded.pred_b is None


def test_saving_leaves_the_two_files_and_replaces_them(folder: Path) -> None:
    save_bundle(tiny(predictors=False), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert load_bundle(folder).pred_a is None


def test_a_bundle_loads_without_its_predictors_and_keeps_its_digest(folder: Path) -> None:
    saved, part = tiny(), load_bundle(folder, predictors=False)
    assert part.pred_a is None
    assert part.pred_b is None
    assert digest(part) == digest(saved)
    whole = saved.state_dict()
    assert {key: value.tolist() for key, value in part.state_dict().items()} == {
        key: value.tolist() for key, value in whole.items() if key.startswith("gen_")
    }


_SLOW = ("torch._dynamo", "timm", "torchvision", "segmentation_models_pytorch", "scenedetect", "lightning_fabric")
"""Modules that take a tenth of a second to seconds to import."""


def test_a_translation_without_smoothing_imports_nothing_slow_beside_torch(tmp_path: Path) -> None:
    save_bundle(Bundle(BundleConfig(networks=NetworkSettings(generator=NETWORKS.generator))), tmp_path)
    code = f"""
import sys, numpy, recycle.translation.translator as module
translator = module.Translator.from_pretrained({str(tmp_path)!r}, device="cpu", smoothing=False)
next(translator.stream([numpy.zeros((32, 32, 3), numpy.uint8)], to="b"))
print(sorted(set({_SLOW!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_bundle_keeps_the_names_of_the_domains_which_are_no_part_of_its_digest(folder: Path) -> None:
    unnamed = load_bundle(folder)
    assert "domains" not in json.loads((folder / "config.json").read_text())  # as earlier versions wrote
    assert unnamed.config.domains == names_of(folder) == names_of("identity") == ("a", "b")
    named = tiny()
    named.config = named.config.model_copy(update={"domains": Names("summer", "winter")})
    save_bundle(named, folder)
    assert load_bundle(folder).config.domains == names_of(folder) == ("summer", "winter")
    assert digest(load_bundle(folder)) == digest(unnamed)


def test_names_that_mean_two_domains_make_no_bundle(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"domains": ["b", "a"]}))
    with pytest.raises(BundleError, match="'b' cannot be the name of domain a"):
        load_bundle(folder)


def test_a_generator_has_the_published_layout() -> None:
    keys = list(tiny().gen_ab.state_dict())
    published = [
        "1",
        "4",
        "7",
        *(f"{10 + b}.conv_block.{c}" for b in (0, 1) for c in (1, 5)),
        "12",
        "15",
        "19",
    ]
    assert keys == [f"model.{layer}.{kind}" for layer in published for kind in ("weight", "bias")]
    assert "model.10.conv_block.5.weight" in keys


def test_the_published_generator_has_its_published_size() -> None:
    """6 blocks: 7.84 million parameters; 9 blocks: 11.38 million."""
    for blocks, millions in ((6, 7.84), (9, 11.38)):
        networks = NetworkSettings(generator=ResNetSettings(blocks=blocks))
        bundle = Bundle(BundleConfig(networks=networks, predictors=False))
        count = sum(parameter.numel() for parameter in bundle.gen_ab.parameters())
        assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, f"is neither a run nor a model bundle: it has no {name}")


@pytest.mark.parametrize("part", [0, 5, 0.5, 0.999])
def test_truncated_weights_are_an_error(folder: Path, part: float) -> None:
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: part if isinstance(part, int) else int(len(data) * part)])
    refused(folder, "model.safetensors is damaged")


def test_weights_of_another_model_are_an_error(folder: Path) -> None:
    data = json.loads((folder / "config.json").read_text())
    data["networks"]["generator"]["width"] = 8
    (folder / "config.json").write_text(json.dumps(data))
    refused(folder, "holds other weights than config.json describes")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": "other"}', '{"version": 99}', '{"unknown": 1}', '{"frames": 0}']
)
def test_a_wrong_config_is_an_error(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    refused(folder, "config.json does not describe a recycle model")


def test_a_binary_config_is_an_error(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    refused(folder, "config.json does not describe a recycle model")


def refused(folder: Path, message: str) -> None:
    with pytest.raises(BundleError, match=message) as error:
        load_bundle(folder)
    assert "\n" not in str(error.value)
