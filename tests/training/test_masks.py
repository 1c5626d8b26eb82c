"""Training with masks: they follow their frames, discriminators look inside, and the outside is conserved."""

import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

import recycle
from recycle.config import AugmentSettings, ExtractSettings, Pipeline, parse_pipeline
from recycle.dataset.augment import Augment
from recycle.dataset.clips import DomainClips
from recycle.dataset.extract import extract
from recycle.dataset.shots import find_shots
from recycle.domains import AB, BA
from recycle.errors import ConfigError, FootageError, Interrupted
from recycle.losses.adversarial import discriminator_loss, generator_loss
from recycle.losses.consistency import conservation_loss
from recycle.networks.bundle import load_bundle, read_config
from recycle.objective.discriminators import Discriminators
from recycle.objective.losses import generator_losses
from recycle.objective.passing import Pass
from recycle.objective.sides import discriminator_losses, fake_side, real_side
from recycle.objective.translators import Translators
from recycle.run_folder import RunFolder
from recycle.runs.pipeline import learn, prepare_footage
from tests.jobs import signalled_at

pytestmark = pytest.mark.usefixtures("small_looks")

PATCHES = {"width": 4, "layers": 2}


def footage(folder: Path, *, count: int = 14, size: tuple[int, int] = (40, 56), seed: int = 0) -> tuple[Path, Path]:
    """A folder of noisy pictures with a bright red box that moves, and a folder of masks that show the box in white."""
    random = np.random.default_rng(seed)
    for name in ("frames", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        picture = random.integers(0, 100, (*size, 3)).astype(np.uint8)
        mask = np.zeros(size, np.uint8)
        mask[10:30, 8 + number : 30 + number] = 255
        picture[mask > 0] = (0, 0, 255)
        cv2.imwrite(str(folder / "frames" / f"{number:03d}.png"), picture)
        cv2.imwrite(str(folder / "masks" / f"{number:03d}.png"), mask)
    return folder / "frames", folder / "masks"


def is_box(frames: Tensor) -> Tensor:
    """Where frames (…, 3, H, W) of uint8 show the box: (…, 1, H, W)."""
    return (frames[..., :1, :, :] > 200) & (frames[..., 1:2, :, :] < 50)


@pytest.mark.parametrize("how", [{}, {"crop": (4, 6, 40, 30)}], ids=["whole", "cropped"])
def test_extraction_carries_masks_beside_frames(how: dict[str, Any], tmp_path: Path) -> None:
    frames, masks = footage(tmp_path)
    settings = ExtractSettings(short_side=None, format="png", **how)
    out = tmp_path / "out"
    assert extract([frames], out, settings, masks=[masks], workers=1).frames == 14
    (shot,) = find_shots(out)
    for index in range(14):
        both = shot.read_masked(index)
        assert torch.equal(both[:3], shot.read(index))
        assert torch.equal(both[3:] == 255, is_box(both[:3]))
        assert set(both[3].unique().tolist()) <= {0, 255}
    assert extract([frames], out, settings, masks=[masks], workers=1).skipped == [frames]
    assert extract([frames], out, settings, workers=1).done == [frames]  # now without masks
    assert not find_shots(out)[0].masked


def test_extraction_names_masks_without_white(tmp_path: Path) -> None:
    frames, masks = footage(tmp_path)
    for file in masks.iterdir():
        cv2.imwrite(str(file), np.minimum(np.asarray(cv2.imread(str(file))), 1))
    (text,) = extract([frames], tmp_path / "out", ExtractSettings(short_side=None), masks=[masks], workers=1).notices
    assert text.startswith(f"the mask {masks} has nothing inside: its brightest level is 1 of 255")


def test_masks_of_a_folder_of_videos_have_the_same_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        frames, masks = footage(tmp_path / name, count=5)
        for kind, made in (("frames", frames), ("masks", masks)):
            (tmp_path / f"all-{kind}").mkdir(exist_ok=True)
            made.rename(tmp_path / f"all-{kind}" / name)
    report = extract(
        [tmp_path / "all-frames"],
        tmp_path / "out",
        ExtractSettings(short_side=None),
        masks=[tmp_path / "all-masks"],
        workers=1,
    )
    assert report.frames == 10
    assert all(shot.masked for shot in find_shots(tmp_path / "out"))
    (tmp_path / "all-masks" / "two").rename(tmp_path / "all-masks" / "other")
    failed = extract(
        [tmp_path / "all-frames"], tmp_path / "more", ExtractSettings(), masks=[tmp_path / "all-masks"], workers=1
    ).failed
    assert [(path.name, "there is no mask" in reason) for path, reason in failed] == [("two", True)]


def test_crops_and_flips_apply_to_masks_as_to_frames(tmp_path: Path) -> None:
    frames, masks = footage(tmp_path)
    extract([frames], tmp_path / "out", ExtractSettings(short_side=None, format="png"), masks=[masks], workers=1)
    shots = find_shots(tmp_path / "out")
    domain, plain = (
        DomainClips(shots, name="a", frames=3, seed=1, size=(24, 32), masked=masked) for masked in (True, False)
    )
    clips = torch.stack([domain.clip(number) for number in range(6)])
    assert torch.equal(clips[:, :, :3], torch.stack([plain.clip(number) for number in range(6)]))
    quiet, loud = (Augment(AugmentSettings(flip=True, colour=colour)) for colour in (0.0, 0.3))
    changes = torch.from_numpy(np.array([loud.draw([seed]) for seed in range(6)]))
    assert 0 < changes[:, 0].sum() < 6
    moved = quiet(clips, changes)
    assert moved.shape == (6, 3, 4, 24, 32)
    levels = ((moved[:, :, :3] + 1) * 127.5).round()
    assert torch.equal(moved[:, :, 3:] > 0.5, is_box(levels))
    assert 0 < moved[:, :, 3].mean() < 1
    coloured = loud(clips, changes)
    assert torch.equal(coloured[:, :, 3:], moved[:, :, 3:])
    assert torch.equal(coloured[:, :, :3], loud(clips[:, :, :3], changes))  # the same numbers as without masks


def task(**groups: Any) -> Pipeline:
    small = {
        "networks": {"generator": {"width": 4, "blocks": 1}, "discriminator": PATCHES},
        "losses": {"weights": {"adversarial": 1, "cycle": 5, "conservation": 10}},
        "footage": {"a": ["a"], "b": ["b"], "mask_a": ["c"], "mask_b": ["d"]},
        "extract": {"short_side": None, "format": "png"},
        "train": {"frames": 1, "size": [32, 32], "steps": 4, "precision": "fp32", "device": "cpu", "held_out": 4}
        | {"preview_every": 4, "checkpoint_every": 2, "pool_size": 4},
    }
    return parse_pipeline(small | groups, where="test")


def test_conservation_is_the_distance_outside() -> None:
    x, y = torch.rand(2, 2, 3, 3, 8, 8, dtype=torch.float64) * 2 - 1
    inside = (torch.rand(2, 3, 1, 8, 8, dtype=torch.float64) > 0.5).double()
    total = 0.0
    for t in range(3):
        total += float(((x[:, t] - y[:, t]).abs() * (1 - inside[:, t])).mean())
    assert float(conservation_loss(x, y, inside, "l1")) == pytest.approx(total)


def test_a_patch_counts_as_much_as_it_lies_inside() -> None:
    real, fake, v, w = torch.rand(4, 2, 3, 1, 4, 5, dtype=torch.float64)
    weighted = 3 * float(((fake - 1) ** 2 * w).sum() / w.sum())
    assert float(generator_loss(fake, "least_squares", w)) == pytest.approx(weighted)
    both = 1.5 * float(((real - 1) ** 2 * v).sum() / v.sum()) + 1.5 * float((fake**2 * w).sum() / w.sum())
    assert float(discriminator_loss(real, fake, "least_squares", (v, w))) == pytest.approx(both)
    assert float(generator_loss(fake, "hinge", torch.zeros_like(w))) == 0
    whole = torch.ones_like(w)
    for form in ("least_squares", "minimax", "non_saturating", "hinge", "wasserstein"):
        assert torch.allclose(generator_loss(fake, form, whole), generator_loss(fake, form))


def test_discriminators_look_inside_and_the_outside_has_no_effect() -> None:
    pipeline = task(networks={"generator": {"width": 4, "blocks": 1}, "discriminator": {**PATCHES, "norm": "spectral"}})
    torch.manual_seed(0)
    translators, discriminators = Translators(pipeline), Discriminators(pipeline)
    a, b = torch.rand(2, 1, 1, 3, 64, 64) * 2 - 1
    masks = [torch.zeros(1, 1, 1, 64, 64) for _ in range(2)]
    masks[0][..., :12, :12] = 1
    p = Pass(a, b, translators(a, b), (masks[0], masks[1]))
    fake, real = fake_side(discriminators, p, predictions=False), real_side(discriminators, p, predictions=False)
    assert torch.equal(fake["disc_b"][:, :, 3:], masks[0])  # a translated frame has the mask of its source
    assert torch.equal(real["disc_b"][:, :, 3:], masks[1])
    (judged,) = discriminators(fake)
    for logits, inside in judged["disc_b"].patches:
        assert inside is not None
        assert inside.shape == logits.shape
        assert inside[..., 0, 0].item() > 0.5
        assert inside[..., -1, -1].item() == 0
    losses = generator_losses(translators.terms, discriminators, p, pipeline.losses)
    made = p.clip(AB)
    (gradient,) = torch.autograd.grad(losses["adversarial"][AB], made, retain_graph=True)
    assert gradient[..., :12, :12].abs().max() > 0
    assert gradient[..., 12:, :].abs().max() == gradient[..., 12:].abs().max() == 0
    assert float(losses["adversarial"][BA]) == 0  # no object is in sight
    (kept,) = torch.autograd.grad(losses["conservation"][AB], made)
    assert kept[..., :12, :12].abs().max() == 0
    assert kept[..., 12:, 12:].abs().min() > 0
    of_discriminators, _ = discriminator_losses(discriminators, real, fake, pipeline.losses)
    assert of_discriminators["disc_b"].isfinite()


def test_a_mask_is_moved_and_cut_with_its_frame_before_a_discriminator_looks_inside() -> None:
    losses = {"weights": {"adversarial": 1, "cycle": 5}, "augment": ["translation", "cutout"]}
    discriminators = Discriminators(task(losses=losses))
    seen: list[Tensor] = []
    discriminators.networks["disc_b"].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    inside = torch.zeros(64, 1, 1, 32, 32)
    inside[..., 8:24, 10:18] = 1
    torch.manual_seed(0)
    clip = torch.cat((inside.expand(-1, -1, 3, -1, -1), inside), dim=2)  # the frame shows where its mask is
    (judged,) = discriminators({"disc_a": clip, "disc_b": clip})
    (frames,) = seen
    assert len({tuple(frame.nonzero().flatten().tolist()) for frame in frames}) > 32  # moved and cut
    for logits, weights in judged["disc_b"].patches:
        assert weights is not None
        shown = torch.nn.functional.adaptive_avg_pool2d(frames[:, :1], (logits.shape[-2], logits.shape[-1]))
        assert torch.equal(weights[:, 0], shown)


def test_with_masks_of_one_domain_discriminators_see_whole_frames_and_count_the_patches_inside() -> None:
    discriminators = Discriminators(task(footage={"a": ["a"], "b": ["b"], "mask_a": ["c"]}))
    clip = torch.rand(1, 1, 4, 32, 32)
    assert torch.equal(discriminators.seen("disc_b", clip[0])[0], clip[0, :, :3])


@pytest.mark.parametrize("losses", [{"r1": 1.0}, {"adversarial": "wasserstein"}, {"augment": ["colour"]}])
def test_a_mask_of_everything_is_as_no_mask(losses: dict[str, Any]) -> None:
    weights = {"adversarial": 1, "temporal": 1, "recycle": 5, "recurrent": 5}
    found = []
    for paths in ({"a": ["a"], "b": ["b"], "mask_a": ["c"]}, {}):
        predictor = {"predictor": {"encoder": "tu-test_resnet", "width": 4, "depth": 3}}
        networks = {"generator": {"width": 4, "blocks": 1}, "discriminator": PATCHES, **predictor}
        train = {"frames": 3, "size": [32, 32]}
        judged = {"prediction": {"judged": "opposed"}, "weights": weights, **losses}
        pipeline = task(losses=judged, footage=paths, networks=networks, train=train)
        torch.manual_seed(0)
        translators, discriminators = Translators(pipeline), Discriminators(pipeline)
        a, b = torch.rand(2, 2, 3, 3, 32, 32) * 2 - 1
        p = Pass(a, b, translators(a, b), (torch.ones(2, 3, 1, 32, 32), None) if paths else (None, None))
        own = generator_losses(translators.terms, discriminators, p, pipeline.losses)
        fake, real = fake_side(discriminators, p, predictions=True), real_side(discriminators, p, predictions=True)
        torch.manual_seed(1)
        others, _ = discriminator_losses(discriminators, real, fake, pipeline.losses)
        found.append({f"{name}{d.name}": loss for name, parts in own.items() for d, loss in parts.items()} | others)
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_a_training_with_masks_continues_exactly_and_its_model_says_so(tmp_path: Path) -> None:
    paths = {}
    for seed, name in enumerate("ab"):
        paths[name], paths[f"mask_{name}"] = footage(tmp_path / name, count=24, seed=seed)
    pipeline = task(footage={name: [str(path)] for name, path in paths.items()})
    learn(pipeline, RunFolder(tmp_path / "whole"))
    with pytest.raises(Interrupted):
        learn(pipeline, RunFolder(tmp_path / "run"), job=signalled_at(2, signal.SIGINT))
    learn(pipeline, RunFolder(tmp_path / "run"))
    for name in ("whole", "run"):
        assert read_config(tmp_path / name / "model").masked
        assert '"masked": true' in (tmp_path / name / "model" / "config.json").read_text()
    one, other = (load_bundle(tmp_path / name / "model").state_dict() for name in ("whole", "run"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_masks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'mask_a' needs one mask for each path of 'a'"):
        task(footage={"a": ["x", "y"], "b": ["z"], "mask_a": ["m"]})
    with pytest.raises(ConfigError, match=r"'losses\.weights\.conservation' needs masks"):
        task(footage={"a": ["x"], "b": ["z"]})
    frames, masks = footage(tmp_path)
    extract([frames], tmp_path / "out", ExtractSettings(), workers=1)
    extracted = {"a": [str(tmp_path / "out")], "b": [str(frames)], "mask_a": [str(masks)], "mask_b": [str(masks)]}
    with pytest.raises(FootageError, match="must name the same folders"):
        prepare_footage(task(footage=extracted), RunFolder(tmp_path / "run"))
    unmasked = task(footage=extracted | {"mask_a": extracted["a"]})
    with pytest.raises(FootageError, match="must name the same folders"):
        prepare_footage(unmasked, RunFolder(tmp_path / "run"))
    with pytest.raises(ConfigError, match="2 masks for 1 inputs"):
        recycle.extract(frames, tmp_path / "more", masks=[masks, masks], workers=1)
    recycle.extract(frames, tmp_path / "more", masks=masks, workers=1, short_side=None)
    both = {"a": [str(tmp_path / "more")], "b": [str(frames)]}
    pipeline = task(footage=both | {"mask_a": both["a"], "mask_b": [str(masks)]})
    _, shots, _ = prepare_footage(pipeline, RunFolder(tmp_path / "run"))
    assert [shot.masked for shot in shots] == [True]
