"""Untrusted bundles: no downloads, no large allocations, and one-line errors."""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from recycle.config import NetworkSettings, Pix2PixSettings, ResNetSettings, SmpSettings
from recycle.errors import BundleError, ConfigError
from recycle.networks.bundle import Bundle, BundleConfig, load_bundle, save_bundle
from recycle.networks.registry import make_predictor

GENERATOR = ResNetSettings(blocks=1, width=4)
PREDICTOR = Pix2PixSettings(width=4, depth=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved bundle."""
    torch.manual_seed(0)
    networks = NetworkSettings(generator=GENERATOR, predictor=PREDICTOR)
    save_bundle(Bundle(BundleConfig(networks=networks, short_side=32)), tmp_path / "model")
    return tmp_path / "model"


def refused(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 2000
    return message


def configure(folder: Path, data: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(data))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Refuses and records every attempt to reach another machine."""
    tried: list[object] = []

    def refuse(*address: object, **more: object) -> None:
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


@pytest.mark.parametrize(
    "encoder",
    [
        *("tu-hf-hub:evil/model", "tu-hf_hub:evil/model", "hf-hub:evil/model", "tu-local-dir:/tmp", "local-dir:/tmp"),
        *("tu-https://evil/model", "tu-../../etc", "tu-", "", "nosuch", "tu-nosuch", "timm-nosuch", "a" * 90, "\n"),
    ],
)
def test_an_encoder_is_one_that_is_installed(encoder: str, folder: Path, no_network: list[object]) -> None:
    configure(folder, {"networks": {"predictor": {"encoder": encoder}}})
    assert "encoder" in refused(folder)
    assert no_network == []


@pytest.mark.parametrize("encoder", ["tu-resnet18.a1_in1k", "mobilenet_v2"])
def test_installed_encoders_load_without_a_network(encoder: str, tmp_path: Path, no_network: list[object]) -> None:
    networks = NetworkSettings(generator=GENERATOR, predictor=SmpSettings(encoder=encoder, depth=3, width=4))
    saved = Bundle(BundleConfig(networks=networks))
    save_bundle(saved, tmp_path)
    state = torch.random.get_rng_state()
    loaded = load_bundle(tmp_path)
    after = torch.random.get_rng_state()
    torch.random.set_rng_state(state)
    Bundle(saved.config)
    assert torch.equal(after, torch.random.get_rng_state())  # looking at the shapes first draws no number
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in saved.state_dict().items())
    assert no_network == []


def test_an_unknown_encoder_is_refused_in_training_too() -> None:
    with pytest.raises(ConfigError, match="'tu-nosuch' with depth 4 is not an encoder"):
        make_predictor(SmpSettings(encoder="tu-nosuch"))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"name":' * 100_000,
        b"\xff\xfe{\x00}\x00",
        b"\x80abc",
        b"1" * 5000,
        b" " * (2 << 20),
        b'{"short_side": 1e999}',
        b'{"short_side": NaN}',
        b'{"short_side": 99999999999999999999999}',
        b'{"step": -Infinity}',
        b'{"networks": {"generator": {"width": 1000000000}}}',
        b'{"networks": {"generator": {"blocks": 1000000000}}}',
        b'{"networks": {"predictor": {"kind": "pix2pix", "depth": 64}}}',
        b'{"networks": {"predictor": {"past": 100000}}}',
        b"null",
        b"",
    ],
)
def test_any_settings_load_or_are_a_one_line_error(content: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(content)
    message = refused(folder)
    assert "config.json" in message


def test_settings_with_a_byte_order_mark_are_read(folder: Path) -> None:
    file = folder / "config.json"
    file.write_bytes("\ufeff".encode() + file.read_bytes())
    assert load_bundle(folder).config.short_side == 32


def test_the_largest_settings_are_refused_without_being_built(folder: Path) -> None:
    """Those networks would take some 20 GB."""
    resource = pytest.importorskip("resource")
    configure(folder, {"predictors": False, "networks": {"generator": {"width": 512, "blocks": 32}}})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "has the shape (4, 3, 7, 7), not (512, 3, 7, 7)" in refused(folder)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KiB, bytes on macOS
    assert grown < (300 << 10) * (1024 if sys.platform == "darwin" else 1)


def header(entries: object, data: bytes = b"") -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data


HEADERS = {
    "no length": b"\x01\x02",
    "a huge length": b"\xff" * 16,
    "longer than the file": (10**6).to_bytes(8, "little") + b"{}",
    "nested": len(b"[" * 90_000).to_bytes(8, "little") + b"[" * 90_000,
    "a list": header([]),
    "no tensor": header({"x": 1}),
    "an unknown type": header({"x": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8),
    "a huge shape": header({"x": {"dtype": "F32", "shape": [2**30, 2**30, 2**30], "data_offsets": [0, 8]}}, b"\0" * 8),
    "a negative shape": header({"x": {"dtype": "F32", "shape": [-1, -8], "data_offsets": [0, 32]}}, b"\0" * 32),
    "a broken shape": header({"x": {"dtype": "F32", "shape": "12", "data_offsets": [0, 8]}}, b"\0" * 8),
    "other weights": header({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8),
    "too little": header({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, b"\0" * 8),
    "too much": header({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 80),
}


@pytest.mark.parametrize("name", HEADERS)
def test_any_header_is_a_one_line_error(name: str, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(HEADERS[name])
    message = refused(folder)
    assert "model.safetensors" in message


def test_a_sparse_file_of_terabytes_is_not_read(folder: Path) -> None:
    weights = folder / "model.safetensors"
    os.truncate(weights, 1 << 42)
    assert "is damaged" in refused(folder)


def test_pipes_and_folders_do_not_block(folder: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        os.mkfifo(folder / name)
        assert f"has no {name}" in refused(folder)
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")
        assert f"has no {name}" in refused(folder)
        (folder / name).unlink()
        (folder / name).mkdir()
        assert f"has no {name}" in refused(folder)
        (folder / name).rmdir()
        (folder / name).write_bytes(kept)


def rewrite(folder: Path, key: str, value: float, dtype: torch.dtype = torch.float32) -> None:
    weights = {name: tensor.to(dtype) for name, tensor in load_file(folder / "model.safetensors").items()}
    weights[key].view(-1)[-1] = value
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("key", ["gen_ab.model.1.weight", "gen_ba.model.18.bias", "pred_b.up.0.1.conv.weight"])
def test_weights_that_are_not_finite_are_refused_by_name(key: str, value: float, folder: Path) -> None:
    names = load_file(folder / "model.safetensors").keys()
    key = key if key in names else next(name for name in names if name.startswith(key.partition(".")[0]))
    rewrite(folder, key, value)
    assert f"holds weights that are not finite, in '{key}'" in refused(folder)


def test_weights_that_overflow_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: torch.full_like(tensor, 3e38) for name, tensor in weights.items()}, folder / "model.safetensors")
    assert "so large that the images are not finite" in refused(folder)
    double = {name: torch.full_like(tensor, 1e300, dtype=torch.float64) for name, tensor in weights.items()}
    save_file(double, folder / "model.safetensors")
    assert "not finite" in refused(folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_load(dtype: torch.dtype, folder: Path) -> None:
    before = load_bundle(folder).gen_ab.state_dict()
    rewrite(folder, "gen_ab.model.1.weight", 0.5, dtype)
    after = load_bundle(folder).gen_ab.state_dict()
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    assert torch.allclose(before["model.4.weight"], after["model.4.weight"], atol=1e-3)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 5000), st.binary(min_size=1, max_size=8))
def test_a_bundle_with_changed_bytes_loads_or_is_refused_in_one_line(folder: Path, place: int, change: bytes) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    place = min(place, len(content))
    file.write_bytes(content[:place] + change + content[place + len(change) :])
    message = ""
    try:
        load_bundle(folder)
    except BundleError as error:
        message = str(error)
    finally:
        file.write_bytes(content)
    assert "\n" not in message
    assert len(message) < 2000


def test_predictors_that_overflow_are_refused_as_generators_are(tmp_path: Path) -> None:
    networks = NetworkSettings(generator=ResNetSettings(blocks=1, width=4), predictor=Pix2PixSettings(width=4, depth=3))
    bundle = Bundle(BundleConfig(networks=networks, short_side=32))
    with torch.no_grad():
        for parameter in bundle.pred_b.parameters():  # type: ignore[union-attr]
            parameter.fill_(3e38)
    save_bundle(bundle, tmp_path)
    with pytest.raises(BundleError, match="so large that the images are not finite"):
        load_bundle(tmp_path)


def test_others_may_read_a_bundle_as_the_umask_says(tmp_path: Path) -> None:
    networks = NetworkSettings(generator=ResNetSettings(blocks=1, width=4))
    save_bundle(Bundle(BundleConfig(networks=networks, predictors=False)), tmp_path)
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    (tmp_path / "new").touch()
    assert modes == {(tmp_path / "new").stat().st_mode}
