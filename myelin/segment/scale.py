"""Find at which magnification, and which way round, the network should see one image.

What counts for the network is how many of its pixels a fiber is wide, and that no micrometre tells:
axons are 0.3 µm wide in brain and 10 µm in nerve. The network can tell it itself. Shown fibers of
the width it was trained on, it encloses round empty regions, the axons, and is decided wherever it
sees myelin; shown them too small it is undecided, too large it breaks sheaths up, and the wrong way
round it fills the axons, or takes the gaps between fibers for sheaths. So small busy windows of an
image are shown at scales from 1/16 to 2, both ways round, then at those beside the best. At the
best of them the fibers found are measured: the image's own scale is the one that gives them the
median width of the training. Images of a run share it, see `sharing.py`.
"""

import dataclasses
import functools

import cv2
import numpy as np

from myelin.measure.fiber_width import FIBER_PX, fiber_widths
from myelin.network.preprocessing import histogram, magnify, network_greys, replace_greys
from myelin.pixels.regions import round_holes
from unet import STRIDE

SCALES = 2.0 ** (np.arange(-9, 4) / 2)
COARSE = range(1, len(SCALES), 2)  # 1/16 to 2: tried first, then what is beside the best of them
WINDOW = 128  # side of the windows of a look, in the network's pixels
FINE_WINDOW = 192
WIDE_WINDOW = 288  # in which fibers are measured
MEASURED_WINDOWS = 3  # of a look: one alone may lie among large fibers
MIN_SIDE = 48  # px; smaller images are not looked at, nor is one at a scale that makes it smaller
# Axons whose mean width is this much of the trained fiber width are usual; outside, the score falls
# with the spread of the logarithm. Chosen, as the powers, on 24 images by a model that had not seen
# four of them, for the number of images whose scale then serves them.
USUAL_AXON = (0.6, 1.4)
AXON_SPREAD = 0.5
ALONE = 0.5  # how much one axon alone counts; of the rest, each further one leaves so much
LIKENESS_POWER = 1 / 3
DETAIL_POWER = 0.05  # of scales that serve alike the larger: the smallest fibers are lost first
MIN_AXON_PX = 15
# Standard deviations between sheaths and what they enclose, from which on the score is not lowered.
# In 367 parts of 39 real images 5 % have less than 1.9 the right way round, and the half 2.2.
CONTRAST = 2.0
CORE = 0.6  # of the greatest distance to the outline, from which on a pixel is of the core
MIN_DEPTH_PX = 2  # of regions that have a core
FIBERS = 0.3  # least score of an image with fibers: real ones reach 0.36; noise 0, blurred 0.34
RIVAL = 0.4  # of the best score, from which on the other way round is looked at more closely
SERVES = 0.7  # of the best score of a way round: the scales at which it is
PLATEAU = 0.95  # of scales that serve nearly alike, fibers are measured at the largest
MAX_CORRECTION = 2.0  # of a scale by the widths in a few windows, which may show odd fibers


@dataclasses.dataclass
class Look:
    """What one image showed.

    Attributes
    ----------
    scores : float array, (2, len(SCALES))
        How well each scale serves, 0 to 1; row 1 is dark myelin.
    own : float
        The scale that gives its fibers the width of the training.
    tried : bool
        Whether the image is large enough to be looked at.
    """

    scores: np.ndarray
    own: float
    tried: bool = True

    @property
    def dark(self):
        """Whether its myelin is dark."""
        return bool(self.scores[1].max() > self.scores[0].max())

    @property
    def best(self):
        """The best score at any scale."""
        return float(self.scores.max())

    def score_at(self, scale, dark):
        """Return how well a scale serves, read off those that were tried."""
        return float(np.interp(np.log(scale), np.log(SCALES), self.scores[int(dark)]))


class Looker:
    """Show parts of one image to the network.

    Parameters
    ----------
    engine : engine.OpenVinoEngine or engine.KerasEngine
    settings : preprocessing.Preprocessing
    image : uint8 array, (rows, cols)
    """

    def __init__(self, engine, settings, image):
        self.engine, self.threshold = engine, settings.threshold
        self.fiber_px = settings.fiber_px or FIBER_PX
        self.image, self.busy = image, Busyness(image)
        self.greys = functools.cache(lambda dark: network_greys(image, settings, dark))

    def show(self, scale, dark, side, count=1):
        """Return the busiest windows as the network sees them, and what it finds there.

        A list of pairs of float32 (side, side).
        """
        found = []
        for window in self.busy.windows(round(side / scale), count):
            part = magnify(replace_greys(self.image[window], self.greys(dark)), scale)
            margins = [(0, -length % STRIDE) for length in part.shape]
            whole = self.engine.predict(np.pad(part, margins, mode="symmetric"))
            found.append((part, whole[: part.shape[0], : part.shape[1]]))
        return found

    def fits(self, scale):
        """Whether the image is large enough for a scale."""
        return min(self.image.shape) * scale >= MIN_SIDE

    def score(self, scale, dark, side):
        """Return how well a scale serves, 0 to 1; 0 where the image is too small for it."""
        if not self.fits(scale):
            return 0.0
        (seen,) = self.show(scale, dark, side)
        return scale**DETAIL_POWER * fiber_score(*seen, self.fiber_px)

    def measure(self, scale, dark, count=1):
        """Return how well a scale serves, and the image's own scale by the fibers found there."""
        seen = self.show(scale, dark, WIDE_WINDOW, count)
        widths = np.concatenate([fiber_widths(found >= self.threshold) for _, found in seen])
        correction = self.fiber_px / np.median(widths) if len(widths) else 1.0
        correction = min(max(correction, 1 / MAX_CORRECTION), MAX_CORRECTION)
        score = np.mean([fiber_score(*one, self.fiber_px) for one in seen])
        return scale**DETAIL_POWER * score, scale * correction

    def look(self, ways=(False, True)):
        """Try all scales, coarse to fine; return a `Look`.

        `ways` are the polarities to try; scales not tried are interpolated, other ways score 0.
        """
        scores = np.full((2, len(SCALES)), np.nan)
        if not self.fits(1):
            return Look(np.nan_to_num(scores), 1.0, tried=False)
        for index in COARSE:
            for dark in ways:
                scores[int(dark), index] = self.score(SCALES[index], dark, WINDOW)
        tops = np.nan_to_num(scores).max(axis=1)
        if tops.min() > RIVAL * tops.max():
            self.look_both_ways(scores)
        way, best = np.unravel_index(np.nanargmax(scores), scores.shape)
        if scores[way, best] > 0:
            for index in range(max(best - 1, 0), min(best + 2, len(SCALES))):
                scores[way, index] = self.score(SCALES[index], bool(way), FINE_WINDOW)
            if np.nanmax(scores[way]) < FIBERS:
                self.look_wider(scores[way], best, bool(way))
            good = scores[way] >= PLATEAU * np.nanmax(scores[way])
            best = int(np.flatnonzero(good)[-1])
        places = np.arange(len(SCALES))
        for row in scores:
            known = ~np.isnan(row)
            row[:] = np.interp(places, places[known], row[known]) if known.any() else 0.0
        return Look(scores, self.measure(SCALES[best], bool(way), MEASURED_WINDOWS)[1])

    def look_both_ways(self, scores):
        """Score again, in wider windows, the scales that serve well each way round.

        A small window may show little but one large fiber, or the gaps between some.
        """
        for dark, row in enumerate(scores):
            for index in np.flatnonzero(row >= SERVES * np.nanmax(row)):
                row[index] = self.measure(SCALES[index], bool(dark))[0]

    def look_wider(self, scores, best, dark):
        """Correct the scores about the best where fibers fill the windows, so that none is whole.

        At larger scales too, where the wider windows show as much.
        """
        for index in range(max(best - 1, 0), min(best + 4, len(SCALES))):
            if self.fits(SCALES[index]):
                wide, _ = self.measure(SCALES[index], dark)
                scores[index] = np.nanmax([scores[index], wide])


class Busyness:
    """How much grey values vary in any window of an image, margins of one value left out.

    Parameters
    ----------
    image : uint8 array, (rows, cols)
    """

    STEP = 3  # every third pixel tells enough

    def __init__(self, image):
        self.shape = image.shape
        self.small = image[:: self.STEP, :: self.STEP]
        self.margins = [int(image.min()), int(image.max())]

    def windows(self, side, count=1):
        """Return up to `count` windows of side x side pixels, the busiest first, none overlapping.

        One window is all of the image where that is smaller.
        """
        starts = [np.unique(np.linspace(0, max(n - side, 0), 9, dtype=int)) for n in self.shape]
        windows = [np.s_[y : y + side, x : x + side] for y in starts[0] for x in starts[1]]
        chosen = []
        for window in sorted(windows, key=self.variation, reverse=True):
            if len(chosen) < count and not any(overlap(window, other) for other in chosen):
                chosen.append(window)
        return chosen

    def variation(self, window):
        """Return the standard deviation of a window's content times its share of the window."""
        top, left = (part.start // self.STEP for part in window)
        down, right = (part.stop // self.STEP for part in window)
        counts = histogram(self.small[top:down, left:right])
        counts[self.margins] = 0
        count, total, squares = (int(counts @ np.arange(256) ** power) for power in range(3))
        return np.sqrt(squares * count - total**2)


def overlap(one, other):
    """Whether two windows share a pixel."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def fiber_score(part, probability, fiber_px):
    """Return how much a probability map looks like fibers at the network's own scale, 0 to 1.

    The cube root of (area of axons over area of myelin), times how decided the network is where it
    sees any myelin, times how usual the axons' width is and how many there are, times how much
    sheaths differ from what they enclose.

    Parameters
    ----------
    part : float32 array, (rows, cols)
        What the network was shown, myelin bright.
    probability : float32 array, (rows, cols)
    fiber_px : float
        Width of the fibers that the network was trained on, px.
    """
    mask = probability >= 0.5
    axons = round_holes(mask, MIN_AXON_PX)
    if not len(axons):
        return 0.0
    likeness = min(axons.sum() / mask.sum(), 1.0)
    decided = np.abs(2 * probability[probability > 0.1] - 1).mean()
    width = np.sqrt(4 / np.pi * axons).mean() / fiber_px
    outside = np.log(width / np.clip(width, *USUAL_AXON))
    usual = np.exp(-0.5 * (outside / AXON_SPREAD) ** 2)
    enough = 1 - (1 - ALONE) ** len(axons)
    clear = np.clip(sheath_contrast(part, mask) / CONTRAST, 0, 1)
    return float(likeness**LIKENESS_POWER * decided * usual * enough * clear)


def sheath_contrast(part, mask):
    """Return how much brighter sheaths are than the cores of the regions that they enclose.

    The wrong way round, what is taken for a sheath is the gap between fibers, and encloses a sheath
    with its axon: to the core it is as bright again.

    Parameters
    ----------
    part : float32 array, (rows, cols)
    mask : bool array, (rows, cols)
        What is taken for myelin.

    Returns
    -------
    float
        Difference of the medians, in standard deviations of the part; 0 where nothing is enclosed.
    """
    background = (~mask).view(np.uint8)
    count, regions = cv2.connectedComponents(background, connectivity=4)
    depth = cv2.distanceTransform(background, cv2.DIST_L2, 3)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, regions.ravel(), depth.ravel())
    edge = np.concatenate([regions[[0, -1]].ravel(), regions[:, [0, -1]].ravel()])
    deepest[edge] = np.inf  # not enclosed
    deepest[deepest < MIN_DEPTH_PX] = np.inf
    core = ~mask & (depth >= CORE * deepest[regions])
    sheath = cv2.erode(mask.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if not core.any() or not sheath.any():
        return 0.0
    return float((np.median(part[sheath]) - np.median(part[core])) / part.std())
