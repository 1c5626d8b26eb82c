"""Checkpoints of other projects become models that compute the same."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from recycle import Translator, import_model
from recycle.domains import AB, BA, DIRECTIONS
from recycle.errors import BundleError, ConfigError, FootageError, OutputError, RecycleError
from recycle.networks.bundle import load_bundle, load_discriminators, read_config
from recycle.networks.registry import make_discriminator
from tests.networks.published_code import NLayerDiscriminator, Norm, ResnetGenerator, UnetGenerator, with_random_weights

FRAMES = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1


def save(network: nn.Module, file: Path, *, seed: int = 0, old: bool = False, wrapped: bool = False) -> nn.Module:
    """Write a checkpoint with random weights. `old`: as PyTorch 0.3 did. `wrapped`: within DataParallel."""
    with_random_weights(network, seed)
    state: dict[str, Any] = dict(network.state_dict())
    if old:
        for name, module in network.named_modules():
            if isinstance(module, nn.InstanceNorm2d):
                channels = module.num_features
                state |= {f"{name}.running_mean": torch.rand(channels), f"{name}.running_var": torch.rand(channels)}
        state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    if wrapped:
        state = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save(state, file, _use_new_zipfile_serialization=not old)
    return network


@torch.no_grad()
def check(imported: Callable[[Tensor], Tensor], published: nn.Module, frames: Tensor) -> None:
    expected = published(frames.clone())
    assert 0.01 < float(expected.std()) < 2, "neither constant nor saturated"
    assert float((imported(frames) - expected).abs().max()) <= 5e-5  # both round in float32, in another order


@given(
    blocks=st.sampled_from([6, 9]),
    norm=st.sampled_from(["instance", "batch", "none"]),
    dropout=st.booleans(),
    down=st.booleans(),
    up=st.booleans(),
    old=st.booleans(),
    wrapped=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=16, phases=[Phase.explicit, Phase.generate])
def test_an_imported_generator_computes_what_the_published_one_does(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    blocks: int,
    norm: Norm,
    dropout: bool,
    down: bool,
    up: bool,
    **how: Any,
) -> None:
    folder = tmp_path_factory.mktemp("import")
    network = ResnetGenerator(blocks=blocks, norm=norm, dropout=dropout, no_antialias=down, no_antialias_up=up)
    published = save(network, folder / "latest_net_G.pth", **how)
    import_model(folder / "latest_net_G.pth", folder / "model")
    translator = Translator.from_pretrained(folder / "model", device="cpu", precision="fp32")
    check(lambda frames: translator(frames, to="b"), published, FRAMES)
    generator = load_bundle(folder / "model").generator(AB)
    assert [layer.shape[1] for layer in generator.features(FRAMES)] == list(generator.feature_channels)
    check(generator.train(), published, FRAMES)  # also while it is trained further


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize(("kind", "side"), [("unet_128", 128), ("unet_256", 256), ("resnet", 32)])
def test_both_generators_and_predictors_keep_their_places(tmp_path: Path, kind: str, side: int, norm: Norm) -> None:
    made: dict[str, nn.Module] = {}
    for seed, name in enumerate(["G_A", "G_B", "P_A", "P_B"]):
        network: nn.Module = ResnetGenerator(6 if name[0] == "P" else 3, norm=norm)
        if name[0] == "P" and kind != "resnet":
            network = UnetGenerator(6, 7 if kind == "unet_128" else 8, norm=norm)
        made[name] = save(network, tmp_path / f"latest_net_{name}.pth", seed=seed, old=True)
    files = [tmp_path / f"latest_net_{name}.pth" for name in reversed(made)]  # their names count, not their order
    import_model(files, tmp_path / "model", domains=["horse", "zebra"], short_side=side)
    bundle = load_bundle(tmp_path / "model")
    assert (bundle.config.domains, bundle.config.short_side) == (("horse", "zebra"), side)
    check(bundle.generator(AB), made["G_A"], FRAMES)
    check(bundle.generator(BA), made["G_B"], FRAMES)
    past = torch.rand(1, 2, 3, side, side) * 2 - 1
    for d, name in ((AB, "P_B"), (BA, "P_A")):
        predictor = bundle.predictor(d)
        assert predictor is not None
        check(lambda frames, p=predictor: p(frames.unflatten(1, (2, 3))), made[name], past.flatten(1, 2))  # type: ignore[misc]


@pytest.mark.parametrize("layers", [2, 3])
def test_discriminators_come_with_the_generators_that_they_judge(tmp_path: Path, layers: int) -> None:
    files = {name: tmp_path / f"latest_net_{name}.pth" for name in ("G_A", "D_A", "G_B", "D_B")}
    made = {
        name: save(NLayerDiscriminator(n_layers=layers) if name[0] == "D" else ResnetGenerator(), file, seed=seed)
        for seed, (name, file) in enumerate(files.items())
    }
    import_model(list(files.values()), tmp_path / "model")
    settings = read_config(tmp_path / "model").networks.discriminators[0]
    held = load_discriminators(tmp_path / "model")
    for name, published in (("disc_b", "D_A"), ("disc_a", "D_B")):
        network = make_discriminator(settings)
        network.load_state_dict(held[name])
        check(lambda frames, judge=network: judge(frames).logits[0], made[published], FRAMES)  # type: ignore[misc]
    refused([files["G_A"], files["D_B"]], tmp_path / "other", ConfigError, "belongs to a generator that is missing")
    save(NLayerDiscriminator(norm="batch"), tmp_path / "d.pth")
    refused([files["G_A"], tmp_path / "d.pth"], tmp_path / "other", BundleError, "BatchNorm, which cannot be imported")


def test_files_of_other_names_are_taken_in_order(tmp_path: Path) -> None:
    published = [save(ResnetGenerator(), tmp_path / f"{name}.pth", seed=i) for i, name in enumerate(["x", "m"])]
    import_model([tmp_path / "x.pth", tmp_path / "m.pth"], tmp_path / "model")
    bundle = load_bundle(tmp_path / "model")
    for d, network in zip(DIRECTIONS, published, strict=True):
        check(bundle.generator(d), network, FRAMES)


def test_one_generator_makes_a_model_of_one_direction(tmp_path: Path) -> None:
    published = save(ResnetGenerator(), tmp_path / "latest_net_G_B.pth")
    import_model(tmp_path / "latest_net_G_B.pth", tmp_path / "model", domains=["horse", "zebra"])
    config = read_config(tmp_path / "model")
    assert config.directions == (BA,)
    translator = Translator.from_pretrained(tmp_path / "model", device="cpu", precision="fp32")
    check(lambda frames: translator(frames, to="horse"), published, FRAMES)
    with pytest.raises(ConfigError, match=r"the model 'model' translates only zebra → horse, not to zebra"):
        translator(FRAMES, to="b")


def test_a_predictor_of_the_target_goes_with_one_generator(tmp_path: Path) -> None:
    save(ResnetGenerator(), tmp_path / "latest_net_G_A.pth")
    for name in "AB":
        save(ResnetGenerator(6), tmp_path / f"latest_net_P_{name}.pth")
    files = [tmp_path / "latest_net_G_A.pth", tmp_path / "latest_net_P_A.pth"]
    with pytest.raises(ConfigError, match=r"expected that of b \(latest_net_P_B.pth\), or no predictor"):
        import_model(files, tmp_path / "model")
    import_model([files[0], tmp_path / "latest_net_P_B.pth"], tmp_path / "model")
    translator = Translator.from_pretrained(tmp_path / "model", device="cpu")
    assert translator(FRAMES, to="b", smoothing=True).shape == FRAMES.shape


def test_a_checkpoint_of_another_network_is_refused_in_one_line(tmp_path: Path) -> None:
    grey = ResnetGenerator(1)
    changed = dict(ResnetGenerator().state_dict())
    changed["model.4.weight"] = torch.zeros(3, 3, 3, 3)
    strange = dict(ResnetGenerator(no_antialias=False).state_dict())
    strange["model.7.filt"] = torch.full((16, 1, 3, 3), 1 / 9)
    wide = {**ResnetGenerator().state_dict(), "model.1.weight": torch.zeros(1000, 3, 7, 7)}
    nan = {**ResnetGenerator().state_dict(), "model.1.bias": torch.full((8,), float("nan"))}
    for state, message in (
        (grey.state_dict(), "takes 1 channels; only networks for RGB"),
        (UnetGenerator(3).state_dict(), "is a U-Net generator; only ResNet"),
        ({"model1.1.weight": torch.zeros(1)}, "predictor of kind 'prediction'"),
        ({"w": torch.zeros(1)}, "neither a ResNet nor a U-Net"),
        (changed, r"'model.4.weight' has the shape \(3, 3, 3, 3\), not"),
        (strange, "filters are not those of CUT"),
        (wide, "a size is out of range"),
        (nan, "not finite, in 'model.1.bias'"),
        ({"state": 1}, "expected a state dict"),
        ([1], "expected a state dict"),
    ):
        torch.save(state, tmp_path / "net.pth")
        refused([tmp_path / "net.pth"], tmp_path, BundleError, message)


@given(data=st.data())
@settings(max_examples=10)
def test_a_checkpoint_with_a_weight_too_few_or_too_many_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("import")
    state = dict(ResnetGenerator(norm=data.draw(st.sampled_from(["instance", "batch"]))).state_dict())
    gone = data.draw(st.sampled_from([name for name in state if "num_batches" not in name]))
    del state[gone]
    if data.draw(st.booleans()):
        state[f"{gone}.extra"] = torch.zeros(2)
    torch.save(state, folder / "net.pth")
    refused([folder / "net.pth"], folder, BundleError, "layout that recycle does not know")


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda weight: weight.to("meta"), "torch.float32 on meta"),
        (lambda weight: weight.to(torch.int8), "torch.int8 on cpu"),
        (lambda weight: weight.to(torch.complex64), "torch.complex64 on cpu"),
        (lambda weight: weight > 0, "torch.bool on cpu"),
    ],
)
def test_weights_of_another_type_are_refused_in_one_line(
    tmp_path: Path, change: Callable[[Tensor], Tensor], kind: str
) -> None:
    network = ResnetGenerator(no_antialias=False)
    torch.save({name: change(tensor) for name, tensor in network.state_dict().items()}, tmp_path / "net.pth")
    refused([tmp_path / "net.pth"], tmp_path, BundleError, f"'model.1.weight' is a tensor of {kind}; expected floating")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod.", "module.module."])
def test_other_precisions_and_wrappers_are_read(tmp_path: Path, dtype: torch.dtype, prefix: str) -> None:
    network = with_random_weights(ResnetGenerator(blocks=1, norm="batch", no_antialias_up=False), 0).to(dtype).float()
    held = {name: own.to(dtype) if own.is_floating_point() else own for name, own in network.state_dict().items()}
    torch.save({f"{prefix}{name}": own for name, own in held.items()}, tmp_path / "net.pth")
    import_model(tmp_path / "net.pth", tmp_path / "model")
    check(load_bundle(tmp_path / "model").generator(AB), network, FRAMES)


def test_what_is_no_checkpoint_is_refused_in_one_line_without_waiting(tmp_path: Path) -> None:
    save(ResnetGenerator(), tmp_path / "whole.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:5000])
    (tmp_path / "empty.pth").touch()
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "folder.pth").mkdir()
    os.mkfifo(tmp_path / "pipe.pth")
    for name in ("half", "empty", "text"):
        refused([tmp_path / f"{name}.pth"], tmp_path, BundleError, "is no checkpoint that can be loaded safely")
    refused([tmp_path / "folder.pth"], tmp_path, BundleError, "Is a directory")
    refused([tmp_path / "pipe.pth"], tmp_path, FootageError, "is a named pipe, not a file; copy its content")


def test_code_in_a_checkpoint_is_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    state = {"model.1.weight": Malicious(mark)}
    torch.save(state, tmp_path / "zip.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(state))
    for file in (tmp_path / "zip.pth", tmp_path / "bare.pth"):
        refused([file], tmp_path, BundleError, "no checkpoint that can be loaded safely")
    assert not mark.exists()


def test_files_that_make_no_model_are_refused(tmp_path: Path) -> None:
    names = ("latest_net_G_A", "200_net_G_A", "latest_net_P_A", "nine")
    files = {name: tmp_path / f"{name}.pth" for name in names}
    for name, file in files.items():
        save(ResnetGenerator(6 if "P" in name else 3, blocks=9 if name == "nine" else 6), file)
    refused([files["latest_net_G_A"], files["200_net_G_A"]], tmp_path, ConfigError, "another file for gen_ab already")
    refused([files["latest_net_P_A"]], tmp_path, ConfigError, "none of the files is a generator")
    refused([files["latest_net_G_A"], files["nine"]], tmp_path, ConfigError, "different layouts, which one model")
    refused([files["nine"], tmp_path / "." / "nine.pth"], tmp_path, ConfigError, "nine.pth is given twice; give each")
    refused([tmp_path / "none.pth"], tmp_path, BundleError, "cannot read .*No such file")


def refused(files: list[Path], folder: Path, kind: type[RecycleError], message: str) -> None:
    with pytest.raises(kind, match=message) as error:
        import_model(files, folder / "model")
    assert "\n" not in str(error.value)
    assert not (folder / "model").exists()


def test_only_a_bundle_is_replaced_and_only_on_request(tmp_path: Path) -> None:
    file, out = tmp_path / "net.pth", tmp_path / "model"
    save(ResnetGenerator(), file)
    import_model(file, out)
    with pytest.raises(OutputError, match="exists already; give another --out, or --overwrite"):
        import_model(file, out)
    import_model(file, out, overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(OutputError, match="exists already; give another --out"):
        import_model(file, tmp_path / "mine", overwrite=True)
