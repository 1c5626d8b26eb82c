"""Apple GPUs, as far as a machine without one can show it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recycle.batch.task import Folder, open_engine
from recycle.batch.threads import Threads
from recycle.config import TranslateSettings, parse_pipeline
from recycle.errors import ConfigError
from recycle.networks.inference import layout
from recycle.objective.terms import TERMS
from recycle.training.apple import _TRIALS, check_losses
from recycle.translation.translator import Translator

CPU, MPS, CUDA = torch.device("cpu"), torch.device("mps"), torch.device("cuda")


def test_networks_are_channels_last_except_on_apple_gpus() -> None:
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        assert layout(MPS, dtype) == torch.contiguous_format
        assert layout(CUDA, dtype) == torch.channels_last
    assert layout(CPU, torch.bfloat16) == torch.channels_last
    assert layout(CPU, torch.float32) == torch.contiguous_format


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is an Apple GPU")
def test_losses_that_do_not_run_there_are_named_in_one_line() -> None:
    def pipeline(**weights: float) -> object:
        return parse_pipeline({"losses": {"weights": weights}, "domains": ["a", "b"]}, where="test")

    with pytest.raises(ConfigError, match=r"^torch .* does not compute unsupervised_spatial and colours on") as error:
        check_losses(pipeline(unsupervised_spatial=1, colours=1), MPS)  # type: ignore[arg-type]
    assert str(error.value).endswith("set the weights to 0 in 'losses.weights', or train with --device cpu")
    assert "\n" not in str(error.value)
    check_losses(pipeline(cycle=1), MPS)  # type: ignore[arg-type]
    check_losses(pipeline(unsupervised_spatial=1), CPU)  # type: ignore[arg-type]


def test_the_trials_are_of_losses_and_reach_their_clip() -> None:
    assert _TRIALS.keys() <= TERMS.keys()
    for trial in _TRIALS.values():
        clip = torch.randn(1, 1, 3, 16, 16, requires_grad=True)
        trial(clip).square().sum().backward()
        assert clip.grad is not None
        assert clip.grad.abs().sum() > 0


@pytest.mark.parametrize("wished", [None, 3])
def test_an_apple_gpu_translates_one_file_at_a_time(tmp_path: Path, wished: int | None) -> None:
    translator = Translator(None, device="cpu")
    task = Folder(tmp_path, tmp_path / "out", translator, "b", TranslateSettings())
    with open_engine(task, overwrite=False, at_once=3, cluster=None) as engine:
        assert isinstance(engine, Threads)
        assert engine.at_once == 3
    translator.device = MPS
    with open_engine(replace(task, translator=translator), overwrite=False, at_once=wished, cluster=None) as engine:
        assert isinstance(engine, Threads)
        assert engine.at_once == 1
