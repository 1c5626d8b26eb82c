"""Words that the command line and the settings share: the values that an option may have. It needs no other package."""

from typing import Literal

Appearance = Literal["day", "sunset", "rain", "snow", "night", "thermal", "labels"]
"""Appearances of the procedural street."""
Codec = Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"]
"""Codecs of written video; `recycle.video.codecs` has a row for each."""
Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""Number formats in which networks compute."""
TranslatePrecision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
"""Number formats in which networks translate."""
ExportFormat = Literal["onnx", "torch-export"]
"""Formats of files that hold a generator for other runtimes."""
ExportPrecision = Literal["fp32", "fp16"]
"""Number formats of the weights of an exported generator."""
TrackerName = Literal["trackio", "wandb", "mlflow"]
"""Programs that show the curves of runs, in addition to TensorBoard."""
