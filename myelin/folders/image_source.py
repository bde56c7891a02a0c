"""The images of a run behind one interface, whether packed into arrays or read from their files."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from myelin.folders.stack import Stack
from myelin.images.image import read_image, read_record
from myelin.images.plane_selection import take_text


@dataclass(frozen=True)
class SourceImage:
    """One image to segment; can be sent to another process.

    Attributes
    ----------
    name : str
        The image's id.
    path : Path
        The image file, or the packed array.
    shape : (int, int)
        Rows and columns.
    pixel_size_um : float or None
    sha256 : str
        The `pixel_hash` of the image.
    take : dict of str to int
        Which image of a file that holds several.
    frame : int or None
        Place in the packed array.
    grey_limits : (float, float) or None
        The values that became 0 and 255, see `image.grey_limits`; None for an 8-bit image.
    """

    name: str
    path: Path
    shape: tuple[int, int]
    pixel_size_um: float | None
    sha256: str
    take: dict = field(default_factory=dict)
    frame: int | None = None
    grey_limits: tuple[float, float] | None = None

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
    """The images of a run: a sequence of uint8 arrays, each read when it is asked for.

    Attributes
    ----------
    images : list of SourceImage
    origin : dict
        Entries of `run.json` about where the images are: "source", "take", perhaps "given".
    failed : list of str
        An error message for each image that cannot be read.
    packed_shape : (int, int, int) or None
        Shape of the packed array, and so of the array for probabilities.
    """

    images: list[SourceImage]
    origin: dict
    failed: list[str] = field(default_factory=list)
    packed_shape: tuple[int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.images[index].read()

    @property
    def names(self) -> list[str]:
        """The ids of the images."""
        return [image.name for image in self.images]
