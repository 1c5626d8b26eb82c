"""Fixtures that every test folder shares."""

import atexit
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
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


LONGEST = {
    *("tools/test_reproduce.py", "tools/test_tasks.py", "batch/test_cluster.py", "training/test_many_devices.py"),
    *("training/test_loop.py", "training/test_full_disk.py", "training/test_health.py", "runs/test_compare.py"),
    *("runs/test_pipeline.py", "rendering/test_resume.py", "ui/test_page.py", "test_wheel.py"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first (with --no-loadscope-reorder), so that none begins when the others are at an end."""
    tests = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(tests).as_posix() not in LONGEST)


def pytest_collection_finish() -> None:
    """Spare garbage collections, of which each training needs some, what all tests hold."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.fixture(scope="module")
def small_looks() -> Iterator[None]:
    """Trainings survey footage and score translations by few, small frames, which takes a third of their time.

    Not for tests of what surveys and scores are worth, but for files that train for other reasons.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recycle.training.appearance.LINES", (48, 64))
        patch.setattr("recycle.training.validation.REAL_FRAMES", 8)
        patch.setattr("recycle.dataset.glance.LINES", 48)
        patch.setattr("recycle.dataset.glance.FRAMES", 8)
        yield
