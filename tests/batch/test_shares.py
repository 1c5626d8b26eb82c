"""How a cluster is shared out, as far as a machine without GPUs can show it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from recycle import __version__
from recycle.batch.cluster import ATTEMPTS, Cluster, _common_precision, _File, _Share, _share, _Task
from recycle.batch.ledger import Entry
from recycle.batch.plan import Plan
from recycle.batch.worker import Added, Offer, Worker
from recycle.config import TranslateSettings
from recycle.errors import ConfigError

ray = pytest.importorskip("ray")
SMALL, LARGE = {"CPU": 8.0, "GPU": 1.0}, {"CPU": 64.0, "GPU": 4.0}
PLAIN = {"CPU": 8.0}


@pytest.mark.parametrize(
    ("nodes", "device", "at_once", "share"),
    [
        ([SMALL], "auto", None, _Share(1, 2, 8, 1)),
        ([LARGE], "auto", None, _Share(4, 4, 16, 1)),
        ([SMALL, LARGE], "cuda", None, _Share(5, 2, 8, 1)),
        ([SMALL, LARGE, PLAIN], "auto", 12, _Share(5, 3, 8, 1)),
        ([LARGE], "auto", 2, _Share(2, 1, 16, 1)),
        ([SMALL], "cpu", None, _Share(2, 1, 4)),
        ([PLAIN, PLAIN], "auto", None, _Share(4, 1, 4)),
        ([PLAIN], "auto", 2, _Share(2, 1, 4)),
        ([{"CPU": 1.0, "GPU": 0.0}], "auto", None, _Share(1, 1, 1)),
    ],
)
def test_a_gpu_has_one_worker_with_several_tasks(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, float]], device: str, at_once: int | None, share: _Share
) -> None:
    alive = [{"Resources": node, "Alive": True} for node in nodes]
    monkeypatch.setattr(ray, "nodes", lambda: [*alive, {"Resources": LARGE, "Alive": False}])
    assert _share(TranslateSettings(device=device), at_once) == share


def test_a_wish_for_a_gpu_is_refused_where_no_machine_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [{"Resources": PLAIN, "Alive": True}])
    with pytest.raises(ConfigError, match=r"^no machine of the cluster has a GPU that Ray counts"):
        _share(TranslateSettings(device="cuda"), None)


def test_all_workers_compute_in_the_precision_of_the_slowest() -> None:
    assert _common_precision([Offer("", "bf16"), Offer("", "bf16")]) == "bf16"
    assert _common_precision([Offer("", "bf16"), Offer("", "fp16")]) == "fp16"
    assert _common_precision([Offer("", "fp16"), Offer("", "fp32"), Offer("", "bf16")]) == "fp32"
    with pytest.raises(ConfigError, match=r"^a machine of the cluster has no room$"):
        _common_precision([Offer("", "bf16"), Offer("has no room")])


def worker(gpu: bool = False, **settings: Any) -> Worker:
    return Worker("b", TranslateSettings(**settings), False, 2, gpu, Added((), ()))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_worker_examines_its_own_device(tmp_path: Path) -> None:
    assert worker(device="cpu", precision="bf16").offer(tmp_path, __version__) == ("", "bf16")
    assert worker(device="cpu", precision="int8").offer(tmp_path, __version__) == ("", "int8")
    refused = worker(device="cuda").offer(tmp_path, __version__).problem
    assert refused.startswith("cannot run the model: this machine has no 'cuda' device; choose one of auto")
    unseen = worker(gpu=True).offer(tmp_path, __version__).problem
    assert unseen == (
        "cannot use its GPU: torch finds no GPU where Ray counts one; repair it, or translate with --device cpu"
    )

    assert worker(gpu=True).offer(tmp_path / "none", __version__).problem.startswith(f"cannot see {tmp_path}")
    assert "install the same version" in worker().offer(tmp_path, "0.0").problem


def test_the_last_attempt_has_a_worker_for_itself() -> None:
    one, two = object(), object()
    engine = Cluster((one, two), 2, None)  # type: ignore[arg-type]
    file = _File(Plan(None, "translate", "", Entry(key="")))  # type: ignore[arg-type]
    first, last = _Task(file), _Task(file, deaths=ATTEMPTS - 1)
    idle = [one, two, one, two]
    assert engine._take(idle, first) == [one]
    assert engine._take(idle, first) == [two]  # the least busy
    assert engine._take(idle, last) == []
    idle += [two]
    assert engine._take(idle, last) == [two, two]
    assert idle == [one]
    assert engine._take(idle, last) == []
    assert engine._take(idle, first) == [one]
    assert engine._take(idle, first) == []
