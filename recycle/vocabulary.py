"""Words that the command line and the settings share: the values that an option may have. It needs no other package."""

from typing import Literal

Appearance = Literal["day", "sunset", "rain", "snow", "night", "thermal", "labels"]
"""Appearances of the procedural street."""
Codec = Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"]
"""Codecs of written video; `recycle.video.codecs` has a row for each."""
Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""Numbers with which networks compute."""
TranslatePrecision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
"""Numbers with which networks translate."""
ExportFormat = Literal["onnx", "torch-export"]
"""Files that hold a generator for other runtimes."""
ExportPrecision = Literal["fp32", "fp16"]
"""Numbers of the weights of an exported generator."""
TrackerName = Literal["trackio", "wandb", "mlflow"]
"""Programs that show the curves of runs, in addition to TensorBoard."""
