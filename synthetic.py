"""Draw nerve cross-sections whose true geometry is known.

    python synthetic.py --train 6 --test 2 --seed 1

writes `synthetic_01.tif`, `synthetic_01_mask.tif` (myelin 255) and `synthetic_01_fibers.csv` (true
measures of every fiber, µm) to `raw/train`, and `synthetic_test_01.tif` and so on to `raw/test`,
where the mask is a reference for evaluate.py. From Python, call `draw_nerve` of
myelin/synthetic/nerve.py.
"""

import math
from pathlib import Path

from myelin.folders.naming import RAW_TEST, RAW_TRAIN
from myelin.images.formats import SUFFIXES
from myelin.images.image import write_image
from myelin.images.pixel_size import check_pixel_size
from myelin.runtime.cli import Parser, UserError, count_of, number, progress, script
from myelin.runtime.disk import check_room
from myelin.runtime.tables import write_table
from myelin.synthetic.looks import LOOKS
from myelin.synthetic.nerve import SCENES, TRUE_COLUMNS, draw_nerve


def refuse_to_overwrite(folder: Path, stems: list[str]) -> None:
    """Raise a UserError that names every existing file not written by this script.

    Images written by this script have its table beside them.
    """
    mistakes = []
    for stem in stems:
        table = folder / f"{stem}_fibers.csv"
        if table.is_file():
            head = table.read_bytes()[:1000].decode("utf-8-sig", "replace").splitlines()[:1]
            if head == [",".join(TRUE_COLUMNS)]:
                continue
        names = [f"{stem}{part}{suffix}" for part in ("", "_mask") for suffix in sorted(SUFFIXES)]
        mistakes += [
            f"{path}: exists and was not made by synthetic.py, move it or add --force"
            for path in (table, *(folder / name for name in names))
            if path.exists()
        ]
    if mistakes:
        raise UserError(*mistakes)


def build_parser() -> Parser:
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
        help="seed of the random numbers: another seed, other images (default 1)",
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
        help="brightness of myelin; mixed: chosen at random for each image (default bright)",
    )
    add(
        "--look",
        choices=(*LOOKS, "mixed"),
        default="light",
        help="light: inverted light microscopy of peripheral nerve; electron: scanning electron "
        "microscopy of white matter; stained: toluidine blue in bright field, small and "
        "regenerating fibers; osmium: black myelin on a dark ground; cars: dim, noisy rings; "
        "transmission: electron microscopy with unmyelinated axons; mixed: chosen at random for "
        "each image (default light)",
    )
    add(
        "--scenes",
        nargs="+",
        choices=("random", "none", "all", *SCENES),
        default=["random"],
        metavar="NAME",
        help="difficult contents of every image: none, all, or some of "
        f"{', '.join(SCENES)}; random: each in some of the images (default random)",
    )
    add(
        "--force",
        action="store_true",
        help="overwrite files of these names that synthetic.py did not make (default: refuse)",
    )
    return parser


@script
def main(argv: list[str] | None = None) -> None:
    """Draw images, masks and tables into `raw/train` and `raw/test`."""
    args = build_parser().parse_args(argv)
    if args.train + args.test == 0:
        raise UserError("--train 0 --test 0: nothing to draw, ask for at least one image")
    scenes = {"random": "random", "none": (), "all": SCENES}.get(args.scenes[0], args.scenes)
    if len(args.scenes) > 1 and not set(args.scenes) <= set(SCENES):
        raise UserError(
            f"--scenes {' '.join(args.scenes)}: random, none and all cannot be combined, give one "
            "of them or names"
        )

    jobs = []
    for folder, prefix, wanted in (
        (RAW_TRAIN, "synthetic", args.train),
        (RAW_TEST, "synthetic_test", args.test),
    ):
        stems = [f"{prefix}_{index:02d}" for index in range(1, wanted + 1)]
        if not args.force:
            refuse_to_overwrite(folder, stems)
        jobs += [(folder, stem, index) for index, stem in enumerate(stems, 1)]
    pixels = math.prod(args.size)  # a byte each in the image; masks and tables are small
    check_room({RAW_TRAIN: args.train * pixels, RAW_TEST: args.test * pixels})
    import numpy as np  # late: Ctrl-C is handled once the package is imported

    total = 0
    for folder, stem, index in progress(jobs, "drawing"):
        # One generator per image: the third is the same whether three are drawn or thirty.
        rng = np.random.default_rng([args.seed, folder == RAW_TEST, index])
        image, mask, fibers = draw_nerve(
            *args.size, args.pixel_size, rng, args.myelin, args.look, scenes
        )
        # The table first: it marks the images as ours if the next lines are interrupted.
        rows = zip(*fibers.values(), strict=True)
        write_table(folder / f"{stem}_fibers.csv", list(fibers), rows)
        write_image(folder / f"{stem}.tif", image, args.pixel_size)
        write_image(folder / f"{stem}_mask.tif", mask * np.uint8(255), args.pixel_size)
        total += len(fibers["fiber"])
    print(
        f"{count_of(len(jobs), 'image')} with {count_of(total, 'fiber')}: "
        f"{args.train} in {RAW_TRAIN}, {args.test} in {RAW_TEST}"
    )


if __name__ == "__main__":
    main()
