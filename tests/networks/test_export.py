"""Exported generators give the frames of the model in other runtimes, at sizes they were not traced with."""

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from recycle import Job, Translator, export
from recycle.config import GeneratorSettings, NetworkSettings, ResNetSettings, UNetSettings
from recycle.domains import Names
from recycle.errors import ConfigError, Interrupted, OutputError, RecycleError
from recycle.events import Progress
from recycle.networks import export as exporting
from recycle.networks.bundle import Bundle, BundleConfig, save_bundle
from recycle.networks.export import likeness
from recycle.networks.initialise import initialise
from recycle.networks.onnx_file import open_onnx

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "export.md"
TINY = ResNetSettings(blocks=1, width=4, skip=True)


def saved(folder: Path, generator: GeneratorSettings = TINY) -> Path:
    """A model whose translations differ visibly from their input."""
    torch.manual_seed(0)
    networks = NetworkSettings(generator=generator)
    config = BundleConfig(
        name="tiny", networks=networks, predictors=False, short_side=32, domains=Names("day", "night"), step=7
    )
    bundle = Bundle(config)
    if isinstance(generator, UNetSettings):
        nn.init.normal_(bundle.gen_ab.get_submodule("unet.segmentation_head.0").weight, std=0.3)  # type: ignore[arg-type]
    else:
        initialise(bundle, std=0.2)
    save_bundle(bundle, folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def printed(model: Path) -> list[str]:
    """What the command prints that exports the tiny model to night.onnx."""
    words = ["export", str(model), "--to", "night", "--out", str(model.parent / "night.onnx")]
    command = [sys.executable, "-m", "recycle", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def night(model: Path, printed: list[str]) -> Path:
    """The tiny model as an ONNX file."""
    return model.parent / "night.onnx"


@pytest.fixture(scope="module")
def half(model: Path) -> Path:
    """The tiny model as an ONNX file with weights in float16."""
    return export(model, model.parent / "half.onnx", to="night", precision="fp16").file


def translated(model: Path, frames: Tensor) -> Tensor:
    out: Tensor = Translator.from_pretrained(model, device="cpu", precision="fp32")(frames, to="night")
    return out


@pytest.mark.parametrize("size", [(1, 3, 44, 60), (2, 3, 45, 35), (5, 3, 1, 7), (1, 3, 17, 130)])
def test_an_onnx_file_takes_any_size_and_gives_what_the_translator_gives(
    model: Path, night: Path, size: tuple[int, ...]
) -> None:
    frames = torch.rand(size) * 2 - 1
    given = open_onnx(night)(frames)
    assert given.shape == frames.shape
    torch.testing.assert_close(given, translated(model, frames), rtol=0, atol=1e-4)


@pytest.mark.parametrize("colour", [(-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), (0.3, -0.2, 0.7)])
@pytest.mark.parametrize("size", [(1, 1), (64, 64), (45, 83)])
def test_a_flat_frame_stays_as_it_is(night: Path, colour: tuple[float, float, float], size: tuple[int, int]) -> None:
    frames = torch.tensor(colour)[None, :, None, None].repeat(1, 1, *size)
    torch.testing.assert_close(open_onnx(night)(frames), frames, rtol=0, atol=1e-4)


@pytest.mark.parametrize("level", [-1.0, -0.9, 0.3])
def test_a_flat_frame_stays_as_it_is_in_half_precision_too(half: Path, level: float) -> None:
    frames = torch.full((1, 3, 256, 456), level)
    torch.testing.assert_close(open_onnx(half)(frames), frames, rtol=0, atol=1e-4)


@pytest.mark.parametrize("contrast", [0.003, 0.01, 0.02])
def test_the_end_of_a_fade_is_as_in_the_model(model: Path, night: Path, contrast: float) -> None:
    frames = (torch.rand(1, 3, 64, 96) * 2 - 1) * contrast - 0.9
    torch.testing.assert_close(open_onnx(night)(frames), translated(model, frames), rtol=0, atol=1e-3)


def test_an_onnx_file_says_what_it_is(night: Path) -> None:
    session = onnxruntime.InferenceSession(night)
    about = session.get_modelmeta().custom_metadata_map
    expected = {
        "source_domain": "day",
        "target_domain": "night",
        "short_side": "32",
        "opset": "18",
        "precision": "fp32",
        "steps": "7",
        "kind": "resnet",
        "sizes": "any; padded inside to multiples of 4, at least 16 pixels",
    }
    assert {key: about[key] for key in expected} == expected
    assert about["range"].startswith("[-1, 1]")
    (frames,), (result,) = session.get_inputs(), session.get_outputs()
    assert (frames.name, frames.shape, frames.type) == ("frames", ["batch", 3, "height", "width"], "tensor(float)")
    assert (result.name, result.shape, result.type) == ("translated", ["batch", 3, "height", "width"], "tensor(float)")
    assert {each.domain: each.version for each in onnx.load(night).opset_import} == {"": 18}


def test_openvino_reads_the_same_file_with_any_size_and_with_a_fixed_one(model: Path, night: Path) -> None:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    # On some processors the default is bfloat16, which is not what is compared here.
    compiled = core.compile_model(core.read_model(night), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for size in ((1, 3, 48, 64), (2, 3, 33, 50), (1, 3, 5, 50)):
        fixed = core.read_model(night)
        fixed.reshape(size)
        frames = torch.rand(size) * 2 - 1
        for network in (compiled, core.compile_model(fixed, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})):
            given = torch.from_numpy(network(frames.numpy())[0])
            assert likeness(given, translated(model, frames)) > 80


@pytest.mark.parametrize("generator", [UNetSettings(width=4, skip=True)], ids=lambda each: each.kind)
def test_half_precision_keeps_float32_outside(generator: GeneratorSettings, tmp_path: Path) -> None:
    report = export(saved(tmp_path / "model", generator), tmp_path / "half.onnx", to="b", precision="fp16")
    assert all(each.decibels >= 50 for each in report.likeness)
    assert len({(each.batch, each.height, each.width) for each in report.likeness}) == 3
    graph = onnx.load(report.file).graph
    weights = [each for each in graph.initializer if len(each.dims) == 4]
    assert weights
    assert all(each.data_type == onnx.TensorProto.FLOAT16 for each in weights)
    assert [each.type.tensor_type.elem_type for each in (*graph.input, *graph.output)] == [onnx.TensorProto.FLOAT] * 2


def test_a_file_of_torch_export_takes_every_multiple(model: Path, tmp_path: Path) -> None:
    report = export(model, tmp_path / "night.pt2", to="night")
    about = dict.fromkeys(report.about, "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(report.file, extra_files=about).module()
    for size in ((1, 3, 16, 52), (3, 3, 40, 24)):
        frames = torch.rand(size) * 2 - 1
        torch.testing.assert_close(module(frames), translated(model, frames), rtol=0, atol=1e-4)
    with pytest.raises(Exception, match=r"(?i)rows|constraint|guard|divisible|multiple"):
        module(torch.rand(1, 3, 18, 52))
    assert about["sizes"] == "multiples of 4, at least 16 pixels"


def test_a_file_that_differs_is_not_written(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = exporting._write

    def wrong(format: Any, generator: Any, *rest: Any) -> None:
        generator.model[-2].weight.data *= 1.1
        write(format, generator, *rest)
        generator.model[-2].weight.data /= 1.1

    monkeypatch.setattr(exporting, "_write", wrong)
    with pytest.raises(RecycleError, match=r"differs from the model: 1×3×32×57: \d+ dB, at least 50 dB are needed"):
        export(model, tmp_path / "night.pt2", to="night")
    assert list(tmp_path.iterdir()) == []


def test_wrong_requests_are_one_line_and_leave_no_file(model: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"must end with \.onnx or \.pt2"):
        export(model, tmp_path / "night.zip", to="night")
    with pytest.raises(OutputError, match=r"must end with \.pt2"):
        export(model, tmp_path / "night.onnx", to="night", format="torch-export")
    with pytest.raises(ConfigError, match="no domain 'dusk'; give day"):
        export(model, tmp_path / "night.onnx", to="dusk")
    with pytest.raises(ConfigError, match="'identity' has no network"):
        export("identity", tmp_path / "night.onnx", to="b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "night.onnx").write_text("mine")
    with pytest.raises(OutputError, match="exists; give --overwrite"):
        export(model, tmp_path / "night.onnx", to="night")
    assert (tmp_path / "night.onnx").read_text() == "mine"


def test_a_missing_extra_is_one_line(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"package 'onnx'.*pip install 'recycle\[export\]'"):
        export(model, tmp_path / "night.onnx", to="night")
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_it_does_and_can_be_stopped(model: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    def observe(event: object) -> None:
        if isinstance(event, Progress) and event.what not in seen:
            seen.append(event.what)
            if event.what == "tracing the network":
                job.cancel()

    job = Job(observe)
    with pytest.raises(Interrupted):
        export(model, tmp_path / "night.pt2", to="night", job=job)
    assert seen == ["loading the model", "tracing the network"]
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_only_its_own_lines(printed: list[str]) -> None:
    *progress, compared, wrote = printed
    sizes = r"1×3×32×57: \d+ dB, 2×3×23×18: \d+ dB, 3×3×37×54: \d+ dB"
    assert re.fullmatch(f"compared with the model: {sizes}", compared)
    assert re.fullmatch(r"wrote \S+night\.onnx: frames \[-1, 1\].*, sizes any; padded .* multiples of 4.*", wrote)
    known = r"(loading the model|tracing the network|comparing the file with the model) …|comparing .*3/3 sizes.*"
    assert all(re.fullmatch(known, line) for line in progress), progress


def test_the_example_of_the_guide_runs_without_recycle_and_torch(model: Path, night: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(import cv2.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.splitlines()) <= 20
    (tmp_path / "night.onnx").write_bytes(night.read_bytes())
    picture = cv2.resize(np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8), (43, 32))
    cv2.imwrite(str(tmp_path / "day.png"), picture)
    code += "\nimport json, sys; print(json.dumps(sorted({'recycle', 'torch'} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    given = cv2.imread(str(tmp_path / "night.png"))
    assert given is not None
    translator = Translator.from_pretrained(model, device="cpu", precision="fp32")
    expected = translator(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), to="night")
    difference = np.abs(given.astype(int) - cv2.cvtColor(expected, cv2.COLOR_RGB2BGR).astype(int))
    assert difference.max() <= 1
