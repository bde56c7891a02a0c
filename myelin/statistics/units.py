"""Images, animals and groups as units, each with the sizes of its fibers, for tables per unit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from myelin.statistics.groups import Animals, Measured, animals_by_group, pool_sizes


@dataclass
class Unit:
    """An image, an animal or a group.

    Attributes
    ----------
    level : {"image", "animal", "group"}
    group, animal, image : str
        Names of the unit and of those it belongs to; empty if there is none.
    sizes : dict of str to array, (n,)
        The columns `SIZES` of its whole fibers.
    density_per_mm2 : float
        See `density`.
    """

    level: str
    group: str
    animal: str
    image: str
    sizes: dict[str, np.ndarray]
    density_per_mm2: float

    @property
    def names(self) -> dict[str, str]:
        """The first columns of the unit's rows."""
        return {name: getattr(self, name) for name in ("level", "group", "animal", "image")}


def units_of(animals: Animals, measured: dict[str, Measured]) -> list[Unit]:
    """Return all images, then the animals, then the groups; fibers of several images are pooled."""

    def unit(level: str, group: str, animal: str, image: str, names: list[str]) -> Unit:
        images = [measured[name] for name in names]
        return Unit(level, group, animal, image, pool_sizes(images), density(images))

    places = place_of_images(animals)
    found = [unit("image", *places.get(name, ("", "")), name, [name]) for name in measured]
    found += [unit("animal", *place, "", names) for place, names in animals.items()]
    for group, parts in animals_by_group(animals).items():
        names = [name for images in parts.values() for name in images]
        found.append(unit("group", group, "", "", names))
    return found


def density(images: Sequence[Measured]) -> float:
    """Return the fibers per mm² of several images: counted fibers / area.

    They are those of the nerve in an image that has an outline, otherwise those of its frame.
    """
    counts = [one.counted if one.nerve_counted is None else one.nerve_counted for one in images]
    return sum(counts) / sum(one.nerve_area_mm2 or one.area_mm2 for one in images)


def place_of_images(animals: Animals) -> dict[str, tuple[str, str]]:
    """Return the group and the animal of each image."""
    return {name: place for place, names in animals.items() for name in names}
