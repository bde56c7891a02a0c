"""Pack microscope images and their masks into arrays.

    python data.py

reads `raw/train/x.tif` with its hand-drawn mask `raw/train/x_mask.tif`, and `raw/test/*.tif`,
and writes to `npydata/`:

    imgs_train.npy, imgs_mask_train.npy, imgs_test.npy   uint8, one frame per image
    imgs_id_train.npy, imgs_id_test.npy                  file names without their ending
    imgs_shape_train.npy, imgs_shape_test.npy            rows and columns; smaller images are
                                                         zero-padded at the bottom and right
    imgs_pixel_size_test.npy                             µm per pixel, NaN where unknown
    imgs_limits_train.npy, imgs_limits_test.npy          values that became 0 and 255, NaN if 8-bit
    imgs_stamp_train.npy, imgs_stamp_test.npy            size and time of each file
    imgs_take_train.npy, imgs_take_test.npy              --take, if it was given

If a folder changes, train.py, extra_training.py and find_myelin.py pack it again.

Reads TIFF, PNG, JPEG, BMP and SVS, 8-bit, 16-bit or float, grey or colour; CZI, LIF, ND2 and
OME-Zarr with an optional library, which an error names if it is missing. --take chooses one image
of a file that holds several:

    python data.py --take channel=2
    python data.py --take page=3
"""

from myelin.folders.naming import NPYDATA
from myelin.folders.packing import pack
from myelin.images.plane_selection import add_take_option
from myelin.runtime.cli import Parser, script
from myelin.runtime.lock import holding


@script
def main(argv: list[str] | None = None) -> None:
    """Pack `raw/train` and `raw/test` into `npydata/`."""
    parser = Parser(__doc__)
    add_take_option(parser)
    args = parser.parse_args(argv)
    with holding(NPYDATA, "imgs_train.npy"), holding(NPYDATA, "imgs_test.npy"):
        print("\n".join(pack(["train", "test"], args.take)))
    print(f"packed into {NPYDATA}/")


if __name__ == "__main__":
    main()
