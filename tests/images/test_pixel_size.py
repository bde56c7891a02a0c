"""Units of length, pixels that are not square, and pixel sizes on the command line."""

import argparse

import pytest
from image_samples import ome_image

from myelin.images import pixel_size
from myelin.images.image import read_record
from myelin.runtime import cli


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ("um uM µm μm u µ micron Micron microns micrometer Micrometers micrometre \\u00B5m", 1.0),
        ("nm NM nanometer nanometers nanometre", 1e-3),
        ("mm millimeter", 1e3),
        ("m meter metres", 1e6),
        ("pm picometer", 1e-6),
        ("Å \u212b angstrom Angstroms", 1e-4),
        ("pixel inch cm kilometer 1", None),
    ],
)
def test_units_in_any_case_plural_and_spelling(units, expected):
    assert {pixel_size.unit_um(f" {unit} ") for unit in units.split()} == {expected}


def test_pixels_that_are_not_square_are_refused(tmp_path):
    sizes = 'PhysicalSizeX="0.25" PhysicalSizeY="{}"'
    path = tmp_path / "x.tif"
    assert read_record(ome_image(path, sizes.format(0.252))).pixel_size()[0] == 0.25
    record = read_record(ome_image(path, sizes.format(0.26)))
    assert record.pixel_sizes_um == (0.25, 0.26) and record.pixel_size_source == "OME-XML"
    with pytest.raises(cli.UserError, match=r"x\.tif: pixels of 0\.25 x 0\.26 µm are not square"):
        record.pixel_size()


@pytest.mark.parametrize(
    ("text", "example"),
    [*((text, "0.1") for text in ("0", "-1", "nan", "inf", "100", "0.1um", "")), ("0,15", "0.15")],
)
def test_a_pixel_size_on_the_command_line_is_a_number_in_its_range(text, example):
    assert pixel_size.check_pixel_size("0.1") == 0.1
    with pytest.raises(argparse.ArgumentTypeError) as mistake:
        pixel_size.check_pixel_size(text)
    assert str(mistake.value) == (
        f"{text!r} is not a pixel size, give µm per pixel with a decimal point, between 0.0001 and "
        f"100, such as {example}"
    )
