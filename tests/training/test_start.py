"""A run starts from the networks of a model, as far as they fit, and says what does not."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recycle import import_model
from recycle.config import Pipeline, parse_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import BundleError, Interrupted
from recycle.events import Job
from recycle.networks.bundle import Bundle, BundleConfig, load_bundle, load_discriminators, save_bundle
from recycle.objective.sides import bare
from recycle.run_folder import RunFolder
from recycle.runs.pipeline import learn
from recycle.training import loop
from recycle.training.fabric import make_fabric
from recycle.training.run import Run
from recycle.training.start import begin
from tests.jobs import saying, signalled_at
from tests.networks.published_code import ResnetGenerator, with_random_weights
from tests.training.test_loop import SETTINGS, same_run, write_frames

pytestmark = pytest.mark.usefixtures("small_looks")

DOMAINS = ["summer", "winter"]
NETWORKS = ("gen_ab", "gen_ba", "pred_a", "pred_b", "disc_a", "disc_b")
PREDICTOR = {"kind": "pix2pix", "width": 4, "depth": 3}
LENGTH = {"checkpoint_every": 2, "preview_every": 50}


def task(*, domains: list[str] = DOMAINS, networks: Any = None, weights: Any = None, **train_settings: Any) -> Pipeline:
    data = SETTINGS | {
        "domains": domains,
        "networks": SETTINGS["networks"] | {"predictor": PREDICTOR} | (networks or {}),
        "losses": {"weights": weights or SETTINGS["losses"]["weights"]},
        "train": SETTINGS["train"] | LENGTH | train_settings,
    }
    return parse_pipeline(data, where="test")


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("footage")
    return write_frames(root / "a", 40, seed=1), write_frames(root / "b", 40, seed=2)


@pytest.fixture(scope="module")
def source(footage: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps."""
    folder = tmp_path_factory.mktemp("source")
    train(task(steps=2), footage, folder)
    return folder


def train(pipeline: Pipeline, footage: tuple[Path, Path], out: Path, job: Job | None = None) -> None:
    a, b = (find_shots(folder) for folder in footage)
    loop.train(pipeline, a, b, out, job=job)


def started(pipeline: Pipeline, folder: Path) -> tuple[Run, list[str]]:
    run = Run(pipeline, folder, make_fabric("cpu", "fp32", devices=1, nodes=1, find_unused=False), 20)
    return run, begin(run)


def weights_of(run: Run) -> dict[str, dict[str, torch.Tensor]]:
    translators, judges = bare(run.model.translators), bare(run.model.discriminators).networks
    own = {name: network.state_dict() for name in NETWORKS[:4] if (network := getattr(translators, name)) is not None}
    return own | {name: network.state_dict() for name, network in judges.items()}


def weights_in(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    bundle = load_bundle(folder)
    own = {name: network.state_dict() for name in NETWORKS[:4] if (network := getattr(bundle, name)) is not None}
    return own | load_discriminators(folder)


def same(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_all_networks_start_from_the_best_model_of_a_run(source: Path, tmp_path: Path) -> None:
    run, notices = started(task(start_from=source), tmp_path)
    best = RunFolder(source).best
    held = weights_in(best)
    assert notices == [f"starting from {best}: {', '.join(NETWORKS)}"]
    assert all(same(own, held[name]) for name, own in weights_of(run).items())
    assert same(run.average.bundle.state_dict(), load_bundle(best).state_dict())


def test_the_discriminators_of_a_model_are_those_of_its_step(source: Path) -> None:
    state = torch.load(source / "checkpoint.pt", weights_only=True)["discriminators"]
    held = load_file(source / "model" / "discriminators.safetensors")
    assert same({f"networks.{key}": tensor for key, tensor in held.items()}, state)


def test_a_run_that_started_from_a_model_continues_exactly_without_it(
    source: Path, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    gone = shutil.copytree(source, tmp_path / "gone")
    train(task(steps=3, start_from=gone), footage, tmp_path / "at-once")
    with pytest.raises(Interrupted):
        train(task(steps=3, start_from=gone), footage, tmp_path / "in-two", job=signalled_at(2, signal.SIGTERM))
    shutil.rmtree(gone)
    said: list[str] = []
    train(task(steps=3, start_from=gone), footage, tmp_path / "in-two", job=saying(said))
    same_run(tmp_path / "at-once", tmp_path / "in-two")
    assert not any("start" in text for text in said)
    train(task(steps=3, start_from=source), footage, tmp_path / "in-two", job=saying(said))
    assert f"this run began without {source}; 'train.start_from' has an effect only on the first step" in said
    with pytest.raises(BundleError, match=r"there is no model .*gone"):
        learn(task(start_from=gone), RunFolder(tmp_path / "new"))


def test_a_network_that_does_not_fit_is_named_and_starts_anew(source: Path, tmp_path: Path) -> None:
    other = {
        "generator": {"width": 8, "blocks": 1},
        "discriminator": {"width": 4, "layers": 1, "by_kind": True},
        "predictor": {"kind": "resnet", "width": 4, "blocks": 1},
    }
    fresh, _ = started(task(networks=other), tmp_path)
    run, notices = started(task(networks=other, start_from=source), tmp_path)
    best = RunFolder(source).best
    reasons = {
        "gen": "width = 8 here, 4 in the model",
        "pred": "kind = 'resnet' here, 'pix2pix' in the model",
        "disc": "layers = 1 here, 2 in the model, by_kind = True here, False in the model",
    }
    assert notices == [
        f"{name} does not start from {best}, but anew: {reasons[name.partition('_')[0]]}" for name in NETWORKS
    ]
    assert all(same(own, weights_of(fresh)[name]) for name, own in weights_of(run).items())


def test_what_a_run_cannot_use_is_said(source: Path, tmp_path: Path) -> None:
    best = RunFolder(source).best
    generator = {"generator": {"width": 4, "blocks": 1, "blur": False}}
    _, notices = started(task(networks=generator, weights={"cycle": 10}, frames=1, start_from=source), tmp_path)
    assert notices == [
        f"starting from {best}: gen_ab, gen_ba, disc_a, disc_b",
        *(f"{name} has other settings than in {best}: blur = False here, True in the model" for name in NETWORKS[:2]),
        f"pred_a, pred_b of {best}: not used, because this training has no such network",
    ]


@pytest.mark.parametrize("domains", [["winter", "summer"], ["winter", "autumn"], ["night", "summer"]])
def test_a_domain_keeps_its_networks_under_the_other_letter(source: Path, tmp_path: Path, domains: list[str]) -> None:
    run, notices = started(task(domains=domains, start_from=source), tmp_path)
    held, own = weights_in(RunFolder(source).best), weights_of(run)
    assert "with its domains exchanged" in notices[0]
    for ours, theirs in (("gen_ab", "gen_ba"), ("pred_a", "pred_b"), ("disc_b", "disc_a")):
        assert same(own[ours], held[theirs])


def test_a_third_domain_takes_the_place_of_b(source: Path, tmp_path: Path) -> None:
    run, notices = started(task(domains=["summer", "autumn"], start_from=source), tmp_path)
    assert notices == [f"starting from {RunFolder(source).best}: {', '.join(NETWORKS)}"]
    assert same(weights_of(run)["gen_ab"], weights_in(RunFolder(source).best)["gen_ab"])


def test_an_imported_generator_is_trained_further_on_other_footage(footage: tuple[Path, Path], tmp_path: Path) -> None:
    published = with_random_weights(ResnetGenerator(width=4, blocks=1, norm="batch", no_antialias=False), 0)
    torch.save(published.state_dict(), tmp_path / "latest_net_G_A.pth")
    import_model(tmp_path / "latest_net_G_A.pth", tmp_path / "imported")
    cut = load_bundle(tmp_path / "imported").config.networks.generator.model_dump()
    said: list[str] = []
    settings = task(
        networks={"generator": cut}, weights={"cycle": 1}, steps=1, frames=1, start_from=tmp_path / "imported"
    )
    train(settings, footage, tmp_path / "run", job=saying(said))
    assert f"starting from {tmp_path}/imported: gen_ab" in said
    for name in ("gen_ba", "disc_a", "disc_b"):
        assert f"{name} does not start from {tmp_path}/imported, but anew: the model has no {name}" in said
    before, after = (load_bundle(each).state_dict() for each in (tmp_path / "imported", tmp_path / "run" / "model"))
    assert torch.equal(before["gen_ab.model.2.running_var"], after["gen_ab.model.2.running_var"])
    assert not torch.equal(before["gen_ab.model.2.weight"], after["gen_ab.model.2.weight"])


def test_damaged_discriminators_are_one_line_and_a_model_without_replaces_them(tmp_path: Path) -> None:
    bundle = Bundle(BundleConfig(networks=task().networks))
    save_bundle(bundle, tmp_path, discriminators={"disc_a.model.0.weight": torch.tensor([float("nan")])})
    with pytest.raises(BundleError, match="not finite"):
        load_discriminators(tmp_path)
    file = tmp_path / "discriminators.safetensors"
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(BundleError, match="damaged"):
        load_discriminators(tmp_path)
    save_bundle(bundle, tmp_path)
    assert load_discriminators(tmp_path) == {}
