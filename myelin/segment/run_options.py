"""The options of a run of `find_myelin.py`."""

import dataclasses
from pathlib import Path

from myelin.folders.fields import FieldSampling
from myelin.folders.naming import PREDS

GIVEN = ("myelin", "scale", "pixel_size_um", "engine", "precision")


@dataclasses.dataclass(frozen=True)
class Options:
    """The arguments of `find_myelin.py`, which describes each in its help.

    Attributes
    ----------
    model : Path
    images : list of str or None
        What to segment; None is `raw/test`, packed.
    take : dict of str to int or None
        Which image of files that hold several, as from `plane_selection.parse_take`.
    fields : FieldSampling or None
        Segment fields of the images instead of the images.
    scale : float or None
        Magnification for the network; None finds it.
    pixel_size_um : float or None
        None takes it from each image's metadata.
    threshold : float or None
        Probability from which a pixel is myelin; None takes the model's.
    """

    model: Path
    images: list[str] | None = None
    take: dict[str, int] | None = None
    fields: FieldSampling | None = None
    strict: bool = False
    out: Path = PREDS
    myelin: str = "auto"
    scale: float | None = None
    pixel_size_um: float | None = None
    threshold: float | None = None
    engine: str = "auto"
    precision: str = "auto"
    resume: bool = False
    force: bool = False
    workers: int = 1
    dask: str | None = None

    def given(self) -> dict:
        """Return the given options that affect a mask or its record, except the threshold."""
        given = {name: getattr(self, name) for name in GIVEN}
        given["fields"] = self.fields and str(self.fields)
        return {name: value for name, value in given.items() if value not in ("auto", None)}

    def pixel_size(self, own_um: float | None) -> tuple[float | None, str]:
        """Return µm per pixel of an image and its source, from its metadata."""
        if self.pixel_size_um is not None:
            return self.pixel_size_um, "--pixel-size"
        return own_um, "unknown" if own_um is None else "the image's metadata"
