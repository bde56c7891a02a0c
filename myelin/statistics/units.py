"""Images, animals and groups as units, each with the sizes of its fibers, for tables per unit."""

from collections import Counter
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
    classes : dict of str to (int, float)
        How many fibers a class has, and their density per mm², see `Measured.classes`.
    """

    level: str
    group: str
    animal: str
    image: str
    sizes: dict[str, np.ndarray]
    density_per_mm2: float
    classes: dict[str, tuple[int, float]]

    @property
    def names(self) -> dict[str, str]:
        """The first columns of the unit's rows."""
        return {name: getattr(self, name) for name in ("level", "group", "animal", "image")}


def units_of(animals: Animals, measured: dict[str, Measured]) -> list[Unit]:
    """Return all images, then the animals, then the groups; fibers of several images are pooled."""

    def unit(level: str, group: str, animal: str, image: str, names: list[str]) -> Unit:
        images = [measured[name] for name in names]
        pooled = pool_sizes(images), density(images), classes_of(images)
        return Unit(level, group, animal, image, *pooled)

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
    return sum(counts) / counted_area_mm2(images)


def counted_area_mm2(images: Sequence[Measured]) -> float:
    """Return the area in which the fibers of several images are counted."""
    return sum(one.nerve_area_mm2 or one.area_mm2 for one in images)


def classes_of(images: Sequence[Measured]) -> dict[str, tuple[int, float]]:
    """Return the number of fibers of each class in several images, and their density per mm²."""
    fibers = sum((one.classes for one in images), Counter())
    counted = sum((one.classes_counted for one in images), Counter())
    area_mm2 = counted_area_mm2(images)
    return {name: (count, counted[name] / area_mm2) for name, count in fibers.items()}


def place_of_images(animals: Animals) -> dict[str, tuple[str, str]]:
    """Return the group and the animal of each image."""
    return {name: place for place, names in animals.items() for name in names}
