"""Writes a generator as an ONNX file, and runs such a file. Needs the extra recycle[export]."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recycle.errors import ConfigError

OPSET = 18
"""Version of ONNX's operators: ONNX Runtime 1.14, OpenVINO 2023 and TensorRT 10 read it, and later ones."""
INPUT, OUTPUT = "frames", "translated"
"""Names of the input and the output, (batch, 3, height, width) float32."""
_PADDED, _WHOLE = "padded_frames", "padded_translated"

_SIDE = """
{x}_side = Shape <start = {axis}, end = {end}> ({given})
{x}_one = Constant <value_ints = [1]> ()
{x}_zero = Constant <value_ints = [0]> ()
{x}_last = Sub ({x}_side, {x}_one)
{x}_least = Constant <value_ints = [{least}]> ()
{x}_more = Constant <value_ints = [{more}]> ()
{x}_multiple = Constant <value_ints = [{multiple}]> ()
{x}_wanted = Max ({x}_side, {x}_least)
{x}_upper = Add ({x}_wanted, {x}_more)
{x}_steps = Div ({x}_upper, {x}_multiple)
{x}_padded = Mul ({x}_steps, {x}_multiple)
{x}_axis = Constant <value_ints = [0]> ()
{x}_from = Squeeze ({x}_zero, {x}_axis)
{x}_to = Squeeze ({x}_padded, {x}_axis)
{x}_by = Squeeze ({x}_one, {x}_axis)
{x}_numbers = Range ({x}_from, {x}_to, {x}_by)
{x}_repeated = Min ({x}_numbers, {x}_last)
"""
"""The padded length of a side, and the indices that repeat its last row or column."""
_REPEAT = """
{x}_index = Identity ({x}_repeated)
"""
_REFLECT = """
{x}_beyond = Sub ({x}_numbers, {x}_last)
{x}_before = Sub ({x}_last, {x}_numbers)
{x}_distance = Max ({x}_beyond, {x}_before)
{x}_mirrored = Sub ({x}_last, {x}_distance)
{x}_lowest = ReduceMin <keepdims = 1> ({x}_mirrored)
{x}_short = Less ({x}_lowest, {x}_zero)
{x}_index = Where ({x}_short, {x}_repeated, {x}_mirrored)
"""
"""Padding, as in `recycle.networks.generator.pad`: a side too short for reflection repeats its last row or
column. It avoids Abs: with a fixed size, OpenVINO 2026.4 computes Abs in advance, and leaves integers negative."""
_PAD = """
{x}_result = Gather <axis = {axis}> ({given}, {x}_index)
"""
_CROP = """
{x}_crop_axis = Constant <value_ints = [{axis}]> ()
{result} = Slice ({given}, {x}_zero, {x}_side, {x}_crop_axis)
"""


def to_onnx(
    program: torch.export.ExportedProgram,
    file: Path,
    *,
    multiple: int,
    least: int,
    reflect: bool,
    about: Mapping[str, str],
) -> None:
    """Write `program` to `file`, as one ONNX graph that takes frames of any number, height and width.

    `program` maps float32 (B, 3, H, W) to float32 of this shape, for sides that are multiples of `multiple` and at
    least `least`. The graph pads other frames at the right and bottom, by reflection or by repeating the edge, and
    crops the result. `about` becomes the file's metadata. Raises ConfigError if the extra is not installed, OSError if
    the file cannot be written, and any exception of torch's exporter.
    """
    onnx = _import("onnx")
    _import("onnxscript")
    with quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[_PADDED],
            output_names=[_WHOLE],
            opset_version=OPSET,
            verbose=False,
        )
    assert exported is not None
    model = exported.model_proto
    _accept_any_size(onnx, model.graph, multiple=multiple, least=least, reflect=reflect)
    model.producer_name = "recycle"
    model.producer_version = about["recycle_version"]
    model.doc_string = about["description"]
    onnx.helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model)
    onnx.save(model, file)


def open_onnx(file: Path) -> Callable[[Tensor], Tensor]:
    """The ONNX file as a function of float32 (B, 3, H, W), by ONNX Runtime on the CPU.

    Raises ConfigError if the extra is not installed, and the exceptions of ONNX Runtime.
    """
    runtime = _import("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda frames: torch.from_numpy(session.run([OUTPUT], {INPUT: frames.contiguous().numpy()})[0])


@contextmanager
def quiet() -> Iterator[None]:
    """Discard what exporters print, log and warn about: their findings concern their own code."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _accept_any_size(onnx: Any, graph: Any, *, multiple: int, least: int, reflect: bool) -> None:
    """Surround the graph with nodes that pad its input and crop its output."""
    before, after, given, result = "", "", INPUT, _WHOLE
    for x, axis in (("height", 2), ("width", 3)):
        names = {"x": x, "axis": axis, "end": axis + 1, "least": least, "multiple": multiple, "more": multiple - 1}
        before += (_SIDE + (_REFLECT if reflect else _REPEAT) + _PAD).format(given=given, **names)
        after += _CROP.format(given=result, result=f"{x}_cropped", **names)
        given, result = f"{x}_result", f"{x}_cropped"
    before += f"{_PADDED} = Identity ({given})\n"
    after += f"{OUTPUT} = Identity ({result})\n"
    own = list(graph.node)
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    for text, nodes in ((before, own), (after, [])):
        graph.node.extend(onnx.parser.parse_node(line) for line in text.splitlines() if line)
        graph.node.extend(nodes)
    for name, place in ((INPUT, graph.input), (OUTPUT, graph.output)):
        shape = ("batch", 3, "height", "width")
        place.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))


def _import(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"ONNX files need the package '{name}', which is not installed; run: pip install 'recycle[export]'"
        ) from error
