"""Memory of the process."""

import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = """
import resource
import numpy as np
from recycle.config import NetworkSettings, UNetSettings
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.translation.translator import Translator

config = BundleConfig(networks=NetworkSettings(generator=UNetSettings()), predictors=False)
translator = Translator(Bundle(config), device="cpu", precision="fp32")
clip = np.random.default_rng(0).integers(0, 256, (4, 256, 448, 3), np.uint8)
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    translator(clip, to="b")
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults // len(clip))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other allocators")
def test_frames_are_translated_in_the_memory_of_those_before() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1500, "pages of 4 KiB that the system cleared for each frame"
