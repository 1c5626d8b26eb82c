"""The wheel works by itself, outside the repository and in an environment of its own, as `pipx` and `uvx` use it."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OWN = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of a fresh environment that has the wheel, and sees the packages on which it depends."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    if built.returncode and "hatchling" in built.stderr:
        pytest.skip("the build backend cannot be fetched here")
    assert built.returncode == 0, built.stderr
    venv.create(folder / "own", with_pip=True)
    (wheel,) = folder.glob("recycle-*.whl")
    pip = [str(folder / "own" / "bin" / "pip"), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(pip, capture_output=True, check=True)
    (site,) = (folder / "own" / "lib").glob("python*/site-packages")
    # A plain path, so that the editable installation there is not followed.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "own" / "bin" / "recycle"


def run(program: Path, *words: str) -> str:
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, check=False, cwd=program.parents[1], env=OWN
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_its_package_its_pipelines_and_its_pages(installed: Path) -> None:
    where = "import recycle, pathlib; print(pathlib.Path(recycle.__file__).parent)"
    python, outside = installed.with_name("python"), installed.parents[1]
    said = subprocess.run([python, "-c", where], capture_output=True, text=True, env=OWN, check=True, cwd=outside)
    package = Path(said.stdout.strip())
    assert package.is_relative_to(installed.parents[1])
    assert {path.name for path in (package / "pipelines").glob("*.toml")} == {
        path.name for path in (ROOT / "pipelines").glob("*.toml")
    }
    ours = {
        path.relative_to(ROOT / "recycle")
        for path in (ROOT / "recycle").rglob("*.*")
        if "__pycache__" not in path.parts
    }
    assert {path for path in ours if not (package / path).is_file() and (ROOT / "recycle" / path).is_file()} == set()


def test_the_wheel_runs_outside_the_repository(installed: Path) -> None:
    assert run(installed, "--version").startswith("recycle ")
    assert "signers" in run(installed, "pipelines")
    film = installed.parents[1] / "film.mp4"
    run(installed, "street", str(film), "--seconds", "1", "--width", "64", "--height", "64")
    assert "64x64" in run(installed, "probe", str(film)).replace(" × ", "x").replace("×", "x")
