"""Tiny models with random weights and tiny real videos."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from recycle.config import EncodeSettings, NetworkSettings, Pix2PixSettings, ResNetSettings
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.networks.initialise import initialise
from recycle.video.codecs import choose_encoder
from recycle.video.encode import Picture, VideoEncoder, mp4_options

MakeVideo = Callable[..., Path]
TIME_BASE = Fraction(1, 12800)


@pytest.fixture(scope="module", autouse=True)
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)  # a resumed training is bit-exact for the same number


@pytest.fixture
def bundle() -> Bundle:
    """A model of four channels whose translations differ visibly from their input."""
    torch.manual_seed(0)
    networks = NetworkSettings(
        generator=ResNetSettings(blocks=1, width=4),
        predictor=Pix2PixSettings(width=4, depth=3),
    )
    bundle = Bundle(BundleConfig(name="tiny", networks=networks, short_side=32))
    initialise(bundle, std=0.2)
    return bundle


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """Writer of small real videos: moving stripes and two tones of sound."""

    def make(
        name: str = "source.mp4",
        *,
        stamps: Sequence[int] = range(0, 20 * 512, 512),
        time_base: Fraction = TIME_BASE,
        size: tuple[int, int] = (48, 64),
        audio: bool = True,
        aspect: Fraction = Fraction(1),
    ) -> Path:
        path = tmp_path / name
        height, width = size
        options = mp4_options(time_base) if path.suffix in (".mp4", ".mov") else {}
        with av.open(str(path), "w", container_options=options) as container:
            container.metadata["title"] = "Käse"
            encoder = VideoEncoder(
                container,
                choose_encoder(EncodeSettings(crf=10, preset="ultrafast", options={"g": "25"})),
                Picture(width, height, Fraction(25), time_base, aspect),
            )
            sounds = [container.add_stream("aac", rate=48000, layout="stereo") for _ in range(2 * audio)]
            for stream, language in zip(sounds, ("eng", "fra"), strict=False):
                stream.metadata["language"] = language
            for index, (stamp, pixels) in enumerate(zip(stamps, pictures(height, width), strict=False)):
                encoder.write(pixels, stamp)
                for number, stream in enumerate(sounds):
                    container.mux(stream.encode(_tone(index, 220 * (number + 1))))
            encoder.close()
            for stream in sounds:
                container.mux(stream.encode(None))
        return path

    return make


def pictures(height: int, width: int) -> Iterator[np.ndarray]:
    """Endless stripes that move by 2 pixels."""
    y, x = np.mgrid[:height, :width]
    index = 0
    while True:
        wave = np.sin((x + 2 * index) / 9 + y / 25)
        levels = (130 + 70 * wave, 110 + 60 * wave, 90 + y * 60 / height)
        yield np.stack(levels, axis=-1).astype(np.uint8)
        index += 1


def _tone(index: int, frequency: int) -> av.AudioFrame:
    time = (np.arange(1920) + 1920 * index) / 48000
    wave = (0.3 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack((wave, wave)), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 1920 * index, Fraction(1, 48000)
    return frame
