"""Projected discriminators see what a frozen network sees, and train beside PatchGANs or alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from recycle.config import NetworkSettings, PatchSettings, Pipeline, Precision, ProjectedSettings, parse_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import ConfigError
from recycle.networks.features import open_network
from recycle.networks.projected import ENLARGED, ProjectedDiscriminator
from recycle.networks.registry import make_discriminator
from recycle.training.loop import take_step, train
from recycle.training.run import Run
from tests.training.test_fp16 import fabric_of
from tests.training.test_loop import same_run, write_frames

pytestmark = pytest.mark.usefixtures("small_looks")

PATCH: dict[str, Any] = {"width": 4, "layers": 2}
PROJECTED: dict[str, Any] = {"kind": "projected", "width": 8}


def task(
    discriminator: object,
    losses: dict[str, Any] | None = None,
    *,
    generator: dict[str, Any] | None = None,
    **groups: dict[str, Any],
) -> Pipeline:
    """A pipeline of tiny networks for frames of 32 × 36."""
    networks = {"generator": generator or {"width": 4, "blocks": 1}, "discriminator": discriminator}
    train = {"size": [32, 36], "precision": "fp32", "device": "cpu", "pool_size": 2, "held_out": 6}
    rest = {name: group for name, group in groups.items() if name != "train"}
    given: dict[str, Any] = {"networks": networks, "losses": losses or {}, "train": train | groups.get("train", {})}
    return parse_pipeline(given | rest, where="test")


@pytest.fixture(scope="module")
def small() -> ProjectedDiscriminator:
    torch.manual_seed(0)
    return ProjectedDiscriminator(ProjectedSettings(width=8))


def test_the_frozen_network_is_not_in_the_state_and_only_the_heads_learn(small: ProjectedDiscriminator) -> None:
    parts = {key.split(".")[0] for key in small.state_dict()}
    mixing = {f"across_{axis}_{n}" for axis in ("channels", "scales") for n in range(3)}
    assert parts == {"heads", "scale"} | mixing
    assert all(name.startswith("heads.") for name, _ in small.named_parameters())
    assert sum(tensor.numel() for tensor in small.state_dict().values()) < 20_000


def test_a_frame_is_judged_as_written_down_and_alone_as_in_a_batch(small: ProjectedDiscriminator) -> None:
    small.eval()
    frames = torch.rand(2, 3, 48, 40) * 2 - 1
    logits, layers, _ = small(frames)
    by_hand = []
    for frame in frames:
        seen = open_network("lite0")(F.interpolate(frame[None], scale_factor=ENLARGED, mode="bilinear"))[2:]
        above: torch.Tensor | None = None
        levels: list[torch.Tensor] = []
        for n in (2, 1, 0):
            x = F.conv2d(seen[n], small.get_buffer(f"across_channels_{n}"))
            if above is not None:
                x = x + F.interpolate(above, size=x.shape[-2:], mode="bilinear")
            above = F.conv2d(x, small.get_buffer(f"across_scales_{n}"), padding=1)
            levels.insert(0, above / small.scale[n])
        by_hand.append(torch.cat([h(x).flatten() for h, x in zip(small.heads, levels, strict=True)]))
    torch.testing.assert_close(logits[0].flatten(1), torch.stack(by_hand), rtol=1e-4, atol=1e-5)
    assert [tuple(x.shape[:2]) for x in layers] == [(2, 8)] * 6
    small.train()


def test_heads_see_unit_variance_and_the_gradient_is_of_the_size_of_patchgans(real_footage: Path) -> None:
    import cv2

    file = sorted(real_footage.glob("**/*.jpg"))[0]
    picture = cv2.cvtColor(cv2.resize(cv2.imread(str(file)), (112, 112), interpolation=cv2.INTER_AREA), 4)
    frame = torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1
    torch.manual_seed(0)
    projected = ProjectedDiscriminator(ProjectedSettings())
    assert all(0.5 < float(level.std()) < 2 for level in projected._mixed(frame))
    norms = []
    for network in (projected, make_discriminator(PatchSettings(width=32, layers=2))):
        x = frame.clone().requires_grad_()
        ((network(x).logits[0] - 1) ** 2).mean().backward()
        assert x.grad is not None
        norms.append(float(x.grad.norm()))
    assert norms[0] < 20 * norms[1]


def test_pairs_are_judged_together() -> None:
    torch.manual_seed(0)
    network = ProjectedDiscriminator(ProjectedSettings(width=8, strides=(16, 8)), channels=6).eval()
    pair = torch.rand(2, 6, 32, 32) * 2 - 1
    swapped = torch.cat((pair[:, :3].flip(0), pair[:, 3:]), dim=1)
    before, after = network(pair).logits[0], network(swapped).logits[0]
    assert before.shape == (2, 1, 1, 6 * 6 + 3 * 3)
    assert (before - after).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("discriminator", "more", "message"),
    [
        (PROJECTED, {"losses": {"weights": {"temporal": 1}}}, "temporal' needs a discriminator of kind 'patch'"),
        (PROJECTED, {"train": {"size": [20, 20]}}, r"with kind = 'projected' and grow = 0 each side needs at least 24"),
        (PROJECTED | {"strides": [8, 8]}, {}, r"'networks\.discriminator': 'strides' must list each number once"),
        (PROJECTED | {"features": "lite2"}, {}, r"'networks\.discriminator\.features'"),
        ([PATCH, PROJECTED, {"kind": "projected"}], {}, "kind 'projected' is listed twice"),
        ([PATCH, {"kind": "projected", "widht": 3}], {}, r"'networks\.discriminator\.1\.widht'; did you mean 'width'"),
        ([{"layres": 2}], {}, r"unknown key 'networks\.discriminator\.0\.layres'; did you mean 'layers'"),
        ([], {}, r"'networks\.discriminator': .*at least 1 item"),
        ([PATCH | {"minibatch_std": True}, PROJECTED], {}, "minibatch_std' compares the frames of a batch"),
    ],
)
def test_incompatible_settings_are_an_error(discriminator: object, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task(discriminator, **more)


def test_a_list_of_one_is_that_one_and_a_list_of_two_survives_json() -> None:
    assert task([PATCH]).networks == task(PATCH).networks
    both = task([PATCH, PROJECTED]).networks
    assert both.discriminator == (PatchSettings(**PATCH), ProjectedSettings(width=8))
    assert NetworkSettings.model_validate_json(both.model_dump_json()) == both


def test_a_stride_that_the_network_lacks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    eyes = open_network("lite0")
    eyes.strides = (4, 8, 16, 32, 64)
    monkeypatch.setattr("recycle.networks.projected.open_network", lambda name: eyes)
    with pytest.raises(ConfigError, match=r"strides: 'lite0' has no features at stride 2; it has 4, 8, 16, 32, 64"):
        ProjectedDiscriminator(ProjectedSettings(strides=(2, 8)))


def start(pipeline: Pipeline, folder: Path, precision: Precision = "fp32") -> Run:
    return Run(pipeline, folder, fabric_of(precision), 32)


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


@pytest.mark.parametrize(
    ("losses", "groups"),
    [
        ({}, {}),
        ({"r1": 1, "augment": ["translation", "colour"]}, {}),
        ({"adversarial": "wasserstein"}, {}),
        ({"adversarial": "hinge", "weights": {"cycle": 1, "perceptual": 1, "feature_matching": 1}}, {}),
        ({"weights": {"paired": 1, "feature_matching": 1}}, {"footage": {"paired": True}}),
        ({"weights": {"cycle": 1, "temporal": 1}}, {"train": {"frames": 2}}),
    ],
    ids=["default", "r1", "penalty", "layers", "paired", "clips"],
)
@pytest.mark.parametrize("discriminator", [PROJECTED, [PATCH, PROJECTED]], ids=["alone", "beside"])
def test_every_head_and_every_generator_learns(
    discriminator: object, losses: dict[str, Any], groups: dict[str, Any], tmp_path: Path
) -> None:
    if discriminator is PROJECTED and "temporal" in losses.get("weights", {}):
        pytest.skip("refused")
    pipeline = task(discriminator, losses, **groups)
    run = start(pipeline, tmp_path)
    names = {"projected_disc_a", "projected_disc_b"} | (
        {"disc_a", "disc_b"} if discriminator is not PROJECTED else set()
    )
    names |= {"clip_disc_a", "clip_disc_b"} if pipeline.train.frames > 1 else set()
    assert set(run.model.discriminators.networks) == names
    assert set(run.pools) == names & {"disc_a", "disc_b"}
    before = weights(run.model.discriminators) | weights(run.model.translators)
    a, b = torch.rand(2, 1, pipeline.train.frames, 3, 32, 36) * 2 - 1
    report = take_step(run, a, b, 0)
    assert names <= set(report.losses)
    after = weights(run.model.discriminators) | weights(run.model.translators)
    still = [key for key, value in after.items() if torch.equal(value, before[key])]
    mixing = {key for key in after if "projected" in key and "heads" not in key}
    assert mixing <= set(still)
    assert not [key for key in still if "projected" in key and key.endswith("original")]
    assert not [key for key in still if key.endswith("weight") and key.startswith("gen_")]


def test_its_weight_counts_in_the_generators_objective(tmp_path: Path) -> None:
    """At weight w the adversarial loss is PatchGAN's and w times its own."""
    found = []
    for weight in (1.0, 3.0, 5.0):
        run = start(task([PATCH, PROJECTED | {"weight": weight}]), tmp_path)
        a, b = torch.rand(2, 1, 1, 3, 32, 36, generator=torch.Generator().manual_seed(1)) * 2 - 1
        found.append(float(take_step(run, a, b, 0).losses["adversarial"]))
    assert found[2] - found[1] == pytest.approx(found[1] - found[0], rel=1e-4)
    assert found[1] > found[0]


@pytest.mark.parametrize("generator", [{"width": 4, "blocks": 1}, {"kind": "unet", "width": 4, "skip": True}])
def test_in_reduced_precision_a_step_is_that_of_float32(generator: dict[str, Any], tmp_path: Path) -> None:
    steps = []
    precisions: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
    for precision in precisions:
        torch.manual_seed(0)
        run = start(task(PROJECTED, generator=generator), tmp_path, precision)
        a, b = torch.rand(2, 1, 1, 3, 32, 36, generator=torch.Generator().manual_seed(1)) * 2 - 1
        steps.append({name: float(loss) for name, loss in take_step(run, a, b, 0).losses.items()})
    assert steps[1] == pytest.approx(steps[0], rel=0.1, abs=0.02)
    assert steps[2] == pytest.approx(steps[0], rel=0.1, abs=0.02)


def test_a_run_that_is_continued_equals_one_that_was_not(tmp_path: Path) -> None:
    a, b = (find_shots(write_frames(tmp_path / name, 40, seed=seed, size=(36, 40))) for seed, name in enumerate("ab"))
    often = {"checkpoint_every": 2, "preview_every": 100, "log_every": 1}
    for folder, lengths in (("whole", (4,)), ("parts", (2, 4))):
        for steps in lengths:
            pipeline = task([PATCH, PROJECTED], train=often | {"steps": steps, "decay": 0})
            train(pipeline, a, b, tmp_path / folder)
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts"))
    assert not [key for key in whole["discriminators"] if "eyes" in key]
    same_run(tmp_path / "whole", tmp_path / "parts")
    assert parts["step"] == 4
