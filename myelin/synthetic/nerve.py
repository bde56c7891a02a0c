"""Draw a nerve cross-section whose true geometry is known.

    image, mask, fibers = draw_nerve(512, 512, 0.1, np.random.default_rng(1))

Outlines of fibers and axons are drawn first (shapes.py), then tissue and image (tissue.py). A pixel
is myelin exactly if its centre lies between the two outlines of a fiber; the grey edge is at half
height there. Areas in the table are those of the continuous outlines, not of pixels.
"""

from collections.abc import Collection
from dataclasses import replace

import cv2
import numpy as np

from myelin.runtime.cli import UserError
from myelin.synthetic.distractors import burn_in, draw_contents
from myelin.synthetic.looks import LOOKS, Array, Rng, Section
from myelin.synthetic.shapes import Bodies, Fascicle, areas, draw_geometry
from myelin.synthetic.tissue import background, draw_bodies, photograph

# Difficult contents and the share of images that show each when nobody chooses. "diseased" puts
# swollen and collapsed fibers among the healthy ones; "fat" brings its perineurium along, "blood"
# its vessels.
SCENES = {"diseased": 0.25, "vessel": 0.25, "perineurium": 0.25, "fat": 0.1, "margin": 0.15}
SCENES |= {"blood": 0.15, "mast": 0.1, "debris": 0.15, "cracks": 0.12, "annotation": 0.12}
SCENES |= {"frame": 0.1}
# The columns of the table; by them synthetic.py knows its own files.
TRUE_COLUMNS = ["fiber", "x_px", "y_px", "axon_area_um2", "axon_diameter_um", "fiber_area_um2"]
TRUE_COLUMNS += ["fiber_diameter_um", "myelin_area_um2", "myelin_thickness_um", "g_ratio"]
TRUE_COLUMNS += ["touches_border", "kind"]


def draw_nerve(
    rows: int,
    cols: int,
    pixel_size_um: float,
    rng: Rng,
    myelin: str = "bright",
    look: str = "light",
    scenes: str | Collection[str] = "random",
) -> tuple[Array, Array, dict[str, Array]]:
    """Draw one nerve cross-section.

    Parameters
    ----------
    rows, cols : int
    pixel_size_um : float
        0.02 to 0.5.
    rng : numpy.random.Generator
        The same state draws the same image.
    myelin : {"bright", "dark", "mixed"}
    look : str
        A name in `LOOKS`; "mixed" chooses one at random.
    scenes : "random" or collection of str
        Difficult contents, of `SCENES`; "random" takes each with its share there.

    Returns
    -------
    image : uint8 array, (rows, cols)
    mask : bool array, (rows, cols)
        Myelin; splits and vacuoles within a sheath are included.
    fibers : dict of arrays
        `TRUE_COLUMNS`, as in morphometry.py's table. Areas are those of the whole outlines, also
        where `touches_border`. Collapsed fibers (`kind`) have no axon: NaN.

    Examples
    --------
    >>> image, mask, fibers = draw_nerve(200, 300, 0.1, np.random.default_rng(1))
    >>> bool(np.median(image[mask]) > np.median(image[~mask]))
    True
    """
    myelin = choose(myelin, ("bright", "dark"), rng)
    look = LOOKS[choose(look, tuple(LOOKS), rng)]
    section = Section((rows, cols), pixel_size_um, look, choose_scenes(scenes, rng), rng)
    check_size(section)
    fascicle = Fascicle(section)
    bodies = draw_geometry(section, fascicle)
    section.tones = {name: rng.uniform(*span) for name, span in look.tones.items()}
    grey, fiber, axon = draw_bodies(section, bodies, background(section, fascicle))
    mask = (fiber > 0) & (axon == 0)
    # Random numbers of their own: all else stays the same with and without these contents.
    within, above = (replace(section, rng=spawned) for spawned in rng.spawn(2))
    covered = draw_contents(within, grey, bodies, mask)
    image = photograph(section, grey.astype(np.float32))
    image = 255 - image if myelin == "dark" else image
    covered |= draw_margins(section, image, myelin)
    covered |= burn_in(above, image)
    return image, mask & ~covered, measure(bodies, fiber, covered, pixel_size_um)


def check_size(section: Section) -> None:
    """Raise UserError if the image or its pixels are too small or too large to draw."""
    if not 0.02 <= section.pixel_size_um <= 0.5:
        raise UserError(f"pixel size: {section.pixel_size_um:g} µm, choose 0.02 to 0.5")
    rows, cols = section.shape
    if min(rows, cols) < 64 or max(rows, cols) > 8192:
        raise UserError(f"size: {rows} x {cols}, choose 64 to 8192 rows and columns")


def choose(value: str, choices: tuple[str, ...], rng: Rng) -> str:
    """Return `value`, one of `choices`, or for "mixed" one of them at random."""
    return str(rng.choice(choices)) if value == "mixed" else value


def choose_scenes(scenes: str | Collection[str], rng: Rng) -> set[str]:
    """Return the names of difficult contents; "random" takes each with its probability."""
    if scenes == "random":
        return {name for name, share in SCENES.items() if rng.random() < share}
    return set(scenes)


def draw_margins(section: Section, image: Array, myelin: str) -> Array:
    """Empty one or two edges of `image`, in place, the second one in part; return where."""
    rng = section.rng
    empty = np.zeros(image.shape, bool)
    parts = (
        (1.0, rng.uniform(0.3, 0.7))[: rng.integers(1, 3)] if "margin" in section.contents else ()
    )
    for part in parts:
        turn = int(rng.integers(4))
        side = np.rot90(empty, turn)  # a view: what is set here is set in `empty`
        width = int(side.shape[0] * rng.uniform(0.08, 0.35))
        side[:width, : int(side.shape[1] * part)] = True
    image[empty] = 0 if myelin == "bright" or rng.random() < 0.5 else 255
    return empty


def measure(bodies: Bodies, fiber: Array, covered: Array, pixel_size_um: float) -> dict[str, Array]:
    """Return the table of the fibers in view, dict of columns."""
    shown = np.unique(fiber[~covered])
    index = shown[shown > 0] - 1
    cut = np.zeros(len(bodies.kind) + 1, bool)
    framed = np.pad(covered, 1, constant_values=True).astype(np.uint8)
    near = cv2.dilate(framed, np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    cut[np.unique(fiber[near])] = True
    kind, centers = bodies.kind[index], bodies.centers[index]
    fiber_area = areas(bodies.outer[index]) * pixel_size_um**2
    axon_area = areas(bodies.inner[index]) * pixel_size_um**2
    axon_area[kind == "collapsed"] = np.nan
    fiber_diameter, axon_diameter = 2 * np.sqrt([fiber_area / np.pi, axon_area / np.pi])
    return {
        "fiber": np.arange(1, len(index) + 1),
        "x_px": centers[:, 0],
        "y_px": centers[:, 1],
        "axon_area_um2": axon_area,
        "axon_diameter_um": axon_diameter,
        "fiber_area_um2": fiber_area,
        "fiber_diameter_um": fiber_diameter,
        "myelin_area_um2": fiber_area - np.nan_to_num(axon_area),
        "myelin_thickness_um": (fiber_diameter - axon_diameter) / 2,
        "g_ratio": axon_diameter / fiber_diameter,
        "touches_border": cut[index + 1],
        "kind": kind,
    }
