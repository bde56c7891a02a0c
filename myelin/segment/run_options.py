"""The options of a run of `find_myelin.py`."""

import dataclasses
from pathlib import Path

from myelin.folders.naming import PREDS

GIVEN = ("myelin", "scale", "pixel_size_um", "engine", "precision")


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user may set for all images of a run.

    Attributes
    ----------
    myelin : "auto", "bright" or "dark"
    scale : float or None
        Magnification for the network; None finds it.
    pixel_size_um : float or None
        µm per pixel, for the tables; None takes it from each image's metadata.
    threshold : float or None
        Probability from which a pixel is myelin; None takes the model's.
    engine, precision : str
        See `engine.open_engine`.
    force : bool
        Whether masks edited by the user are replaced, after a copy.
    out : Path
        Folder of the outputs.
    resume : bool
        Whether images that the same run has finished are skipped.
    workers : int
        Number of processes that segment; 1 is this one.
    dask : str or None
        Address of the scheduler of a Dask cluster that segments instead.
    """

    myelin: str = "auto"
    scale: float | None = None
    pixel_size_um: float | None = None
    threshold: float | None = None
    engine: str = "auto"
    precision: str = "auto"
    force: bool = False
    out: Path = PREDS
    resume: bool = False
    workers: int = 1
    dask: str | None = None

    def given(self) -> dict:
        """Return the options that were given and shape a mask or its record, beside threshold."""
        return without_defaults({name: getattr(self, name) for name in GIVEN})

    def pixel_size(self, own_um: float | None) -> tuple[float | None, str]:
        """Return µm per pixel of an image and its source, from what its metadata say."""
        if self.pixel_size_um is not None:
            return self.pixel_size_um, "--pixel-size"
        return own_um, "unknown" if own_um is None else "the image's metadata"


def without_defaults(options: object) -> dict:
    """Return the options that are not "auto" or None; version 1.0.0 recorded those too."""
    options = options if isinstance(options, dict) else {}
    return {name: value for name, value in options.items() if value not in ("auto", None)}


DEFAULTS = Options()
