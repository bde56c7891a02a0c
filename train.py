"""Train a new model on the packed pairs, keep its best epoch, then segment the test images.

    python train.py newmyelin.h5 100
    python train.py newmyelin.h5 40 --crop 256 --augment --normalize image --loss dice+gaps

The first call is the procedure of 2018: whole frames of 1024 x 1024 pixels, minus the Dice
coefficient, Adam at 1e-3, the last 20 % of the frames for validation. The second trains on random
crops, in which all images are rescaled to one fiber width; its model takes images of any size.
Writes models/newmyelin.h5 (after each better epoch), newmyelin_history.csv and newmyelin_curve.png.
Until the training is complete, --resume continues it from newmyelin_resume.h5.
"""

import argparse
from pathlib import Path

from myelin.folders.naming import NPYDATA
from myelin.folders.packing import repack_for_training
from myelin.measure.fiber_width import FIBER_PX
from myelin.network.model_file import model_path, room_of_training
from myelin.runtime.cli import Parser, number, script
from myelin.runtime.disk import check_room
from myelin.runtime.lock import holding
from myelin.segment.pipeline import room_if_packed, segment_if_packed
from myelin.train import recipe
from myelin.train.pairs import Pairs, split
from unet import DEFAULT_SIZE


@script
def main(argv: list[str] | None = None) -> None:
    """Train a new model."""
    args = parse(argv)
    run = recipe.Run.from_arguments(args, recipe.recipe_of(vars(args), recipe.Recipe()))
    run.check((args.size or 0) ** 2)
    path = model_path(args.model)
    repack_for_training()
    with holding(path.parent, path.name), holding(NPYDATA, "imgs_train.npy", shared=True):
        kept = train(path, run, args.resume)
    from myelin.train.calibration import calibrate_if_openvino  # late, for a fast --help

    calibrate_if_openvino(path)
    segment_if_packed(path)
    print(kept)


def train(path: Path, run: recipe.Run, resume: bool) -> str:
    """Train a model file; return which epoch was kept."""
    check_room(room_of_training(path) | room_if_packed())
    crops = run.recipe.crop is not None
    pairs = Pairs(as_bright=crops, fiber_px=FIBER_PX if crops else None)

    split(pairs, run.validation_split, run.validate_on)  # an error comes before Keras is loaded
    from myelin.train import fit as training  # late: it imports Keras

    state = training.resumed_network(path, run) if resume else training.new_network(run, pairs)
    return training.fit(path, state, pairs, run)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument("model", help="model file to write, in models/ if a bare name")
    parser.add_argument("epochs", type=number(int, 1), help="passes through the training images")
    parser.add_argument(
        "--size",
        type=recipe.multiple,
        metavar="PX",
        help=f"side to which whole frames are resized, pixels (default: {DEFAULT_SIZE})",
    )
    parser.add_argument(
        "--normalize",
        choices=["dataset", "image"],
        default="dataset",
        help="subtract the mean and divide by the standard deviation of the whole training set, "
        "or of each image (default: dataset)",
    )
    recipe.add_recipe_options(parser)
    recipe.add_run_options(parser)
    args = parser.parse_args(argv)
    if args.augment and not args.crop:
        parser.error("--augment needs --crop")
    if args.crop and args.size:
        parser.error("--size is for whole frames, leave it out with --crop")
    args.size = None if args.crop else args.size or DEFAULT_SIZE
    return args


if __name__ == "__main__":
    main()
