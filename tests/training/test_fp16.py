"""Half precision: clips reach the networks as they are, and fp16 recovers from what overflows or does not fit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from recycle.config import Pipeline, Precision
from recycle.dataset.shots import find_shots
from recycle.domains import AB, BA
from recycle.errors import RecycleError
from recycle.networks.discriminator import PatchDiscriminator
from recycle.networks.generator import NEARLY_ONE
from recycle.networks.predictor import SmpPredictor
from recycle.networks.resnet import ResNetGenerator
from recycle.objective.passing import Pass
from recycle.training.fabric import make_fabric
from recycle.training.loop import TrainReport, take_step, train
from recycle.training.run import Run
from recycle.training.step import OVERFLOWS
from tests.training.test_loop import footage, fp16, pipeline
from tests.training.test_memory import small

pytestmark = pytest.mark.usefixtures("small_looks")

__all__ = ["footage"]

Sides = tuple[dict[str, Tensor], dict[str, Tensor]]


def begin(fabric: Fabric, task: Pipeline, folder: Path) -> tuple[Run, Tensor, Tensor]:
    """A run, and a batch of clips for it that bfloat16 and float16 cannot hold."""
    a, b = torch.rand(2, 2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return Run(task, folder, fabric, short_side=16), a, b


def fabric_of(precision: Precision) -> Fabric:
    return fp16(8.0) if precision == "fp16" else make_fabric("cpu", precision)


def weights(run: Run) -> Sides:
    sides = (run.model.translators, run.model.discriminators)
    one, other = ({key: value.clone() for key, value in side.state_dict().items()} for side in sides)
    return one, other


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return any(not torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp32"])
def test_real_frames_reach_every_network_in_float32_as_they_are(precision: Precision, tmp_path: Path) -> None:
    run, a, b = begin(fabric_of(precision), pipeline(), tmp_path)
    seen: dict[type, list[Tensor]] = {ResNetGenerator: [], PatchDiscriminator: [], SmpPredictor: []}

    def look(module: nn.Module, inputs: Any) -> None:
        if type(module) in seen:
            seen[type(module)].append(inputs[0])

    handle = nn.modules.module.register_module_forward_pre_hook(look)
    try:
        take_step(run, a, b, 0)
    finally:
        handle.remove()
    for kind, inputs in seen.items():
        given = [frames for frames in inputs if frames.dtype == torch.float32]
        pixels = {value for frames in given for value in frames.detach().flatten().tolist()}
        for clip in (a, b):
            own = clip[:, :2].flatten().tolist()  # what each network sees of a clip
            assert set(own) <= pixels, (kind, precision)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_generator_with_a_skip_starts_as_a_scaling_that_no_rounding_disturbs(
    precision: Precision, tmp_path: Path
) -> None:
    task = pipeline()
    generator = task.networks.generator.model_copy(update={"skip": True})
    task = task.model_copy(update={"networks": task.networks.model_copy(update={"generator": generator})})
    run, a, b = begin(fabric_of(precision), task, tmp_path)
    with torch.no_grad():
        out = run.model.translators(a, b, recycle=False)
    torch.testing.assert_close(Pass(a, b, out).clip(AB), NEARLY_ONE * a, rtol=0, atol=1e-6)
    torch.testing.assert_close(Pass(a, b, out).clip(BA), NEARLY_ONE * b, rtol=0, atol=1e-6)


@contextmanager
def overflowing(run: Run, side: str, when: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """The gradient of one weight of one side is infinite, as if it had not fitted into fp16."""
    parameter = next(getattr(run.model, side).parameters())
    handle = parameter.register_hook(lambda gradient: gradient * float("inf") if when() else gradient)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("side", ["translators", "discriminators"])
def test_where_one_side_overflows_neither_is_updated(side: str, tmp_path: Path) -> None:
    run, a, b = begin(fp16(1024.0), small(), tmp_path)
    before = weights(run)
    with overflowing(run, side):
        take_step(run, a, b, 0)
    assert [moved(*pair) for pair in zip(before, weights(run), strict=True)] == [False, False]
    scaler: Any = run.fabric.strategy.precision
    assert scaler.scaler.get_scale() == 512
    take_step(run, a, b, 1)
    assert [moved(*pair) for pair in zip(before, weights(run), strict=True)] == [True, True]


@pytest.mark.parametrize(("scale", "steps"), [(2.0**16, 17), (2.0**100, OVERFLOWS)])
def test_fp16_that_overflows_without_end_is_an_error_with_its_remedy(scale: float, steps: int, tmp_path: Path) -> None:
    run, a, b = begin(fp16(scale), small(), tmp_path)
    before = weights(run)
    with overflowing(run, "discriminators"):
        for number in range(1, steps):
            take_step(run, a, b, number)
        with pytest.raises(RecycleError, match=r'set train\.precision = "fp32"') as error:
            take_step(run, a, b, steps)
    assert "\n" not in str(error.value)
    assert f"{steps} steps in a row" in str(error.value)
    assert [moved(*pair) for pair in zip(before, weights(run), strict=True)] == [False, False]


def test_a_step_that_goes_well_ends_a_row_of_overflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recycle.training.step.OVERFLOWS", 4)
    run, a, b = begin(fp16(1024.0), small(), tmp_path)
    number = 0
    with overflowing(run, "translators", lambda: number % 4 != 0):
        for number in range(1, 8):
            take_step(run, a, b, number)
        assert run.optimisers.overflows == 3


def go(fabric: Fabric, footage: tuple[Path, Path], out: Path, **settings: Any) -> TrainReport:
    a, b = (find_shots(folder) for folder in footage)
    return train(small(**settings), a, b, out, fabric=fabric)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_loss_that_is_not_finite_once_is_rolled_back(
    precision: Precision, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    calls = 0

    def poison(module: nn.Module, inputs: Any, output: Any) -> Any:
        nonlocal calls
        if not isinstance(module, ResNetGenerator) or not torch.is_grad_enabled():
            return None
        calls += 1
        return output * float("nan") if calls == 4 * 4 + 2 else None

    handle = nn.modules.module.register_module_forward_hook(poison)
    try:
        report = go(fabric_of(precision), footage, tmp_path, steps=6, checkpoint_every=2)
    finally:
        handle.remove()
    assert report.step == 6
    assert len([text for text in report.notices if "is not finite; went back to the last checkpoint" in text]) == 1


@pytest.mark.parametrize(
    ("place", "precision"),
    [("norm", "fp16"), ("first side", "fp16"), ("second side", "fp16"), ("second side", "fp32")],
)
def test_memory_that_runs_out_within_an_update_updates_no_side_twice(
    place: str, precision: Precision, footage: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    last = {"norm": 4, "first side": 5, "second side": 6}[place]  # in the third step

    def full(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == last:
            torch.empty(1 << 50, dtype=torch.uint8)

    norm = torch.nn.utils.get_total_norm

    def full_norm(gradients: list[Tensor]) -> Tensor:
        full()
        return norm(gradients)

    if place == "norm":
        monkeypatch.setattr(torch.nn.utils, "get_total_norm", full_norm)
    handle = register_optimizer_step_pre_hook(full if place != "norm" else lambda *_: None)
    try:
        report = go(fabric_of(precision), footage, tmp_path, steps=5, checkpoint_every=2)
    finally:
        handle.remove()
    assert report.step == 5
    told = "memory ran out while the networks were updated; went back" if place == "second side" else "in 2 portions"
    assert len([text for text in report.notices if told in text]) == 1, report.notices
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for side in ("translators", "discriminators"):
        steps = {float(own["step"]) for own in state[f"optimiser_{side}"]["state"].values()}
        assert steps == {5.0}, side
    assert state["slowing"] == 1.0
