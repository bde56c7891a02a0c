"""Pixel sizes from OME-XML, ImageJ's tags and the command line; what is not one."""

import argparse

import pytest
import tifffile
from image_samples import ome_image, ramp
from PIL import Image

from myelin.images import pixel_size
from myelin.images.image import read_record
from myelin.runtime import cli


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.25"', 0.25),
        ('PhysicalSizeX="0.25"', 0.25),
        ('PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.25"', 0.25),
        ('PhysicalSizeX="1e-4" PhysicalSizeXUnit="mm" PhysicalSizeY="0.1"', 0.1),
        ('PhysicalSizeX="2" PhysicalSizeXUnit="pixel" PhysicalSizeY="2"', None),
        ('PhysicalSizeX="two"', None),
        *((f'PhysicalSizeX="{size}"', None) for size in ("0", "-0.1", "NaN", "1e9")),
        ("", None),
    ],
)
def test_pixel_size_from_ome_xml(tmp_path, sizes, expected):
    found, source = read_record(ome_image(tmp_path / "x.tif", sizes)).pixel_size()
    assert found == (pytest.approx(expected) if expected else None)
    assert source == ("OME-XML" if expected else "unknown")


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("um", 0.2),
        ("micron", 0.2),
        ("\\u00B5m", 0.2),
        ("nm", 2e-4),
        ("pixel", None),
        ("inch", None),  # as in the images of 2018
        ("", None),
    ],
)
def test_pixel_size_from_imagej_tags(tmp_path, unit, expected):
    tifffile.imwrite(
        tmp_path / "x.tif", ramp(), imagej=True, resolution=(5, 5), metadata={"unit": unit}
    )
    found, source = read_record(tmp_path / "x.tif").pixel_size()
    assert found == (pytest.approx(expected) if expected else None)
    assert source == ("ImageJ tags" if expected else "unknown")


@pytest.mark.parametrize("dpi", [72, 25400])
def test_dots_per_inch_alone_mean_unknown(tmp_path, dpi):
    tifffile.imwrite(tmp_path / "x.tif", ramp(), resolution=(dpi, dpi), resolutionunit="INCH")
    Image.fromarray(ramp()).save(tmp_path / "x.png", dpi=(dpi, dpi))
    assert read_record(tmp_path / "x.tif").pixel_size() == (None, "unknown")
    assert read_record(tmp_path / "x.png").pixel_size() == (None, "unknown")


def test_damaged_tags_mean_that_the_pixel_size_is_unknown(tmp_path):
    path = ome_image(tmp_path / "x.tif", 'PhysicalSizeX="0.25')
    assert read_record(path).pixel_size() == (None, "unknown")
    tags = {"imagej": True, "resolution": (5, 5), "metadata": {"unit": "um"}}
    tifffile.imwrite(path, ramp(), **tags)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["XResolution"].overwrite((0, 1))
    assert read_record(path).pixel_size() == (None, "unknown")


def test_pixels_that_are_not_square_are_refused(tmp_path):
    sizes = 'PhysicalSizeX="0.25" PhysicalSizeY="{}"'
    path = tmp_path / "x.tif"
    assert read_record(ome_image(path, sizes.format(0.252))).pixel_size()[0] == 0.25
    record = read_record(ome_image(path, sizes.format(0.26)))
    assert record.pixel_sizes_um == (0.25, 0.26) and record.pixel_size_source == "OME-XML"
    with pytest.raises(cli.UserError, match=r"x\.tif: pixels of 0\.25 x 0\.26 µm are not square"):
        record.pixel_size()


def test_a_pixel_size_on_the_command_line_is_a_number_in_its_range():
    assert pixel_size.check_pixel_size("0.1") == 0.1
    for text in ("0", "-1", "nan", "inf", "100", "0.1um", ""):
        with pytest.raises(
            argparse.ArgumentTypeError, match="is not a pixel size, give µm per pixel"
        ):
            pixel_size.check_pixel_size(text)
