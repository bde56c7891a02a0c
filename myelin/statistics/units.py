"""Images, animals and groups as units, each with its fibers, for tables per unit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from myelin.measure.exclude import class_reason
from myelin.measure.fibers import Fibers
from myelin.measure.summary import SIZES
from myelin.statistics.groups import Animals, animals_by_group, place_of_images


@dataclass
class Measured:
    """Sizes and counts of one image's fibers.

    Attributes
    ----------
    sizes : dict of str to array, (n,)
        The columns `SIZES` of fibers that do not touch the border.
    counted : int
        Fibers in the unbiased counting frame.
    area_mm2 : float
    nerve_counted, nerve_area_mm2 : float or None
        The same for the nerve in the image; None without an outline.
    classes, classes_counted : Counter
        Fibers by class, and those of them that `nerve_counted` or else `counted` counts; "" is no
        class. Fibers that are left out by their class alone count. Empty without classes.
    """

    sizes: dict[str, np.ndarray]
    counted: int
    area_mm2: float
    nerve_counted: float | None = None
    nerve_area_mm2: float | None = None
    classes: Counter = field(default_factory=Counter)
    classes_counted: Counter = field(default_factory=Counter)

    @classmethod
    def of(cls, fibers: Fibers, row: dict, counted: np.ndarray) -> "Measured":
        """Return sizes and counts of the fibers of one image, and of its row of `summary.csv`.

        `counted`, bool (n,), is `Fibers.counted` before any fiber was left out.
        """
        sizes = {size: fibers.columns[size][fibers.whole] for size in SIZES}
        area = row.get("nerve_area_mm2")
        nerve = (row["fiber_density_nerve_per_mm2"] * area, area) if area else (None, None)
        found = cls(sizes, int(fibers.counted.sum()), fibers.area_mm2, *nerve)
        if (classes := fibers.columns.get("class")) is not None:
            reasons = np.array([class_reason(name) for name in classes], object)
            kept = fibers.kept | (fibers.columns["excluded"] == reasons)
            inside = fibers.columns["fascicle"] > 0 if area else True
            found.classes = Counter(classes[kept])
            found.classes_counted = Counter(classes[kept & counted & inside])
        return found


@dataclass
class Unit:
    """An image, an animal or a group; the fibers of several images are pooled.

    Attributes
    ----------
    level : {"image", "animal", "group"}
    group, animal, image : str
        Names of the unit and of those it belongs to; empty if there is none.
    images : list of Measured
    """

    level: str
    group: str
    animal: str
    image: str
    images: list[Measured]

    @property
    def names(self) -> dict[str, str]:
        """The first columns of the unit's rows."""
        return {name: getattr(self, name) for name in ("level", "group", "animal", "image")}

    @cached_property
    def sizes(self) -> dict[str, np.ndarray]:
        """The columns `SIZES` of whole fibers, float (n,)."""
        return pool_sizes(self.images)

    @property
    def frame_density_per_mm2(self) -> float:
        """Counted fibers / area of the frames."""
        return sum(one.counted for one in self.images) / sum(one.area_mm2 for one in self.images)

    @property
    def density_per_mm2(self) -> float:
        """Counted fibers / area: of the nerve in images with an outline, otherwise of the frame."""
        counts = (one.nerve_counted if one.nerve_area_mm2 else one.counted for one in self.images)
        return sum(counts) / self.counted_area_mm2

    @property
    def counted_area_mm2(self) -> float:
        """The area of `density_per_mm2`."""
        return sum(one.nerve_area_mm2 or one.area_mm2 for one in self.images)

    @property
    def classes(self) -> dict[str, tuple[int, float]]:
        """Number of fibers of each class, see `Measured.classes`, and their density per mm²."""
        fibers = sum((one.classes for one in self.images), Counter())
        counted = sum((one.classes_counted for one in self.images), Counter())
        return {name: (n, counted[name] / self.counted_area_mm2) for name, n in fibers.items()}


def pool_sizes(images: Sequence[Measured]) -> dict[str, np.ndarray]:
    """Return the sizes of the fibers of several images together, by column."""
    return {size: np.concatenate([image.sizes[size] for image in images]) for size in SIZES}


def units_of(animals: Animals, measured: dict[str, Measured]) -> list[Unit]:
    """Return all images, then the animals, then the groups."""
    places = place_of_images(animals)
    found = [
        Unit("image", *places.get(name, ("", "")), name, [image])
        for name, image in measured.items()
    ]
    for place, names in animals.items():
        found.append(Unit("animal", *place, "", [measured[name] for name in names]))
    for group, parts in animals_by_group(animals).items():
        images = [measured[name] for names in parts.values() for name in names]
        found.append(Unit("group", group, "", "", images))
    return found
