"""Fixtures that every test folder shares."""

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# The networks of the tests are tiny: more threads only wait for one another. Read when torch is imported,
# here and in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test reaches the Hugging Face Hub: a path that does not exist may have the form of a name there.
os.environ["HF_HUB_OFFLINE"] = "1"

# What the project writes about unforeseen errors belongs into no folder of the person who runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="recycle-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# A shell that runs the tests in the background has SIGINT ignored, nohup has SIGHUP ignored, and the processes that
# tests start would inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A slow machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def real_footage() -> Path:
    """Folder of real footage beside the project; tests that need it skip where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "footage"
    if not folder.is_dir():
        pytest.skip("real footage is not on this machine")
    return folder
