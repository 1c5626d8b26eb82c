"""How video is translated and written."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recycle.config.base import MAX_PIXELS, Codec, MaxPixels, Precision, Rate, Settings, Word
from recycle.config.encoder_options import check_options


class EncodeSettings(Settings):
    """How video is written."""

    codec: Codec = "h264"
    """'h264' plays everywhere; 'hevc', 'av1' and 'vp9' are smaller; 'prores' is for editing; 'ffv1' is lossless."""
    crf: int | None = Field(None, ge=0, le=63)
    """Constant quality: 0 is the best. None: the codec's default, which looks like the source."""
    bitrate: int | None = Field(None, ge=1000, le=2_000_000_000)
    """Bits per second instead of constant quality."""
    preset: Word | None = None
    """Speed against size, as the encoder names it: 'ultrafast' to 'veryslow', or a number for av1 and vp9."""
    depth: Literal[8, 10] = 8
    """Bits per sample. 10 keeps the levels of a source that has them; few players take 10-bit H.264."""
    pixel_format: Word | None = None
    """FFmpeg's name, such as 'yuv444p'. None: what plays everywhere (4:2:0 where the codec has it)."""
    alpha: Literal["drop", "keep"] = "drop"
    """'keep': a source with an alpha channel keeps its transparency; for 'prores', 'ffv1' and 'vp9'. 'drop': the
    colours beneath are shown."""
    options: dict[str, str] = Field({}, max_length=50)
    """Further options of the encoder, as FFmpeg names them; which ones: recycle.config.encoder_options."""
    hardware: bool = False
    """Decode and encode on the GPU (NVDEC, NVENC) where that really works; faster, and larger files of the same
    quality."""

    def encoding(self) -> dict[str, object]:
        """The settings of this group alone: all that an encoded stream depends on beside its frames."""
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
        if self.alpha == "keep" and self.codec not in ("prores", "ffv1", "vp9"):
            raise ValueError(
                f"'alpha' cannot be kept by the codec {self.codec}: choose 'prores' (.mov, .mkv), 'ffv1' (.mkv, .mov) "
                "or 'vp9' (.webm, .mkv)"
            )
        return self


class TranslateSettings(EncodeSettings):
    """How a bundle is applied to video."""

    scale: Literal["trained", "source"] | Annotated[int, Field(ge=16, le=16384)] = "trained"
    """Short side in pixels at which the network runs: as in training, as in the source, or a number.
    The output always has the source's size."""
    timestamps: Literal["zero", "source"] = "zero"
    """'zero': a source whose clock starts at 10 s or later, such as a broadcast, is moved to start at 0, all streams
    together. 'source': every timestamp stays. Starts below 10 s stay in either case."""
    smoothing: bool = False
    """The paper's y_t = ½ (G(x_t) + P(G(x_{t−2}), G(x_{t−1}))), restarted at every cut."""
    stabilise: float = Field(0.0, ge=0, le=1)
    """Strength against flicker: where the source did not change along its optical flow, the last outputs, carried along
    it, are averaged in; the one k frames ago counts stabilise^k. 0: not at all; 1: as much as the present one."""
    batch_size: int | None = Field(None, ge=1, le=4096)
    """Frames that the networks work on at once. None: 8 on a GPU; on a CPU as many as keep all cores busy and fit into
    memory."""
    fps: Rate | None = None
    """Frames per second of raw streams (such as .h264) and folders of images, which have no timestamps. None: as the
    stream states, else 25. Files with timestamps keep these."""
    max_pixels: MaxPixels = MAX_PIXELS
    """Pixels of the largest picture that is read, in video and images."""
    device: Word = "auto"
    precision: Precision = "auto"

    def record(self) -> dict[str, object]:
        """All that a translation may depend on beside its source and its model."""
        later = {
            name for name in ("fps", "stabilise") if not getattr(self, name)
        }  # finished work of before them counts
        return self.model_dump(mode="json", exclude={"max_pixels", *later})
