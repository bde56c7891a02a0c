"""How an image becomes the input of a network."""

import numpy as np
import pytest

from myelin.network import preprocessing


def test_resizing_equals_that_of_scikit_image():
    from skimage.transform import resize

    image = np.random.default_rng(0).integers(0, 256, (1040, 1392), dtype=np.uint8)
    expected = resize(
        image, (1024, 1024), order=1, mode="constant", anti_aliasing=False, preserve_range=True
    )
    found = preprocessing.resize(image, 1024, 1024)
    assert found.dtype == np.uint8 and found.shape == (1024, 1024)
    assert np.abs(found - expected).max() <= 1
    exact = preprocessing.resize(image.astype(np.float32), 1024, 1024)
    assert exact.dtype == np.float32 and np.abs(exact - expected).max() < 0.01


def test_histogram_and_statistics_of_an_image():
    image = np.array([[0, 0, 10], [30, 255, 255]], np.uint8)
    counts = preprocessing.histogram(image)
    assert counts.shape == (256,) and counts[[0, 10, 30, 255]].tolist() == [2, 1, 1, 2]
    assert preprocessing.image_statistics(counts) == (20, 10)  # margins of 0 and 255 are left out
    curve = np.arange(256) * 2.0
    assert preprocessing.image_statistics(counts, curve) == (40, 20)
    margins = np.array([[0, 0], [255, 255]], np.uint8)
    assert preprocessing.image_statistics(preprocessing.histogram(margins)) == (127.5, 127.5)


def test_an_image_of_one_grey_value_has_a_deviation_to_divide_by():
    grey = np.full((4, 4), 90, np.uint8)
    assert preprocessing.image_statistics(preprocessing.histogram(grey)) == (90, 1)
    assert preprocessing.dataset_statistics(
        [grey], preprocessing.Preprocessing(rows=4, cols=4)
    ) == (90, 1)


def test_dataset_statistics_are_those_of_the_frames_at_network_size():
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, shape, dtype=np.uint8) for shape in ((40, 30), (20, 50))]
    settings = preprocessing.Preprocessing(rows=16, cols=32)
    frames = np.stack([preprocessing.resize(image, 16, 32) for image in images])
    expected = frames.mean(), frames.std()
    assert preprocessing.dataset_statistics(images, settings) == pytest.approx(expected)
    pixels = np.concatenate([image.ravel() for image in images])
    found = preprocessing.dataset_statistics(images, preprocessing.Preprocessing(frame="native"))
    assert found == pytest.approx((pixels.mean(), pixels.std()))


@pytest.mark.parametrize("how", [{"mean": 20.0, "std": 5.0}, {"normalize": "image"}])
def test_dark_is_normalized_as_the_inverted_image_is(how):
    settings = preprocessing.Preprocessing(**how)
    image = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    expected = preprocessing.normalize(255 - image, settings)
    np.testing.assert_array_equal(preprocessing.normalize(image, settings, dark=True), expected)


def test_normalizing_by_dataset_and_by_image():
    image = np.array([[10, 30], [10, 30]], np.uint8)
    found = preprocessing.normalize(image, preprocessing.Preprocessing(mean=20.0, std=5.0))
    assert found.dtype == np.float32 and found.tolist() == [[-2, 2], [-2, 2]]
    found = preprocessing.normalize(image, preprocessing.Preprocessing(normalize="image"))
    assert found.dtype == np.float32 and found.tolist() == [[-1, 1], [-1, 1]]
