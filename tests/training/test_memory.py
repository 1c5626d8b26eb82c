"""A batch that does not fit into memory is split into portions; a clip that does not fit is an error."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recycle.config import Pipeline, parse_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import RecycleError
from recycle.networks.resnet import ResNetGenerator
from recycle.system.memory import _allowed, free_memory
from recycle.system.out_of_memory import is_out_of_memory
from recycle.training.fabric import make_fabric
from recycle.training.loop import train
from recycle.training.memory import USABLE, Portions, plan, reckon, step_memory
from recycle.training.run import Run
from tests.jobs import saying
from tests.training.test_loop import SETTINGS, write_frames

pytestmark = pytest.mark.usefixtures("small_looks")


@contextmanager
def hungry(most: int, *, training: bool = True) -> Iterator[None]:
    """A generator that is given more than `most` frames at once, in training or outside of it, asks for more memory
    than there is, truly."""

    def hook(module: Any, inputs: Any) -> None:
        if isinstance(module, ResNetGenerator) and torch.is_grad_enabled() is training and len(inputs[0]) > most:
            torch.empty(1 << 50, dtype=torch.uint8)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def test_the_peak_grows_with_what_is_held_and_does_not_fall() -> None:
    program = """
import torch
from recycle.system.memory import peak_memory
device = torch.device("cpu")
peaks = [peak_memory(device)]
held = torch.ones(64 << 20)  # 256 MiB
peaks.append(peak_memory(device))
del held
print(*peaks, peak_memory(device))
"""
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    if "None" in said:
        pytest.skip("this system does not tell")
    before, risen, after = map(int, said)
    assert risen - before == pytest.approx(256 << 20, abs=32 << 20)  # the system counts roughly
    assert after == pytest.approx(risen, abs=32 << 20)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("footage")
    return write_frames(root / "a", 20, seed=1), write_frames(root / "b", 20, seed=2)


def go(task: Pipeline, footage: tuple[Path, Path], out: Path) -> tuple[list[str], list[str]]:
    """Notices, and all that was said."""
    a, b = (find_shots(folder) for folder in footage)
    said: list[str] = []
    report = train(task, a, b, out, job=saying(said))
    return report.notices, said


def small(**settings: Any) -> Pipeline:
    """CycleGAN: no predictors, which are slow to build."""
    train = {**SETTINGS["train"], "batch_size": 4, "steps": 2, "pool_size": 0, **settings}
    losses = {"weights": {"cycle": 10}}
    return parse_pipeline({**SETTINGS, "losses": losses, "train": train}, where="test")


def test_a_batch_that_does_not_fit_is_split_with_the_same_result(footage: tuple[Path, Path], tmp_path: Path) -> None:
    roomy, _ = go(small(), footage, tmp_path / "roomy")
    with hungry(2 * 3):  # two clips of three frames fit
        notices, _ = go(small(), footage, tmp_path / "tight")
    told = [text for text in notices if text not in roomy]
    assert len(told) == 1
    assert "each is processed in 2 portions" in told[0]
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("roomy", "tight")]
    apart = torch.cat([(weights[0][key] - weights[1][key]).abs().flatten() for key in weights[0]])
    assert apart.mean() < 1e-5  # of steps of 2e-4; Adam makes much of the rounding of gradients that are nearly 0


def test_a_clip_that_does_not_fit_is_an_error(footage: tuple[Path, Path], tmp_path: Path) -> None:
    with hungry(0), pytest.raises(RecycleError, match=r"a single clip of 3 frames of 16x16 does not fit .*train\.size"):
        go(small(), footage, tmp_path)


def test_the_memory_of_a_step_is_reported_before_training(footage: tuple[Path, Path], tmp_path: Path) -> None:
    _, said = go(small(), footage, tmp_path)
    (line,) = [text for text in said if text.startswith("memory: ")]
    assert "for a batch of 4" in line
    assert "free on 'cpu'" in line


def measured(tmp_path: Path, **settings: Any) -> tuple[Run, tuple[int, int]]:
    task = small(**settings)
    run = Run(task, tmp_path, make_fabric("cpu", "fp32"), short_side=16)
    return run, step_memory(run)


def test_the_estimate_follows_the_size_of_the_frames_and_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    run, (networks, clip) = measured(tmp_path)
    before = {key: value.clone() for key, value in run.model.translators.state_dict().items()}
    state = torch.get_rng_state()
    step_memory(run)
    torch.testing.assert_close(run.model.translators.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.requires_grad for p in run.model.discriminators.parameters())
    assert run.model.discriminators.training
    parameters = sum(p.numel() for net in (run.model.translators, run.model.discriminators) for p in net.parameters())
    assert 16 * parameters < networks < 20 * parameters  # four copies of four bytes, and the average
    _, (same, larger) = measured(tmp_path, size=[32, 32])
    assert same == networks
    assert 3.5 < larger / clip < 4.5


@pytest.mark.parametrize(
    ("precision", "settings"),
    [
        ("fp32", {"size": [64, 64], "frames": 1}),
        ("bf16", {"size": [48, 96], "frames": 1}),
        ("fp32", {"size": [16, 16]}),  # three frames
    ],
)
def test_estimated_memory_equals_measured_memory(tmp_path: Path, precision: Any, settings: dict[str, Any]) -> None:
    default = {"weights": {"cycle": 2, "unsupervised_spatial": 5, "unsupervised_recycle": 2}, "noise_back": 0.1}
    train = {**SETTINGS["train"], "precision": precision, "batch_size": 1, **settings}
    networks = {"generator": {"width": 8, "blocks": 2}, "discriminator": {"width": 8, "layers": 2}}
    least = {**networks, "discriminator": {"width": 8, "layers": 1, "norm": "spectral"}}
    given = networks if min(train["size"]) > 16 else least
    task = parse_pipeline({**SETTINGS, "networks": given, "losses": default, "train": train}, where="test")
    state = torch.get_rng_state()
    reckoned = reckon(task, torch.float32 if precision == "fp32" else torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), state)
    run = Run(task, tmp_path, make_fabric("cpu", precision), short_side=16)
    networks_measured, clip = step_memory(run)
    assert reckoned.networks == networks_measured
    assert reckoned.clip == pytest.approx(clip, rel=0.1)


def test_the_operations_of_a_step_are_those_of_its_convolutions() -> None:
    """Counted by hand; the last one of 7 × 7 is computed along the rows, for 7 × 3 channels, and then added up."""
    one, two = (
        reckon(
            parse_pipeline(
                {
                    "networks": {
                        "generator": {"width": width, "blocks": 1},
                        "discriminator": {"width": 4, "layers": 1},
                    },
                    "losses": {"weights": {"cycle": 1}},
                    "train": {"size": [32, 32]},
                },
                where="test",
            ),
            torch.float32,
        ).operations
        for width in (4, 8)
    )

    def generator(w: int) -> int:
        """Multiplications and additions of a frame of 32 × 32, layer by layer."""
        ends = 49 * 3 * w * 32 * 32 + 7 * (7 * 3) * w * (32 + 6) * 32
        down = 9 * w * 2 * w * 16 * 16 + 9 * 2 * w * 4 * w * 8 * 8
        up = 9 * 4 * w * 2 * w * 8 * 8 + 9 * 2 * w * w * 16 * 16
        blur = 9 * 2 * w * 16 * 16 + 9 * w * 32 * 32
        block = 2 * 9 * 4 * w * 4 * w * 8 * 8
        return 2 * (ends + down + up + blur + block)

    frames = 4  # there and back, both ways
    assert two - one == frames * (generator(8) - generator(4))


def test_a_batch_known_not_to_fit_starts_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, (networks, clip) = measured(tmp_path)
    said: list[str] = []
    portions = Portions(run.pipeline, run.fabric, saying(said))
    for fitting, parts in ((4.5, 1), (2.5, 2), (0.5, 4)):
        free = int((networks * 3 / 4 + fitting * clip) / USABLE)
        monkeypatch.setattr("recycle.training.memory.free_memory", lambda device, free=free: free)
        portions.parts = 1
        plan(run, portions, saying(said))
        assert portions.parts == parts
    assert "processed in 4 portions" in said[-1]


def test_free_memory_is_what_the_system_has() -> None:
    free = free_memory(torch.device("cpu"))
    assert free is None or 1e7 < free < 1e14


def test_only_out_of_memory_errors_are_recognised_as_such() -> None:
    with pytest.raises(RuntimeError) as lacking:
        torch.empty(1 << 50, dtype=torch.uint8)
    assert is_out_of_memory(lacking.value)
    with pytest.raises(RuntimeError) as other:
        torch.zeros(2) @ torch.zeros(3)
    assert not is_out_of_memory(other.value)
    assert is_out_of_memory(MemoryError())


def test_previews_that_do_not_fit_are_made_of_single_frames_or_left_out(
    footage: tuple[Path, Path], tmp_path: Path
) -> None:
    for most, kept in ((1, True), (0, False)):
        out = tmp_path / str(most)
        with hungry(most, training=False):
            notices, _ = go(small(steps=1), footage, out)
        assert (out / "model-best").is_dir() is (out / "previews").is_dir() is kept
        assert [text for text in notices if "do not fit into memory: from now on" in text] == (
            [] if kept else [notices[-1]]
        )
        assert (out / "model" / "model.safetensors").is_file()


def test_cached_files_count_as_free_in_a_container(tmp_path: Path) -> None:
    for name, content in (("max", "1000"), ("current", "900"), ("stat", "anon 300\ninactive_file 550\nfile 590")):
        (tmp_path / f"memory.{name}").write_text(content + "\n")
    assert _allowed(tmp_path) == 650
    (tmp_path / "memory.max").write_text("max\n")
    assert _allowed(tmp_path) > 1 << 60


def test_a_limit_of_the_first_version_of_control_groups_counts_too(tmp_path: Path) -> None:
    assert _allowed(tmp_path) > 1 << 60
    contents = {"limit_in_bytes": "1000", "usage_in_bytes": "900", "stat": "inactive_file 1\ntotal_inactive_file 550"}
    (tmp_path / "memory").mkdir()
    for name, content in contents.items():
        (tmp_path / "memory" / f"memory.{name}").write_text(content + "\n")
    assert _allowed(tmp_path) == 650
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert _allowed(tmp_path) > 1 << 60


def test_frozen_weights_do_not_count_for_a_clip(tmp_path: Path) -> None:
    """A projected discriminator of each domain uses 13 MB of them."""
    found = []
    for strides in ([8], [8, 16, 32]):
        discriminator = {"kind": "projected", "width": 4, "strides": strides}
        networks = {"generator": {"width": 4, "blocks": 1}, "discriminator": discriminator}
        train = {"size": [32, 32], "precision": "fp32", "device": "cpu"}
        task = parse_pipeline({"networks": networks, "train": train}, where="test")
        run = Run(task, tmp_path, make_fabric("cpu", "fp32"), short_side=32)
        found.append(step_memory(run))
    (small, clip), (large, deep) = found
    assert clip <= deep < 12 << 20
    assert small <= large < 4 << 20
