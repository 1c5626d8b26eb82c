from types import SimpleNamespace

import pytest
import torch

from recycle.config import Precision
from recycle.dataset.clips import loading_processes
from recycle.errors import ConfigError
from recycle.system.cores import capped, cores
from recycle.system.devices import Used, best_precision, compute_dtype, find_device, precision_of
from recycle.training.fabric import make_fabric


def test_cpu_computes_in_the_requested_precision() -> None:
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with make_fabric("cpu", precision).autocast():  # type: ignore[arg-type]
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_auto_selects_the_best_available() -> None:
    fabric = make_fabric("auto", "auto")
    assert fabric.device.type == find_device("auto")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert fabric.device.type == "cpu"
    with fabric.autocast():
        reduced = torch.is_autocast_enabled(fabric.device.type)
    assert reduced == (best_precision("auto", training=True) == "bf16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_absent_device_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"^this machine has no 'cuda' device; choose one of auto, .*cpu$"):
        make_fabric("cuda", "auto")


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("gpu", "auto", "unknown device 'gpu'"),
        ("cpu", "fp64", "unknown precision 'fp64'"),
        ("cpu", "fp16", "'fp16' does not run on the device 'cpu'"),
        ("cpu", "int8", "unknown precision 'int8'"),
    ],
)
def test_impossible_combinations_are_errors(device: str, precision: Precision, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        make_fabric(device, precision)
    assert "\n" not in str(error.value)


def test_int8_is_for_translation_on_a_cpu() -> None:
    assert compute_dtype("cpu", "int8", training=False) == compute_dtype("cpu", "auto", training=False)
    with pytest.raises(ConfigError, match=r"^precision 'int8' runs on the device 'cpu' only, not on 'cuda'"):
        compute_dtype("cuda", "int8", training=False)


def gpu(monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int]) -> None:
    """Let torch report a GPU; torch itself concludes from it whether bfloat16 is native."""
    facts = SimpleNamespace(name=name, major=capability[0], minor=capability[1])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device=None: facts)


@pytest.mark.parametrize(
    ("name", "capability", "translates", "trains"),
    [
        ("NVIDIA H200", (9, 0), "bf16", "bf16"),
        ("NVIDIA A100-SXM4-40GB", (8, 0), "bf16", "bf16"),
        ("Tesla T4", (7, 5), "fp16", "fp32"),
        ("Tesla V100-SXM2-16GB", (7, 0), "fp16", "fp32"),
        ("NVIDIA GeForce GTX 1660 Ti", (7, 5), "fp32", "fp32"),
        ("NVIDIA GeForce GTX 1080", (6, 1), "fp32", "fp32"),
    ],
)
def test_a_gpu_computes_in_the_fastest_precision_that_is_its_own(
    monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int], translates: Used, trains: Used
) -> None:
    gpu(monkeypatch, name, capability)
    assert best_precision("auto", training=False) == translates
    assert best_precision("cuda", training=True) == trains
    assert precision_of(compute_dtype("cuda", "auto", training=False)) == translates
    for wished in ("fp32", "fp16"):
        assert precision_of(compute_dtype("cuda", wished, training=True)) == wished


@pytest.mark.parametrize("training", [True, False])
def test_emulated_bf16_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, training: bool) -> None:
    gpu(monkeypatch, "Tesla T4", (7, 5))
    with pytest.raises(ConfigError) as error:
        compute_dtype("cuda", "bf16", training=training)
    assert str(error.value) == (
        "precision 'bf16' is only emulated on Tesla T4 (compute capability 7.5, 8.0 is needed), which is slower than "
        "fp32; choose fp16, fp32 or auto"
    )
    gpu(monkeypatch, "NVIDIA L4", (8, 9))
    assert compute_dtype("cuda", "bf16", training=training) == torch.bfloat16


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_more_devices_than_present_is_an_error() -> None:
    with pytest.raises(ConfigError, match="cannot use 99 devices 'cuda'"):
        make_fabric("cuda", "auto", devices=99)


def test_processes_are_limited_by_the_cores() -> None:
    many = max(8, cores())
    for devices in (many + 1, 10**6):
        with pytest.raises(
            ConfigError, match=rf"^cannot use {devices} devices 'cpu': this machine supports 1 to {many}$"
        ):
            make_fabric("cpu", "fp32", devices=devices)
    assert loading_processes(10**6, torch.device("cpu")) == capped(10**6) == 4 * cores()
    assert loading_processes(1, torch.device("cpu")) == capped(1) == 1
