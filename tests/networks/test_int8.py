"""Generators in 8-bit integers."""

import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recycle.config import NetworkSettings, Pix2PixHDSettings, ResNetSettings, TranslateSettings, UNetSettings
from recycle.errors import ConfigError
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.networks.export import likeness, pictures
from recycle.networks.generator import GeneratorNetwork
from recycle.networks.int8.generator import Int8Generator
from recycle.networks.int8.trial import gain
from recycle.networks.resnet import ResNetGenerator
from recycle.networks.statistics import Core, FrameStatistics
from recycle.networks.unet import UNetGenerator
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.encode import write_video
from tests.warm import run

pytest.importorskip("openvino")
CPU = torch.device("cpu")
SMALL = {"blocks": 2, "width": 4}


def never(_: Tensor) -> Tensor:
    raise AssertionError("only frames in tiles are computed otherwise")


def last(generator: GeneratorNetwork) -> Tensor:
    """The weights of its last convolution."""
    body = generator.unet.segmentation_head if isinstance(generator, UNetGenerator) else generator
    return [layer.weight for layer in body.modules() if isinstance(layer, nn.Conv2d)][-1]


def generator_of(*, skip: bool = False, blur: bool = True) -> ResNetGenerator:
    torch.manual_seed(0)
    generator = ResNetGenerator(ResNetSettings(**SMALL, skip=skip, blur=blur)).eval().requires_grad_(False)
    nn.init.normal_(last(generator), 0, 0.02)
    return generator


def unet_of(*, skip: bool = True) -> UNetGenerator:
    torch.manual_seed(0)
    generator = UNetGenerator(UNetSettings(width=8, skip=skip))
    generator.load_pretrained()
    nn.init.normal_(last(generator), 0, 0.04)
    return generator.eval().requires_grad_(False)


@pytest.mark.parametrize(
    "generator",
    [
        *(partial(generator_of, skip=skip, blur=blur) for skip in (False, True) for blur in (False, True)),
        *(partial(unet_of, skip=skip) for skip in (False, True)),
    ],
)
def test_it_agrees_with_float32_to_40_decibels(generator: Callable[[], GeneratorNetwork]) -> None:
    generator, frames = generator(), pictures(2, 48, 52)
    exact = generator(frames)
    assert exact.std() > 0.1
    found = Int8Generator(generator, never)(frames)
    assert found.dtype == torch.float32
    assert 40 <= likeness(found, exact) < 60  # float32 would agree to 100 dB


@pytest.mark.parametrize("generator", [partial(generator_of, skip=True), unet_of])
def test_dark_bright_and_flat_frames_agree_too(generator: Callable[[], GeneratorNetwork]) -> None:
    exact = generator()
    ready = Int8Generator(exact, never)
    for base, contrast in product((-1.0, 0.9), (0.1, 0.02, 0.0)):
        frames = contrast * pictures(1, 48, 52) + base * (1 - contrast)
        assert likeness(ready(frames), exact(frames)) >= 40, (base, contrast)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 33), (47, 16), (31, 62)])
def test_a_unet_pads_and_crops_frames_of_any_size(height: int, width: int) -> None:
    generator = unet_of()
    frames = pictures(1, height, width)
    found = Int8Generator(generator, never)(frames)
    assert found.shape == frames.shape
    assert likeness(found, generator(frames)) >= 40


def test_a_frame_is_the_same_alone_in_a_batch_and_with_any_number_of_threads() -> None:
    ready, frames = Int8Generator(generator_of(), never), pictures(3, 32, 36)
    together = ready(frames)
    threads = torch.get_num_threads()
    try:
        for number, count in enumerate((1, 2, threads)):
            torch.set_num_threads(count)
            assert torch.equal(ready(frames[number : number + 1]), together[number : number + 1])
    finally:
        torch.set_num_threads(threads)


def test_a_frame_in_tiles_is_computed_otherwise() -> None:
    ready, frames = Int8Generator(generator_of(), lambda given: given * 0.5), pictures(1, 32, 32)
    with FrameStatistics(1).tile(0, Core((0, 32), (0, 32), (32, 32))):
        assert torch.equal(ready(frames), frames * 0.5)
    assert not torch.equal(ready(frames), frames * 0.5)


def test_a_model_that_8_bits_change_too_much_is_refused() -> None:
    generator = generator_of()
    last(generator).mul_(50)
    with pytest.raises(
        ConfigError, match=r"^precision 'int8' changes the frames of this model too much: .* 2\d[.]\d dB, at"
    ):
        Int8Generator(generator, never)


def test_other_kinds_and_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle(BundleConfig(networks=NetworkSettings(generator=Pix2PixHDSettings()), predictors=False))
    with pytest.raises(ConfigError, match=r"^precision 'int8' is for ResNets and U-Nets only; choose auto"):
        Translator(bundle, device="cpu", precision="int8")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"'openvino', which is missing; run: pip install 'recycle\[openvino\]'$"):
        Int8Generator(generator_of(), never)


def test_a_video_is_translated_in_int8_and_its_key_says_so(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = BundleConfig(networks=NetworkSettings(generator=ResNetSettings(**SMALL)), predictors=False, short_side=48)
    bundle = Bundle(config)
    film = list(((pictures(5, 50, 70).permute(0, 2, 3, 1) + 1) * 127.5).byte().numpy())
    source = tmp_path / "source.mkv"
    write_video(source, film, fps=10)
    settings = TranslateSettings(codec="ffv1")
    seen = {}
    for precision in ("fp32", "int8"):
        translator = Translator(bundle, device="cpu", precision=precision)
        assert translator.key("b", settings)["precision"] == precision
        output = tmp_path / f"{precision}.mkv"
        translator.translate_video(source, output, to="b", settings=settings)
        with VideoReader(output) as reader:
            seen[precision] = np.stack([frame.pixels() for frame in reader.read()]).astype(float)
    error = np.square(seen["int8"] - seen["fp32"]).mean()
    assert 0 < error < 255**2 / 10**4  # 40 dB


def test_the_trial_tells_how_many_times_as_fast_8_bits_are() -> None:
    threads = torch.get_num_threads()
    assert 0.1 < gain(torch.float32) < 100  # a ratio of times, not a time in seconds
    assert torch.get_num_threads() == threads


INTERRUPTED = """
import gc, os, signal, threading
from recycle.networks.int8.generator import Int8Generator
from tests.networks.test_int8 import generator_of, never
gc.disable()
Int8Generator(generator_of(), never)
collector = threading.Thread(target=gc.collect)
collector.start()
collector.join()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_is_received_after_a_model_was_freed_in_another_thread() -> None:
    done = run("-c", INTERRUPTED, cwd=Path(__file__).parents[2])
    assert (done.stdout, done.returncode) == ("interrupted\n", 0), done.stderr
