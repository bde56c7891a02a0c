"""Which page of a TIFF is read: by number, or by the axes of OME-TIFF, ImageJ and Aperio."""

import numpy as np
import pytest
import tifffile
from format_samples import stack
from measuring import fails

import data
import find_myelin
import morphometry
from myelin.folders import packed, packing
from myelin.folders.mask_record import read_run
from myelin.folders.naming import PREDS
from myelin.images import image as images
from myelin.images.plane_selection import parse_take
from myelin.runtime.cli import UserError

SIZES = {f"PhysicalSize{axis}": 0.2 for axis in "XY"} | {f"PhysicalSize{a}Unit": "µm" for a in "XY"}
OME = {"metadata": {"axes": "ZCYX", **SIZES}, "photometric": "minisblack"}


def read(path, take=""):
    return images.read_image(images.read_record(path, parse_take(take)))


@pytest.mark.parametrize("packing", [None, "zlib", "lzw"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_a_page_is_read_whatever_library_has_its_codec(tmp_path, packing, bigtiff):
    """LZW is Pillow's and, of 16 bits, OpenCV's; both read the first page."""
    pixels = stack().reshape(6, 20, 30)
    pixels[:, -1, -2:] = 0, 255  # so that 16 bits are scaled to the same 8
    for dtype in (np.uint8, np.uint16):
        write_pages(tmp_path / "x.tif", pixels.astype(dtype), packing, bigtiff)
        for page in (1, 4, 6):
            assert np.array_equal(read(tmp_path / "x.tif", f"page={page}"), pixels[page - 1])


def write_pages(path, pixels, packing, bigtiff=False):
    """Write pages; LZW through Pillow, as tifffile writes it only with imagecodecs."""
    if packing == "lzw":
        from PIL import Image

        first, *others = (Image.fromarray(page) for page in pixels)
        options = {"compression": "tiff_lzw", "big_tiff": bigtiff}
        first.save(path, save_all=True, append_images=others, **options)
    else:
        options = {"photometric": "minisblack", "metadata": None, "compression": packing}
        tifffile.imwrite(path, pixels, bigtiff=bigtiff, **options)


def test_without_a_choice_the_message_names_the_option(tmp_path):
    write_pages(tmp_path / "x.tif", stack().reshape(6, 20, 30), None)
    with pytest.raises(UserError, match=r"6 pages in one file, choose with --take page=N"):
        read(tmp_path / "x.tif")
    with pytest.raises(UserError, match=r"no page 7 \(it has 6\)"):
        read(tmp_path / "x.tif", "page=7")
    with pytest.raises(UserError, match=r"no channel 2 \(it has 1\)"):
        read(tmp_path / "x.tif", "page=1,channel=2")


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_planes_and_channels_by_the_axes_of_the_file(tmp_path, kind):
    options = OME if kind == "ome" else {"imagej": True, "metadata": {"axes": "ZCYX", "unit": "um"}}
    tifffile.imwrite(tmp_path / "x.ome.tif", stack(), resolution=(5, 5), **options)
    with pytest.raises(UserError, match="3 planes, 2 channels in one file, choose with"):
        read(tmp_path / "x.ome.tif")
    for plane, channel in ((1, 1), (1, 2), (2, 1), (3, 2)):
        found = read(tmp_path / "x.ome.tif", f"plane={plane},channel={channel}")
        assert np.array_equal(found, stack()[plane - 1, channel - 1])
    record = images.read_record(tmp_path / "x.ome.tif", {"plane": 1, "channel": 2})
    assert record.pixel_size()[0] == pytest.approx(0.2)
    assert np.array_equal(read(tmp_path / "x.ome.tif", "page=4"), stack()[1, 1])


def test_each_series_has_its_own_pixel_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.ome.tif") as file:
        for number, image in enumerate(stack(2, 1)[:, 0]):
            sizes = SIZES | {f"PhysicalSize{axis}": 0.5 + number for axis in "XY"}
            file.write(image, photometric="minisblack", metadata=sizes)
    with pytest.raises(UserError, match="2 series in one file"):
        read(tmp_path / "x.ome.tif")
    for number in (1, 2):
        record = images.read_record(tmp_path / "x.ome.tif", {"series": number})
        assert record.pixel_size() == (number - 0.5, "OME-XML")
        assert np.array_equal(images.read_image(record), stack(2, 1)[number - 1, 0])
    # Its number alone does not say of which series a page is.
    assert images.read_record(tmp_path / "x.ome.tif", {"page": 2}).pixel_size()[0] is None


def test_levels_of_an_ome_tiff_and_of_a_slide(tmp_path):
    image = np.kron(stack(1, 1, 8, 8)[0, 0], np.ones((8, 8), np.uint8))
    with tifffile.TiffWriter(tmp_path / "x.ome.tif") as file:
        file.write(image, subifds=1, photometric="minisblack", metadata=SIZES)
        file.write(image[::4, ::4], subfiletype=1, photometric="minisblack")
    with tifffile.TiffWriter(tmp_path / "x.svs") as file:
        aperio = {"description": "Aperio Image\r\n64x64|AppMag = 20|MPP = 0.2", "metadata": None}
        rgb = np.dstack([image] * 3)
        file.write(rgb, tile=(16, 16), **aperio)
        file.write(rgb[::8, ::8], **aperio)  # a view of the slide
        file.write(rgb[::4, ::4], tile=(16, 16), **aperio)
        file.write(rgb[::8, ::8], subfiletype=1, description="Aperio\r\nlabel", metadata=None)
        file.write(rgb[::8, ::8], subfiletype=9, description="Aperio\r\nmacro", metadata=None)
    for name, source in (("x.ome.tif", "OME-XML"), ("x.svs", "Aperio")):
        whole = images.read_record(tmp_path / name)
        assert whole.pixel_size() == (0.2, source)
        assert np.array_equal(images.read_image(whole), image)
        small = images.read_record(tmp_path / name, {"level": 2})
        assert small.pixel_size() == (0.8, source)
        assert np.array_equal(images.read_image(small), image[::4, ::4])
        with pytest.raises(UserError, match=r"no level 3 \(it has 2\)"):
            images.read_record(tmp_path / name, {"level": 3})


GREY = {"photometric": "minisblack", "metadata": None}


@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_samples_of_a_grey_page_are_channels(tmp_path, count, dtype, layout):
    pixels = stack(1, count)[0].astype(dtype)
    stored = np.moveaxis(pixels, 0, -1) if layout == "contig" else pixels
    extra = {"extrasamples": [0] * (count - 1), "planarconfig": layout}
    tifffile.imwrite(tmp_path / "x.tif", stored, **GREY, **extra)
    with pytest.raises(UserError, match=f"{count} channels in one file, choose with --take chan"):
        read(tmp_path / "x.tif")
    for number in range(1, count + 1):
        record = images.read_record(tmp_path / "x.tif", {"channel": number})
        assert np.array_equal(images.read_stored(record), pixels[number - 1])
    with pytest.raises(UserError, match=rf"no channel 9 \(it has {count}\)"):
        read(tmp_path / "x.tif", "channel=9")


def test_channels_in_pages_of_several_and_beside_alpha(tmp_path):
    pixels = np.moveaxis(stack(3, 2), 1, -1)
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for page in pixels:
            file.write(page, **GREY, planarconfig="contig", extrasamples=[0])
    with pytest.raises(UserError, match="3 pages, 2 channels in one file"):
        read(tmp_path / "x.tif")
    assert np.array_equal(read(tmp_path / "x.tif", "page=2,channel=2"), pixels[1, ..., 1])
    three = np.dstack([pixels[0], np.full((20, 30), 255, np.uint8)])  # two channels and alpha
    tifffile.imwrite(tmp_path / "a.tif", three, **GREY, planarconfig="contig", extrasamples=[0, 2])
    with pytest.raises(UserError, match="2 channels in one file"):
        read(tmp_path / "a.tif")
    assert np.array_equal(read(tmp_path / "a.tif", "channel=2"), pixels[0, ..., 1])


def test_channels_in_pages_of_an_ome_tiff(tmp_path):
    pixels = np.moveaxis(stack(3, 2), 1, -1)
    options = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": [0]}
    tifffile.imwrite(tmp_path / "x.ome.tif", pixels, metadata={"axes": "ZYXS"}, **options)
    with pytest.raises(UserError, match="3 planes, 2 channels in one file"):
        read(tmp_path / "x.ome.tif")
    assert np.array_equal(read(tmp_path / "x.ome.tif", "plane=3,channel=2"), pixels[2, ..., 1])


@pytest.mark.parametrize("size", ['SizeZ="3"', 'PlaneCount="6"'])
def test_ome_xml_of_absurd_sizes_is_refused_at_once(tmp_path, size):
    path = tmp_path / "x.ome.tif"
    tifffile.imwrite(path, stack(), **OME)
    xml = tifffile.TiffFile(path).ome_metadata
    assert size in xml
    tifffile.tiffcomment(path, xml.replace(size, f'{size[:-2]}100000000"').encode())
    with pytest.raises(UserError, match="OME-XML with more than 10,000 planes"):
        read(path, "plane=1,channel=1")


def test_a_second_file_named_in_ome_xml_is_not_opened(tmp_path):
    tifffile.imwrite(tmp_path / "x.ome.tif", stack(), **OME)
    tifffile.imwrite(tmp_path / "y.ome.tif", stack() + 50, **OME)
    xml = tifffile.TiffFile(tmp_path / "x.ome.tif").ome_metadata
    other = '<TiffData PlaneCount="6"><UUID FileName="y.ome.tif">urn:uuid:1</UUID></TiffData>'
    start, end = xml.index("<TiffData"), xml.index("</Pixels>")
    tifffile.tiffcomment(tmp_path / "x.ome.tif", (xml[:start] + other + xml[end:]).encode())
    try:
        found = read(tmp_path / "x.ome.tif", "plane=1,channel=1")
    except UserError:
        return
    assert np.array_equal(found, stack()[0, 0])


@pytest.mark.parametrize("text", ["channel", "channel=0", "page=x", "colour=2", "page=99999999999"])
def test_what_is_no_choice_is_refused(text, folder, capfd):
    (line,) = fails(data.main, capfd, "--take", text).splitlines()
    assert "argument --take" in line and "is not NAME=N" in line


def test_a_choice_that_a_plain_image_lacks_is_named(folder, write_sample, capfd):
    write_sample("raw/test/a.png")
    assert "a.png: no channel 2 (it has 1)" in fails(data.main, capfd, "--take", "channel=2")
    data.main(["--take", "channel=1"])


def test_masks_hold_one_image_whatever_is_taken(folder, write_sample):
    tifffile.imwrite("raw/train/a.tif", stack(), photometric="minisblack", metadata=None)
    write_sample("raw/train/a_mask.png", np.tile(np.uint8([0, 255]), (20, 15)))
    data.main(["--take", "page=5"])
    assert np.array_equal(packed.load_train().images[0], stack()[2, 0])


def test_what_was_taken_is_taken_again(folder):
    """find_myelin.py packs anew by itself, and morphometry.py reads the images behind the masks."""
    pixels = stack(1, 3, 96, 96)
    tifffile.imwrite("raw/test/a.tif", pixels, imagej=True, metadata={"axes": "ZCYX"})
    data.main(["--take", "channel=3"])
    tifffile.imwrite("raw/test/b.tif", pixels + 20, imagej=True, metadata={"axes": "ZCYX"})
    packing.repack_if_changed("test")
    test = packed.load_test()
    assert test.names == ["a", "b"] and np.array_equal(test[1], pixels[0, 2] + 20)
    find_myelin.main(["--myelin", "bright", "--scale", "1"])
    assert read_run(PREDS)["take"] == "channel=3"
    tifffile.imwrite("raw/test/a_nerve.tif", np.full((96, 96), 255, np.uint8))  # is one image
    morphometry.main(["--pixel-size", "0.2", "--no-pictures"])
    data.main(["--take", "channel=1"])
    assert np.array_equal(packed.load_test()[0], pixels[0, 0])
