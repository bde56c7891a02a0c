"""Train a new model on the packed pairs, keep its best epoch, then segment the test images.

    python train.py newmyelin.h5 100
    python train.py newmyelin.h5 40 --crop 256 --augment --normalize image --loss dice+gaps

The first call is the procedure of 2018: whole frames of 1024 x 1024, minus Dice, Adam at 1e-3, the
last 20 % of the frames for validation. The second learns from random crops, in which images of any
magnification come to one width of fibers; its model takes images of any size. Writes
models/newmyelin.h5 (after each better epoch), newmyelin_history.csv and newmyelin_curve.png; until
the run is complete also newmyelin_resume.h5, from which --resume goes on.
"""

from myelin.folders.naming import NPYDATA
from myelin.folders.packing import keep_up_to_train
from myelin.measure.fiber_width import FIBER_PX
from myelin.network.model_file import model_path, room_of_training
from myelin.runtime.cli import Parser, number, script
from myelin.runtime.disk import check_room
from myelin.runtime.lock import holding
from myelin.segment.pipeline import room_if_packed, segment_if_packed
from myelin.train.pairs import Pairs
from myelin.train.recipe import (
    Recipe,
    Run,
    add_recipe_options,
    add_run_options,
    given_recipe,
    multiple,
)
from unet import DEFAULT_SIZE


@script
def main(argv=None):
    """Train a new model."""
    args = parse(argv)
    run = Run.from_arguments(args, given_recipe(args, Recipe()))
    run.check((args.size or 0) ** 2)
    path = model_path(args.model)
    keep_up_to_train()
    with (
        holding(path.parent, path.name),
        holding(NPYDATA, "imgs_train.npy", shared=True),
    ):
        train(path, run, args)
    from myelin.train.calibration import calibrate_trained  # late: it imports all that draws

    calibrate_trained(path)
    segment_if_packed(path)


def train(path, run, args):
    """Train a model file."""
    check_room(room_of_training(path, run.keep_optimizer) | room_if_packed())
    pairs = Pairs(as_bright=bool(args.crop), fiber_px=FIBER_PX if args.crop else None)

    from myelin.train import fit as training  # late: it imports Keras

    if args.resume:
        progress = training.resumed_network(path, run)
    else:
        progress = training.new_network(run, pairs)
    training.fit(path, progress, pairs, run)


def parse(argv):
    """Return the arguments of the command line."""
    parser = Parser(__doc__)
    parser.add_argument("model", help="model file to write, into models/ when a bare name")
    parser.add_argument("epochs", type=number(int, 1), help="how often to go through the data")
    parser.add_argument(
        "--size",
        type=multiple,
        metavar="PX",
        help=f"whole frames are resized to PX x PX pixels (default: {DEFAULT_SIZE})",
    )
    parser.add_argument(
        "--normalize",
        choices=["dataset", "image"],
        default="dataset",
        help="subtract the mean and divide by the standard deviation of the whole training set, "
        "or of each image by itself (default: dataset)",
    )
    add_recipe_options(parser)
    add_run_options(parser)
    args = parser.parse_args(argv)
    if args.augment and not args.crop:
        parser.error("--augment needs --crop")
    if args.crop and args.size:
        parser.error("--size is of whole frames, leave it out with --crop")
    args.size = None if args.crop else args.size or DEFAULT_SIZE
    return args


if __name__ == "__main__":
    main()
