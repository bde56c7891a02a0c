"""Choose polarity and scale of all images of a run: those that belong together share them.

Thickness depends a little on the scale, so numbers compare only between images of one scale. Some
images of a run are looked at in full (`scale.py`). Those of one polarity belong together where one
scale serves all of them (`SHARE`) and their own scales are not too far apart (`APART`); the group
takes the median of its members' own scales. An image's own scale is read off few fibers, so one
that a group serves too joins it even from further off (`FAR`), or if its own scale is nearly the
group's (`NEAR`). The other images are shown at the scales of these groups, join the one that serves
them as well as its members, and are looked at in full only if none does: a stray image of another
kind gets a scale of its own. The odd one in polarity goes with the majority where that serves it
nearly as well (`ADOPT`).
"""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from myelin.measure.fiber_width import TOLERANCE
from myelin.network.engine import MAX_CONCURRENT_CALLS
from myelin.runtime.cli import progress
from myelin.segment.scale import FIBERS, SCALES, Looker

# Images of a run that are looked at in full: a few where they belong together and all of them keep
# their own pixels, else more, and every one that fits no group.
FIRST_LOOKS = 3
FULL_LOOKS = 6
DOUBT = 0.4  # below this the image is named: the weakest of 39 real ones reach 0.37 to 0.5
SHARE = 0.6  # of its own best score that a shared scale must give an image
JOIN = 0.8  # of the members' score that it must give one which was not looked at in full
ADOPT = 0.7  # of its own best score that the majority must give an image of the other polarity
# Own scales between these are taken for 1: the image keeps its own pixels. The range reaches far
# down, since what shrinking loses is lost: nerve of 2018 (own scale 0.65) gains 0.015 in Dice by
# it, and spinal cord at 0.07 µm per pixel (0.5) keeps its small fibers.
OWN_PIXELS = (0.45, TOLERANCE)
# Most by which an image's own scale and its group's may differ, as a factor.
APART = 2.2
FAR = 3.0
NEAR = 1.5


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
        How well a scale serves, 0 to 1: the image's best where it was looked at in full, else that
        of its group; None where none was looked for.
    group : int
        Images of one number share their scale; 0 for images without fibers.
    """

    scale: float
    dark: bool
    score: float | None = None
    group: int = 1

    @property
    def has_fibers(self):
        """Whether fibers were found at any scale, or were not looked for."""
        return self.group > 0

    @property
    def doubtful(self):
        """Whether what was found in the image is to be looked at closely."""
        return self.has_fibers and self.score is not None and self.score < DOUBT


@dataclasses.dataclass
class Group:
    """Images that share a polarity and a scale.

    Attributes
    ----------
    dark : bool
    scores, owns : dict of int to float
        How well that serves each member; the members' own scales.
    """

    dark: bool
    scores: dict = dataclasses.field(default_factory=dict)
    owns: dict = dataclasses.field(default_factory=dict)

    def add(self, index, score, own):
        """Add an image."""
        self.scores[index], self.owns[index] = float(score), float(own)

    @property
    def own(self):
        """The median of the members' own scales."""
        return float(np.exp(np.median(np.log(list(self.owns.values())))))

    @property
    def scale(self):
        """What they are segmented at, as it can be typed."""
        return 1.0 if near_own_pixels(self.own) else float(f"{self.own:.2g}")

    @property
    def is_clear(self):
        """Whether no member's own scale puts in doubt that they keep their own pixels."""
        return all(map(near_own_pixels, self.owns.values()))


def near_own_pixels(scale):
    """Whether an image whose fibers ask for this scale keeps its own pixels."""
    return OWN_PIXELS[0] < scale < OWN_PIXELS[1]


def decide(engine, settings, images, myelin="auto", scale=None):
    """Choose polarity and scale of every image of a run.

    Parameters
    ----------
    engine : engine.OpenVinoEngine or engine.KerasEngine
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
    ways = {"auto": (False, True), "bright": (False,), "dark": (True,)}[myelin]
    if scale is not None and len(ways) == 1:
        return [Choice(scale, ways[0])] * len(images)
    with ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as pool:

        def show(indices, ask):
            """Return what some images answer, {index: answer}; several are shown at a time."""
            answers = pool.map(lambda index: ask(Looker(engine, settings, images[index])), indices)
            bar = progress(answers, "finding the scale", total=len(indices))
            return dict(zip(indices, bar, strict=True))

        if scale is not None:
            shown = show(
                range(len(images)), lambda image: [image.measure(scale, dark) for dark in ways]
            )
            return [Choice(scale, dark[0] > bright[0]) for bright, dark in shown.values()]
        return find_scales(len(images), show, ways)


def find_scales(count, show, ways):
    """Return the `Choice` of each image of a run.

    Parameters
    ----------
    count : int
        Number of images.
    show : function
        As in `decide`.
    ways : tuple of bool
        The polarities to try; True is dark.
    """

    def look(indices):
        return show(indices, lambda image: image.look(ways))

    chosen = spread(range(count), FULL_LOOKS)
    looks = look(spread(chosen, FIRST_LOOKS))
    groups = share(looks)
    if [set(group.owns) for group in groups if group.is_clear] != [set(looks)]:
        looks |= look([index for index in chosen if index not in looks])
        groups = share(looks)
    others = [index for index in range(count) if index not in looks]
    scales = [(group.scale, group.dark) for group in groups]
    measured = show(others, lambda image: [image.measure(*scale) for scale in scales])
    strays = look([index for index in others if not join(groups, index, measured[index])])
    looks |= strays
    return choices(merged(adopted(groups + share(strays), looks)), looks)


def spread(indices, most):
    """Return up to `most` of some indices, spread evenly from the first to the last, a list."""
    places = np.unique(np.linspace(0, len(indices) - 1, most).astype(int))
    return [indices[place] for place in places]


def share(looks):
    """Form groups of images that belong together.

    Each image votes for the scales that serve it (by the fourth power of the share of its best
    score, so that a compromise between two kinds wins nothing). The scale with most votes founds a
    group; what is left forms further groups. Images without fibers belong to none.

    Parameters
    ----------
    looks : dict of int to scale.Look

    Returns
    -------
    list of Group
        The largest first.
    """
    groups = []
    for dark in (False, True):
        left = [i for i, look in looks.items() if look.best >= FIBERS and look.dark == dark]
        while left:
            curves = np.array([looks[i].scores[int(dark)] for i in left])
            owns = np.array([looks[i].own for i in left])
            apart = np.abs(np.log(SCALES / owns[:, None]))
            shares = np.where(apart <= np.log(APART), curves / curves.max(1, keepdims=True), 0)
            founding = int((shares**4).sum(axis=0).argmax())
            members = np.flatnonzero(shares[:, founding] >= SHARE)
            # An image whose own scale serves it badly stands alone.
            members = members if len(members) else [0]
            group = Group(dark)
            for place in members:
                group.add(left[place], curves[place, founding], owns[place])
            for place, index in enumerate(left):
                served = curves[place, founding] >= SHARE * curves[place].max()
                if is_near(owns[place], group.own, FAR if served else NEAR):
                    group.add(index, curves[place, founding], owns[place])
            groups.append(group)
            left = [i for i in left if i not in group.scores]
    return sorted(groups, key=lambda group: -len(group.scores))


def join(groups, index, measured):
    """Add an image to a group that serves it as it does its members; say whether there is one.

    Of several, that whose scale is nearest to the one which the image shows there for its own.

    Parameters
    ----------
    groups : list of Group
    index : int
        The image.
    measured : list of (float, float)
        Its score and its own scale as shown at the scale of each group.
    """
    fitting = []
    for group, (score, own) in zip(groups, measured, strict=True):
        least = max(JOIN * np.median(list(group.scores.values())), FIBERS)
        if score >= least and is_near(own, group.own, FAR):
            fitting.append((abs(np.log(own / group.own)), group, score, own))
    if not fitting:
        return False
    _, group, score, own = min(fitting, key=lambda fit: fit[0])
    group.add(index, score, own)
    return True


def adopted(groups, looks):
    """Return the groups after the largest has taken images of the other polarity that it serves.

    Only where most images are in it: of two kinds in equal numbers none is the odd one.

    Parameters
    ----------
    groups : list of Group
    looks : dict of int to scale.Look
    """
    first = max(groups, key=lambda group: len(group.scores), default=None)
    if first is None or 2 * len(first.scores) <= sum(len(group.scores) for group in groups):
        return groups
    odd = [group for group in groups if group.dark != first.dark]
    for group in odd:
        for index in looks.keys() & group.scores.keys():
            score = looks[index].score_at(first.own, first.dark)
            if score >= max(ADOPT * looks[index].best, FIBERS):
                del group.scores[index], group.owns[index]
                first.add(index, score, first.own)
    return [group for group in groups if group.scores]


def merged(groups):
    """Return the groups after those of one polarity and nearly one scale have become one."""
    found = []
    for group in groups:
        for other in found:
            if other.dark == group.dark and is_near(other.own, group.own, NEAR):
                other.scores |= group.scores
                other.owns |= group.owns
                break
        else:
            found.append(group)
    return sorted(found, key=lambda group: -len(group.scores))


def is_near(one, other, factor):
    """Whether two scales differ by no more than a factor."""
    return bool(abs(np.log(one / other)) <= np.log(factor))


def choices(groups, looks):
    """Return the `Choice` of every image.

    Those without fibers name what the largest group has; those too small to look at go with it.
    """
    found = {}
    for number, group in enumerate(groups, 1):
        for index, score in group.scores.items():
            best = looks[index].best if index in looks else score
            found[index] = Choice(group.scale, group.dark, best, number)
    first = groups[0] if groups else Group(False, owns={0: 1.0})
    for index, look in looks.items():
        other = Choice(first.scale, first.dark, *((look.best, 0) if look.tried else (None, 1)))
        found.setdefault(index, other)
    return [found[index] for index in sorted(found)]
