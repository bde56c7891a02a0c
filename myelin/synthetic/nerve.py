"""Draw a nerve cross-section whose true geometry is known.

    image, mask, fibers = draw_nerve(512, 512, 0.1, np.random.default_rng(1))

The outlines of fibers and axons are drawn first (synthetic_shapes.py), then their look
(synthetic_look.py). A pixel is myelin exactly if its centre lies between the two outlines of a
fiber, and the grey edge is at half height there. The table holds the areas of these continuous
outlines, not of pixels.
"""

import cv2
import numpy as np

from myelin.runtime.cli import UserError
from myelin.synthetic.distractors import burn_in, draw_contents
from myelin.synthetic.look import GREY, background, draw_bodies, photograph
from myelin.synthetic.shapes import Fascicle, areas, draw_geometry

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


def draw_nerve(rows, cols, pixel_size_um, rng, myelin="bright", look="light", scenes="random"):
    """Draw one nerve cross-section.

    Parameters
    ----------
    rows, cols : int
        Size of the image.
    pixel_size_um : float
        µm per pixel, 0.02 to 0.5.
    rng : numpy.random.Generator
        The same state draws the same image.
    myelin : {"bright", "dark", "mixed"}
    look : {"light", "electron", "mixed"}
        Inverted light microscopy of a peripheral nerve, or scanning electron microscopy of white
        matter. "mixed" chooses at random.
    scenes : "random" or collection of str
        Difficult contents, of `SCENES`; "random" takes each with its share there.

    Returns
    -------
    image : uint8 array, (rows, cols)
    mask : bool array, (rows, cols)
        Myelin; splits and vacuoles within a sheath included, as when drawn by hand.
    fibers : dict of arrays
        The columns of morphometry.py's table that apply: `TRUE_COLUMNS`. Areas are of the whole
        outlines, also where `touches_border`: the image's edge, a margin, crack, dust or text cuts
        it. x_px, y_px is a point in the axon. A collapsed fiber (`kind`) has no axon: NaN there.

    Raises
    ------
    UserError
        A name or a number out of range.

    Examples
    --------
    >>> image, mask, fibers = draw_nerve(200, 300, 0.1, np.random.default_rng(1))
    >>> image.shape, mask.dtype
    ((200, 300), dtype('bool'))
    >>> bool(np.median(image[mask]) > np.median(image[~mask]))
    True
    """
    myelin = choose("myelin", myelin, ("bright", "dark"), rng)
    look = choose("look", look, tuple(GREY), rng)
    scenes, shape = choose_scenes(scenes, rng), (rows, cols)
    check_size(shape, pixel_size_um)
    fascicle = draw_fascicle(shape, pixel_size_um, scenes, rng)
    bodies = draw_geometry(rows, cols, pixel_size_um, look, scenes, fascicle, rng)
    tones = {name: rng.uniform(*span) for name, span in GREY[look].items()}
    ground = background(fascicle, pixel_size_um, tones, scenes, shape, rng)
    grey, fiber, axon = draw_bodies(bodies, ground, tones, pixel_size_um, rng)
    mask = (fiber > 0) & (axon == 0)
    # Random numbers of their own: without these contents all else is as if they were unknown.
    within, above = rng.spawn(2)
    covered = draw_contents(grey, bodies, mask, tones, pixel_size_um, look, scenes, within)
    image = photograph(grey.astype(np.float32), pixel_size_um, look, rng)
    image = 255 - image if myelin == "dark" else image
    covered |= draw_margins(image, myelin, scenes, rng)
    covered |= burn_in(image, pixel_size_um, look, scenes, above)
    return image, mask & ~covered, measure(bodies, fiber, covered, pixel_size_um)


def check_size(shape, pixel_size_um):
    """Raise where an image would be too small, too large, too fine or too coarse to draw."""
    if not 0.02 <= pixel_size_um <= 0.5:
        raise UserError(f"pixel size: {pixel_size_um:g} µm, choose 0.02 to 0.5")
    if min(shape) < 64 or max(shape) > 8192:
        raise UserError(f"size: {shape[0]} x {shape[1]}, choose 64 to 8192 rows and columns")


def choose(what, value, choices, rng):
    """Return `value`, one of `choices`, or for "mixed" one of them at random."""
    if value == "mixed":
        return str(rng.choice(choices))
    if value not in choices:
        raise UserError(f"{what}: {value}, choose {', '.join(choices)} or mixed")
    return value


def choose_scenes(scenes, rng):
    """Return the names of difficult contents, of "random" ones each with its probability."""
    if isinstance(scenes, str) and scenes == "random":
        return {name for name, share in SCENES.items() if rng.random() < share}
    if unknown := sorted(set(scenes) - set(SCENES)):
        raise UserError(f"scenes: {', '.join(unknown)}, choose from {', '.join(SCENES)}")
    return scenes


def draw_fascicle(shape, pixel_size_um, scenes, rng):
    """Return the `Fascicle` of an image; no wall in view unless a scene has one."""
    bundled = not {"perineurium", "fat"}.isdisjoint(scenes)
    reach = (-0.25, 0.05) if "fat" in scenes else (-0.05, 0.3)  # fat cells need room outside
    return Fascicle(*shape, pixel_size_um, bundled, reach, rng)


def draw_margins(image, myelin, scenes, rng):
    """Empty one or two edges of `image`, in place, the second one in part; return where."""
    empty = np.zeros(image.shape, bool)
    parts = (1.0, rng.uniform(0.3, 0.7))[: rng.integers(1, 3)] if "margin" in scenes else ()
    for part in parts:
        turn = int(rng.integers(4))
        side = np.rot90(empty, turn)  # a view: what is set here is set in `empty`
        width = int(side.shape[0] * rng.uniform(0.08, 0.35))
        side[:width, : int(side.shape[1] * part)] = True
    image[empty] = 0 if myelin == "bright" or rng.random() < 0.5 else 255
    return empty


def measure(bodies, fiber, covered, pixel_size_um):
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
