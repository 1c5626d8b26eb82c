"""Decoding and encoding on a GPU, as far as a machine without one can show it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recycle.config import EncodeSettings
from recycle.video import codecs, nvdec
from recycle.video.codecs import Encoder, choose_encoder
from recycle.video.decode import VideoReader
from recycle.video.hardware import decodes_alike
from recycle.video.source import Reading

Frames = Callable[..., list[NDArray[np.uint8]]]


@pytest.mark.parametrize(
    ("size", "takes"), [((4094, 256), True), ((4096, 256), False), ((4095, 256), False), ((256, 4100), False)]
)
def test_the_gpu_encoder_is_tried_at_the_padded_size(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], takes: bool
) -> None:
    """MPEG-1 stands for the GPU: it takes sides of up to 4095 pixels, and 4095 is padded to 4096."""
    monkeypatch.setitem(codecs._HARDWARE, "h264", Encoder("mpeg1video", {8: "yuv420p"}, None))
    choice = choose_encoder(EncodeSettings(hardware=True), size=size)
    assert choice.encoder.name == ("mpeg1video" if takes else "libx264")
    assert choice.notice == (
        None if takes else "no GPU of this machine encodes h264 with these settings; the CPU does it instead"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_decoder_that_cannot_be_opened_later_is_replaced_by_the_cpu(
    tmp_path: Path, moving_frames: Frames, make_video: Any
) -> None:
    source = make_video(tmp_path / "source.mp4", moving_frames(6, 320, 240))
    with VideoReader(source) as software, VideoReader(source, Reading(hardware=True)) as reader:
        assert not reader.hardware
        reader.hardware = True  # as if the GPU had decoded the first frame, and had no memory left since
        again = [(frame.pts, frame.pixels.tobytes()) for frame in reader]
        assert again == [(frame.pts, frame.pixels.tobytes()) for frame in software]
        assert not reader.hardware
        assert not reader.damaged


def test_ffmpeg_decodes_in_the_context_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def call(name: str, value: int | None = None, code: int = 0) -> Callable[..., int]:
        def function(*arguments: Any) -> int:
            calls.append(name)
            if value is not None:
                arguments[0]._obj.value = value
            return code

        return function

    def driver(push: int) -> SimpleNamespace:
        return SimpleNamespace(
            cuDeviceGet=call("device", 0),
            cuDevicePrimaryCtxRetain=call("retain", 4242),
            cuCtxPushCurrent_v2=call("push", code=push),
            cuCtxPopCurrent_v2=call("pop"),
        )

    for push, options in ((0, {"current_ctx": "1"}), (1, {})):
        nvdec._context.cache_clear()
        monkeypatch.setattr(nvdec, "_driver", lambda push=push: driver(push))
        with nvdec.decoding(only=True) as gpu:
            assert gpu.options == options
            calls.append("open")
    nvdec._context.cache_clear()
    assert calls == ["device", "retain", "push", "open", "pop", "device", "retain", "push", "open"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_nothing_is_retained_and_the_trial_fails(
    tmp_path: Path, moving_frames: Frames, make_video: Any
) -> None:
    source = make_video(tmp_path / "source.mp4", moving_frames(2, 320, 240))
    assert not nvdec.has_gpu()
    with nvdec.decoding(only=False) as gpu:
        assert gpu.options == {}
    with av.open(str(source)) as container:
        assert not decodes_alike(source, next(container.decode(video=0)))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_that_torch_uses_decodes_alike(tmp_path: Path, moving_frames: Frames, make_video: Any) -> None:
    source = make_video(tmp_path / "source.mp4", moving_frames(6, 320, 240))
    assert torch.zeros(8, device="cuda").sum() == 0
    with VideoReader(source) as software, VideoReader(source, Reading(hardware=True)) as either:
        assert either.hardware
        for a, b in zip(software, either, strict=True):
            assert np.abs(a.pixels.astype(int) - b.pixels).mean() <= 1
