"""Votes of the windows of one image for its polarity and scale.

The view (`myelin/network/view.py`) gets windows of the image at several magnifications, inverted at
every other one. A window whose fibers are twice as wide as `FIBER_PX` votes for half its
magnification. The weight of a vote is (P M^4 / b)^2 * exp(-(output / NEAR)^2): P is the probability
of fibers, M its mean over all windows of that magnification, b the expected error, and the last
factor favours windows at nearly the right magnification. M is low where only some windows seem to
show fibers, such as unmyelinated axons between them. The scale of the image is the weighted median
of the votes, its polarity their weighted mean.
"""

import dataclasses

import cv2
import numpy as np

from myelin.network.view import SIDE, KerasView, OpenVinoView

SCALES = 2.0 ** np.linspace(-5, 2.26, 14)  # magnifications of windows, 1/32 to 4.8
WINDOWS = 4  # largest number of windows per magnification
NEAR = 0.5  # octaves
NEAR_SCALES = (
    0.6  # octaves; windows within this distance of the scale tell whether there are fibers
)
MIN_FIBERS = 0.4  # their mean probability of fibers
# The same for small images, if all windows agree, and if other images of the run have fibers.
MIN_FIBERS_LENIENT = 0.2
UNANIMOUS = 0.9  # agreement on polarity and scale
AGREEING = np.log2(1.5)  # octaves; votes within this distance agree with a scale
MIN_AGREEMENT = 0.2  # share of the votes that is enough to take another image's scale
LOG_ERRORS = (-3.5, 3.0)  # limits of the log of the expected error
PLACES = 4  # positions per axis from which windows are chosen
OVERVIEW_PX = 800  # largest side of the reduced image in which detail is measured
MAX_STEP = 40  # grey levels; larger steps between pixels, as at margins, count as this
MIN_CONTRAST = 0.25  # standard deviation of a window relative to the largest at its magnification


@dataclasses.dataclass
class Votes:
    """Votes of the windows of one image.

    Attributes
    ----------
    octaves : float array, (n,)
        log2 of the scale that each window votes for.
    weights : float array, (n,)
    dark : float array, (n,)
        Probability that myelin is dark.
    fibers : float array, (n,)
        Probability that there are fibers.
    scales : float array, (n,)
        Magnification of each window.
    small : bool
        Whether the image is smaller than a window and so shows few whole fibers.
    """

    octaves: np.ndarray
    weights: np.ndarray
    dark: np.ndarray
    fibers: np.ndarray
    scales: np.ndarray
    small: bool = False

    @property
    def octave(self) -> float:
        """log2 of the scale of the image: the weighted median."""
        return weighted_median(self.octaves, self.weights)

    @property
    def polarity(self) -> float:
        """Weighted mean of the votes for a polarity, -1 (bright) to 1 (dark)."""
        return float(np.average(2 * self.dark - 1, weights=self.weights))

    @property
    def probability(self) -> float:
        """Mean probability of fibers in windows at about the scale of the image."""
        near = np.abs(np.log2(self.scales) - self.octave) < NEAR_SCALES
        return float(self.fibers[near].mean()) if near.any() else 0.0

    @property
    def has_fibers(self) -> bool:
        """Whether the image shows fibers."""
        unanimous = min(abs(self.polarity), self.agreement(self.octave)) > UNANIMOUS
        return self.probability > (MIN_FIBERS_LENIENT if self.small or unanimous else MIN_FIBERS)

    def agreement(self, octave: float) -> float:
        """Return the share of the votes, by weight, that agree with a scale."""
        near = np.abs(self.octaves - octave) < AGREEING
        return float(self.weights[near].sum() / self.weights.sum())

    def suits(self, octave: float, max_ratio: float) -> bool:
        """Return whether the own scale is near another, or enough votes agree with that."""
        return abs(self.octave - octave) <= max_ratio or self.agreement(octave) >= MIN_AGREEMENT


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the value at which half of the weight is reached."""
    order = np.argsort(values)
    sums = weights[order].cumsum()
    return float(values[order][sums.searchsorted(sums[-1] / 2)])


def count_votes(scales: np.ndarray, inverted: np.ndarray, outputs: np.ndarray) -> Votes:
    """Return the votes of windows.

    Parameters
    ----------
    scales : float array, (n,)
        Magnification of each window.
    inverted : bool array, (n,)
    outputs : float32 array, (n, 4)
        Outputs of the view.
    """
    fibers, dark, width, log_error = np.clip(outputs.T.astype(float), -30, 30)
    fibers, dark = (1 / (1 + np.exp(-logit)) for logit in (fibers, np.where(inverted, -dark, dark)))
    _, place, counts = np.unique(scales, return_inverse=True, return_counts=True)
    mean = (np.bincount(place, fibers) / counts)[place]
    error = np.exp(np.clip(log_error, *LOG_ERRORS))
    near = np.exp(-((width / NEAR) ** 2)) + 1e-9  # never 0 for all windows
    weights = (fibers * mean**4 / error) ** 2 * near
    return Votes(np.log2(scales) - width, weights, dark, fibers, scales)


def collect_votes(view: OpenVinoView | KerasView, image: np.ndarray) -> Votes:
    """Return the votes of an image, uint8 (rows, cols)."""
    pyramid = Pyramid(image)
    parts = [pyramid.windows(scale, WINDOWS) for scale in SCALES]
    for part in parts[1::2]:
        part[:] = 255 - part
    counts = [len(part) for part in parts]
    inverted = np.repeat(np.arange(len(SCALES)) % 2 == 1, counts)
    outputs = view.predict(np.concatenate(parts))
    votes = count_votes(np.repeat(SCALES, counts), inverted, outputs)
    return dataclasses.replace(votes, small=min(image.shape) < SIDE)


class Pyramid:
    """An image at full size, half, a quarter and so on, and where it shows detail."""

    def __init__(self, image: np.ndarray) -> None:
        self.levels = [image]
        while min(self.levels[-1].shape) >= SIDE:
            rows, cols = self.levels[-1].shape
            size = (cols // 2, rows // 2)
            self.levels.append(cv2.resize(self.levels[-1], size, interpolation=cv2.INTER_AREA))
        overview = next(
            (level for level in self.levels if max(level.shape) <= OVERVIEW_PX), self.levels[-1]
        )
        steps = np.abs(np.diff(overview.astype(np.int16), axis=1, append=overview[:, -1:]))
        self.detail = cv2.integral(np.minimum(steps, MAX_STEP).astype(np.uint8))

    def windows(self, scale: float, count: int) -> np.ndarray:
        """Return up to `count` windows at a magnification, uint8 (n, SIDE, SIDE).

        They are those with most detail of PLACES x PLACES, without nearly blank ones.
        """
        level = int(np.clip(np.floor(-np.log2(scale)), 0, len(self.levels) - 1))
        image, scale = self.levels[level], scale * 2**level
        sides = [min(max(round(SIDE / scale), 1), length) for length in image.shape]
        tops, lefts = (
            np.unique(np.linspace(0, length - side, PLACES).astype(int))
            for length, side in zip(image.shape, sides, strict=True)
        )
        ys, xs = (
            np.stack([starts, starts + side]) * (total - 1) // length
            for starts, side, total, length in zip(
                (tops, lefts), sides, self.detail.shape, image.shape, strict=True
            )
        )
        rows = np.diff(self.detail[ys], axis=0)[0]
        detail = (rows[:, xs[1]] - rows[:, xs[0]]).ravel()
        corners = [(y, x) for y in tops for x in lefts]
        best = np.argsort(-detail, kind="stable")[:count]
        windows = np.stack(
            [
                resized(image[y : y + sides[0], x : x + sides[1]], scale)
                for y, x in (corners[place] for place in best)
            ]
        )
        deviations = windows.std(axis=(1, 2))
        return windows[deviations >= MIN_CONTRAST * deviations.max()]


def resized(part: np.ndarray, scale: float) -> np.ndarray:
    """Return a part of an image at a magnification, mirrored to fill (SIDE, SIDE)."""
    size = [min(max(round(length * scale), 1), SIDE) for length in part.shape[::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    window = cv2.resize(part, size, interpolation=how)
    margins = [(0, SIDE - length) for length in window.shape]
    return np.pad(window, margins, mode="symmetric")
