"""Choose polarity and scale of all images of a run; similar images share them.

Thickness depends a little on the scale, so only images of one scale can be compared. A few images
are probed at all scales (`scale.py`). Those of one polarity form a group if one scale suits them
and their preferred scales are similar; it takes the median of these. Each comes from few fibers, so
it may differ more if the group's scale suits the image. The other images are probed at the scales
of the groups only. Those that suit none are probed at all scales and form further groups.
"""

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from myelin.measure.fiber_width import TOLERANCE
from myelin.network.engine import MAX_CONCURRENT_CALLS, KerasEngine, OpenVinoEngine
from myelin.network.preprocessing import Preprocessing
from myelin.runtime.cli import progress
from myelin.segment.scale import MIN_FIBER_SCORE, SCALES, ScaleProbe, ScaleScores

# Images probed at all scales: the small sample is enough if it forms one group of unscaled images.
SMALL_SAMPLE = 3
LARGE_SAMPLE = 6
MIN_RELIABLE_SCORE = 0.4  # lower images are reported: the weakest of 39 real ones reach 0.37 to 0.5
MIN_RELATIVE_SCORE = 0.6  # of a shared scale, relative to the image's best score
MIN_JOIN_SCORE = 0.8  # relative to the members' median, of an image not probed at all scales
MIN_MAJORITY_SCORE = 0.7  # of the majority's polarity, relative to the image's best score
# Images whose preferred scale lies in this range are not rescaled. It reaches far down because
# shrinking loses detail: nerve of 2018 (preferred scale 0.65) gains 0.015 in Dice by this, and
# spinal cord at 0.07 µm per pixel (0.5) keeps its small fibers.
UNSCALED_RANGE = (0.45, TOLERANCE)
# Largest ratio of an image's preferred scale to the group's scale: of founding members, of images
# that the group's scale suits, and of all others.
MAX_SCALE_RATIO = 2.2
MAX_SUITED_RATIO = 3.0
MAX_SIMILAR_RATIO = 1.5


@dataclasses.dataclass
class Choice:
    """How an image is segmented.

    Attributes
    ----------
    scale : float
        Magnification of the network input.
    dark : bool
        Whether the myelin is dark, so that the image is inverted.
    score : float or None
        Best score of the image, or its score in the group if it was probed at no other scale; None
        if it was not probed.
    group : int
        Images of one number share their scale; 0 for images without fibers.
    """

    scale: float
    dark: bool
    score: float | None = None
    group: int = 1

    @property
    def has_fibers(self) -> bool:
        """Whether fibers were found at any scale, or the image was not probed."""
        return self.group > 0

    @property
    def doubtful(self) -> bool:
        """Whether the result needs a closer look."""
        return self.has_fibers and self.score is not None and self.score < MIN_RELIABLE_SCORE


@dataclasses.dataclass
class Group:
    """Images that share a polarity and a scale: their scores at it, and their preferred scales."""

    dark: bool
    scores: dict[int, float] = dataclasses.field(default_factory=dict)
    preferred: dict[int, float] = dataclasses.field(default_factory=dict)

    def add(self, index: int, score: float, preferred_scale: float) -> None:
        """Add an image."""
        self.scores[index] = float(score)
        self.preferred[index] = float(preferred_scale)

    @property
    def median_scale(self) -> float:
        """The median of the members' preferred scales."""
        return float(np.exp(np.median(np.log(list(self.preferred.values())))))

    @property
    def scale(self) -> float:
        """The scale at which the members are segmented, in two digits."""
        return 1.0 if is_unscaled(self.median_scale) else float(f"{self.median_scale:.2g}")


def is_unscaled(preferred_scale: float) -> bool:
    """Return whether an image with this preferred scale is segmented at scale 1."""
    return UNSCALED_RANGE[0] < preferred_scale < UNSCALED_RANGE[1]


def decide(
    engine: OpenVinoEngine | KerasEngine,
    settings: Preprocessing,
    images: Sequence[np.ndarray],
    myelin: str = "auto",
    scale: float | None = None,
) -> list[Choice]:
    """Choose polarity and scale of every image of a run.

    Parameters
    ----------
    engine : OpenVinoEngine or KerasEngine
    settings : Preprocessing
    images : sequence of uint8 arrays, (rows, cols)
        Read one at a time.
    myelin : "auto", "bright" or "dark"
    scale : float, optional
        Magnification of all images. By default it is found if the model has a trained fiber width.
    """
    if settings.frame == "resize" or settings.myelin != "bright":  # no choice with such models
        return [Choice(scale or 1.0, myelin == "dark")] * len(images)
    if settings.fiber_px is None and scale is None:
        scale = 1.0
    polarities = {"auto": (False, True), "bright": (False,), "dark": (True,)}[myelin]
    if scale is not None and len(polarities) == 1:
        return [Choice(scale, polarities[0])] * len(images)
    with ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as pool:

        def probe(indices: Sequence[int], score: Callable) -> dict:
            """Return {index: score(probe of the image)}."""
            found = pool.map(lambda i: score(ScaleProbe(engine, settings, images[i])), indices)
            bar = progress(found, "finding the scale", total=len(indices))
            return dict(zip(indices, bar, strict=True))

        if scale is None:
            return find_scales(len(images), probe, polarities)
        scores = probe(
            range(len(images)),
            lambda image: [image.score_and_measure(scale, dark)[0] for dark in polarities],
        )
        return [Choice(scale, bool(dark > bright)) for bright, dark in scores.values()]


def find_scales(count: int, probe: Callable, polarities: tuple[bool, ...]) -> list[Choice]:
    """Return the choice for each of `count` images; `probe` is that of `decide`."""

    def probe_all_scales(indices: Sequence[int]) -> dict[int, ScaleScores]:
        return probe(indices, lambda image: image.score_scales(polarities))

    sample = evenly_spaced(range(count), LARGE_SAMPLE)
    probed = probe_all_scales(evenly_spaced(sample, SMALL_SAMPLE))
    groups = form_groups(probed)
    unscaled = all(is_unscaled(scale) for group in groups for scale in group.preferred.values())
    if not unscaled or [group.scores.keys() for group in groups] != [probed.keys()]:
        probed |= probe_all_scales([index for index in sample if index not in probed])
        groups = form_groups(probed)
    others = [index for index in range(count) if index not in probed]
    settings = [(group.scale, group.dark) for group in groups]
    measured = probe(others, lambda image: [image.score_and_measure(*pair) for pair in settings])
    strays = [index for index in others if not join_group(groups, index, measured[index])]
    stray_scores = probe_all_scales(strays)
    probed |= stray_scores
    groups = follow_majority(groups + form_groups(stray_scores), probed)
    return choices(merge_similar(groups), probed)


def evenly_spaced(indices: Sequence[int], limit: int) -> list[int]:
    """Return at most `limit` of the indices, evenly spaced from the first to the last."""
    places = np.unique(np.linspace(0, len(indices) - 1, limit).astype(int))
    return [indices[place] for place in places]


def form_groups(probed: dict[int, ScaleScores]) -> list[Group]:
    """Return groups of images that share polarity and scale, the largest first.

    Each image votes for the scales that suit it, by the fourth power of its relative score, so that
    no compromise between two kinds of images wins. The scale with most votes founds a group; the
    remaining images form further groups. Images without fibers belong to no group.
    """
    groups = []
    for dark in (False, True):
        left = {index: found for index, found in probed.items() if found.dark == dark}
        left = {index: found for index, found in left.items() if found.best >= MIN_FIBER_SCORE}
        while left:
            groups.append(first_group(left, dark))
            left = {index: left[index] for index in left if index not in groups[-1].scores}
    return sorted(groups, key=lambda group: -len(group.scores))


def first_group(probed: dict[int, ScaleScores], dark: bool) -> Group:
    """Return the group founded by the scale with most votes; all images have one polarity."""
    indices = list(probed)
    scores = np.array([found.scores[int(dark)] for found in probed.values()])
    preferred = np.array([found.preferred_scale for found in probed.values()])
    relative = scores / scores.max(1, keepdims=True)
    ratios = np.abs(np.log(SCALES / preferred[:, None]))
    votes = np.where(ratios <= np.log(MAX_SCALE_RATIO), relative, 0)
    founding = int((votes**4).sum(axis=0).argmax())
    members = np.flatnonzero(votes[:, founding] >= MIN_RELATIVE_SCORE)
    group = Group(dark)
    # If the scale suits no image with a similar preferred scale, the first image stands alone.
    for place in members if len(members) else [0]:
        group.add(indices[place], scores[place, founding], preferred[place])
    for place, index in enumerate(indices):
        suited = scores[place, founding] >= MIN_RELATIVE_SCORE * scores[place].max()
        ratio = MAX_SUITED_RATIO if suited else MAX_SIMILAR_RATIO
        if are_similar(preferred[place], group.median_scale, ratio):
            group.add(index, scores[place, founding], preferred[place])
    return group


def join_group(groups: list[Group], index: int, measured: list[tuple[float, float]]) -> bool:
    """Add an image to the most similar group whose scale suits it; return whether there is one.

    `measured` are its score and its preferred scale, measured at the scale of each group.
    """
    fitting = []
    for group, (score, preferred) in zip(groups, measured, strict=True):
        least = max(MIN_JOIN_SCORE * np.median(list(group.scores.values())), MIN_FIBER_SCORE)
        if score >= least and are_similar(preferred, group.median_scale, MAX_SUITED_RATIO):
            fitting.append((abs(np.log(preferred / group.median_scale)), group, score, preferred))
    if fitting:
        _, group, score, preferred = min(fitting, key=lambda fit: fit[0])
        group.add(index, score, preferred)
    return bool(fitting)


def follow_majority(groups: list[Group], probed: dict[int, ScaleScores]) -> list[Group]:
    """Move images of the other polarity to the group that holds most images, if it suits them."""
    largest = max(groups, key=lambda group: len(group.scores), default=None)
    if largest is None or 2 * len(largest.scores) <= sum(len(group.scores) for group in groups):
        return groups
    for group in groups:
        if group.dark == largest.dark:
            continue
        for index in probed.keys() & group.scores.keys():
            score = probed[index].score_at(largest.median_scale, largest.dark)
            if score >= max(MIN_MAJORITY_SCORE * probed[index].best, MIN_FIBER_SCORE):
                del group.scores[index], group.preferred[index]
                largest.add(index, score, largest.median_scale)
    return [group for group in groups if group.scores]


def merge_similar(groups: list[Group]) -> list[Group]:
    """Return the groups with those of one polarity and similar scales merged, the largest first."""
    merged = []
    for group in groups:
        for other in merged:
            is_similar = are_similar(other.median_scale, group.median_scale, MAX_SIMILAR_RATIO)
            if is_similar and other.dark == group.dark:
                other.scores |= group.scores
                other.preferred |= group.preferred
                break
        else:
            merged.append(group)
    return sorted(merged, key=lambda group: -len(group.scores))


def are_similar(one: float, other: float, max_ratio: float) -> bool:
    """Return whether two scales differ by no more than a factor."""
    return bool(abs(np.log(one / other)) <= np.log(max_ratio))


def choices(groups: list[Group], probed: dict[int, ScaleScores]) -> list[Choice]:
    """Return the choice for every image, in order.

    Images without fibers, and those too small to be probed, get the settings of the largest group.
    """
    chosen = {}
    for number, group in enumerate(groups, 1):
        for index, score in group.scores.items():
            best = probed[index].best if index in probed else score
            chosen[index] = Choice(group.scale, group.dark, best, number)
    largest = groups[0] if groups else Group(False, preferred={0: 1.0})
    for index, found in probed.items():
        score, number = (found.best, 0) if found.probed else (None, 1)
        chosen.setdefault(index, Choice(largest.scale, largest.dark, score, number))
    return [chosen[index] for index in sorted(chosen)]
