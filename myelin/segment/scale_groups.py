"""Choose polarity and scale of all images of a run: images that belong together share them.

Each image's windows vote for a scale and a polarity (`votes.py`). Images of one polarity whose own
scales lie within a factor of `APART` of one scale form a group; the scale of the group is the
median of all votes of its members, so that thickness, which depends a little on the scale, compares
between them. The largest group is formed first, then groups of what is left: a stray image of
another kind keeps its own scale. Images whose windows disagree on the polarity take that of the
others. Images without fibers belong to no group; one that shows few joins a group of its own scale.

An image is doubtful where its windows disagree on the polarity, or with the scale that it got.
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
from myelin.segment.votes import Votes, vote, weighted_median

APART = np.log2(1.8)  # octaves between an image's own scale and that of its group
UNSURE = 0.4  # margin of an image's polarity below which the other images decide
DOUBT = 0.4  # least agreement of an image's windows that is not named


@dataclasses.dataclass
class Choice:
    """How an image is segmented.

    Attributes
    ----------
    scale : float
        Magnification for the network.
    dark : bool
        Whether its myelin is dark, so that it is inverted.
    score : float or None
        How well its windows agree on polarity and scale, 0 to 1; None where nothing was looked for.
    group : int
        Images of one number share their scale; 0 for images without fibers.
    """

    scale: float
    dark: bool
    score: float | None = None
    group: int = 1

    @property
    def has_fibers(self) -> bool:
        """Whether fibers were found, or were not looked for."""
        return self.group > 0

    @property
    def doubtful(self) -> bool:
        """Whether polarity and scale are to be checked."""
        return self.has_fibers and self.score is not None and self.score < DOUBT


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
    engine : engine.OpenVinoEngine or engine.KerasEngine
        Of the model; the view runs in the same library.
    settings : preprocessing.Preprocessing
    images : sequence of uint8 arrays, (rows, cols)
        Read one at a time.
    myelin : "auto", "bright" or "dark"
    scale : float, optional
        The magnification of all; None finds it, for a network that knows how wide fibers are.

    Returns
    -------
    list of Choice
    """
    if settings.frame == "resize" or settings.myelin != "bright":  # sees images as they are
        return [Choice(scale or 1.0, myelin == "dark")] * len(images)
    if settings.fiber_px is None and scale is None:
        scale = 1.0
    if scale is not None and myelin != "auto":
        return [Choice(scale, myelin == "dark")] * len(images)
    view = open_view(in_keras=engine.name.startswith("keras"))
    with ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as pool:
        found = pool.map(lambda index: vote(view, images[index]), range(len(images)))
        votes = list(progress(found, "finding the scale", total=len(images)))
    dark = polarities(votes) if myelin == "auto" else [myelin == "dark"] * len(votes)
    if scale is not None:
        return [Choice(scale, way, abs(one.polarity)) for one, way in zip(votes, dark, strict=True)]
    return choices(votes, dark, (settings.fiber_px or FIBER_PX) / FIBER_PX)


def polarities(votes: list[Votes]) -> list[bool]:
    """Return whether myelin is dark in each image."""
    margins = np.array([one.polarity if one.has_fibers else 0.0 for one in votes])
    majority = margins.sum() > 0
    return [bool(majority if abs(margin) < UNSURE else margin > 0) for margin in margins]


def share(votes: list[Votes], dark: list[bool]) -> list[list[int]]:
    """Return the places of the images of each group, the largest group first."""
    groups = []
    for way in (False, True):
        left = [i for i, one in enumerate(votes) if one.has_fibers and dark[i] == way]
        while left:
            own = np.array([votes[i].octave for i in left])
            near = np.abs(own - own[:, None]) <= APART
            centre = own[near[near.sum(axis=1).argmax()]].mean()
            chosen = np.abs(own - centre) <= APART
            groups.append([i for i, joins in zip(left, chosen, strict=True) if joins])
            left = [i for i, joins in zip(left, chosen, strict=True) if not joins]
    for i, one in enumerate(votes):
        for members in groups if not one.has_fibers and one.may_have_fibers else []:
            first = members[0]
            if dark[first] == dark[i] and abs(votes[first].octave - one.octave) <= APART:
                members.append(i)
                break
    return sorted(groups, key=len, reverse=True)


def choices(votes: list[Votes], dark: list[bool], factor: float) -> list[Choice]:
    """Return the `Choice` of every image.

    Parameters
    ----------
    votes : list of Votes
    dark : list of bool
        Polarity of each image.
    factor : float
        Width of fibers that the network was trained on, as a multiple of `FIBER_PX`.
    """
    found = {}
    for number, members in enumerate(share(votes, dark), 1):
        octaves = np.concatenate([votes[i].octaves for i in members])
        weights = np.concatenate([votes[i].weights / votes[i].weights.sum() for i in members])
        octave = weighted_median(octaves, weights)
        scale = float(f"{factor * 2**octave:.2g}")
        for i in members:
            margin = votes[i].polarity if dark[i] else -votes[i].polarity
            score = max(min(margin, votes[i].agreement(octave)), 0.0)
            found[i] = Choice(scale, dark[i], score, number)
    first = next(iter(found.values()), Choice(1.0, False))
    for i in range(len(votes)):
        found.setdefault(i, Choice(first.scale, first.dark, 0.0, 0))
    return [found[i] for i in range(len(votes))]
