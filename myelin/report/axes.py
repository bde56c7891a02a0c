"""Axes and colours that all pictures of a run share, so that its images can be compared."""

import math
from dataclasses import dataclass

import numpy as np

# Axes end at this percentile of all fibers if the largest value is more than `FAR` times it: a
# single wrong fiber, such as a vessel, would otherwise squeeze all others together.
LARGEST_SHOWN_PERCENT = 99.5
FAR = 1.5
MIN_BINS = (5, 10)  # up to the 95th percentile, with few and with many fibers an image
G_PERCENT = (1, 99)  # ends of the colours
G_STEP = 0.05
G_DEFAULT = (0.3, 0.9)  # without fibers
NERVE_RGB = (255, 90, 30)  # line around a found nerve


@dataclass
class Bins:
    """Bin edges of a histogram, from 0, and the height of its tallest bar."""

    edges: np.ndarray
    tallest: int

    @property
    def end(self) -> float:
        """Upper edge of the last bin."""
        return float(self.edges[-1])

    def fit(self, images: list[np.ndarray]) -> None:
        """Set `tallest` for the values of several images."""
        counts = [np.histogram(values, self.edges)[0].max() for values in images]
        self.tallest = max(1, *map(int, counts))


@dataclass(frozen=True)
class ColourRange:
    """g-ratios at the ends of the colours, and whether any fiber lies below or above them."""

    low: float
    high: float
    below: bool = False
    above: bool = False


def round_below(value: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above a value."""
    value *= 1 + 1e-9  # a logarithm may round up to the next power of ten
    power = 10.0 ** np.floor(np.log10(value))
    return max(step * power for step in (1, 2, 5) if step * power <= value)


def choose_bins(images: list[np.ndarray]) -> Bins:
    """Return bins with round edges that suit one measure in all images.

    Parameters
    ----------
    images : list of array, (n,)
        Values of each image, 0 or more.
    """
    values = np.concatenate(images)
    if not len(values) or values.max() <= 0:
        return Bins(np.linspace(0, 1, 11), 1)
    end = values.max()
    usual = np.percentile(values, LARGEST_SHOWN_PERCENT)
    if end > FAR * usual > 0:
        end = usual
    fewest = np.clip(math.sqrt(len(values) / len(images)), *MIN_BINS)
    step = round_below(np.percentile(values, 95) / fewest)
    count = math.ceil(end / step - 1e-6)
    edges = np.round(np.arange(count + 1) * step, 12)
    bins = Bins(edges, 1)
    bins.fit(images)
    return bins


def choose_colours(images: list[np.ndarray]) -> ColourRange:
    """Return the range of colours for the g-ratios of all images.

    It goes from the 1st to the 99th percentile, rounded outwards to 0.05.
    """
    ratios = np.concatenate(images) if images else np.empty(0)
    ratios = ratios[np.isfinite(ratios)]
    if not len(ratios):
        return ColourRange(*G_DEFAULT)
    low, high = np.percentile(ratios, G_PERCENT) / G_STEP
    low = max(math.floor(low + 1e-6), 0)
    high = max(math.ceil(high - 1e-6), low + 2)
    low, high = round(low * G_STEP, 2), round(high * G_STEP, 2)
    return ColourRange(low, high, bool((ratios < low).any()), bool((ratios > high).any()))


def background(shown: np.ndarray) -> np.ndarray:
    """Return an image as it is, or a bool mask in two greys, uint8 (rows, cols)."""
    return np.where(shown, np.uint8(200), np.uint8(40)) if shown.dtype == bool else shown
