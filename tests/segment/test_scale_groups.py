"""Groups of images that share polarity and scale, from known scores and from drawn fibers."""

import dataclasses

import numpy as np
import pytest
from stand_ins import NATIVE, BrightIsMyelin, rings
from test_scale import SETTINGS, enlarged

from myelin.segment.scale import MIN_FIBER_SCORE, SCALES, ScaleProbe, ScaleScores
from myelin.segment.scale_groups import (
    LARGE_SAMPLE,
    SMALL_SAMPLE,
    Choice,
    decide,
    follow_majority,
    form_groups,
)


def scored(best_scale, preferred_scale=None, dark=False, height=0.5):
    """Return the scores of an image with one peak."""
    scores = np.zeros((2, len(SCALES)))
    scores[int(dark)] = height * np.exp(-0.5 * (np.log(SCALES / best_scale) / 0.6) ** 2)
    return ScaleScores(scores, preferred_scale or best_scale)


def members(groups):
    return [set(group.scores) for group in groups]


def test_similar_images_get_the_median_of_their_preferred_scales():
    scales = [0.24, 0.25, 0.25, 0.28, 0.31]
    (group,) = form_groups({index: scored(scale) for index, scale in enumerate(scales)})
    assert members([group]) == [set(range(5))]
    assert group.median_scale == pytest.approx(0.25) and group.scale == 0.25


def test_different_kinds_of_images_form_different_groups():
    probed = {0: scored(0.25), 1: scored(2.0), 2: scored(0.25), 3: scored(0.25, dark=True)}
    groups = form_groups(probed)
    assert members(groups) == [{0, 2}, {1}, {3}]
    assert [group.dark for group in groups] == [False, False, True]


@pytest.mark.parametrize(
    ("bright", "dark", "others", "sizes"),
    [
        (0.5, 0.6, 3, [4]),
        (0.3, 0.6, 3, [3, 1]),  # scores too little in the polarity of the majority
        (0.25, 0.31, 3, [3, 1]),  # shows no fibers in that polarity
        (0.5, 0.6, 1, [1, 1]),  # there is no majority
    ],
)
def test_an_image_follows_the_polarity_of_the_majority_if_it_scores_well(
    bright, dark, others, sizes
):
    ambiguous = scored(0.5, height=bright)
    ambiguous.scores[1] = scored(0.5, dark=True, height=dark).scores[1]
    probed = {index: scored(0.5) for index in range(others)} | {others: ambiguous}
    groups = follow_majority(form_groups(probed), probed)
    assert [len(group.scores) for group in groups] == sizes
    assert not groups[0].dark and follow_majority([], probed) == []


def test_an_image_with_a_misleading_preferred_scale_stays_with_its_kind():
    probed = {index: scored(0.25) for index in range(6)} | {6: scored(0.35, preferred_scale=0.6)}
    (group,) = form_groups(probed)
    assert 6 in group.scores and group.median_scale == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("preferred", "scale"), [(1.2, 1), (0.8, 1), (0.6, 1), (2.0, 2), (0.2, 0.2)]
)
def test_images_are_not_rescaled_unless_fibers_are_far_too_wide_or_narrow(preferred, scale):
    assert form_groups({0: scored(preferred)})[0].scale == scale


@pytest.mark.parametrize(
    ("score", "group", "doubtful"),
    [(0.35, 1, True), (0.6, 1, False), (0.1, 0, False), (None, 1, False)],
)
def test_images_with_fibers_and_low_scores_are_doubtful(score, group, doubtful):
    assert Choice(1.0, False, score, group).doubtful == doubtful


def test_images_without_fibers_belong_to_no_group():
    probed = {0: scored(0.5), 1: scored(0.5, height=MIN_FIBER_SCORE / 2)}
    assert members(form_groups(probed)) == [{0}]


@pytest.fixture(scope="module")
def images():
    """Nine similar images, the last enlarged a little; image 4 is of another kind, 10 is empty."""
    kind = [np.roll(rings(300, 300), shift, axis=1) for shift in range(8)]
    kind.append(enlarged(rings(300, 300), 1.2))
    stray = 255 - enlarged(rings(300, 300), 4)
    return [*kind[:4], stray, *kind[4:], np.full((300, 300), 90, np.uint8)]


def test_similar_images_share_one_scale_and_a_stray_gets_its_own(images):
    found = decide(BrightIsMyelin(), SETTINGS, images)
    assert len(found) == len(images)
    kind = found[:4] + found[5:10]
    assert {(choice.scale, choice.dark) for choice in kind} == {(1.0, False)}
    assert len({choice.group for choice in kind}) == 1
    assert found[4].dark and found[4].scale == pytest.approx(0.25, rel=0.2)
    assert [choice.has_fibers for choice in found] == [True] * 10 + [False]


def test_images_too_small_to_be_probed_follow_the_others(images):
    tiny = images[0][:16, :90]
    (alone,) = decide(BrightIsMyelin(), SETTINGS, [tiny])
    assert alone.scale == 1 and not alone.dark and alone.has_fibers
    dark = [255 - image for image in images[:3]]
    assert decide(BrightIsMyelin(), SETTINGS, [*dark, tiny])[3].dark


def test_the_network_computes_far_less_than_all_pixels():
    network = BrightIsMyelin()
    kind = [np.tile(rings(500, 500), (2, 3))] * 20
    decide(network, SETTINGS, kind)
    assert sum(frame.size for frame in network.seen) < 0.15 * sum(image.size for image in kind)


@pytest.mark.parametrize(
    ("factor", "inverted", "count"),
    [
        (1, 0, SMALL_SAMPLE),
        (3, 0, LARGE_SAMPLE),  # the scale must be measured
        (1, 1, LARGE_SAMPLE),  # the small sample forms two groups
    ],
)
def test_the_sample_is_large_unless_a_small_one_forms_a_group_at_scale_1(
    monkeypatch, factor, inverted, count
):
    probed = []

    def score_scales(self, polarities):
        probed.append(self)
        return original(self, polarities)

    original = ScaleProbe.score_scales
    monkeypatch.setattr(ScaleProbe, "score_scales", score_scales)
    images = [np.roll(enlarged(rings(250, 250), factor), shift, axis=1) for shift in range(8)]
    images[8 - inverted :] = [255 - image for image in images[8 - inverted :]]
    decide(BrightIsMyelin(), SETTINGS, images)
    assert len(probed) == count


def test_given_polarity_and_scale_are_used(images):
    network = BrightIsMyelin()
    found = decide(network, SETTINGS, images, myelin="dark", scale=0.7)
    assert {(choice.scale, choice.dark) for choice in found} == {(0.7, True)}
    assert not network.seen
    found = decide(BrightIsMyelin(), SETTINGS, images, scale=1.0)
    assert [choice.dark for choice in found[:4]] == [False] * 4


def test_models_without_a_trained_fiber_width_do_not_rescale_images(images):
    assert {choice.scale for choice in decide(BrightIsMyelin(), NATIVE, images[:2])} == {1.0}
    resized = dataclasses.replace(NATIVE, frame="resize", rows=32, cols=32, myelin="as it is")
    (choice,) = decide(BrightIsMyelin(), resized, images[:1], myelin="dark")
    assert choice.dark and choice.scale == 1
