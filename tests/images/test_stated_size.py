"""Pixel sizes that files state: OME-XML, ImageJ's tags, makers' tags, a text beside an image."""

import struct

import pytest
import tifffile
from image_samples import ome_image, ramp
from PIL import Image

from myelin.images.image import read_record


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ('PhysicalSizeX="0.25"', 0.25),
        ('PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.25"', 0.25),
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
        ("\\u00B5m", 0.2),
        ("nanometer", 2e-4),
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


def test_centimeters_that_imagej_calls_microns_are_no_pixel_size(tmp_path):
    tags = {"imagej": True, "resolution": (1e5, 1e5), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "x.tif", ramp(), metadata={"unit": "micron"}, **tags)
    assert read_record(tmp_path / "x.tif").pixel_size() == (None, "unknown")


@pytest.mark.parametrize("dpi", [72, 25400])
def test_dots_per_inch_alone_mean_unknown(tmp_path, dpi):
    tifffile.imwrite(tmp_path / "x.tif", ramp(), resolution=(dpi, dpi), resolutionunit="INCH")
    Image.fromarray(ramp()).save(tmp_path / "x.png", dpi=(dpi, dpi))
    assert read_record(tmp_path / "x.tif").pixel_size() == (None, "unknown")
    assert read_record(tmp_path / "x.png").pixel_size() == (None, "unknown")


FEI = "[Beam]\r\nHV=2000\r\n[{}]\r\nPixelWidth=5e-008\r\nPixelHeight=5e-008\r\n"
ZEISS = "AP_PIXEL_SIZE\r\nPixel Size = 2 nm\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {}\r\n"


def olympus_header(start):
    """Return the header of Olympus SIS, which begins at `start` in the file."""
    head = struct.pack("<4s6x5h6x32sHhhI", b"SIS0", 0, 0, 1, 0, 126, b"x", 1, 1, 1, start + 68)
    return head + struct.pack("<10xhdd8xd2x34s32s", -9, 50, 50, 1000, b"", b"")


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        ("FEI tag", {34682: FEI.format("Scan")}),
        ("FEI tag", {34680: FEI.format("EScan")}),
        ("Zeiss tag", {34118: ZEISS.format("50.00 nm")}),
        ("Zeiss tag", {34118: ZEISS.format("50000 pm")}),
        ("Zeiss tag", {34118: ZEISS.format("0.05 µm").encode("latin-1")}),
        ("unknown", {34118: ZEISS.partition("AP_IMAGE")[0]}),  # the screen's alone
        ("Gatan tags", {65009: 50.0, 65010: 50.0, 65003: "nm"}),
    ],
)
def test_pixel_size_in_the_tags_of_a_maker(tmp_path, source, tags):
    kinds = {str: 2, bytes: 7, float: 12}
    extra = [
        (code, kinds[type(value)], len(value) if type(value) is bytes else 1, value, True)
        for code, value in tags.items()
    ]
    tifffile.imwrite(tmp_path / "x.tif", ramp(), extratags=extra, metadata=None)
    expected = None if source == "unknown" else 0.05
    assert read_record(tmp_path / "x.tif").pixel_size() == (expected, source)


def test_pixel_size_in_the_tag_of_olympus(tmp_path):
    path, start = tmp_path / "x.tif", 0
    for _ in range(2):  # it holds a place in the file, known after a first writing
        tags = [(33560, 7, 180, olympus_header(start), True)]
        tifffile.imwrite(path, ramp(), extratags=tags, metadata=None)
        with tifffile.TiffFile(path) as tif:
            start = tif.pages[0].tags[33560].valueoffset
    assert read_record(path).pixel_size() == (0.05, "Olympus tag")


JEOL = "$CM_FULL_SIZE {} 20\r\n$$SM_MICRON_BAR 20\r\n$$SM_MICRON_MARKER 1um\r\n"
HITACHI = "[SemImageFile]\r\nDataSize={}x20\r\nPixelSize=50\r\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.txt", JEOL.format(30).encode()),
        ("x.txt", JEOL.format(30).replace("1um", "1000 nm").encode()),
        ("x.TXT", HITACHI.format(30).encode()),
        ("x.txt", HITACHI.format(30).replace("Sem", "Tem").encode("utf-16")),
    ],
)
@pytest.mark.parametrize("ending", ["tif", "bmp"])
def test_pixel_size_in_a_text_beside_the_image(tmp_path, name, content, ending):
    Image.fromarray(ramp()).save(tmp_path / f"x.{ending}")
    (tmp_path / name).write_bytes(content)
    assert read_record(tmp_path / f"x.{ending}").pixel_size() == (0.05, name)


@pytest.mark.parametrize(
    "text", [JEOL.format(60), HITACHI.format(15), "my notes", "", "PixelSize=9"]
)
def test_other_texts_beside_an_image_have_no_pixel_size(tmp_path, text):
    Image.fromarray(ramp()).save(tmp_path / "x.tif")
    (tmp_path / "x.txt").write_text(text)
    assert read_record(tmp_path / "x.tif").pixel_size() == (None, "unknown")
