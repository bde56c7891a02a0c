"""Hot and dead pixels, up to 0.01 % of an image, change neither count nor density nor g-ratio."""

import cv2
import numpy as np
import pytest
import tifffile

from myelin.images.image import read_scaled
from myelin.measure.fibers import measure_fibers
from myelin.measure.frame import find_frame
from myelin.measure.summary import summarize
from myelin.network.preprocessing import Preprocessing, normalize

SHAPE, MARGIN = (420, 620), 242  # columns of margin, 39 %
KINDS = {
    "8-bit": lambda image: image,
    "12 of 16 bits": lambda image: image.astype(np.uint16) * 16,
    "16-bit with offset": lambda image: (image * 128.0 - 30_000).astype(np.int16),
    "float": lambda image: (image / 255).astype(np.float32),
}


@pytest.fixture(scope="module")
def nerve():
    """Rings of g 0.6 beside a margin, noise everywhere, 8-bit."""
    rng = np.random.default_rng(0)
    image = np.full(SHAPE, 60.0)
    for y in range(30, SHAPE[0], 48):
        for x in range(MARGIN + 30, SHAPE[1], 46):
            cv2.circle(image, (x, y), 20, 190, -1, cv2.LINE_AA)
            cv2.circle(image, (x, y), 12, 85, -1, cv2.LINE_AA)
    image += rng.normal(0, 6, SHAPE)
    image[:, :MARGIN] = rng.normal(2, 1, (SHAPE[0], MARGIN))
    return np.clip(image, 0, 255).astype(np.uint8)


def measured(path):
    """Return count, density and g of an image; a threshold stands in for the network."""
    image, limits = read_scaled(path)
    network_input = normalize(image, Preprocessing(frame="native", normalize="image"))
    myelin = cv2.GaussianBlur(network_input, (5, 5), 0) > 0.8
    frame = find_frame(myelin, image, None, True)
    row = summarize(measure_fibers(myelin, 0.1, image=image, frame=frame), "x", frame=frame)
    names = ("fiber_count", "fiber_density_per_mm2", "g_ratio_mean", "margin_fraction")
    return [float(row[name]) for name in names], limits


@pytest.mark.parametrize("kind", KINDS)
def test_a_ten_thousandth_of_the_pixels_changes_no_number(tmp_path, nerve, kind):
    image = KINDS[kind](nerve)
    tifffile.imwrite(tmp_path / "x.tif", image)
    (count, density, g, margin), limits = measured(tmp_path / "x.tif")
    assert count > 50 and margin == pytest.approx(MARGIN / SHAPE[1], abs=0.01)
    assert g == pytest.approx(0.6, abs=0.03)
    ends = (-1e6, 1e6)
    if image.dtype.kind in "iu":
        ends = np.iinfo(image.dtype).min, np.iinfo(image.dtype).max
    for number, end in ((1, ends[1]), *((image.size // 10_000, end) for end in ends)):
        hot = image.copy()
        hot.flat[np.random.default_rng(number).integers(hot.size, size=number)] = end
        tifffile.imwrite(tmp_path / "hot.tif", hot)
        found, hot_limits = measured(tmp_path / "hot.tif")
        assert found[0] == count
        assert found[1:] == pytest.approx([density, g, margin], rel=2e-3)
        if limits:
            assert np.ptp(hot_limits) == pytest.approx(np.ptp(limits), rel=0.02)
