"""What a user may set for all images of a run of `find_myelin.py`, and what is decided of each."""

import dataclasses
from pathlib import Path

from myelin.folders.naming import PREDS
from myelin.runtime.cli import quote


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user may set for all images of a run.

    Attributes
    ----------
    myelin : "auto", "bright" or "dark"
    scale : float or None
        Magnification for the network; None finds it.
    pixel_size_um : float or None
        µm per pixel, for the tables; else each image's own, where it says so.
    threshold : float or None
        Probability from which a pixel is myelin; else the model's.
    engine, precision : str
        See `engine.open_engine`.
    force : bool
        Whether masks corrected by hand are replaced, after a copy.
    out : Path
        Where results go.
    resume : bool
        Whether a run that was stopped there is gone on with.
    workers : int
        How many processes segment; 1 is this one.
    dask : str or None
        The address of the scheduler of a Dask cluster whose workers segment instead.
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

    def shared(self):
        """Return what all parts of a run must share, for `run.json`."""
        return {name: getattr(self, name) for name in ("myelin", "scale", "pixel_size_um")}

    def pixel_size(self, packed_um):
        """Return µm per pixel of an image, or None, and its source."""
        if self.pixel_size_um is not None:
            return self.pixel_size_um, "--pixel-size"
        return packed_um, "unknown" if packed_um is None else "the image's metadata"


DEFAULTS = Options()


def described(choice, settings, model, options, read=()):
    """Return what was decided for an image, for run.json.

    `read` are the words of a call that read this image alone, where it is not packed.
    """
    return {
        "myelin": "dark" if choice.dark else settings.myelin,
        "network_scale": choice.scale,
        "scale_group": choice.group,
        "fiber_score": choice.score and round(choice.score, 3),
        "has_fibers": choice.has_fibers,
        "doubtful": choice.doubtful,
        "repeat": repeating_call(choice, settings, model, options, read),
    }


def repeating_call(choice, settings, model, options, read):
    """Return the call that gives an image the same mask, whatever else is in the folder."""
    words = ["python", "find_myelin.py", model, *read]
    if settings.frame == "native" and choice.has_fibers:
        words += ["--myelin", "dark" if choice.dark else "bright", "--scale", f"{choice.scale:g}"]
    elif choice.dark:
        words += ["--myelin", "dark"]
    for option in ("threshold", "engine", "precision"):
        value = getattr(options, option)
        if value not in (None, "auto"):
            words += [f"--{option}", value]
    return quote(words)
