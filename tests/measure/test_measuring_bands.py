"""What is measured of a scan in bands of rows is what one band gives, to the last digit."""

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from myelin.images.image import read_image, read_mask
from myelin.measure import axons, sheaths
from myelin.measure.fibers import measure_fibers
from myelin.measure.frame import Frame
from myelin.pixels import labels as label_images
from myelin.pixels.components import label_regions

EXAMPLES = Path(__file__).resolve().parents[2] / "raw" / "test"
SHAPE = (448, 448)


@pytest.fixture(scope="module")
def nerve():
    """A bundled image and its mask."""
    return tuple(
        read(EXAMPLES / f"synthetic_test_01{part}.tif")
        for read, part in ((read_image, ""), (read_mask, "_mask"))
    )


def margin():
    tissue = np.ones(SHAPE, bool)
    tissue[:, :40] = tissue[410:] = False
    return Frame(SHAPE, tissue=tissue)


@pytest.mark.parametrize("rows", [1, 64, 447])
@pytest.mark.parametrize("frame", [None, margin()], ids=["whole", "margin"])
def test_bands_change_nothing(nerve, monkeypatch, rows, frame):
    image, myelin = nerve

    def measured():
        return measure_fibers(myelin, 0.1, None, image, 255 - image, frame)

    whole = measured()
    labels = whole.labels[:]
    monkeypatch.setattr(label_images, "BAND_PX", rows * SHAPE[1])
    monkeypatch.setattr(axons, "OVERLAP_PX", 40)
    found = measured()
    assert len(whole) > 50 and (labels.max(axis=1) > 0).mean() > 0.8
    for name, values in whole.columns.items():
        np.testing.assert_array_equal(found.columns[name], values)
    np.testing.assert_array_equal(found.labels[:], labels)
    np.testing.assert_array_equal(found.axons[:], whole.axons[:])
    np.testing.assert_array_equal(found.counted, whole.counted)
    assert found.collapsed == whole.collapsed


def test_bands_that_see_too_little_would_show(nerve, monkeypatch):
    _, myelin = nerve
    regions, _ = label_regions(~myelin, 4)

    def contacts():
        found = axons.sheath_contacts(regions, regions.count)
        everyone = np.ones(regions.count + 1, bool)
        return found.shared_part(everyone).tolist(), found.mean_thickness().tolist()

    whole = contacts()
    monkeypatch.setattr(label_images, "BAND_PX", 50 * SHAPE[1])
    monkeypatch.setattr(axons, "OVERLAP_PX", 40)
    assert contacts() == whole
    monkeypatch.setattr(axons, "OVERLAP_PX", 1)
    assert contacts() != whole


def test_a_cluster_of_all_fibers_is_split_in_bands_as_in_one_piece(nerve, monkeypatch):
    myelin = cv2.dilate(nerve[1].view(np.uint8), np.ones((7, 7), np.uint8)) > 0
    myelin = np.vstack([myelin, myelin[::-1]])
    found = axons.sort_regions(myelin)
    whole, _ = sheaths.split_fibers(myelin, found.axons)
    reach = found.axons.boxes()[:, 3].max()
    _, boxes = label_regions(myelin | (found.axons[:] > 0), 4)
    assert boxes[:, 3].max() > 6 * reach  # three bands and more
    monkeypatch.setattr(label_images, "BAND_PX", 1)
    monkeypatch.setattr(sheaths, "OVERLAP_PX", 0)
    monkeypatch.setattr(sheaths, "OVERLAP_AXONS", 1)
    split, _ = sheaths.split_fibers(myelin, found.axons)
    np.testing.assert_array_equal(split[:], whole[:])


@pytest.mark.slow
def test_bands_keep_the_memory_low(nerve, monkeypatch):
    """Only a few masks are as large as the image, whatever its rows."""
    image, myelin = (np.tile(part, (6, 1)) for part in nerve)
    monkeypatch.setattr(axons, "OVERLAP_PX", 40)
    bytes_per_pixel = []
    for rows in (50, len(image)):
        monkeypatch.setattr(label_images, "BAND_PX", rows * image.shape[1])
        tracemalloc.start()
        measure_fibers(myelin, 0.1, None, image, lambda: image)
        bytes_per_pixel.append(tracemalloc.get_traced_memory()[1] / image.size)
        tracemalloc.stop()
    assert bytes_per_pixel[0] < 7 and bytes_per_pixel[1] > 20
