"""Choose polarity and scale of all images of a run; similar images share them.

The windows of each image vote for a scale and a polarity (`votes.py`). Images of one polarity form
a group if their own scales lie within a factor of `MAX_RATIO` of one scale, or a fifth of their
votes agrees with it. The group's scale is the median of all votes of its members, since thickness
depends a little on the scale and only images of one scale can be compared. The largest group is
formed first, then groups of the remaining images, so that a stray image of another kind keeps its
own scale. An image whose windows disagree on the polarity takes that of most images. An image
without fibers belongs to no group. An image that shows few fibers joins a group of its own scale.

An image is doubtful if its windows disagree on polarity or scale, or few of them show fibers.
"""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from myelin.measure.fiber_width import FIBER_PX
from myelin.network.engine import MAX_CONCURRENT_CALLS, KerasEngine, OpenVinoEngine
from myelin.network.preprocessing import Preprocessing
from myelin.network.view import open_view
from myelin.runtime.cli import progress
from myelin.segment.votes import MIN_FIBERS_LENIENT, Votes, collect_votes, weighted_median

MAX_RATIO = np.log2(1.5)  # octaves between an image's own scale and that of its group
WIDER = 1.1  # fiber width at use over that in training: more small fibers, see the model card
MIN_POLARITY = 0.4  # margin of an image's polarity below which the other images decide
MIN_RELIABLE_SCORE = 0.4  # images with less agreement are reported


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
        Agreement of the image's windows on polarity and scale, 0 to 1; None if it was not probed.
    group : int
        Images of one number share their scale; 0 for images without fibers.
    """

    scale: float
    dark: bool
    score: float | None = None
    group: int = 1

    @property
    def has_fibers(self) -> bool:
        """Whether fibers were found, or the image was not probed."""
        return self.group > 0

    @property
    def doubtful(self) -> bool:
        """Whether polarity and scale need a closer look."""
        return self.has_fibers and self.score is not None and self.score < MIN_RELIABLE_SCORE


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
        Engine of the model; the view runs in the same library.
    settings : Preprocessing
    images : sequence of uint8 arrays, (rows, cols)
        Read one at a time.
    myelin : "auto", "bright" or "dark"
    scale : float, optional
        Magnification of all images. By default it is found if the model has a trained fiber width.

    Returns
    -------
    list of Choice
    """
    if settings.frame == "resize" or settings.myelin != "bright":  # gets images as they are
        return [Choice(scale or 1.0, myelin == "dark")] * len(images)
    if settings.fiber_px is None and scale is None:
        scale = 1.0
    if scale is not None and myelin != "auto":
        return [Choice(scale, myelin == "dark")] * len(images)
    view = open_view(in_keras=engine.name.startswith("keras"))
    with ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as pool:
        found = pool.map(lambda index: collect_votes(view, images[index]), range(len(images)))
        votes = list(progress(found, "finding the scale", total=len(images)))
    dark = polarities(votes) if myelin == "auto" else [myelin == "dark"] * len(votes)
    if scale is not None:
        return [Choice(scale, way, abs(one.polarity)) for one, way in zip(votes, dark, strict=True)]
    return choices(votes, dark, WIDER * (settings.fiber_px or FIBER_PX) / FIBER_PX)


def polarities(votes: list[Votes]) -> list[bool]:
    """Return whether myelin is dark in each image."""
    margins = np.array([one.polarity * one.has_fibers for one in votes])
    majority = margins.sum() > 0
    return [bool(majority if abs(margin) < MIN_POLARITY else margin > 0) for margin in margins]


def form_groups(votes: list[Votes], dark: list[bool]) -> list[list[int]]:
    """Return the indices of the images of each group, the largest group first."""
    groups = []
    for way in (False, True):
        left = [i for i, one in enumerate(votes) if one.has_fibers and dark[i] == way]
        while left:
            own = np.array([votes[i].octave for i in left])
            near = np.abs(own - own[:, None]) <= MAX_RATIO
            centre = own[near[near.sum(axis=1).argmax()]].mean()
            members = [i for i in left if votes[i].suits(centre, MAX_RATIO)]
            groups.append(members)
            left = [i for i in left if i not in members]
    for i, one in enumerate(votes):
        few = not one.has_fibers and one.probability > MIN_FIBERS_LENIENT
        for members in groups if few else []:
            first = members[0]
            if dark[first] == dark[i] and one.suits(votes[first].octave, MAX_RATIO):
                members.append(i)
                break
    return sorted(groups, key=len, reverse=True)


def choices(votes: list[Votes], dark: list[bool], factor: float) -> list[Choice]:
    """Return the choice for every image, in order.

    Images without fibers get the settings of the largest group.

    Parameters
    ----------
    votes : list of Votes
    dark : list of bool
        Polarity of each image.
    factor : float
        Fiber width that the network was trained on, as a multiple of `FIBER_PX`.
    """
    found = {}
    for number, members in enumerate(form_groups(votes, dark), 1):
        octaves = np.concatenate([votes[i].octaves for i in members])
        weights = np.concatenate([votes[i].weights / votes[i].weights.sum() for i in members])
        octave = weighted_median(octaves, weights)
        scale = float(f"{factor * 2**octave:.2g}")
        for i in members:
            margin = votes[i].polarity if dark[i] else -votes[i].polarity
            score = min(margin, votes[i].agreement(octave), votes[i].probability)
            found[i] = Choice(scale, dark[i], max(score, 0.0), number)
    first = next(iter(found.values()), Choice(1.0, False))
    for i in range(len(votes)):
        found.setdefault(i, Choice(first.scale, first.dark, 0.0, 0))
    return [found[i] for i in range(len(votes))]
