"""What the windows of one image say of its polarity and scale.

The image is shown to the view (`myelin/network/view.py`) in windows at several magnifications, each
window as it is and inverted. A window whose fibers look twice as wide as `FIBER_PX` votes for half
its magnification. The weight of a vote is P^2 / b^2 * exp(-(answer / NEAR)^2): P is the probability
of fibers, b the error that the view expects, and the last factor leaves windows at nearly the right
magnification. The scale of the image is the weighted median of the votes, its polarity their
weighted mean.
"""

import dataclasses

import cv2
import numpy as np

from myelin.network.view import SIDE, KerasView, OpenVinoView

SCALES = 2.0 ** np.linspace(-5, 2.26, 14)  # magnifications of windows, 1/32 to 4.8
COARSE = slice(0, None, 2)  # magnifications tried in every image
COARSE_WINDOWS, FINE_WINDOWS = 2, 4  # of a magnification
FINE = 3  # magnifications around the coarse result that are tried too
NEAR = 0.5  # octaves
# Least probability of fibers: weighted mean of the windows, or median where all of them show some.
FIBERS, FIBERS_MEDIAN = 0.875, 0.5
PERHAPS = 0.35  # weighted mean from which an image may have fibers if others of the run do
PERHAPS_IN_SMALL = 0.2  # weighted mean from which an image smaller than a window has fibers
AGREEING = np.log2(1.5)  # octaves; votes nearer to a scale agree with it
SPREAD = (-3.5, 3.0)  # log of the error that the view can expect
PLACES = 4  # per axis, from which windows are chosen
OVERVIEW = 800  # px, largest side of the image in which detail is looked for
EDGE = 40  # grey levels; larger steps between pixels are margins or letters, not tissue


@dataclasses.dataclass
class Votes:
    """The votes of one image's windows.

    Attributes
    ----------
    octaves : float array, (n,)
        log2 of the scale that each votes for.
    weights : float array, (n,)
    dark : float array, (n,)
        Probability that myelin is dark.
    fibers : float array, (n,)
        Probability that there are fibers.
    small : bool
        Whether the image is smaller than a window, which shows little of any fiber.
    """

    octaves: np.ndarray
    weights: np.ndarray
    dark: np.ndarray
    fibers: np.ndarray
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
    def has_fibers(self) -> bool:
        """Whether the windows show fibers."""
        if self.small:
            return self.probability > PERHAPS_IN_SMALL
        return self.probability > FIBERS or bool(np.median(self.fibers) > FIBERS_MEDIAN)

    @property
    def may_have_fibers(self) -> bool:
        """Whether there are fibers if other images of the run have such."""
        return self.probability > PERHAPS and self.weights.sum() > 1

    @property
    def probability(self) -> float:
        """Weighted mean of the probability of fibers."""
        return float(np.average(self.fibers, weights=self.weights))

    def agreement(self, octave: float) -> float:
        """Return the share of the votes that agree with a scale, 0 to 1."""
        near = np.abs(self.octaves - octave) < AGREEING
        return float(self.weights[near].sum() / self.weights.sum())


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the value at which half of the weight is reached."""
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(sums, sums[-1] / 2)])


def count_votes(scales: np.ndarray, answers: np.ndarray) -> Votes:
    """Return the votes of windows.

    Parameters
    ----------
    scales : float array, (n,)
        Magnification of each window.
    answers : float32 array, (n, 4) or (2 n, 4)
        Answers of the view to the windows, then to the inverted windows.
    """
    fibers, dark, width, spread = answers.T.astype(float)
    dark[len(scales) :] *= -1
    fibers, dark = (1 / (1 + np.exp(-np.clip(logit, -30, 30))) for logit in (fibers, dark))
    error = np.exp(np.clip(spread, *SPREAD))
    near = np.exp(-((width / NEAR) ** 2)) + 1e-9  # never all 0
    scales = np.tile(scales, len(answers) // len(scales))
    return Votes(np.log2(scales) - width, (fibers / error) ** 2 * near, dark, fibers)


def vote(view: OpenVinoView | KerasView, image: np.ndarray) -> Votes:
    """Show an image to the view, coarse to fine, and return the votes.

    Parameters
    ----------
    view : view.OpenVinoView or view.KerasView
    image : uint8 array, (rows, cols)
    """
    pyramid = Pyramid(image)

    def ask(scales: np.ndarray, count: int, inverted: bool) -> Votes:
        shown = [pyramid.windows(scale, count) for scale in scales]
        windows = np.concatenate(shown)
        scales = np.repeat(scales, [len(part) for part in shown])
        if inverted:
            windows = np.concatenate([windows, 255 - windows])
        return count_votes(scales, view.answer(windows))

    coarse = ask(SCALES[COARSE], COARSE_WINDOWS, inverted=False)
    nearest = np.argsort(np.abs(np.log2(SCALES) - coarse.octave))[:FINE]
    fine = ask(SCALES[nearest], FINE_WINDOWS, inverted=True)
    both = zip(dataclasses.astuple(coarse)[:4], dataclasses.astuple(fine)[:4], strict=True)
    return Votes(*map(np.concatenate, both), small=min(image.shape) < SIDE)


class Pyramid:
    """One image at full size, half, a quarter and so on, to cut windows at any magnification.

    Parameters
    ----------
    image : uint8 array, (rows, cols)
    """

    def __init__(self, image: np.ndarray) -> None:
        self.levels = [image]
        while min(self.levels[-1].shape) >= SIDE:
            rows, cols = self.levels[-1].shape
            size = (cols // 2, rows // 2)
            self.levels.append(cv2.resize(self.levels[-1], size, interpolation=cv2.INTER_AREA))
        small = next((one for one in self.levels if max(one.shape) <= OVERVIEW), self.levels[-1])
        steps = np.abs(np.diff(small.astype(np.int16), axis=1, append=small[:, -1:]))
        self.detail = cv2.integral(np.where(steps < EDGE, steps, 0).astype(np.uint8))

    def windows(self, scale: float, count: int) -> np.ndarray:
        """Return up to `count` windows at a magnification, uint8 (n, SIDE, SIDE).

        Those with most detail of PLACES x PLACES; an image too small for a window is mirrored.
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
        return np.stack(
            [
                fitted(image[y : y + sides[0], x : x + sides[1]], scale)
                for y, x in (corners[place] for place in np.argsort(-detail, kind="stable")[:count])
            ]
        )


def fitted(part: np.ndarray, scale: float) -> np.ndarray:
    """Return a part of an image at a magnification, mirrored up to (SIDE, SIDE)."""
    size = [min(max(round(length * scale), 1), SIDE) for length in part.shape[::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shown = cv2.resize(part, size, interpolation=how)
    margins = [(0, SIDE - length) for length in shown.shape]
    return np.pad(shown, margins, mode="symmetric")
