"""Curves and previews reach the trackers that a run names; a tracker that fails stops no training."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recycle.errors import ConfigError
from recycle.evaluation.curves import read_scalars
from recycle.run_folder import RunFolder
from recycle.runs.pipeline import learn
from recycle.training.logs import Logs
from recycle.training.trackers import TRACKERS, Tracked
from tests.jobs import saying
from tests.training.test_loop import footage, pipeline, run

__all__ = ["footage"]


class Toy:
    """A tracker from outside: it remembers what it gets, and fails where it is told to."""

    def __init__(self, tracked: Tracked, fails: str = "") -> None:
        self.tracked, self.fails, self.got = tracked, fails, list[tuple[Any, ...]]()

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        self._take("add_scalars", dict(values), step)

    def add_image(self, name: str, picture: np.ndarray[Any, Any], step: int) -> None:
        self._take("add_image", name, picture.shape, step)

    def close(self) -> None:
        self._take("close")

    def _take(self, *what: Any) -> None:
        if what[0] == self.fails:
            raise ValueError("the server\nis gone")
        self.got.append(what)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> list[Toy]:
    made: list[Toy] = []

    def opener(fails: str) -> Callable[[Tracked], Toy]:
        def begin(tracked: Tracked) -> Toy:
            if fails == "opening":
                raise RuntimeError("no login")
            made.append(Toy(tracked, fails))
            return made[-1]

        return begin

    for fails in ("", "opening", "add_scalars", "add_image", "close"):
        monkeypatch.setitem(TRACKERS, f"toy {fails}", opener(fails))
    return made


def test_a_tracker_gets_every_curve_and_image_and_is_closed(tmp_path: Path, toys: list[Toy]) -> None:
    with Logs(Tracked("one", tmp_path / "logs", {}), trackers=["toy "], job=saying([])) as logs:
        logs.add_scalars({"loss/cycle": 0.5, "learning_rate": 1e-4}, 1)
        logs.add_image("preview", np.zeros((4, 6, 3), np.uint8), 2)
    scalars = ("add_scalars", {"loss/cycle": 0.5, "learning_rate": 1e-4}, 1)
    assert toys[0].got == [scalars, ("add_image", "preview", (4, 6, 3), 2), ("close",)]
    assert read_scalars(tmp_path / "logs")["loss/cycle"] == [(1, 0.5)]  # TensorBoard as well


@pytest.mark.parametrize("fails", ["opening", "add_scalars", "add_image", "close"])
def test_a_failing_tracker_is_reported_once_and_the_others_go_on(tmp_path: Path, toys: list[Toy], fails: str) -> None:
    said: list[str] = []
    with Logs(Tracked("one", tmp_path / "logs", {}), trackers=[f"toy {fails}", "toy "], job=saying(said)) as logs:
        for step in (1, 2, 3):
            logs.add_scalars({"loss/cycle": 1 / step}, step)
            logs.add_image("preview", np.zeros((4, 6, 3), np.uint8), step)
    why = "no login" if fails == "opening" else "the server is gone"
    again = "training continues without these curves until the command is run again"
    assert said == [f"cannot send curves to toy {fails}: {why}; {again}"]
    assert len(toys[-1].got) == 7
    assert [step for step, _ in read_scalars(tmp_path / "logs")["loss/cycle"]] == [1, 2, 3]


def test_a_tracker_that_is_not_installed_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recycle.training.trackers.table.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"'wandb' needs its package; run: pip install 'recycle\[wandb\]'"):
        learn(pipeline(trackers=["wandb"]), RunFolder(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def _mlflow() -> dict[str, list[tuple[int, float]]]:
    import mlflow

    client = mlflow.MlflowClient()
    place = client.get_experiment_by_name("recycle")
    (only,) = client.search_runs([place.experiment_id])
    assert only.info.status == "FINISHED"
    assert client.list_artifacts(only.info.run_id, "images")
    return {
        name: [(point.step, point.value) for point in client.get_metric_history(only.info.run_id, name)]
        for name in only.data.metrics
    }


def _trackio() -> dict[str, list[tuple[int, float]]]:
    from trackio.sqlite_storage import SQLiteStorage

    known = Path("run/logs/trackio.id").read_text().strip()  # its database may be that of the person who tests
    (only,) = (run for run in SQLiteStorage.get_runs("recycle") if run.endswith(known))
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in SQLiteStorage.get_logs("recycle", only):
        for name, value in row.items():
            if isinstance(value, float):
                curves.setdefault(name, []).append((row["step"], value))
    return curves


def _wandb() -> dict[str, list[tuple[int, float]]]:
    from wandb.proto.wandb_internal_pb2 import Record

    curves: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(Path.cwd().rglob("*.wandb")):
        for data in _records(path.read_bytes()):
            row = {
                item.key or ".".join(item.nested_key): item.value_json for item in Record.FromString(data).history.item
            }
            for name in row:
                if name.startswith(("loss", "score", "measure")):
                    curves.setdefault(name, []).append((int(row["step"]), float(row[name])))
    return curves


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format, after the header of wandb, which has 7 bytes."""
    at, record = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # the rest of a block is padding
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        record += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


@pytest.mark.filterwarnings("default")  # those of the trackers' own libraries
@pytest.mark.parametrize(("name", "read"), [("mlflow", _mlflow), ("trackio", _trackio), ("wandb", _wandb)])
def test_a_continued_run_has_one_record_with_the_curves_of_tensorboard(
    footage: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    read: Callable[[], dict[str, list[tuple[int, float]]]],
) -> None:
    pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for steps in (4, 8):
        report = run(pipeline(steps=steps, trackers=[name]), footage, tmp_path / "run")
        assert not [text for text in report.notices if "curves" in text]
    curves, expected = read(), read_scalars(tmp_path / "run" / "logs")
    for curve in ("loss/cycle", "measure/waiting", "score/total"):
        if curve in expected:
            assert [step for step, _ in curves[curve]] == [step for step, _ in expected[curve]]
            pairs = zip(curves[curve], expected[curve], strict=True)
            assert all(math.isclose(one, other, rel_tol=1e-5) for (_, one), (_, other) in pairs)
    assert "score/total" in expected
