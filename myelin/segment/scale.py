"""Find the polarity and the scale at which the network recognises the fibers of one image.

What matters is the fiber width in network pixels, which the pixel size in µm does not predict:
axons are 0.3 µm wide in brain and 10 µm in nerve. At the trained width the network encloses round,
empty regions (axons) and is certain wherever it finds myelin. Smaller fibers make it uncertain,
larger ones make it break sheaths up. With the wrong polarity it fills the axons or takes gaps
between fibers for sheaths. A probe therefore scores small windows of an image in both polarities at
scales from 1/16 to 2, then at those next to the best. The fibers found at the best scale give the
preferred scale: the one that brings their median width to the trained width.
"""

import dataclasses
import functools

import cv2
import numpy as np

from myelin.measure.fiber_width import FIBER_PX, fiber_widths
from myelin.network import preprocessing
from myelin.network.engine import KerasEngine, OpenVinoEngine
from myelin.network.preprocessing import Preprocessing
from myelin.pixels.regions import round_holes
from unet import STRIDE

SCALES = 2.0 ** (np.arange(-9, 4) / 2)
COARSE_INDICES = range(1, len(SCALES), 2)  # scales 1/16 to 2, scored first
COARSE_WINDOW_PX = 128  # sides of windows, in network pixels
FINE_WINDOW_PX = 192  # for scales next to the best one
WIDE_WINDOW_PX = 288  # for measuring fibers
MAX_MEASURED_WINDOWS = 3  # a single window may lie among unusually large fibers
MIN_SIDE_PX = 48  # of an image at a scale; the network sees too little in smaller ones
# Mean axon width as a fraction of the trained fiber width: the range that scores full, and the
# standard deviation of the logarithm beyond it. These and the powers below were chosen on 24 images
# with a model that had not seen four of them, to give most images a suitable scale.
TYPICAL_AXON_WIDTHS = (0.6, 1.4)
LOG_WIDTH_SD = 0.5
SINGLE_AXON_SCORE = 0.5  # one axon; every further axon halves what is missing to 1
AREA_RATIO_POWER = 1 / 3
SCALE_POWER = 0.05  # prefers the larger of equal scales, since shrinking loses the smallest fibers
MIN_AXON_AREA_PX = 15
# Contrast of sheaths to what they enclose that scores full, in standard deviations. In 367 parts of
# 39 real images with the right polarity, 5 % have less than 1.9 and half have less than 2.2.
FULL_CONTRAST_SD = 2.0
MIN_CORE_DEPTH = 0.6  # of a core pixel, as a fraction of the region's greatest depth
MIN_REGION_DEPTH_PX = 2  # of a region that has a core
MIN_FIBER_SCORE = 0.3  # of an image with fibers: real ones reach 0.36, noise 0, blurred 0.34
MIN_RIVAL_SCORE = 0.4  # of the best score; from here on, both polarities are scored again
MIN_RECHECK_SCORE = 0.7  # of a polarity's best score; its scales from here on are scored again
MIN_PLATEAU_SCORE = 0.95  # of the best score; fibers are measured at the largest such scale
MAX_CORRECTION = 2.0  # of a scale by the measured widths, since a few windows can mislead


@dataclasses.dataclass
class ScaleScores:
    """The scores of one image.

    Attributes
    ----------
    scores : float array, (2, len(SCALES))
        Score of each scale, 0 to 1; row 0 is bright myelin, row 1 dark myelin.
    preferred_scale : float
        Scale that brings its fibers to the trained width.
    probed : bool
        False if the image is too small to be scored.
    """

    scores: np.ndarray
    preferred_scale: float
    probed: bool = True

    @property
    def dark(self) -> bool:
        """Whether the myelin is dark."""
        return bool(self.scores[1].max() > self.scores[0].max())

    @property
    def best(self) -> float:
        """The highest score of any scale and polarity."""
        return float(self.scores.max())

    def score_at(self, scale: float, dark: bool) -> float:
        """Return the score of a scale, interpolated between those of `SCALES`."""
        return float(np.interp(np.log(scale), np.log(SCALES), self.scores[int(dark)]))


class ScaleProbe:
    """Score scales and polarities of an image, uint8 (rows, cols), by what the network finds."""

    def __init__(
        self, engine: OpenVinoEngine | KerasEngine, settings: Preprocessing, image: np.ndarray
    ) -> None:
        self.engine = engine
        self.threshold = settings.threshold
        self.fiber_px = settings.fiber_px or FIBER_PX
        self.image = image
        self.texture = TextureMap(image)
        self.greys = functools.cache(
            lambda dark: preprocessing.network_greys(image, settings, dark)
        )

    def predict_windows(
        self, scale: float, dark: bool, side: int, count: int = 1
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the network's input and output for at most `count` windows of the image.

        Each is a pair of float32 (side, side), smaller at the image's edge: grey values with bright
        myelin, and the probability of myelin.
        """
        pairs = []
        for window in self.texture.windows(round(side / scale), count):
            part = preprocessing.replace_greys(self.image[window], self.greys(dark))
            part = preprocessing.magnify(part, scale)
            margins = [(0, -length % STRIDE) for length in part.shape]
            probability = self.engine.predict(np.pad(part, margins, mode="symmetric"))
            pairs.append((part, probability[: part.shape[0], : part.shape[1]]))
        return pairs

    def is_large_enough(self, scale: float) -> bool:
        """Return whether the image can be scored at a scale."""
        return min(self.image.shape) * scale >= MIN_SIDE_PX

    def score(self, scale: float, dark: bool, side: int) -> float:
        """Return the score of a scale in one window, 0 to 1; 0 if the image is too small for it."""
        if not self.is_large_enough(scale):
            return 0.0
        [(part, probability)] = self.predict_windows(scale, dark, side)
        return scale**SCALE_POWER * fiber_score(part, probability, self.fiber_px)

    def score_and_measure(self, scale: float, dark: bool, count: int = 1) -> tuple[float, float]:
        """Return the mean score of a scale in wide windows, and the preferred scale found there."""
        pairs = self.predict_windows(scale, dark, WIDE_WINDOW_PX, count)
        widths = [fiber_widths(probability >= self.threshold) for _, probability in pairs]
        widths = np.concatenate(widths)
        correction = self.fiber_px / np.median(widths) if len(widths) else 1.0
        correction = min(max(correction, 1 / MAX_CORRECTION), MAX_CORRECTION)
        score = np.mean([fiber_score(*pair, self.fiber_px) for pair in pairs])
        return scale**SCALE_POWER * score, scale * correction

    def score_scales(self, polarities: tuple[bool, ...] = (False, True)) -> ScaleScores:
        """Return the scores of all scales, found from coarse to fine.

        Parameters
        ----------
        polarities : tuple of bool
            Polarities to score; True is dark myelin. The others score 0.
        """
        scores = np.full((2, len(SCALES)), np.nan)
        if not self.is_large_enough(1):
            return ScaleScores(np.nan_to_num(scores), 1.0, probed=False)
        for index in COARSE_INDICES:
            for dark in polarities:
                scores[int(dark), index] = self.score(SCALES[index], dark, COARSE_WINDOW_PX)
        highest = np.nan_to_num(scores).max(axis=1)
        if highest.min() > MIN_RIVAL_SCORE * highest.max():
            self.rescore_polarities(scores)
        row, best = np.unravel_index(np.nanargmax(scores), scores.shape)
        dark = bool(row)
        if scores[row, best] > 0:
            for index in range(max(best - 1, 0), min(best + 2, len(SCALES))):
                scores[row, index] = self.score(SCALES[index], dark, FINE_WINDOW_PX)
            if np.nanmax(scores[row]) < MIN_FIBER_SCORE:
                self.score_wider_windows(scores[row], best, dark)
            plateau = scores[row] >= MIN_PLATEAU_SCORE * np.nanmax(scores[row])
            best = int(np.flatnonzero(plateau)[-1])
        _, preferred_scale = self.score_and_measure(SCALES[best], dark, MAX_MEASURED_WINDOWS)
        indices = np.arange(len(SCALES))
        for row in scores:
            known = ~np.isnan(row)
            row[:] = np.interp(indices, indices[known], row[known]) if known.any() else 0.0
        return ScaleScores(scores, preferred_scale)

    def rescore_polarities(self, scores: np.ndarray) -> None:
        """Replace the highest scores of each polarity by those of wider windows.

        A small window may hold little more than one large fiber, or the gaps between a few.
        """
        for dark, row in enumerate(scores):
            for index in np.flatnonzero(row >= MIN_RECHECK_SCORE * np.nanmax(row)):
                row[index], _ = self.score_and_measure(SCALES[index], bool(dark))

    def score_wider_windows(self, scores: np.ndarray, best: int, dark: bool) -> None:
        """Raise the scores around the best scale to those of wider windows.

        Fibers may fill the smaller windows, so that none is whole; wider ones allow larger scales.
        """
        for index in range(max(best - 1, 0), min(best + 4, len(SCALES))):
            if self.is_large_enough(SCALES[index]):
                score, _ = self.score_and_measure(SCALES[index], dark)
                scores[index] = np.nanmax([scores[index], score])


class TextureMap:
    """The variation of grey values in any window of an image.

    Pixels of the lowest and of the highest grey value are ignored: they may be a blank margin.
    """

    STEP = 3  # every third row and column is enough

    def __init__(self, image: np.ndarray) -> None:
        self.shape = image.shape
        self.small = image[:: self.STEP, :: self.STEP]
        self.ignored_greys = [int(image.min()), int(image.max())]

    def windows(self, side: int, count: int = 1) -> list[tuple[slice, slice]]:
        """Return at most `count` square windows that do not overlap, the most textured first.

        A window ends at the edge of an image that is smaller.
        """
        rows, cols = (np.unique(np.linspace(0, max(n - side, 0), 9, dtype=int)) for n in self.shape)
        windows = [np.s_[row : row + side, col : col + side] for row in rows for col in cols]
        chosen = []
        for window in sorted(windows, key=self.variation, reverse=True):
            if len(chosen) < count and not any(overlap(window, other) for other in chosen):
                chosen.append(window)
        return chosen

    def variation(self, window: tuple[slice, slice]) -> float:
        """Return the standard deviation of a window's grey values, times their number."""
        top, left = (part.start // self.STEP for part in window)
        bottom, right = (part.stop // self.STEP for part in window)
        counts = preprocessing.histogram(self.small[top:bottom, left:right])
        counts[self.ignored_greys] = 0
        count, total, squares = (int(counts @ np.arange(256) ** power) for power in range(3))
        return np.sqrt(squares * count - total**2)


def overlap(one: tuple[slice, slice], other: tuple[slice, slice]) -> bool:
    """Return whether two windows share a pixel."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def fiber_score(part: np.ndarray, probability: np.ndarray, fiber_px: float) -> float:
    """Return how much the network's output looks like fibers of the trained width, 0 to 1.

    The score is the product of five factors: the ratio of axon area to myelin area, the network's
    certainty where it finds myelin, the axons' width, their number, and the sheaths' contrast.

    Parameters
    ----------
    part : float32 array, (rows, cols)
        Network input, with bright myelin.
    probability : float32 array, (rows, cols)
        Network output.
    fiber_px : float
        Trained fiber width, px.
    """
    mask = probability >= 0.5
    axons = round_holes(mask, MIN_AXON_AREA_PX)
    if not len(axons):
        return 0.0
    area_ratio = min(axons.sum() / mask.sum(), 1.0)
    certainty = np.abs(2 * probability[probability > 0.1] - 1).mean()
    width = np.sqrt(4 / np.pi * axons).mean() / fiber_px
    excess = np.log(width / np.clip(width, *TYPICAL_AXON_WIDTHS))
    width_score = np.exp(-0.5 * (excess / LOG_WIDTH_SD) ** 2)
    count_score = 1 - (1 - SINGLE_AXON_SCORE) ** len(axons)
    contrast = np.clip(sheath_contrast(part, mask) / FULL_CONTRAST_SD, 0, 1)
    return float(area_ratio**AREA_RATIO_POWER * certainty * width_score * count_score * contrast)


def sheath_contrast(part: np.ndarray, mask: np.ndarray) -> float:
    """Return the contrast of sheaths to the cores of what they enclose, in standard deviations.

    The network's input has bright myelin; the contrast is 0 if the mask encloses nothing. With the
    wrong polarity, gaps between fibers are taken for sheaths. They enclose a real sheath with its
    axon, whose core is as bright as the gap.
    """
    background = (~mask).view(np.uint8)
    count, regions = cv2.connectedComponents(background, connectivity=4)
    depth = cv2.distanceTransform(background, cv2.DIST_L2, 3)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, regions.ravel(), depth.ravel())
    edge = np.concatenate([regions[[0, -1]].ravel(), regions[:, [0, -1]].ravel()])
    deepest[edge] = np.inf  # not enclosed
    deepest[deepest < MIN_REGION_DEPTH_PX] = np.inf
    core = ~mask & (depth >= MIN_CORE_DEPTH * deepest[regions])
    sheath = cv2.erode(mask.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if not core.any() or not sheath.any():
        return 0.0
    return float((np.median(part[sheath]) - np.median(part[core])) / part.std())
