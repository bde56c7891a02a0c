"""Segment the packed test images with a model.

    python data.py
    python find_myelin.py
    python find_myelin.py newmyelin.h5 --pixel-size 0.12

Writes, for every image of raw/test, preds/<id>_pred.png (myelin probability x 255),
preds/<id>_mask.tif (0/255) and preds/<id>_overlay.png, all at the size of the image; also
npydata/imgs_mask_test.npy (probabilities, float32) and preds/run.json (what made them).
"""

from myelin.cli import Parser, number, script
from myelin.engine import ENGINES, PRECISIONS
from myelin.model_file import model_path
from myelin.pixel_size import check_pixel_size
from myelin.preds import Options, segment_test
from myelin.segmentation import SCALE_TOLERANCE


@script
def main(argv=None):
    """Segment `raw/test`."""
    parser = Parser(__doc__)
    parser.add_argument(
        "model",
        nargs="?",
        default="bestmyelin.h5",
        help="model file, in models/ when a bare name (default: bestmyelin.h5)",
    )
    parser.add_argument(
        "--threshold",
        type=number(float, 0.001, 0.999),
        metavar="P",
        help="probability from which a pixel is myelin; lower makes sheaths thicker "
        "(default: the model's, 0.5)",
    )
    parser.add_argument(
        "--myelin",
        choices=["auto", "bright", "dark"],
        default="auto",
        help="whether myelin is brighter or darker than its surroundings; auto decides for each "
        "image, dark images are inverted for the network (default: auto)",
    )
    parser.add_argument(
        "--pixel-size",
        type=check_pixel_size,
        metavar="UM",
        help="µm per pixel of all images; those that differ from the model's by more than a "
        f"factor of {SCALE_TOLERANCE:g} are resampled for the network (default: from each "
        "image's OME or ImageJ tags, else as it is)",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what computes: OpenVINO, which is faster, or Keras; auto takes OpenVINO where it is "
        "installed (default: auto)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="how OpenVINO computes: auto takes bfloat16 where the processor has it, twice as "
        "fast; float32 gives the same numbers on every machine (default: auto)",
    )
    args = parser.parse_args(argv)
    options = Options(args.myelin, args.pixel_size, args.threshold, args.engine, args.precision)
    segment_test(model_path(args.model, reading=True), options)


if __name__ == "__main__":
    main()
