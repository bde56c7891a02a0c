"""Train a new model on the packed pairs, keep its best epoch, then segment the test images.

    python train.py newmyelin.h5 100
    python train.py newmyelin.h5 40 --crop 256 --augment --normalize image --loss dice+crossentropy

The first call is the procedure of 2018: whole frames of 1024 x 1024, minus Dice, Adam at 1e-3, the
last 20 % of the frames for validation. The second learns from random crops at the images' own
resolution; its model takes images of any size. Writes models/newmyelin.h5 (after each better
epoch), newmyelin_history.csv and newmyelin_curve.png; until the run is complete also
newmyelin_resume.h5, from which --resume goes on.
"""

import math

import unet
from myelin import engine, model_file, preprocessing
from myelin.cli import Parser, number, script
from myelin.pairs import Pairs
from myelin.preds import segment_if_packed
from myelin.preprocessing import Preprocessing
from myelin.training import (
    add_training_options,
    check_options,
    compile_network,
    fit,
    multiple,
    resumed,
)
from unet import DEFAULT_SIZE


@script
def main(argv=None):
    """Train a new model."""
    parser = Parser(__doc__)
    parser.add_argument("model", help="model file to write, into models/ when a bare name")
    parser.add_argument("epochs", type=number(int, 1), help="how often to go through the data")
    parser.add_argument(
        "--size",
        type=multiple,
        metavar="PX",
        help="whole frames are resized to PX x PX pixels (default: 1024)",
    )
    parser.add_argument(
        "--normalize",
        choices=["dataset", "image"],
        default="dataset",
        help="subtract the mean and divide by the standard deviation of the whole training set, "
        "or of each image by itself (default: dataset)",
    )
    add_training_options(parser)
    args = parser.parse_args(argv)
    if args.augment and not args.crop:
        parser.error("--augment needs --crop")
    if args.crop and args.size:
        parser.error("--size is of whole frames, leave it out with --crop")
    check_options(args, (args.size or DEFAULT_SIZE) ** 2)
    path = model_file.model_path(args.model)

    pairs = Pairs(as_bright=bool(args.crop))
    keras = engine.start_keras()
    keras.utils.set_random_seed(args.seed)
    start, best = 0, math.inf
    if args.resume:
        network, settings, start, best = resumed(path, args)
    else:
        size = None if args.crop else args.size or DEFAULT_SIZE
        settings = Preprocessing(
            frame="native" if args.crop else "resize",
            rows=size,
            cols=size,
            myelin="bright" if args.crop else "as it is",
            normalize=args.normalize,
        )
        if args.normalize == "dataset":
            settings.mean, settings.std = preprocessing.dataset_statistics(
                pairs.all_images(), settings
            )
        # The original's start shrinks the signal by half at each level, and the bottom, which sees
        # most of the surroundings, learned nothing from crops: its output stayed below 0.01.
        network = unet.get_unet(size, size, "he_normal" if args.crop else "glorot_uniform")
        compile_network(network, args)
    fit(path, network, settings, pairs, args, start, best)
    segment_if_packed(path)


if __name__ == "__main__":
    main()
