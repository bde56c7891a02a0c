"""Draw nerve cross-sections whose true geometry is known.

    python synthetic.py --train 6 --test 2 --seed 1

fills `raw/train` with `synthetic_01.tif`, `synthetic_01_mask.tif` (myelin 255) and
`synthetic_01_fibers.csv` (every true fiber in µm), and `raw/test` with `synthetic_test_01.tif` and
so on, the mask there being a reference for evaluate.py. Also from Python:

    image, mask, fibers = draw_nerve(512, 512, 0.1, np.random.default_rng(1))

The outlines of fibers and axons are drawn first (synthetic_shapes.py), then their look
(synthetic_look.py). A pixel is myelin exactly if its centre lies between the two outlines of a
fiber, and the grey edge is at half height there. The table tells the areas of these continuous
outlines, not of pixels.
"""

import cv2
import numpy as np

from myelin.cli import Parser, UserError, number, progress, script
from myelin.files import write_table
from myelin.images import write_image
from myelin.naming import RAW_TEST, RAW_TRAIN, SUFFIXES
from myelin.pixel_size import check_pixel_size
from myelin.synthetic_look import GREY, background, draw_bodies, photograph
from myelin.synthetic_shapes import Fascicle, areas, draw_geometry

# Difficult contents and the share of images that show each when nobody chooses. "diseased" puts
# swollen and collapsed fibers among the healthy ones; "fat" brings its perineurium along.
SCENES = {"diseased": 0.25, "vessel": 0.25, "perineurium": 0.25, "fat": 0.1, "margin": 0.15}

COLUMNS = ["fiber", "x_px", "y_px", "axon_area_um2", "axon_diameter_um", "fiber_area_um2"]
COLUMNS += ["fiber_diameter_um", "myelin_area_um2", "myelin_thickness_um", "g_ratio"]
COLUMNS += ["touches_border", "kind"]


# ---------------------------------------------------------------- one image


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
        Difficult contents, of `SCENES`; "random" takes each with its probability there.

    Returns
    -------
    image : uint8 array, (rows, cols)
    mask : bool array, (rows, cols)
        Myelin. Splits and vacuoles within a sheath count as myelin, as when drawn by hand.
    fibers : dict of arrays
        The columns of morphometry.py's table that apply, µm: see `COLUMNS`. Areas are those of the
        whole continuous outlines, also where a fiber is cut by the image's edge or a black
        margin (`touches_border`). x_px, y_px is a point inside the axon. A collapsed
        fiber (`kind`) has no axon: NaN there.

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
    if isinstance(scenes, str) and scenes == "random":
        scenes = {name for name, share in SCENES.items() if rng.random() < share}
    if unknown := sorted(set(scenes) - set(SCENES)):
        raise UserError(f"scenes: {', '.join(unknown)}, choose from {', '.join(SCENES)}")
    if not 0.02 <= pixel_size_um <= 0.5:
        raise UserError(f"pixel size: {pixel_size_um:g} µm, choose 0.02 to 0.5")
    if min(rows, cols) < 64 or max(rows, cols) > 8192:
        raise UserError(f"size: {rows} x {cols}, choose 64 to 8192 rows and columns")

    shape = (rows, cols)
    bundled = not {"perineurium", "fat"}.isdisjoint(scenes)
    reach = (-0.25, 0.05) if "fat" in scenes else (-0.05, 0.3)  # fat cells need room outside
    fascicle = Fascicle(rows, cols, pixel_size_um, bundled, reach, rng)
    bodies = draw_geometry(rows, cols, pixel_size_um, look, scenes, fascicle, rng)
    tones = {name: rng.uniform(*span) for name, span in GREY[look].items()}
    ground = background(fascicle, pixel_size_um, tones, scenes, shape, rng)
    grey, fiber, axon = draw_bodies(bodies, ground, tones, pixel_size_um, rng)
    image = photograph(grey.astype(np.float32), pixel_size_um, look, rng)
    if myelin == "dark":
        image = 255 - image
    empty = margins(shape, rng) if "margin" in scenes else np.zeros(shape, bool)
    image[empty] = 0 if myelin == "bright" or rng.random() < 0.5 else 255
    mask = (fiber > 0) & (axon == 0) & ~empty
    return image, mask, measure(bodies, fiber, empty, pixel_size_um)


def choose(what, value, choices, rng):
    """Return `value`, one of `choices`, or for "mixed" one of them at random."""
    if value == "mixed":
        return str(rng.choice(choices))
    if value not in choices:
        raise UserError(f"{what}: {value}, choose {', '.join(choices)} or mixed")
    return value


def margins(shape, rng):
    """Return where a frame is empty, bool `shape`: one or two edges, the second one in part."""
    empty = np.zeros(shape, bool)
    for part in (1.0, rng.uniform(0.3, 0.7))[: rng.integers(1, 3)]:
        turn = int(rng.integers(4))
        side = np.rot90(empty, turn)  # a view: what is set here is set in `empty`
        width = int(side.shape[0] * rng.uniform(0.08, 0.35))
        side[:width, : int(side.shape[1] * part)] = True
    return empty


def measure(bodies, fiber, empty, pixel_size_um):
    """Return the table of the fibers in view, dict of columns."""
    shown = np.unique(fiber[~empty])
    index = shown[shown > 0] - 1
    cut = np.zeros(len(bodies["kind"]) + 1, bool)
    framed = np.pad(empty, 1, constant_values=True).astype(np.uint8)
    near = cv2.dilate(framed, np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    cut[np.unique(fiber[near])] = True
    fiber_area = areas(bodies["outer"][index]) * pixel_size_um**2
    axon_area = areas(bodies["inner"][index]) * pixel_size_um**2
    axon_area[bodies["kind"][index] == "collapsed"] = np.nan
    fiber_diameter, axon_diameter = 2 * np.sqrt([fiber_area / np.pi, axon_area / np.pi])
    columns = (
        np.arange(1, len(index) + 1),
        *bodies["centers"][index].T,
        axon_area,
        axon_diameter,
        fiber_area,
        fiber_diameter,
        fiber_area - np.nan_to_num(axon_area),
        (fiber_diameter - axon_diameter) / 2,
        axon_diameter / fiber_diameter,
        cut[index + 1],
        bodies["kind"][index],
    )
    return dict(zip(COLUMNS, columns, strict=True))


# ---------------------------------------------------------------- files


def refuse_to_overwrite(folder, stems):
    """Raise a UserError naming every file in the way that this script did not write.

    Its own images are those with its table beside them.
    """
    mistakes = []
    for stem in stems:
        table = folder / f"{stem}_fibers.csv"
        if table.is_file():
            head = table.read_bytes()[:1000].decode(errors="replace").splitlines()[:1]
            if head == [",".join(COLUMNS)]:
                continue
        names = [f"{stem}{part}{suffix}" for part in ("", "_mask") for suffix in sorted(SUFFIXES)]
        mistakes += [
            f"{path}: exists and was not made by synthetic.py, move it away or give --force"
            for path in (table, *(folder / name for name in names))
            if path.exists()
        ]
    if mistakes:
        raise UserError(*mistakes)


def build_parser():
    """Return the command line's parser."""
    parser = Parser(__doc__)
    add, count = parser.add_argument, number(int, 0, 9999)
    add("--train", type=count, default=6, metavar="N", help="images for raw/train (default 6)")
    add("--test", type=count, default=2, metavar="N", help="images for raw/test (default 2)")
    add(
        "--seed",
        type=count,
        default=1,
        metavar="N",
        help="another seed, other images (default 1)",
    )
    add(
        "--size",
        type=count,
        nargs=2,
        default=(512, 512),
        metavar=("ROWS", "COLS"),
        help="size in pixels, 64 to 8192 (default 512 512)",
    )
    add(
        "--pixel-size",
        type=check_pixel_size,
        default=0.1,
        metavar="UM",
        help="µm per pixel, 0.02 to 0.5; kept in the TIFFs (default 0.1)",
    )
    add(
        "--myelin",
        choices=("bright", "dark", "mixed"),
        default="bright",
        help="how myelin looks; mixed: drawn for each image (default bright)",
    )
    add(
        "--look",
        choices=("light", "electron", "mixed"),
        default="light",
        help="light: inverted light microscopy of peripheral nerve; electron: scanning electron "
        "microscopy of white matter (default light)",
    )
    add(
        "--scenes",
        nargs="+",
        choices=("random", "none", "all", *SCENES),
        default=["random"],
        metavar="NAME",
        help="difficult contents of every image: none, all, or some of "
        f"{', '.join(SCENES)}; random: each in a part of the images (default random)",
    )
    add(
        "--force",
        action="store_true",
        help="overwrite files of the same name that others made (default: refuse)",
    )
    return parser


@script
def main(argv=None):
    """Draw images, masks and tables into `raw/train` and `raw/test`."""
    args = build_parser().parse_args(argv)
    if args.train + args.test == 0:
        raise UserError("--train 0 --test 0: nothing to draw, ask for one image at least")
    scenes = {"random": "random", "none": (), "all": SCENES}.get(args.scenes[0], args.scenes)
    if len(args.scenes) > 1 and not set(args.scenes) <= set(SCENES):
        raise UserError(f"--scenes {' '.join(args.scenes)}: random, none and all stand alone")

    jobs = []
    for folder, prefix, wanted in (
        (RAW_TRAIN, "synthetic", args.train),
        (RAW_TEST, "synthetic_test", args.test),
    ):
        stems = [f"{prefix}_{index:02d}" for index in range(1, wanted + 1)]
        if not args.force:
            refuse_to_overwrite(folder, stems)
        jobs += [(folder, stem, index) for index, stem in enumerate(stems, 1)]
    total = 0
    for folder, stem, index in progress(jobs, "drawing"):
        # One generator per image: the third is the same whether three are drawn or thirty.
        rng = np.random.default_rng([args.seed, folder == RAW_TEST, index])
        image, mask, fibers = draw_nerve(
            *args.size, args.pixel_size, rng, args.myelin, args.look, scenes
        )
        # The table first: it marks the images as ours should the next lines be interrupted.
        rows = zip(*(fibers[name] for name in COLUMNS), strict=True)
        write_table(folder / f"{stem}_fibers.csv", COLUMNS, rows)
        write_image(folder / f"{stem}.tif", image, args.pixel_size)
        write_image(folder / f"{stem}_mask.tif", mask * np.uint8(255), args.pixel_size)
        total += len(fibers["fiber"])
    print(
        f"{len(jobs)} images with {total:,} fibers drawn: {args.train} in {RAW_TRAIN}, "
        f"{args.test} in {RAW_TEST}"
    )


if __name__ == "__main__":
    main()
