"""The benchmarks compare with the right references, and report their results."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from recycle.config import NetworkSettings, Pipeline, ResNetSettings, parse_pipeline
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.networks.initialise import initialise
from recycle.run_folder import IDENTITY
from recycle.street.film import Street
from recycle.training.loop import take_step
from recycle.training.run import Run
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.encode import write_video
from recycle.video.frame import Frame
from recycle.video.image_file import read_image
from tools.benchmark import main
from tools.benchmarking.folder import folder
from tools.benchmarking.memory import translate_apart
from tools.benchmarking.published import PublishedRecycleGAN, as_published, translate_as_published
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Apart, Rounds, Spread, take_turns
from tools.benchmarking.train import published_pipeline, timed


@pytest.fixture
def small() -> Pipeline:
    """The published method on small networks, such that gradients are as they come: no clipping."""
    content: dict[str, Any] = published_pipeline(32, precision="fp32", device="cpu").model_dump(mode="json")
    content["networks"]["generator"] |= {"width": 4, "blocks": 1}
    content["networks"]["discriminator"] |= {"width": 4, "layers": 2}
    content["networks"]["predictor"] |= {"width": 4, "depth": 3}
    content["train"] |= {"clip_norm": 0}
    return parse_pipeline(content, where="test")


@pytest.fixture
def clips() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    a, b = torch.rand(2, 1, 3, 3, 32, 32, generator=random, dtype=torch.float64) * 2 - 1
    return a, b


def test_the_published_order_computes_what_our_step_computes(
    small: Pipeline, clips: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision="64-true")
    run = Run(small, tmp_path, fabric, short_side=32)
    peer = PublishedRecycleGAN(small)
    peer.translators.double()
    peer.discriminators.double()
    ours, theirs = take_step(run, *clips, 0), peer.step(*clips)
    assert set(ours.losses) == set(theirs)
    for name, loss in theirs.items():
        assert ours.losses[name] == pytest.approx(float(loss), rel=1e-10, abs=1e-12)
    for mine, published in ((run.model.translators, peer.translators), (run.model.discriminators, peer.discriminators)):
        gradients = {key: p.grad for key, p in published.named_parameters()}
        assert gradients
        for key, parameter in mine.module.named_parameters():
            torch.testing.assert_close(parameter.grad, gradients[key], rtol=1e-6, atol=1e-10)


def test_the_published_order_makes_32_calls_and_9_backward_passes(
    small: Pipeline, clips: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = PublishedRecycleGAN(small)
    counts: Counter[str] = Counter()
    networks = {**dict(peer.translators.named_children()), **peer.discriminators.networks}
    for name, network in networks.items():
        network.register_forward_hook(lambda *_, name=name: counts.update([name.split("_")[0]]))
    backward: Callable[..., None] = Tensor.backward

    def counted(tensor: Tensor, *arguments: Any) -> None:
        counts.update(["backward"])
        backward(tensor, *arguments)

    monkeypatch.setattr(Tensor, "backward", counted)
    peer.step(*(clip.float() for clip in clips))
    assert counts == {"gen": 6, "pred": 4, "disc": 22, "backward": 9}


def test_the_published_flow_produces_our_frames(tmp_path: Path) -> None:
    torch.manual_seed(0)
    networks = NetworkSettings(generator=ResNetSettings(blocks=1, width=8))
    bundle = Bundle(BundleConfig(networks=networks, predictors=False, short_side=64))
    initialise(bundle, std=0.05)
    peer = Bundle(bundle.config)
    peer.load_state_dict(bundle.state_dict())
    as_published(peer).eval()
    source, output, images = (tmp_path / name for name in ("source.mp4", "output.mp4", "images"))
    write_video(source, Street(1, 96, 64, 10, 1).frames("day"), fps=10)
    images.mkdir()
    assert translate_as_published(peer, source, output, images) == 10
    with VideoReader(output) as reader:
        assert len(list(reader)) == 10
    files = sorted(images.glob("*[0-9].png"))
    frames = [Frame(read_image(file), number, Fraction(1, 10)) for number, file in enumerate(files)]
    for file, ours in zip(
        files, Translator(bundle, device="cpu", precision="fp32").translate_frames(frames, to="b"), strict=True
    ):
        published = read_image(file.with_name(f"{file.stem}-b.png"))
        assert np.abs(published.astype(int) - ours.astype(int)).max() <= 1
        assert np.abs(published.astype(int) - read_image(file).astype(int)).mean() > 20


def test_contenders_take_turns_and_ratios_are_of_one_round() -> None:
    order: list[str] = []

    def contender(name: str, seconds: list[float]) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return seconds.pop(0)

        return run

    slow_machine = [1.0, 2.0, 20.0, 4.0]  # the first is the warm-up
    times = take_turns(
        {"ours": contender("ours", [x / 2 for x in slow_machine]), "theirs": contender("theirs", list(slow_machine))},
        rounds=3,
    )
    assert order == ["ours", "theirs", "ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert times.time("theirs") == Spread(4.0, 2.0, 20.0)
    assert times.faster("ours", "theirs") == Spread(2.0, 2.0, 2.0)
    assert times.speed("ours") == Spread(0.5, 0.1, 1.0)


def test_steps_are_timed_by_the_clock_on_the_wall_or_by_processor_time() -> None:
    cpu = torch.device("cpu")
    waiting = partial(timed, partial(time.sleep, 0.05), 2, cpu)
    assert waiting()() >= 0.05
    assert waiting(clock=time.process_time)() < 0.04
    working = timed(lambda: sum(range(1_000_000)), 1, cpu, clock=time.process_time)
    assert working() > 0.002


@pytest.mark.parametrize(
    ("least", "most", "reached", "wanted"),
    [(2.0, None, True, "≥ 2"), (2.1, None, False, "≥ 2.1"), (None, 1.9, False, "≤ 1.9"), (None, None, True, "")],
)
def test_results_state_which_goals_are_reached(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    least: float | None,
    most: float | None,
    reached: bool,
    wanted: str,
) -> None:
    times = Rounds({"ours": [0.01, 0.02], "theirs": [0.02, 0.04]})
    goal = Goal("ours ÷ theirs", times.faster("ours", "theirs"), least=least, most=most)
    results = Results("test", "frame", times, [goal], {"frames": 7})
    results.write(tmp_path / "test.json")
    kept = json.loads((tmp_path / "test.json").read_text(encoding="utf-8"))
    assert kept["ratios"]["ours ÷ theirs"] == {
        "median": 2.0,
        "low": 2.0,
        "high": 2.0,
        "wanted": wanted,
        "reached": reached,
    }
    assert kept["seconds_per_unit"]["theirs"] == [0.02, 0.04]
    assert kept["facts"] == {"frames": 7}
    results.show()
    shown = capsys.readouterr().out
    assert ("reached" in shown, "missed" in shown) == (reached and bool(wanted), not reached)


def test_a_folder_is_measured_by_its_number_of_files() -> None:
    results = folder(rounds=1, say=lambda line: None, counts=(2, 5))
    assert list(results.rounds.seconds) == ["2 files", "5 files"]
    (goal,) = results.goals
    (few,), (many,) = results.rounds.seconds.values()
    assert goal.ratio.median == pytest.approx(many / few)


def test_startup_is_measured_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.benchmarking.startup.CALLS", 1)
    assert main(["startup", "--rounds", "1", "--out", str(tmp_path)]) == 0
    kept = json.loads((tmp_path / "startup.json").read_text(encoding="utf-8"))
    (ours,), (empty,) = kept["seconds_per_unit"]["recycle --help"], kept["seconds_per_unit"]["empty app --help"]
    assert min(ours, empty) > 0
    assert kept["ratios"]["recycle --help, time ÷ empty app"]["median"] == pytest.approx(ours / empty, rel=1e-3)
    assert set(kept["machine"]) >= {"processor", "cores", "torch", "date"}
    assert "recycle --help" in capsys.readouterr().out


def test_a_wrong_number_is_a_one_line_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--rounds", "0"]) == 1
    assert capsys.readouterr().err == "error: --rounds must be at least 1, got 0\n"


def _counting() -> Callable[[], float]:
    """Each turn returns its number and its process."""
    turns = iter(range(1, 100))
    return lambda: next(turns) + os.getpid() * 1000


def _failing() -> Callable[[], float]:
    return lambda: 1 / 0


def test_a_separate_contender_keeps_its_state_in_its_process() -> None:
    with Apart(_counting) as contender:
        process, turns = zip(*(divmod(contender(), 1000) for _ in range(3)), strict=True)
    assert turns == (1, 2, 3)
    assert len(set(process)) == 1
    assert process[0] != os.getpid()


def test_a_separate_contender_that_fails_ends_the_benchmark() -> None:
    with Apart(_failing) as contender, pytest.raises(RuntimeError, match="process has ended"):
        contender()


def test_memory_is_measured_in_another_process(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", Street(1, 96, 64, 10, 1).frames("day"), fps=10)
    seconds, peak = translate_apart(IDENTITY, tmp_path / "clip.mp4", tmp_path / "out.mp4", "cpu")
    assert seconds > 0
    assert 50 << 20 < peak["memory"] < 8 << 30
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert len(list(reader)) == 10
    with pytest.raises(RuntimeError, match="process that translates has ended"):
        translate_apart(str(tmp_path / "no model"), tmp_path / "clip.mp4", tmp_path / "out.mp4", "cpu")
