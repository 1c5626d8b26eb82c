"""Reads a single image as a video of one frame, and the images of a pattern such as `frame_%05d.png` as a video."""

from pathlib import Path

from recycle.errors import FootageError
from recycle.system.entries import refuse_special
from recycle.video.image_file import DamagedImage, read_image
from recycle.video.images import ImageFolderReader
from recycle.video.numbered import IMAGE_SUFFIXES, images_at, is_pattern
from recycle.video.sniff import IMAGE, sniff


class PatternReader(ImageFolderReader):
    """Reads the images whose names match a pattern, in numeric order."""

    kind = "pattern of images"

    def _list(self) -> list[Path]:
        try:
            files = images_at(self.path)
        except OSError as error:
            raise FootageError(f"cannot read {self.path}: {error.strerror}") from error
        if not files:
            raise FootageError(f"{self.path}: no image has such a name; %05d stands for a number of five digits")
        return files

    @classmethod
    def takes(cls, path: Path) -> bool:
        """Whether the name is a pattern, and not the name of a file."""
        return is_pattern(path)


class ImageReader(ImageFolderReader):
    """Reads one image. Its only frame has the timestamp 0."""

    kind = "image"
    still = True

    def _list(self) -> list[Path]:
        refuse_special(self.path)
        try:
            read_image(self.path, max_pixels=self.reading.max_pixels)
        except DamagedImage as error:
            raise FootageError(str(error)) from error
        return [self.path]

    @classmethod
    def takes(cls, path: Path) -> bool:
        """Whether `path` is a file with the suffix and the first bytes of an image that is not animated."""
        try:
            return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and sniff(path) == IMAGE
        except OSError:
            return False
