"""Reading, pairing, packing and writing images: every promised input, every promised error."""

import argparse
import json
import math
import os
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import data
from myelin import cli, files, images, naming, packed, pairs, pixel_size

ROOT = Path(data.__file__).parent
LUMINANCE = [0.299, 0.587, 0.114]


def stored_files():
    """Return {name: bytes} of the packed arrays, temporary files included."""
    return {path.name: path.read_bytes() for path in Path("npydata").iterdir()}


def refused(capfd, code=2):
    """Pack, expecting failure; return the lines on stderr, which must all be plain errors."""
    with pytest.raises(SystemExit) as stop:
        data.main([])
    assert stop.value.code == code
    lines = capfd.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("error: ") for line in lines) or code != 2, lines
    return lines


def tiff_bytes(rows, cols, bits=8, photometric=1, body=b"", description=b""):
    """Build a TIFF of one uncompressed grey strip by hand, with its directory before its body."""
    tags = [(256, 4, cols), (257, 4, rows), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(270, 2, 0)] if description else []
    tags += [(273, 4, 0), (277, 3, 1), (278, 4, rows), (279, 4, len(body) or 600)]
    end = 8 + 2 + 12 * len(tags) + 4
    entries = b""
    for tag, kind, value in tags:
        count = len(description) if tag == 270 else 1
        value = {270: end, 273: end + len(description)}.get(tag, value)
        entries += struct.pack("<HHII", tag, kind, count, value)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    return head + entries + struct.pack("<I", 0) + description + body


def png_bytes(rows, cols):
    """Build a PNG by hand that claims a size and holds nothing."""
    chunks = b""
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", cols, rows, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ):
        chunks += struct.pack(">I", len(body)) + kind + body
        chunks += struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + chunks


def ramp(dtype=np.uint8, channels=None):
    """Return a (20, 30[, channels]) image whose values all differ, up to about 200."""
    shape = (20, 30) if channels is None else (20, 30, channels)
    return (np.arange(math.prod(shape)) * 200 / math.prod(shape)).reshape(shape).astype(dtype)


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".png", ".bmp", ".PNG", ".TIF"])
def test_grey_8_bit_images_are_read_unchanged(tmp_path, write_sample, suffix):
    sample = write_sample(tmp_path / f"x{suffix}")
    assert np.array_equal(images.read_image(tmp_path / f"x{suffix}"), sample)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_is_read_up_to_its_own_loss(tmp_path, write_sample, suffix):
    sample = write_sample(tmp_path / f"x{suffix}", ramp())
    found = images.read_image(tmp_path / f"x{suffix}")
    assert np.abs(found - sample.astype(float)).max() < 4


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".bmp"])
def test_colour_becomes_luminance_and_alpha_is_ignored(tmp_path, write_sample, suffix, channels):
    sample = np.random.default_rng(1).integers(0, 256, (20, 30, channels), dtype=np.uint8)
    write_sample(tmp_path / f"x{suffix}", sample)
    found = images.read_image(tmp_path / f"x{suffix}")
    assert np.abs(found - sample[..., :3] @ LUMINANCE).max() < 0.51


def test_grey_stored_as_colour_keeps_its_values(tmp_path, write_sample):
    grey = write_sample(tmp_path / "grey.png")
    write_sample(tmp_path / "rgb.png", np.repeat(grey[..., None], 3, axis=2))
    assert np.array_equal(images.read_image(tmp_path / "rgb.png"), grey)


@pytest.mark.parametrize(
    "dtype", [np.uint16, np.int16, np.uint32, np.float16, np.float32, np.float64]
)
def test_deeper_images_are_scaled_by_their_own_range(tmp_path, dtype):
    sample = ramp(dtype) * dtype(3) + dtype(7)
    tifffile.imwrite(tmp_path / "x.tif", sample)
    low, high = float(sample.min()), float(sample.max())
    expected = (sample.astype(float) - low) * 255 / (high - low)
    found = images.read_image(tmp_path / "x.tif")
    assert found.dtype == np.uint8 and found.min() == 0 and found.max() == 255
    assert np.abs(found - expected).max() < 0.51


@pytest.mark.parametrize("channels", [None, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_colour_and_png_are_scaled_too(tmp_path, write_sample, suffix, channels):
    sample = ramp(np.uint16, channels) * np.uint16(300)
    write_sample(tmp_path / f"x{suffix}", sample)
    grey = sample[..., :3] @ LUMINANCE if channels else sample.astype(float)
    expected = (grey - grey.min()) * 255 / (grey.max() - grey.min())
    assert np.abs(images.read_image(tmp_path / f"x{suffix}") - expected).max() < 0.52


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("value", "expected"), [(0, 0), (700, 255)])
def test_a_16_bit_image_of_one_value_is_0_or_255(tmp_path, value, expected):
    tifffile.imwrite(tmp_path / "x.tif", np.full((20, 30), value, np.uint16))
    assert (images.read_image(tmp_path / "x.tif") == expected).all()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".gif.png"])
def test_palette_images_get_their_colours(tmp_path, suffix):
    palette = np.random.default_rng(2).integers(0, 256, (256, 3), dtype=np.uint8)
    sample = Image.fromarray(ramp(), mode="P")
    sample.putpalette(palette.tobytes())
    sample.save(tmp_path / f"x{suffix}")
    found = images.read_image(tmp_path / f"x{suffix}")
    assert np.abs(found - palette[ramp()] @ LUMINANCE).max() < 0.51


def test_compressed_palette_gets_its_colours(tmp_path):
    palette = np.random.default_rng(2).integers(0, 256, (256, 3), dtype=np.uint8)
    sample = Image.fromarray(ramp(), mode="P")
    sample.putpalette(palette.tobytes())
    sample.save(tmp_path / "x.tif", compression="tiff_lzw")
    found = images.read_image(tmp_path / "x.tif")
    assert np.abs(found - palette[ramp()] @ LUMINANCE).max() < 0.51


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_other_colours_are_refused(tmp_path, mode, compression):
    channels = [Image.fromarray(ramp())] * len(Image.new(mode, (1, 1)).getbands())
    Image.merge(mode, channels).save(tmp_path / "x.tif", compression=compression)
    with pytest.raises(cli.UserError, match="colours as"):
        images.read_image(tmp_path / "x.tif")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_1_bit_images_are_0_and_255(tmp_path, suffix):
    bits = ramp() > 90
    Image.fromarray(bits).save(tmp_path / f"x{suffix}")
    assert np.array_equal(images.read_image(tmp_path / f"x{suffix}"), bits * np.uint8(255))


@pytest.mark.parametrize(("photometric", "expected"), [(1, [255, 0]), (0, [0, 255])])
def test_1_bit_tiff_of_either_polarity(tmp_path, photometric, expected):
    body = bytes([0b10000000]) * 8
    (tmp_path / "x.tif").write_bytes(tiff_bytes(8, 2, 1, photometric, body))
    assert np.array_equal(images.read_image(tmp_path / "x.tif"), [expected] * 8)


def test_4_bit_tiff_is_spread_over_the_8_bit_range_or_refused(tmp_path):
    (tmp_path / "x.tif").write_bytes(tiff_bytes(8, 2, 4, body=bytes([0xF3]) * 8))
    try:
        found = images.read_image(tmp_path / "x.tif")
    except cli.UserError as mistake:
        assert "4-bit integers requires the 'imagecodecs' package" in str(mistake)
    else:
        assert np.array_equal(found, [[255, 51]] * 8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_white_is_zero_tiff_is_turned_round(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "white.tif", ramp(dtype), photometric="miniswhite")
    tifffile.imwrite(tmp_path / "black.tif", ramp(dtype))
    turned, plain = (images.read_image(tmp_path / f"{name}.tif") for name in ("white", "black"))
    assert np.array_equal(turned, 255 - plain)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_also_in_lzw(tmp_path, dtype):
    path = tmp_path / "white.tif"
    cv2.imwrite(str(path), ramp(dtype), [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    plain = images.read_image(path)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["PhotometricInterpretation"].overwrite(0)
    assert np.array_equal(images.read_image(path), 255 - plain)


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_more_packed_data_than_pixels_is_refused(tmp_path, compression):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((500, 30), np.uint8), compression=compression, rowsperstrip=500)
    assert not images.read_image(path).any()
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["ImageLength"].overwrite(20)
        tif.pages[0].tags["RowsPerStrip"].overwrite(20)
    with pytest.raises(cli.UserError, match="more data in it than its size says"):
        images.read_image(path)


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_lzw_tiff_written_by_opencv_reads_as_the_uncompressed_one(tmp_path, dtype, channels):
    for name, compression in (("lzw", 5), ("plain", 1)):
        target = str(tmp_path / f"{name}.tif")
        cv2.imwrite(target, ramp(dtype, channels), [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    found, plain = (images.read_image(tmp_path / f"{name}.tif") for name in ("lzw", "plain"))
    assert np.array_equal(found, plain) and np.ptp(found) > 150


@pytest.mark.parametrize("layout", [{"planarconfig": "separate"}, {"tile": (16, 16)}])
def test_planes_and_tiles_of_tiff(tmp_path, layout):
    sample = ramp(channels=3)
    stored = np.moveaxis(sample, -1, 0) if "planarconfig" in layout else sample
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="rgb", **layout)
    assert np.abs(images.read_image(tmp_path / "x.tif") - sample @ LUMINANCE).max() < 0.51


def test_grey_with_alpha_is_its_grey(tmp_path):
    sample = ramp(channels=2)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "x.tif", sample, extrasamples=["unassalpha"], **options)
    assert np.array_equal(images.read_image(tmp_path / "x.tif"), sample[..., 0])
    Image.fromarray(sample, mode="LA").save(tmp_path / "x.png")
    assert np.array_equal(images.read_image(tmp_path / "x.png"), sample[..., 0])


def test_a_thumbnail_before_the_image_is_passed_over(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as tif:
        tif.write(np.zeros((5, 6), np.uint8), subfiletype=1)
        tif.write(ramp())
    assert np.array_equal(images.read_image(tmp_path / "x.tif"), ramp())


@pytest.mark.parametrize("shape", [(1, 30), (20, 1), (1, 1)])
def test_one_row_or_column_keeps_its_shape(tmp_path, write_sample, shape):
    sample = write_sample(tmp_path / "x.tif", shape=shape)
    assert np.array_equal(images.read_image(tmp_path / "x.tif"), sample)


def write_tiff(**options):
    """Return a function that writes a image given by `image` as TIFF."""
    sample = options.pop("sample")
    return lambda path: tifffile.imwrite(path, sample, **options)


def write_bytes(content):
    return lambda path: path.write_bytes(content)


def write_cut_short(kind, part=0.5):
    """Return a function that writes a image of a kind and leaves the first part of it."""

    def write(path):
        cv2.imwrite(str(path.with_name(f"whole.{kind}")), np.tile(ramp(), (5, 5)))
        whole = path.with_name(f"whole.{kind}").read_bytes()
        path.with_name(f"whole.{kind}").unlink()
        path.write_bytes(whole[: int(part * len(whole))])

    return write


NAN, INFINITE = (np.where(ramp() == 0, value, ramp(np.float32)) for value in (np.nan, np.inf))
BAD_IMAGES = {
    "text.tif": (write_bytes(b"not a image"), "cannot be read as a image"),
    "text.png": (write_bytes(b"not a image"), "cannot be read as a image"),
    "empty.bmp": (write_bytes(b""), "cannot be read as a image"),
    "gif.png": (lambda path: Image.fromarray(ramp()).save(path, "GIF"), "cannot be read"),
    "cut_first.tif": (write_bytes(tiff_bytes(20, 30, body=b"")), "cut short"),
    "no_page.tif": (write_bytes(b"II*\0\xff\xff\0\0"), "no page in it, or cut short"),
    "cut.tif": (write_cut_short("tif"), "cut short"),
    "cut.png": (write_cut_short("png"), "damaged or cut short"),
    "cut.jpg": (write_cut_short("jpg"), "damaged or cut short"),
    "cut.bmp": (write_cut_short("bmp"), "damaged or cut short"),
    "nan.tif": (write_tiff(sample=NAN), "NaN, infinite or huge pixels"),
    "infinite.tif": (write_tiff(sample=INFINITE), "NaN, infinite or huge pixels"),
    "huge_values.tif": (
        write_tiff(sample=np.where(ramp() == 0, -1e308, 1e308)),
        "NaN, infinite or huge pixels",
    ),
    "complex.tif": (write_tiff(sample=ramp(np.complex64)), "complex64"),
    "cmyk.tif": (write_tiff(sample=ramp(channels=4), photometric="separated"), "SEPARATED"),
    "bands.tif": (
        write_tiff(sample=ramp(channels=5), photometric="minisblack", planarconfig="contig"),
        "shape (20, 30, 5)",
    ),
    "pages.tif": (
        write_tiff(sample=np.zeros((3, 20, 30), np.uint8), photometric="minisblack"),
        "3 pages in one file",
    ),
    "stack.tif": (
        write_bytes(tiff_bytes(20, 30, body=bytes(600), description=b"ImageJ=1.53\nimages=7\n\0")),
        "7 pages in one file",
    ),
    "animated.png": (
        lambda path: Image.new("L", (9, 9)).save(
            path, save_all=True, append_images=[Image.new("L", (9, 9), 9)]
        ),
        "2 pages in one file",
    ),
    "huge.tif": (write_bytes(tiff_bytes(2**20, 2**20)), "claims 1048576 x 1048576 pixels"),
    "huge.png": (write_bytes(png_bytes(2**20, 2**20)), "claims 1048576 x 1048576 pixels"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_is_one_error_that_names_it(folder, capfd, name):
    write, reason = BAD_IMAGES[name]
    write(folder / "raw/test" / name)
    lines = refused(capfd)
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {Path('raw/test') / name}: ") and reason in lines[0]


@pytest.mark.parametrize("content", [tiff_bytes(2**16, 2**16), png_bytes(2**16, 2**16)])
def test_an_absurd_size_is_refused_before_decoding(tmp_path, content):
    path = tmp_path / ("x.tif" if content.startswith(b"II") else "x.png")
    path.write_bytes(content)
    with pytest.raises(cli.UserError):
        images.image_shape(path)  # the libraries are imported
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(cli.UserError, match="claims 65536 x 65536 pixels"):
        images.read_image(path)
    seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 1 and peak < 2**20


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize("values", [(0, 255), (0, 1), (60, 61), (254, 255)])
def test_the_higher_of_two_values_is_myelin(tmp_path, write_sample, values):
    mask = ramp() > 90
    write_sample(tmp_path / "x_mask.png", np.where(mask, values[1], values[0]).astype(np.uint8))
    assert np.array_equal(images.read_mask(tmp_path / "x_mask.png"), mask)


def test_colour_16_bit_and_float_masks(tmp_path, write_sample):
    mask = ramp() > 90
    write_sample(tmp_path / "c.png", np.where(mask[..., None], (255, 0, 0), 0).astype(np.uint8))
    tifffile.imwrite(tmp_path / "d.tif", mask * np.uint16(65535))
    tifffile.imwrite(tmp_path / "f.tif", mask.astype(np.float32))
    for name in ("c.png", "d.tif", "f.tif"):
        assert np.array_equal(images.read_mask(tmp_path / name), mask), name


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("value", "expected"), [(0, False), (255, True)])
def test_a_mask_of_one_value_is_all_or_none(tmp_path, dtype, value, expected):
    tifffile.imwrite(tmp_path / "x_mask.tif", np.full((20, 30), value, dtype))
    assert (images.read_mask(tmp_path / "x_mask.tif") == expected).all()


def test_stray_pixels_of_a_mask_go_to_the_nearer_value_up_to_the_limit(tmp_path, write_sample):
    mask = np.zeros((400, 500), np.uint8)
    mask[:200] = 255
    limit = int(images.STRAY_MASK_FRACTION * mask.size)
    assert limit >= 2
    mask[0, :limit], mask[0, 0] = 200, 100
    write_sample(tmp_path / "x_mask.png", mask)
    assert images.read_mask(tmp_path / "x_mask.png").sum() == 200 * 500 - 1
    mask[0, limit] = 200
    write_sample(tmp_path / "x_mask.png", mask)
    with pytest.raises(cli.UserError, match="4 grey values in a mask, which has two"):
        images.read_mask(tmp_path / "x_mask.png")


# ---------------------------------------------------------------- packing


@pytest.mark.parametrize("mask_suffix", [".tif", ".png", ".bmp"])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".bmp"])
def test_pairs_are_packed_by_stem_across_formats(folder, write_pair, suffix, mask_suffix):
    # In sorted order, masks and images interleave otherwise: "a_mask" is also before "a10".
    written = {stem: write_pair(stem, suffix=suffix, mask_suffix=mask_suffix) for stem in "ab"}
    written["a10"] = write_pair("a10", (18, 30), suffix, mask_suffix)
    data.main([])
    images, masks, shapes = packed.load_train()
    assert np.load("npydata/imgs_id_train.npy").tolist() == ["a", "a10", "b"]
    assert images.shape == masks.shape == (3, 20, 30)
    assert images.dtype == masks.dtype == np.uint8
    for index, stem in enumerate(["a", "a10", "b"]):
        rows, cols = shapes[index]
        assert np.array_equal(images[index][:rows, :cols], written[stem][0])
        assert np.array_equal(masks[index][:rows, :cols], written[stem][1])


def test_smaller_images_are_zero_padded_and_their_sizes_kept(folder, write_sample):
    small = write_sample("raw/test/a.png", shape=(10, 40))
    tall = write_sample("raw/test/b.tif", shape=(25, 8))
    data.main([])
    images, ids, shapes = packed.load_test()
    assert ids == ["a", "b"] and shapes.tolist() == [[10, 40], [25, 8]]
    assert images.shape == (2, 25, 40)
    for frame, sample in zip(images, (small, tall), strict=True):
        padded = np.zeros((25, 40), np.uint8)
        padded[: sample.shape[0], : sample.shape[1]] = sample
        assert np.array_equal(frame, padded)


def test_ids_are_unicode_stems_without_pickle(folder, write_sample):
    stems = ["007", "Präparat é 1", "神経.v2"]
    for stem in stems:
        write_sample(f"raw/test/{stem}.png")
    data.main([])
    ids = np.load("npydata/imgs_id_test.npy", allow_pickle=False)
    assert ids.dtype.kind == "U" and ids.tolist() == stems
    assert packed.load_test()[1] == stems


def test_system_files_and_other_kinds_are_skipped_silently(folder, write_sample, capsys):
    write_sample("raw/test/a.png")
    for name in ("desktop.ini", "Thumbs.db", ".DS_Store", "._a.tif", ".hidden.png", "notes.txt"):
        (folder / "raw/test" / name).write_bytes(b"no image")
    (folder / "raw/test/folder.tif").mkdir()
    data.main([])
    assert packed.load_test()[1] == ["a"]
    out, err = capsys.readouterr()
    assert "notes" not in out and err == ""


def test_axon_masks_beside_training_images_are_no_images(folder, write_pair, write_sample):
    write_pair("a")
    write_sample("raw/train/a_axon.tif")
    data.main([])
    assert list(np.load("npydata/imgs_id_train.npy")) == ["a"]


def test_references_beside_test_images_are_not_segmented(folder, write_sample):
    for stem in ("a", "a_mask", "a_axon", "lone_mask", "b_axon"):
        write_sample(f"raw/test/{stem}.png")
    # b_axon is a image of its own: there is no b that it could be a reference for.
    assert [path.stem for path in naming.test_images("raw/test")] == ["a", "b_axon"]


def test_images_are_sorted_by_stem(folder, write_sample):
    for name in ("a-b.png", "a.tif", "B.png", "a_b.bmp"):
        write_sample(f"raw/test/{name}")
    assert list(naming.list_images("raw/test")) == ["B", "a", "a-b", "a_b"]


def test_the_summary_says_what_was_packed(folder, write_pair, write_sample, capsys):
    write_pair("a")
    write_pair("b", (24, 16))
    write_sample("raw/test/t.png", ramp(np.uint16) * np.uint16(100))
    tifffile.imwrite("raw/test/u.tif", ramp(np.float32))
    write_sample("raw/test/v.jpg", np.full((20, 30), 90, np.uint8))
    image = images.read_image("raw/train/a.tif")
    data.main([])
    lines = capsys.readouterr().out.splitlines()
    padded = "frames of 24 x 30 (2 sizes, zero-padded)"
    assert lines[0].startswith(f"2 training images: {padded}, values {image.min()} to ")
    assert lines[1] == f"2 training masks: {padded}, myelin on 49% to 49% of the area"
    scaled = "values 0 to 255, 2 scaled to 8-bit by their own range"
    assert lines[2] == f"3 test images: frames of 20 x 30, {scaled}"
    assert lines[3:] == ["packed into npydata/"]


def spoil_unpaired_image(write_sample):
    write_sample("raw/train/p.png")


def spoil_unpaired_mask(write_sample):
    write_sample("raw/train/q_mask.png", np.zeros((5, 5), np.uint8))


def spoil_size(write_sample):
    write_sample("raw/train/r.png", shape=(9, 9))
    write_sample("raw/train/r_mask.tif", np.zeros((9, 8), np.uint8))


def spoil_mask_values(write_sample):
    write_sample("raw/train/s.png")
    write_sample("raw/train/s_mask.png")


def spoil_stem(write_sample):
    write_sample("raw/test/t.png")
    write_sample("raw/test/t.tif")


def spoil_stem_by_case(write_sample):
    write_sample("raw/train/U.png")
    write_sample("raw/train/u.bmp")
    for stem in "Uu":
        write_sample(f"raw/train/{stem}_mask.tif", np.zeros((20, 30), np.uint8))


def spoil_both_of_a_pair(write_sample):
    Path("raw/train/v.tif").write_bytes(b"no image")
    write_sample("raw/train/v_mask.png")


SPOILS = {
    spoil_unpaired_image: ["train/p.png: an image without a mask, add p_mask.tif or remove it"],
    spoil_unpaired_mask: ["train/q_mask.png: a mask without an image, add q.tif or remove it"],
    spoil_size: ["train/r_mask.tif: 9 x 8 pixels, but r.png is 9 x 9, draw the mask on"],
    spoil_mask_values: ["train/s_mask.png: 227 grey values in a mask, which has two (0 and 255)"],
    spoil_stem: ["test/t.tif: t.png has the same name before the dot, rename or remove"],
    spoil_stem_by_case: [
        "train/u.bmp: U.png has the same name before the dot",
        "train/u_mask.tif: U_mask.tif has the same name before the dot",
    ],
    spoil_both_of_a_pair: [
        "train/v.tif: cannot be read as a image",
        "train/v_mask.png: 227 grey values in a mask",
    ],
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_each_mistake_in_a_folder_is_named(folder, write_sample, capfd, spoil):
    spoil(write_sample)
    lines = [line.replace(os.sep, "/") for line in refused(capfd)]
    assert len(lines) == len(SPOILS[spoil])
    for line, expected in zip(lines, SPOILS[spoil], strict=True):
        assert line.startswith(f"error: raw/{expected}")
    assert not list(folder.glob("npydata/*"))


def test_all_mistakes_of_a_batch_are_listed_in_one_run(folder, write_sample):
    for spoil in SPOILS:
        spoil(write_sample)
    for name, (write, _) in BAD_IMAGES.items():
        write(folder / "raw/test" / f"{Path(name).suffix[1:]}_{name}")  # stems must differ
    # As users run it: what libraries report to stderr must not come between the lines.
    run = subprocess.run([sys.executable, ROOT / "data.py"], capture_output=True, text=True)
    text = run.stderr.replace(os.sep, "/")
    lines = text.splitlines()
    assert run.returncode == 2 and all(line.startswith("error: raw/") for line in lines)
    assert len(lines) == sum(map(len, SPOILS.values())) + len(BAD_IMAGES)
    for reasons in [*SPOILS.values(), *([reason] for _, reason in BAD_IMAGES.values())]:
        assert all(reason in text for reason in reasons)


def test_missing_raw_says_what_to_make(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (line,) = refused(capfd)
    assert f"{naming.RAW_TRAIN} and {naming.RAW_TEST}: no such folders, make them" in line


def test_empty_raw_says_what_to_put_in(folder, capfd):
    (line,) = refused(capfd)
    assert f"{naming.RAW_TRAIN} and {naming.RAW_TEST}: no images, put TIFF or PNG files in" in line
    (folder / "raw/train").rmdir()
    (line,) = refused(capfd)
    assert line.startswith(f"error: {naming.RAW_TEST}: no images")


def test_list_images_of_two_files_of_one_stem(folder, write_sample):
    spoil_stem(write_sample)
    with pytest.raises(cli.UserError, match=r"t\.tif: t\.png has the same name before the dot"):
        naming.list_images("raw/test")


def test_list_images_of_a_missing_folder(folder):
    with pytest.raises(cli.UserError, match="nowhere: no such folder, make it and put images"):
        naming.list_images("nowhere")
    Path("nowhere").touch()
    with pytest.raises(cli.UserError, match="nowhere: not a folder"):
        naming.list_images("nowhere")


def test_a_failed_run_leaves_the_previous_arrays_as_they_were(folder, write_pair, write_sample):
    write_pair("a")
    write_sample("raw/test/t.png")
    data.main([])
    before = stored_files()
    assert len(before) == 7
    write_pair("b")
    write_sample("raw/test/u.png")
    write_sample("raw/train/b_mask.tif")  # not a mask
    with pytest.raises(SystemExit):
        data.main([])
    assert stored_files() == before


def test_an_interrupted_run_leaves_the_previous_arrays_as_they_were(
    folder, write_pair, monkeypatch, capfd
):
    write_pair("a")
    data.main([])
    before = stored_files()
    write_pair("b")
    read = images.read_image

    def interrupted(path):
        if Path(path).stem == "b":
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(data, "read_image", interrupted)
    (line,) = refused(capfd, code=130)
    assert line == "stopped by Ctrl-C; what was finished is kept"
    assert stored_files() == before


def test_a_renaming_cut_off_halfway_leaves_no_mixture(folder, write_pair, monkeypatch, capfd):
    write_pair("a")
    data.main([])
    for path in Path("raw/train").iterdir():
        path.unlink()
    write_pair("b")
    rename = os.replace

    def locked(source, target):
        if Path(target).name == "imgs_train.npy":
            raise PermissionError(13, "in use", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "replace", locked)
    assert "imgs_train.npy: in use" in refused(capfd)[0]
    with pytest.raises(cli.UserError, match=r"imgs_id_train.npy: no such file, run python data"):
        pairs.Pairs(as_bright=False)


def test_arrays_packed_anew_while_in_use_are_refused(folder, write_pair):
    write_pair("a")
    data.main([])
    images, _, _ = packed.load_train()
    write_pair("b")
    data.main([])
    with pytest.raises(cli.UserError, match="packed anew while in use, start again"):
        images[0]


def test_a_full_disk_is_said_before_writing(folder, write_pair, monkeypatch, capfd):
    write_pair("a")
    usage = type("usage", (), {"free": 100})
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda _: usage)
    assert "GB needed, 0.0 GB free, make room" in refused(capfd)[0]
    assert stored_files() == {}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["WT 12:3.tif", "a\\b.tif", "a?.tif", b"caf\xe9.tif"])
def test_names_that_not_every_system_allows_are_refused(folder, write_sample, capfd, name):
    write_sample("x.tif")
    try:
        os.rename(b"x.tif", b"raw/test/" + os.fsencode(name))
    except OSError:
        pytest.skip("nor does this file system")
    assert "is no name for every system, rename it" in refused(capfd)[0]


@pytest.mark.parametrize("emptied", ["removed", "empty"])
def test_arrays_of_a_folder_without_images_do_not_stay_behind(
    folder, write_pair, write_sample, capsys, emptied
):
    write_pair("a")
    write_sample("raw/test/t.png")
    data.main([])
    for path in folder.glob("raw/train/*"):
        path.unlink()
    if emptied == "removed":
        (folder / "raw/train").rmdir()
    (folder / "npydata/imgs_mask_test.npy").write_bytes(b"results")
    capsys.readouterr()
    data.main([])
    names = {"imgs_test.npy", "imgs_id_test.npy", "imgs_shape_test.npy", "imgs_mask_test.npy"}
    assert set(stored_files()) == names
    expected = f"{naming.RAW_TRAIN}: no images, removed the older imgs_shape_train.npy, "
    assert expected + "imgs_id_train.npy, imgs_train.npy, imgs_mask_train.npy" in (
        capsys.readouterr().out
    )
    data.main([])
    assert f"{naming.RAW_TRAIN}: no images\n" in capsys.readouterr().out


# ---------------------------------------------------------------- packed arrays


def test_stack_reads_and_writes_frames_and_keeps_no_mapping(tmp_path):
    path = tmp_path / "frames.npy"
    stack = packed.Stack(path, (3, 40, 50), np.uint8)
    stack[1] = np.full((40, 50), 7, np.uint8)
    assert np.load(path)[:, 0, 0].tolist() == [0, 7, 0]
    frame = stack[1]
    assert len(stack) == 3 and stack.shape == (3, 40, 50) and stack.dtype == np.uint8
    assert type(frame) is np.ndarray and frame.flags.owndata and (frame == 7).all()
    assert isinstance(stack.mapped(1), np.memmap)
    if Path("/proc/self/maps").exists():
        assert path.name not in Path("/proc/self/maps").read_text()


def test_stack_counts_from_the_end_and_stops_there(tmp_path):
    stack = packed.Stack(tmp_path / "frames.npy", (3, 4, 5), np.float32)
    stack[-1] = np.ones((4, 5), np.float32)
    assert [frame.sum() for frame in stack] == [0, 0, 20]


def save_arrays(**arrays):
    Path("npydata").mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(f"npydata/{name}.npy", array)


FRAMES = np.zeros((2, 4, 5), np.uint8)
SHAPES = np.array([[4, 5], [3, 2]])


@pytest.mark.parametrize("array", [FRAMES[0], FRAMES.astype(np.uint16), np.float32(1)])
def test_packed_frames_of_another_kind_are_refused(folder, array):
    save_arrays(imgs_train=array)
    with pytest.raises(cli.UserError, match="expected frames of uint8 as"):
        packed.load_train()


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00\x06\x00{bad}\n", "pickle"])
def test_a_file_that_is_no_packed_array_is_refused(folder, content):
    (folder / "npydata").mkdir()
    if content == "pickle":
        np.save("npydata/imgs_test.npy", np.array([{}], object), allow_pickle=True)
    else:
        (folder / "npydata/imgs_test.npy").write_bytes(content)
    with pytest.raises(cli.UserError, match=r"imgs_test\.npy: not a packed array"):
        packed.load_test()


def test_missing_arrays_say_what_to_run(folder):
    with pytest.raises(cli.UserError, match=r"no such file, run python data\.py first"):
        packed.load_test()


def test_images_and_masks_of_different_counts_are_refused(folder):
    save_arrays(imgs_train=FRAMES, imgs_mask_train=FRAMES[:1])
    with pytest.raises(cli.UserError, match=r"imgs_train.npy: \(2, 4, 5\), but imgs_mask_train"):
        packed.load_train()


@pytest.mark.parametrize("shapes", [SHAPES[:1], SHAPES + 1, SHAPES * 0, SHAPES * 1.0, SHAPES[0]])
def test_sizes_that_do_not_fit_the_frames_are_refused(folder, shapes):
    save_arrays(imgs_train=FRAMES, imgs_mask_train=FRAMES, imgs_shape_train=shapes)
    with pytest.raises(cli.UserError, match=r"imgs_shape_train\.npy: does not fit"):
        packed.load_train()


@pytest.mark.parametrize("ids", [["a"], ["a", "../b"], ["a", "..\\b"], ["a", ".."], ["", "b"]])
def test_ids_that_do_not_fit_or_lead_elsewhere_are_refused(folder, ids):
    save_arrays(imgs_test=FRAMES, imgs_id_test=np.array(ids), imgs_shape_test=SHAPES)
    with pytest.raises(cli.UserError, match=r"imgs_id_test\.npy: does not fit"):
        packed.load_test()


# ---------------------------------------------------------------- pixel size

OME = (
    '<?xml version="1.0"?>{before}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" SizeX="3" SizeY="2" {sizes}/></Image></OME>'
)


def ome_image(path, sizes, before=""):
    xml = OME.format(sizes=sizes, before=before)
    path.write_bytes(tiff_bytes(2, 3, body=bytes(6), description=xml.encode() + b"\0"))
    return path


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.25"', 0.25),
        ('PhysicalSizeX="0.25"', 0.25),
        ('PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.25"', 0.25),
        ('PhysicalSizeX="1e-4" PhysicalSizeXUnit="mm" PhysicalSizeY="0.1"', 0.1),
        ('PhysicalSizeX="2" PhysicalSizeXUnit="pixel" PhysicalSizeY="2"', None),
        ('PhysicalSizeX="two"', None),
        ("", None),
    ],
)
def test_pixel_size_from_ome_xml(tmp_path, sizes, expected):
    found, source = pixel_size.read_pixel_size(ome_image(tmp_path / "x.tif", sizes))
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
        ("cm", None),
        ("", None),
    ],
)
def test_pixel_size_from_imagej_tags(tmp_path, unit, expected):
    tifffile.imwrite(
        tmp_path / "x.tif", ramp(), imagej=True, resolution=(5, 5), metadata={"unit": unit}
    )
    found, source = pixel_size.read_pixel_size(tmp_path / "x.tif")
    assert found == (pytest.approx(expected) if expected else None)
    assert source == ("ImageJ tags" if expected else "unknown")


@pytest.mark.parametrize("dpi", [72, 96, 300, 25400])
def test_dots_per_inch_alone_mean_unknown(tmp_path, dpi):
    tifffile.imwrite(tmp_path / "x.tif", ramp(), resolution=(dpi, dpi), resolutionunit="INCH")
    Image.fromarray(ramp()).save(tmp_path / "x.png", dpi=(dpi, dpi))
    assert pixel_size.read_pixel_size(tmp_path / "x.tif") == (None, "unknown")
    assert pixel_size.read_pixel_size(tmp_path / "x.png") == (None, "unknown")


def test_pixel_size_of_a_damaged_file_is_unknown(tmp_path):
    (tmp_path / "x.tif").write_bytes(b"II*\0" + b"\xff" * 40)
    assert pixel_size.read_pixel_size(tmp_path / "x.tif") == (None, "unknown")


def test_pixels_that_are_not_square_are_refused(tmp_path):
    sizes = 'PhysicalSizeX="0.25" PhysicalSizeY="{}"'
    path = tmp_path / "x.tif"
    assert pixel_size.read_pixel_size(ome_image(path, sizes.format(0.252)))[0] == 0.25
    with pytest.raises(cli.UserError, match=r"x\.tif: pixels of 0\.25 x 0\.26 µm are not square"):
        pixel_size.read_pixel_size(ome_image(path, sizes.format(0.26)))


@pytest.mark.parametrize("size", ["0", "-0.1", "NaN", "INF", "1e9"])
def test_an_impossible_pixel_size_is_unknown(tmp_path, size):
    path = ome_image(tmp_path / "x.tif", f'PhysicalSizeX="{size}"')
    assert pixel_size.read_pixel_size(path) == (None, "unknown")


def test_inches_in_imagej_tags_are_dots_per_inch_and_unknown(tmp_path):
    """The images of 2018 say so: 65 pixels per inch, which would be 389 µm."""
    path, sample = tmp_path / "x.tif", np.zeros((9, 9), np.uint8)
    tags = {"imagej": True, "resolution": (65.28, 65.04), "metadata": {"unit": "inch"}}
    tifffile.imwrite(path, sample, **tags)
    assert pixel_size.read_pixel_size(path) == (None, "unknown")


@pytest.mark.parametrize(
    "before",
    [
        '<!DOCTYPE OME [<!ENTITY a "0.25">]>',
        '<!DOCTYPE OME SYSTEM "file:///etc/passwd">',
        "<?a <!-- ?><!DOCTYPE OME [<!ENTITY b '1'>]><?a --> ?>",
    ],
)
def test_xml_with_a_document_type_is_ignored(tmp_path, before):
    path = ome_image(tmp_path / "x.tif", 'PhysicalSizeX="0.25"', before)
    assert pixel_size.read_pixel_size(path) == (None, "unknown")


def test_check_pixel_size():
    assert pixel_size.check_pixel_size("0.1") == 0.1
    for text in ("0", "-1", "nan", "inf", "100", "0.1um", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="is no pixel size, give µm per pixel"):
            pixel_size.check_pixel_size(text)


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("pixel_size_um", [None, 0.1, 0.07364, 4e-4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32])
def test_tiff_is_read_back_with_its_pixel_size(tmp_path, dtype, pixel_size_um):
    images.write_image(tmp_path / "x.tif", ramp(dtype), pixel_size_um)
    with tifffile.TiffFile(tmp_path / "x.tif") as tif:
        assert len(tif.pages) == 1 and tif.pages[0].compression == 8  # deflate, which ImageJ opens
        assert np.array_equal(tif.asarray(), ramp(dtype)) and tif.asarray().dtype == dtype
        assert tif.is_imagej == (pixel_size_um is not None and dtype != np.uint32)
    found, _ = pixel_size.read_pixel_size(tmp_path / "x.tif")
    assert found == (pixel_size_um and pytest.approx(pixel_size_um, rel=1e-5))


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_colour_is_read_back(tmp_path, suffix):
    images.write_image(tmp_path / f"x{suffix}", ramp(channels=3), 0.25)
    with Image.open(tmp_path / f"x{suffix}") as sample:
        assert np.array_equal(np.asarray(sample), ramp(channels=3))
    if suffix == ".tif":
        assert pixel_size.read_pixel_size(tmp_path / "x.tif") == (0.25, "ImageJ tags")


def test_png_is_read_back_under_a_name_of_any_alphabet(tmp_path):
    images.write_image(tmp_path / "神経 é.png", ramp())
    assert np.array_equal(images.read_image(tmp_path / "神経 é.png"), ramp())


def test_replacing_keeps_the_old_file_on_failure(tmp_path):
    path = tmp_path / "new/x.txt"
    with files.replacing(path) as temporary:
        assert temporary.suffix == ".txt" and not path.exists()
        temporary.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert [file.name for file in path.parent.iterdir()] == ["x.txt"]
    assert path.read_text() == "old"


def test_run_json_can_repeat_the_run(tmp_path):
    @cli.script
    def main(argv=None):
        files.write_run_json(tmp_path, threshold=0.4)

    main(["my model.h5", "--threshold", 0.4])
    facts = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    quote = '"' if os.name == "nt" else "'"
    assert facts["command"] == f"python test_data.py {quote}my model.h5{quote} --threshold 0.4"
    assert facts["threshold"] == 0.4 and facts["date"].endswith("+00:00")
    assert facts["versions"]["numpy"] == np.__version__


def test_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")


# ---------------------------------------------------------------- scripts


def test_script_turns_mistakes_into_lines(capsys):
    @cli.script
    def main(argv=None):
        if argv == "disk":
            raise PermissionError(13, "Permission denied", "preds/a.png")
        raise cli.UserError("a: first\n  line, mend it", "b: second, mend it too")

    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == (
        "error: a: first line, mend it\nerror: b: second, mend it too\n"
    )
    with pytest.raises(SystemExit, match="2"):
        main("disk")
    assert capsys.readouterr().err.startswith("error: preds/a.png: Permission denied, check free")


def test_too_little_memory_is_one_line(capsys):
    @cli.script
    def main(argv):
        raise MemoryError

    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: memory: not enough")


def test_number_takes_its_range_only():
    whole, share = cli.number(int, 1), cli.number(float, 0, 1)
    assert whole("3") == 3 and share("0.5") == 0.5
    for text in ("0", "1.5", "x", "-1"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number of 1 or more"):
            whole(text)
    for text in ("-0.1", "1.1", "nan", "x"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a number of 0 to 1"):
            share(text)
    with pytest.raises(argparse.ArgumentTypeError):
        cli.number(float, 0)("inf")


def test_progress_passes_items_on_and_is_silent_when_quick(capfd):
    assert list(cli.progress([1, 2], "counting")) == [1, 2]
    assert capfd.readouterr().err == ""


def test_help_is_quick_and_imports_nothing_heavy():
    start = time.perf_counter()
    shown = subprocess.run(
        [sys.executable, "data.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert time.perf_counter() - start < 5  # 0.5 s where nothing else runs
    assert "raw/train/x_mask.tif" in shown.stdout
    heavy = "{'tensorflow', 'keras', 'cv2', 'h5py', 'tifffile', 'PIL', 'tqdm'}"
    code = f"import sys, data, unet; sys.exit(str({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.stderr.strip() == "set()"
