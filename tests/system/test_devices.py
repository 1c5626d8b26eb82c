import pytest
import torch

from recycle.config import Precision
from recycle.dataset.clips import loading_processes
from recycle.errors import ConfigError
from recycle.system.cores import capped, cores
from recycle.system.devices import best_precision, find_device
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
    assert reduced == (best_precision("auto") == "bf16")


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
    ],
)
def test_impossible_combinations_are_errors(device: str, precision: Precision, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        make_fabric(device, precision)
    assert "\n" not in str(error.value)


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
