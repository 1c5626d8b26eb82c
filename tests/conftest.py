"""Fixtures that every test folder shares."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_footage() -> Path:
    """Folder of real footage beside the project; tests that need it skip where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "footage"
    if not folder.is_dir():
        pytest.skip("real footage is not on this machine")
    return folder
