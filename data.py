"""Pack microscope images and their masks into arrays.

    python data.py

reads `raw/train/x.tif` with its hand-drawn mask `raw/train/x_mask.tif`, and `raw/test/*.tif`,
and writes to `npydata/`:

    imgs_train.npy, imgs_mask_train.npy, imgs_test.npy   uint8, one frame per image
    imgs_id_train.npy, imgs_id_test.npy                  file names without their ending
    imgs_shape_train.npy, imgs_shape_test.npy            rows and columns; smaller images are
                                                         zero-padded at the bottom and right
    imgs_pixel_size_test.npy                             µm per pixel, NaN where unknown
    imgs_sha256_train.npy, imgs_sha256_test.npy          of each file, to know when one has changed

Where a folder has changed since, train.py, extra_training.py and find_myelin.py pack it anew.

TIFF, PNG, JPEG and BMP are read, 8-bit, 16-bit or float, grey or colour.
"""

from myelin.cli import Parser, script
from myelin.locking import holding
from myelin.naming import NPYDATA
from myelin.packing import pack


@script
def main(argv=None):
    """Pack `raw/train` and `raw/test` into `npydata/`."""
    Parser(__doc__).parse_args(argv)
    with holding(NPYDATA, "imgs_train.npy"), holding(NPYDATA, "imgs_test.npy"):
        print("\n".join(pack(["train", "test"])))
    print(f"packed into {NPYDATA}/")


if __name__ == "__main__":
    main()
