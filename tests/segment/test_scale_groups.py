"""Which images of a run share polarity and scale."""

import dataclasses

import numpy as np
import pytest
from stand_ins import NATIVE, RINGS, BrightIsMyelin, enlarged, rings

from myelin.segment import scale_groups
from myelin.segment.scale_groups import (
    MIN_RELIABLE_SCORE,
    Choice,
    choices,
    decide,
    form_groups,
    polarities,
)
from myelin.segment.votes import Votes


def votes_for(scale, dark=False, margin=1.0, count=9):
    """Return votes that agree on a scale, and on a polarity by a margin."""
    dark = (1 + (margin if dark else -margin)) / 2
    ones = np.ones(count)
    return Votes(np.log2(scale) * ones, ones, dark * ones, ones, scale * ones)


def nothing():
    """Return the votes of an image without fibers."""
    votes = votes_for(1.0)
    return dataclasses.replace(votes, fibers=0 * votes.fibers)


def test_images_of_one_kind_share_the_median_and_a_stray_keeps_its_own():
    votes = [votes_for(scale) for scale in (0.9, 1.0, 1.2, 4.0, 1.1)] + [votes_for(1.0, dark=True)]
    groups = form_groups(votes, [vote.polarity > 0 for vote in votes])
    assert sorted(map(sorted, groups)) == [[0, 1, 2, 4], [3], [5]] and len(groups[0]) == 4
    found = choices(votes, [vote.polarity > 0 for vote in votes], 1.0)
    assert [choice.scale for choice in found[:4]] == pytest.approx([1.0, 1.0, 1.0, 4.0])
    assert found[0].group == found[4].group != found[3].group and found[5].dark
    assert not any(choice.doubtful for choice in found)


def test_an_image_that_shows_few_fibers_is_segmented_as_others_of_the_run():
    few = dataclasses.replace(votes_for(1.1, margin=0.5), fibers=np.full(9, 0.3))
    found = choices([votes_for(1.0), few], [False, False], 1.0)
    assert found[1].group == found[0].group == 1
    assert not choices([few], [False], 1.0)[0].has_fibers


def test_an_image_of_which_all_windows_agree_is_segmented_and_doubtful_if_it_shows_few_fibers():
    few = dataclasses.replace(votes_for(1.1), fibers=np.full(9, 0.3))
    (choice,) = choices([few], [False], 1.0)
    assert choice.has_fibers and choice.doubtful


def test_images_without_fibers_name_what_the_largest_group_has():
    votes = [votes_for(0.5, dark=True), votes_for(0.5, dark=True), nothing()]
    found = choices(votes, polarities(votes), 1.0)
    assert [choice.has_fibers for choice in found] == [True, True, False]
    assert found[2].dark and found[2].scale == 0.5 and not found[2].doubtful
    (alone,) = choices([nothing()], polarities([nothing()]), 1.0)
    assert not alone.has_fibers and alone.scale == 1


def test_the_others_decide_the_polarity_where_windows_disagree():
    votes = [votes_for(1.0, dark=True), votes_for(1.0, dark=True), votes_for(1.0, margin=0.1)]
    assert polarities(votes) == [True] * 3 and polarities(votes[2:]) == [False]
    assert choices(votes, [True] * 3, 1.0)[2].doubtful
    assert polarities([*votes[:2], votes_for(1.0)]) == [True, True, False]


def test_an_image_whose_windows_disagree_on_the_scale_is_doubtful():
    halves = votes_for(1.0)
    halves.octaves = np.repeat([-2.0, 0.0, 2.0], 3)
    (choice,) = choices([halves], [False], 1.0)
    assert choice.doubtful and choice.score < MIN_RELIABLE_SCORE


def test_a_scale_is_that_of_the_width_that_the_model_was_trained_on():
    assert [choice.scale for choice in choices([votes_for(1.0)], [False], 2.0)] == [2.0]


@pytest.fixture(scope="module")
def folder():
    """Five images of one kind, a stray and one without fibers."""
    kind = [np.roll(rings(300, 300), shift, axis=1) for shift in range(5)]
    stray = 255 - enlarged(rings(300, 300), 4)
    return [*kind[:3], stray, *kind[3:], np.full((300, 300), 90, np.uint8)]


def test_a_folder_is_decided_by_what_its_images_show(folder):
    found = decide(BrightIsMyelin(), RINGS, folder)
    kind = found[:3] + found[4:6]
    assert len({(choice.scale, choice.dark, choice.group) for choice in kind}) == 1
    assert kind[0].scale == pytest.approx(1, rel=0.8) and not kind[0].dark
    assert found[3].dark and kind[0].scale / found[3].scale == pytest.approx(4, rel=0.4)
    assert not found[6].has_fibers and all(choice.has_fibers for choice in found[:6])


def test_what_is_given_is_taken(folder, monkeypatch):
    found = decide(BrightIsMyelin(), RINGS, folder, scale=1.3)
    assert {choice.scale for choice in found} == {1.3} and [c.dark for c in found[:4]] == [
        0,
        0,
        0,
        1,
    ]
    found = decide(BrightIsMyelin(), RINGS, folder[:1], myelin="dark")
    assert found[0].dark and found[0].scale == pytest.approx(1, rel=0.8)
    monkeypatch.setattr(scale_groups, "open_view", None)  # not needed
    assert decide(BrightIsMyelin(), RINGS, folder[:1], "dark", 0.7) == [Choice(0.7, True)]


def test_networks_that_do_not_know_how_wide_fibers_are_see_images_at_their_own_pixels(folder):
    assert {choice.scale for choice in decide(BrightIsMyelin(), NATIVE, folder[:2])} == {1.0}
    whole = dataclasses.replace(NATIVE, frame="resize", rows=32, cols=32, myelin="as it is")
    (choice,) = decide(BrightIsMyelin(), whole, folder[:1], myelin="dark")
    assert choice.dark and choice.scale == 1
