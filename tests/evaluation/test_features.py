"""Feature networks: the one that is trained here, and the one that a user brings."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import inception_v3

from recycle.errors import BundleError, ConfigError, OutputError
from recycle.evaluation import street_features
from recycle.evaluation.distance import fid
from recycle.evaluation.features import Features, describe_broadly, open_features
from recycle.evaluation.inception import load_inception
from recycle.evaluation.metrics import Pixels
from recycle.evaluation.street_features import StreetNetwork, cache_file, street_network, train_street_network
from recycle.street.film import Street
from tests.jobs import counted


@pytest.fixture(scope="module")
def street() -> Features:
    return Features(train_street_network(scenes=6, steps=40).eval(), "cpu")


def film(look: str, seed: int) -> list[Pixels]:
    return list(Street(seed, 80, 48, 3, 10.0).frames(look))  # type: ignore[arg-type]


def test_street_features_tell_appearances_apart_and_see_blur(street: Features) -> None:
    night, other, day = film("night", 1), film("night", 2), film("day", 2)
    same, apart = fid(street(other), street(night)), fid(street(day), street(night))
    blurred = [
        fid(street([np.asarray(cv2.GaussianBlur(f, (0, 0), s), np.uint8) for f in night]), street(night)) or 0.0
        for s in (0.5, 1, 2)
    ]
    assert same is not None
    assert apart is not None
    assert 0 < 4 * same < apart
    assert 0 < blurred[0] < blurred[1] < blurred[2]


def test_street_features_have_one_scale(street: Features) -> None:
    features = torch.cat([street(film(look, seed)) for look in ("day", "night", "labels") for seed in (3, 4)])
    assert features.shape[1] == StreetNetwork.num_features
    assert 0.5 < features.std(0).mean() < 2


def test_frames_of_any_size_are_described_one_by_one(street: Features) -> None:
    small, large = film("day", 1)[0], next(iter(Street(1, 320, 192, 3, 1.0).frames("day")))
    both = street([small, large])
    assert torch.allclose(both, torch.cat((street([small]), street([large]))), atol=1e-5)
    difference = (both[0] - both[1]).norm()
    assert difference < 0.5 * (both[0] - street([film("night", 1)[0]])[0]).norm()  # the same moment


def test_training_is_repeatable_and_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(1)
    first = train_street_network(scenes=1, steps=3)
    after = torch.rand(1)
    torch.manual_seed(2)
    second = train_street_network(scenes=1, steps=3)
    assert all((a == b).all() for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))
    torch.manual_seed(1)
    assert torch.rand(1) == after


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a network that is trained at once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(street_features, "SCENES", 1)
    monkeypatch.setattr(street_features, "STEPS", 2)
    return tmp_path / "cache"


def test_the_street_network_is_trained_once(quick: Path) -> None:
    done: list[int] = []
    first = street_network(job=counted(done))
    assert done == [1, 2, 3]
    assert cache_file().parent.parent == quick
    again = street_network(job=counted(done))
    assert done == [1, 2, 3]
    frames = torch.randint(0, 256, (2, 3, *street_features.SIZE), dtype=torch.uint8)
    assert (first(frames) == again(frames)).all()
    cache_file().write_bytes(cache_file().read_bytes()[:99])  # damaged: made anew
    assert (street_network()(frames) == first(frames)).all()
    assert len(list(cache_file().parent.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_named(quick: Path) -> None:
    quick.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match=r"street-features.*XDG_CACHE_HOME"):
        street_network()


def test_inception_features_are_torchvisions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = inception_v3(weights=None, init_weights=False, transform_input=True).eval()
    for module in whole.modules():
        if isinstance(module, torch.nn.Conv2d):  # keep random features from dying out on their way
            torch.nn.init.kaiming_normal_(module.weight)
    torch.save(whole.state_dict(), tmp_path / "inception.pth")
    frame = np.random.default_rng(0).integers(0, 256, (299, 299, 3), dtype=np.uint8)
    seen: list[torch.Tensor] = []
    whole.avgpool.register_forward_hook(lambda module, given, out: seen.append(out.flatten(1)))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():  # the input that torchvision's documentation asks for
        whole(((torch.from_numpy(frame) / 255 - mean) / deviation).permute(2, 0, 1)[None])
    ours = open_features(tmp_path / "inception.pth", device="cpu")
    features = ours([frame])
    assert features.shape == (1, 2048)
    assert (features - seen[0]).norm() < 1e-4 * seen[0].norm()

    pruned = {k: v.clone() for k, v in whole.state_dict().items() if not k.startswith(("AuxLogits", "fc"))}
    save_file(pruned, tmp_path / "inception.safetensors")
    assert (load_inception(tmp_path / "inception.safetensors").body.state_dict().keys()) == pruned.keys()
    del pruned["Mixed_7c.branch1x1.conv.weight"]
    save_file(pruned, tmp_path / "less.safetensors")
    with pytest.raises(BundleError, match="holds the weights of another network; expected the state dict"):
        load_inception(tmp_path / "less.safetensors")


def test_a_file_that_is_no_inception(tmp_path: Path) -> None:
    """See tests/networks/test_features.py for the other damaged files, which the same function reads."""
    file = tmp_path / "damaged.pth"
    file.write_bytes(b"no weights at all")
    with pytest.raises(
        BundleError, match=f"{file.name}.* expected the state dict of torchvision's inception_v3"
    ) as caught:
        load_inception(file)
    assert "\n" not in str(caught.value)


def test_a_network_or_device_that_is_absent(tmp_path: Path) -> None:
    for name in ("absent.pth", "absent.safetensors"):
        with pytest.raises(BundleError, match=f"cannot read the feature network .*{name}: No such file"):
            load_inception(tmp_path / name)
    with pytest.raises(ConfigError, match="unknown device 'tpu'"):
        open_features("street", device="tpu")


def test_broad_descriptions_are_thumbnails() -> None:
    light, dark = (np.full((40, 60, 3), grey, np.uint8) for grey in (120, 90))
    vectors = describe_broadly([light, dark])
    assert (vectors[0] - vectors[1]).norm() == pytest.approx(30, rel=1e-4)
