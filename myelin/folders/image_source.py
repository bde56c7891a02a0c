"""The images of a run behind one interface, whether packed into arrays or read from their files."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from myelin.folders.stack import Stack
from myelin.images.image import read_image, read_record
from myelin.images.plane_selection import take_text


@dataclass(frozen=True)
class SourceImage:
    """One image to segment; can be sent to another process."""

    name: str  # the image's id
    path: Path  # the image file, or the packed array
    shape: tuple[int, int]  # rows and columns
    pixel_size_um: float | None
    sha256: str  # the `pixel_hash` of the image
    take: dict = field(default_factory=dict)  # which image of a file that holds several
    frame: int | None = None  # place in the packed array

    def read(self) -> np.ndarray:
        """Return the image, uint8 (rows, cols)."""
        if self.frame is None:
            return read_image(read_record(self.path, self.take))
        rows, cols = self.shape
        return np.array(Stack(self.path).mapped(self.frame)[:rows, :cols])

    def options(self) -> list[str]:
        """Return the options of a command that reads this image alone; empty if it is packed."""
        if self.frame is not None:
            return []
        take = ["--take", take_text(self.take)] if self.take else []
        return ["--images", str(self.path), *take]


@dataclass
class ImageSource:
    """The images of a run: a sequence of uint8 arrays, each read when it is asked for."""

    images: list[SourceImage]
    # Entries of `run.json` about where the images are: "source", "take", perhaps "given"
    origin: dict
    # An error message for each image that cannot be read
    failed: list[str] = field(default_factory=list)
    # Shape of the packed array, and so of the array for probabilities
    packed_shape: tuple[int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.images[index].read()

    @property
    def names(self) -> list[str]:
        """The ids of the images."""
        return [image.name for image in self.images]
