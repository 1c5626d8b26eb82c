"""Settings of translation and encoding."""

from typing import Annotated, Literal, Self

from pydantic import Field, PlainValidator, TypeAdapter, WithJsonSchema, model_validator

from recycle.config.base import MAX_PIXELS, Codec, MaxPixels, Place, Rate, Settings, TranslatePrecision, Word
from recycle.config.encoder_options import check_options, keeps_alpha, known_codec

_LATER = {
    "fps": None,
    "detail": 0.0,
    "stabilise": 0.0,
    "strength": 1.0,
    "keep_colour": False,
    "mask": None,
    "feather": None,
    "provenance": "on",
}
"""Settings that were added later → the value that earlier versions had, which is not recorded."""


class EncodeSettings(Settings):
    """How video is written."""

    codec: Annotated[Codec, PlainValidator(known_codec), WithJsonSchema(TypeAdapter(Codec).json_schema())] = "h264"
    """'h264' plays everywhere. 'hevc', 'av1' and 'vp9' give smaller files. 'prores' is for editing. 'ffv1' is
    lossless."""
    crf: int | None = Field(None, ge=0, le=63)
    """Constant quality; 0 is the best. None: the codec's default, at which the output looks like the source."""
    bitrate: int | None = Field(None, ge=1000, le=2_000_000_000)
    """Bits per second, in place of constant quality."""
    preset: Word | None = None
    """Trade speed for file size, in the encoder's terms: 'ultrafast' to 'veryslow', or a number for av1 and vp9. None:
    for H.264 and HEVC faster than 'medium', with files up to an eighth larger at the same PSNR."""
    depth: Literal[8, 10] = 8
    """Bits per sample. 10 keeps the levels of a 10-bit source. Few players play 10-bit H.264."""
    pixel_format: Word | None = None
    """FFmpeg's name of the pixel format, such as 'yuv444p'. None: the one that most players support (4:2:0 if the codec
    has it)."""
    alpha: Literal["drop", "keep"] = "drop"
    """'keep' preserves transparency, with the codecs 'prores', 'ffv1' and 'vp9'. 'drop' shows the colours beneath."""
    options: dict[str, str] = Field({}, max_length=50)
    """Further options of the encoder, by their names in FFmpeg. Options that read or write files are not allowed."""
    hardware: bool = False
    """Decode and encode on the GPU (NVDEC, NVENC) if a trial shows that it works. Faster; files of the same quality are
    larger."""

    def encoding(self) -> dict[str, object]:
        """The encoding settings only, on which an encoded stream depends beside its frames."""
        return self.model_dump(include=set(EncodeSettings.model_fields))

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        if self.crf is not None and self.bitrate is not None:
            raise ValueError("give 'crf' or 'bitrate', not both")
        return self

    @model_validator(mode="after")
    def _options_touch_no_file(self) -> Self:
        check_options(self.codec, self.options, hardware=self.hardware)
        return self

    @model_validator(mode="after")
    def _codec_holds_alpha(self) -> Self:
        if self.alpha == "keep" and not keeps_alpha(self.codec):
            raise ValueError(
                f"the codec {self.codec} cannot preserve transparency, but 'alpha' is 'keep'; "
                "choose 'prores' (.mov, .mkv), 'ffv1' (.mkv, .mp4) "
                "or 'vp9' (.webm, .mkv)"
            )
        return self


class TranslateSettings(EncodeSettings):
    """How video is translated and written. `recycle run` uses these settings for its test clips."""

    scale: Literal["trained", "source"] | Annotated[int, Field(ge=16, le=16384)] = "trained"
    """Short side in pixels at which the network runs: 'trained' (as in training), 'source' (as in the source), or a
    number. The output always has the size of the source."""
    timestamps: Literal["zero", "source"] = "zero"
    """'zero': if the clock of a source starts at 10 s or later, as in a broadcast recording, all streams are moved so
    that it starts at 0. 'source': every timestamp stays."""
    smoothing: bool = False
    """Average each frame with its prediction, as in the paper: y_t = ½ (G(x_t) + P(G(x_{t−2}), G(x_{t−1}))). It starts
    anew at every cut and needs a model with predictors."""
    stabilise: float = Field(0.0, ge=0, le=1)
    """Reduce flicker. Past outputs are carried along the optical flow of the source and averaged into the current one,
    where the source itself did not change; the output of k frames ago has the weight stabilise^k. 0: off."""
    detail: float = Field(1.0, ge=0, le=1)
    """Share of the source's fine detail that is added if the network runs at a smaller size than the source's. Only as
    much is added as the translation follows its source there. 0: off; enlarged translations are then soft."""
    strength: float = Field(1.0, ge=0, le=1)
    """Share of the translation in the result; the rest is the source. They are mixed in linear light. 1: only the
    translation; 0: only the source."""
    keep_colour: bool = False
    """Take only the lightness of the translation, and keep the colours of the source (L* and a*, b* of CIELAB)."""
    mask: Literal["motion"] | Place | None = None
    """What is translated: only the white part of a mask; the rest stays as it is in the source. A video, a folder of
    numbered images, or one image for all frames. For a folder of videos: a folder with masks of the same names.
    'motion': what moves before a fixed camera."""
    feather: int | None = Field(None, ge=0, le=1000)
    """Width in pixels of the soft edge, inside the mask. None: a hundredth of the short side of the frame."""
    batch_size: int | None = Field(None, ge=1, le=4096)
    """Frames that the network computes at once. None: 8 on a GPU; on a CPU as many as keep all cores busy and fit into
    memory."""
    provenance: Literal["on", "off"] = "on"
    """'on': the output states in its metadata that its picture was made by a model, which one, and by which version."""
    fps: Rate | None = None
    """Frames per second of raw streams (such as .h264) and folders of images, which have no timestamps. None: the rate
    that the stream states, otherwise 25. Files with timestamps keep theirs."""
    max_pixels: MaxPixels = MAX_PIXELS
    """Maximum number of pixels of a frame or image. Larger ones are refused."""
    device: Word = "auto"
    """'auto', 'cpu', 'cuda' or 'mps'."""
    precision: TranslatePrecision = "auto"
    """'auto': bf16 if the device computes it fast; else fp16 on a GPU that computes that fast; else fp32. 'int8': 8-bit
    integers on a CPU, for generators of the kinds 'resnet' and 'unet'; it needs the extra recycle[openvino]."""

    def record(self) -> dict[str, object]:
        """All settings on which a translation depends, as JSON."""
        # Earlier versions lacked these settings: their finished work stays valid.
        unset = {name for name, before in _LATER.items() if getattr(self, name) == before}
        return self.model_dump(mode="json", exclude={"max_pixels", *unset})

    def finish(self) -> dict[str, object]:
        """The settings of what is kept of the source, without defaults and without `mask`."""
        return self.model_dump(mode="json", include={"strength", "keep_colour", "feather"}, exclude_defaults=True)

    @model_validator(mode="after")
    def _feather_has_a_mask(self) -> Self:
        if self.feather is not None and self.mask is None:
            raise ValueError("'feather' is the edge of a mask, but there is no 'mask'")
        return self
