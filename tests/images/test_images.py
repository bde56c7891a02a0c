"""Reading headers, images and masks of every promised kind, and writing them."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from image_samples import LUMINANCE, ramp
from PIL import Image
from whole_files import encoded

from myelin.images import image as images
from myelin.images import tiff_writer
from myelin.runtime import cli


@pytest.mark.parametrize("name", ["x.tif", "x.TIFF", "神経 é.png", "x.bmp", "x.jpg", "x.jpeg"])
def test_grey_8_bit_images_are_read_unchanged(tmp_path, name):
    (tmp_path / name).write_bytes(encoded(ramp(), Path(name).suffix.lower()))
    loss = 3 if "jp" in name else 0
    assert np.abs(images.read_image(tmp_path / name) - ramp().astype(float)).max() <= loss


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


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".lzw.tif"])
def test_palette_images_get_their_colours(tmp_path, suffix):
    palette = np.random.default_rng(2).integers(0, 256, (256, 3), dtype=np.uint8)
    sample = Image.fromarray(ramp(), mode="P")
    sample.putpalette(palette.tobytes())
    sample.save(tmp_path / f"x{suffix}", **({"compression": "tiff_lzw"} if "lzw" in suffix else {}))
    found = images.read_image(tmp_path / f"x{suffix}")
    assert np.abs(found - palette[ramp()] @ LUMINANCE).max() < 0.51


def test_grey_with_alpha_is_its_grey(tmp_path):
    sample = ramp(channels=2)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "x.tif", sample, extrasamples=["unassalpha"], **options)
    assert np.array_equal(images.read_image(tmp_path / "x.tif"), sample[..., 0])
    Image.fromarray(sample, mode="LA").save(tmp_path / "x.png")
    assert np.array_equal(images.read_image(tmp_path / "x.png"), sample[..., 0])


MASK = np.zeros((200, 300), bool)
MASK[50, 60:80] = True  # less than a thousandth


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        *((np.where(MASK, high, low).astype(np.uint8), MASK) for low, high in [(0, 1), (254, 255)]),
        *((MASK.astype(dtype), MASK) for dtype in (np.uint16, np.float32)),
        (np.where(MASK[..., None], (255, 0, 0), 0).astype(np.uint8), MASK),
        (np.zeros((20, 30), np.uint16), np.zeros((20, 30), bool)),
        (np.full((20, 30), 255, np.uint16), np.ones((20, 30), bool)),
    ],
)
def test_the_higher_of_two_values_is_myelin_whatever_its_type(tmp_path, stored, expected):
    tifffile.imwrite(tmp_path / "x_mask.tif", stored)
    assert np.array_equal(images.read_mask(tmp_path / "x_mask.tif"), expected)


def test_stray_pixels_of_a_mask_go_to_the_nearer_value_up_to_the_limit(tmp_path, write_sample):
    mask = np.zeros((400, 500), np.uint8)
    mask[:200] = 255
    limit = int(images.MAX_STRAY_FRACTION * mask.size)
    assert limit >= 2
    mask[0, :limit], mask[0, 0] = 200, 100
    write_sample(tmp_path / "x_mask.png", mask)
    assert images.read_mask(tmp_path / "x_mask.png").sum() == 200 * 500 - 1
    mask[0, limit] = 200
    write_sample(tmp_path / "x_mask.png", mask)
    with pytest.raises(cli.UserError, match="4 grey values in a mask, which has two"):
        images.read_mask(tmp_path / "x_mask.png")


@pytest.mark.parametrize("pixel_size_um", [None, 0.07364])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32])
def test_tiff_is_read_back_with_its_pixel_size(tmp_path, dtype, pixel_size_um):
    images.write_image(tmp_path / "x.tif", ramp(dtype), pixel_size_um)
    with tifffile.TiffFile(tmp_path / "x.tif") as tif:
        assert len(tif.pages) == 1 and tif.pages[0].compression == 8  # deflate, which ImageJ opens
        assert np.array_equal(tif.asarray(), ramp(dtype)) and tif.asarray().dtype == dtype
        assert tif.is_imagej == (pixel_size_um is not None and dtype != np.uint32)
    found, _ = images.read_record(tmp_path / "x.tif").pixel_size()
    assert found == (pixel_size_um and pytest.approx(pixel_size_um, rel=1e-5))


@pytest.mark.parametrize("pixel_size_um", [None, 0.1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint32])
@pytest.mark.parametrize("plain_px", [2**26, 100])
def test_the_record_of_a_mask_is_kept_in_its_tiff(
    tmp_path, monkeypatch, dtype, pixel_size_um, plain_px
):
    monkeypatch.setattr(tiff_writer, "MAX_PLAIN_PX", plain_px)
    record = {"model": "ab" * 32, "threshold": 0.5, "name": "Öl", "doubtful": [], "scale": None}
    paths = tmp_path / "x.tif", tmp_path / "y.tif"
    for path in paths:
        images.write_image(path, ramp(dtype), pixel_size_um, record=record)
    assert images.read_mask_record(paths[0]) == record
    assert np.array_equal(images.read_stored(paths[0]), ramp(dtype))
    assert images.read_record(paths[0]).pixel_size()[0] == pixel_size_um
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("plain_px", [2**26, 100])
def test_a_window_of_a_mask_is_replaced_in_its_file(tmp_path, monkeypatch, plain_px):
    monkeypatch.setattr(tiff_writer, "MAX_PLAIN_PX", plain_px)
    random, path = np.random.default_rng(0), tmp_path / "x.tif"
    mask = random.integers(0, 2, (1300, 1100), dtype=np.uint8)
    images.write_image(path, mask * np.uint8(255), 0.1)
    for top, left in ((0, 0), (500, 400), (1270, 1095)):
        mask[top : top + 30, left : left + 150] ^= 1
        window = slice(top, min(top + 30, 1300)), slice(left, min(left + 150, 1100))
        tiff_writer.update_tiff(path, mask, window, 255)
    with tifffile.TiffFile(path) as tif:
        for step, level in zip((1, 2), tif.series[0].levels, strict=False):
            assert np.array_equal(level.asarray(), mask[::step, ::step] * 255)
    assert images.read_record(path).pixel_size()[0] == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_what_is_scaled_in_bands_is_what_one_piece_gives(monkeypatch, dtype):
    sample = (np.random.default_rng(0).normal(size=(70, 33)) * 3000 + 20000).astype(dtype)
    limits = images.grey_limits(sample, "a.tif")
    whole = images.scale_to_uint8(sample, limits)
    monkeypatch.setattr(images, "BAND_PX", 100)
    np.testing.assert_array_equal(images.scale_to_uint8(sample, limits), whole)
    assert (whole.min(), whole.max()) == (0, 255)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint32, np.float32, np.float64])
@pytest.mark.parametrize(("sampled_px", "tolerance"), [(2**24, 1), (201, 150)])
def test_limits_leave_out_a_thousandth_at_either_end(monkeypatch, dtype, sampled_px, tolerance):
    monkeypatch.setattr(images, "MAX_SAMPLED_PX", sampled_px)  # every 100th would be two columns
    sample = np.arange(20_000).reshape(200, 100).T.astype(dtype)
    low, high = images.grey_limits(sample, "a.tif")
    assert abs(low - 19) <= tolerance and abs(high - 19_979) <= tolerance
