"""What a TIFF lists is bounded by the file's own size."""

import struct

import numpy as np
import pytest
import tifffile
from image_samples import ramp, refusal, tiff_bytes

from myelin.images import image as images

END = 8 + 2 + 9 * 12  # of the directory that `tiff_bytes` writes: here it names the next


def page(tags, following):
    """Return a directory of TIFF tags (tag, kind, count, value) and the place of the next."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


@pytest.mark.parametrize("order", ["self", "pair"])
def test_pages_that_follow_each_other_in_a_circle_are_refused(tmp_path, order):
    content = bytearray(tiff_bytes(20, 30, body=bytes(600)))
    if order == "self":
        content[END : END + 4] = struct.pack("<I", 8)
    else:
        content[END : END + 4] = struct.pack("<I", len(content))
        content += page([(254, 4, 1, 1)], 8)
    assert "in a circle" in refusal(tmp_path / "x.tif", bytes(content))


def test_a_chain_of_pages_is_counted_up_to_a_limit(tmp_path):
    head = tiff_bytes(20, 30, body=bytes(600))
    chain = b"".join(page([], len(head) + 6 * (k + 1)) for k in range(20_000))
    content = head[:END] + struct.pack("<I", len(head)) + head[END + 4 :] + chain
    assert "more than 10,000 pages" in refusal(tmp_path / "x.tif", content)


def test_pages_that_overlap_are_refused(tmp_path):
    """Each of many pages would be the rest of the file."""
    pages = 2000
    content = bytearray(tiff_bytes(20, 30, body=bytes(600)))
    content[4:8] = struct.pack("<I", len(content))
    for place in range(pages):
        content += struct.pack("<HHI", pages - place, 0, 0)
    assert "overlap" in refusal(tmp_path / "x.tif", bytes(content))


@pytest.mark.parametrize("name", ["ImageWidth", "Compression", "SamplesPerPixel"])
def test_a_tag_of_two_values_where_one_is_needed_is_refused(tmp_path, name):
    tifffile.imwrite(tmp_path / "x.tif", ramp())
    with tifffile.TiffFile(tmp_path / "x.tif") as tif:
        place = tif.pages[0].tags[name].offset
    content = bytearray((tmp_path / "x.tif").read_bytes())
    content[place + 4 : place + 8] = struct.pack("<I", 2)
    message = refusal(tmp_path / "x.tif", bytes(content))
    assert f"its tag {name} is not one whole number" in message


def test_tags_that_share_one_large_value_are_refused(tmp_path):
    text = b"a=1\n" * 50_000
    tags = [(270, 2, len(text), 8)] * 1000
    content = struct.pack("<2sHI", b"II", 42, 8 + len(text)) + text + page(tags, 0)
    assert "the values of its tags overlap" in refusal(tmp_path / "x.tif", content)


def test_thumbnails_do_not_count_and_a_page_beyond_the_end_is_none(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif", bigtiff=True, byteorder=">") as tif:
        for _ in range(3):
            tif.write(np.zeros((5, 6), np.uint8), subfiletype=1)
        tif.write(ramp())
    assert np.array_equal(images.read_image(tmp_path / "x.tif"), ramp())
    content = bytearray(tiff_bytes(20, 30, body=ramp().tobytes()))
    content[END : END + 4] = struct.pack("<I", 10**6)
    (tmp_path / "y.tif").write_bytes(content)
    assert np.array_equal(images.read_image(tmp_path / "y.tif"), ramp())
