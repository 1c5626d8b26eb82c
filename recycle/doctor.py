"""Examines what this machine supports: versions, devices, precisions and codecs."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from recycle import __version__
from recycle.config import EncodeSettings
from recycle.errors import ConfigError
from recycle.networks.int8.trial import gain
from recycle.plural import counted
from recycle.system.cores import cores
from recycle.system.devices import best_precision, compute_dtype, find_device
from recycle.system.nvidia import unused_gpu
from recycle.video.codecs import CONTAINERS, ENCODERS, choose_encoder, takes_codec, working_hardware
from recycle.video.decode import VideoReader
from recycle.video.encode import write_video
from recycle.video.source import Reading

_PACKAGES = ("torch", "torchvision", "av", "opencv-python-headless", "kornia", "segmentation-models-pytorch")


def examine() -> Iterator[tuple[str, str]]:
    """Yield pairs (name, finding), in reading order. It tries each encoder, and times 8-bit integers."""
    yield "recycle", __version__
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed under this name"
    yield "CPU", counted(cores(), "core")
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    if why := unused_gpu():
        yield "GPU", why
    if torch.backends.mps.is_available():
        yield "mps", "present"
    device = find_device("auto")
    trains, translates = (best_precision(device, training=training) for training in (True, False))
    yield "device", f"{device}; trains in {trains}, translates in {translates} (what 'auto' chooses)"
    yield "int8", _int8()
    for codec, encoder in ENCODERS.items():
        settings = EncodeSettings(codec=codec)
        try:
            choose_encoder(settings)
        except ConfigError as error:
            yield codec, f"does not work: {error}"
            continue
        holders = " ".join(suffix for suffix, name in CONTAINERS.items() if takes_codec(name, settings))
        bits = " and ".join(str(depth) for depth in encoder.formats)
        yield codec, f"{encoder.name}, {bits} bits, in {holders}"
    yield "hardware", ", ".join(working_hardware()) or "no GPU encoder works here"
    with TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_video(clip, [np.full((256, 256, 3), 90, np.uint8)], fps=25)
        with VideoReader(clip, Reading(hardware=True)) as reader:
            yield "decoding", "CPU, or NVDEC with --hardware" if reader.hardware else "CPU"


def _int8() -> str:
    try:
        library = f"openvino {version('openvino')}"
    except PackageNotFoundError:
        return "not available: openvino is missing; pip install 'recycle[openvino]' adds it"
    usual = best_precision("cpu", training=False)
    try:
        times = gain(compute_dtype("cpu", usual, training=False))
    except (ConfigError, RuntimeError) as error:  # whatever OpenVINO lacks here
        return f"does not work ({library}): {str(error).splitlines()[0]}"
    return f"{times:.1f} times as fast as {usual} on the CPU ({library})"


if __name__ == "__main__":  # the log of an unexpected error runs this module
    for name, finding in examine():
        print(f"{name:<28} {finding}", flush=True)
