"""Segment images: find their myelin with a model.

    python data.py
    python find_myelin.py
    python find_myelin.py newmyelin.h5 --myelin dark --scale 0.5
    python find_myelin.py --images study --out results
    python find_myelin.py --images scans --fields 20

Writes, for every image of raw/test, preds/<id>_pred.png (myelin probability x 255),
preds/<id>_mask.tif (0/255) and preds/<id>_overlay.png, all at the size of the image (the overlay of
a scan is reduced); also npydata/imgs_mask_test.npy (probabilities, float32) and preds/run.json
(settings, versions, facts about each image). A mask in preds/ that you corrected by hand is kept;
the model's mask is then preds/model/<id>_mask.tif.
With --images nothing is packed, and an id is the path of an image within its folder:
study/control/animal1/x.tif has the id control/animal1/x and the mask
results/control/animal1/x_mask.tif.
With --fields, fields of the images are segmented, systematic and uniform random: they become images
of their own, preds/fields/x_f01.tif, and preds/fields.csv has their places, for morphometry.py.
"""

from argparse import Namespace

from myelin.folders.fields import add_field_options, pop_sampling
from myelin.folders.naming import PREDS
from myelin.folders.options import add_out_option
from myelin.images.pixel_size import check_pixel_size
from myelin.images.plane_selection import add_take_option
from myelin.network.engine import ENGINES, PRECISIONS
from myelin.network.model_file import model_path
from myelin.runtime.cli import Parser, number, script
from myelin.segment.dask_workers import address
from myelin.segment.pipeline import segment_images
from myelin.segment.run_options import Options


def scale(text: str) -> float | None:
    """argparse type: a magnification, None for auto."""
    return None if text == "auto" else number(float, 0.01, 16)(text)


@script
def main(argv: list[str] | None = None) -> None:
    """Segment `raw/test`, or what `--images` names."""
    args = parse(argv)
    args.model = model_path(args.model, reading=True)
    segment_images(Options(**vars(args)))


def parse(argv: list[str] | None) -> Namespace:
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument(
        "model",
        nargs="?",
        default="bestmyelin.h5",
        help="model file; a bare name is looked up in models/ (default: bestmyelin.h5)",
    )
    parser.add_argument(
        "--threshold",
        type=number(float, 0.001, 0.999),
        metavar="P",
        help="probability from which a pixel is myelin, 0 to 1; lower makes sheaths thicker "
        "(default: the model's own, 0.55 for bestmyelin.h5)",
    )
    parser.add_argument(
        "--myelin",
        choices=["auto", "bright", "dark"],
        default="auto",
        help="whether myelin is brighter or darker than its surroundings; auto decides for each "
        "image; images with dark myelin are inverted for the network (default: auto)",
    )
    parser.add_argument(
        "--scale",
        type=scale,
        metavar="auto|X",
        help="magnification at which the network sees the images, such as 0.5; auto finds one at "
        "which fibers are as wide as in training, the same for images that belong together "
        "(default: auto)",
    )
    parser.add_argument(
        "--pixel-size",
        dest="pixel_size_um",
        type=check_pixel_size,
        metavar="UM",
        help="µm per pixel of all images, stored in the masks for morphometry.py; does not change "
        "a mask (default: from each image's metadata)",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="library that runs the network; auto takes OpenVINO, which is faster, if it is "
        "installed, else Keras (default: auto)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="numbers that OpenVINO computes with: auto uses int8 if the CPU supports it (VNNI, "
        "AMX) and the model passed its int8 check, else bfloat16, else float32; float32 gives the "
        "same numbers on every computer (default: auto)",
    )
    add_run_options(parser)
    args = parser.parse_args(argv)
    if args.take and not (args.images or args.fields):
        parser.error("argument --take: only with --images; for packed images, give it to data.py")
    args.fields = pop_sampling(args)
    return args


def add_run_options(parser: Parser) -> None:
    """Add what a run reads and writes, and how it deals with existing outputs."""
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="PATH",
        help="files, folders and folder trees to segment as they are, without packing; --out gets "
        "the same tree, masks beside images are left alone (default: raw/test, packed)",
    )
    add_field_options(parser)
    add_take_option(parser)
    add_out_option(parser, PREDS)
    parser.add_argument(
        "--strict",
        action="store_true",
        help="with --images, stop before the start if an image cannot be read (default: it is "
        "named at the end, with exit code 3, and the others are segmented)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip images that a run with the same model and options has finished, and take over "
        "its scales; with other settings it is an error (default: segment all)",
    )
    others = parser.add_mutually_exclusive_group()
    others.add_argument(
        "--workers",
        type=number(int, 1, 64),
        default=1,
        metavar="N",
        help="number of processes; each uses its part of the processors and as much memory as a "
        "run with one process; the results are the same (default: 1, which uses all processors)",
    )
    others.add_argument(
        "--dask",
        type=address,
        metavar="ADDRESS",
        help="address of a Dask scheduler, such as tcp://host:8786: its workers segment; they need "
        "this suite and must see images, model and --out under the same paths; the results are "
        "the same (default: this computer segments)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace masks that you corrected by hand, after copying them to corrected/ "
        "beside them (default: keep them)",
    )


if __name__ == "__main__":
    main()
