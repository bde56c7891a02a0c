"""Which images of a run share a scale: looks with known scores, and drawn fibers."""

import dataclasses

import numpy as np
import pytest
from stand_ins import NATIVE, BrightIsMyelin, rings
from test_scale import SETTINGS, enlarged

from myelin.segment.scale import SCALES, Look, Looker
from myelin.segment.scale_groups import (
    FIBERS,
    FIRST_LOOKS,
    FULL_LOOKS,
    Choice,
    adopted,
    decide,
    share,
)


def look(best, own=None, dark=False, height=0.5):
    """Return the look of an image that one scale serves best."""
    scores = np.zeros((2, len(SCALES)))
    scores[int(dark)] = height * np.exp(-0.5 * (np.log(SCALES / best) / 0.6) ** 2)
    return Look(scores, own or best)


def test_images_of_one_kind_get_the_median_of_their_scales():
    owns = [0.24, 0.25, 0.25, 0.28, 0.31]
    (group,) = share({i: look(own) for i, own in enumerate(owns)})
    assert set(group.scores) == set(range(5)) and group.own == pytest.approx(0.25)
    assert group.scale == 0.25


def test_kinds_apart_get_scales_of_their_own():
    looks = {0: look(0.25), 1: look(2.0), 2: look(0.25), 3: look(0.25, dark=True)}
    groups = share(looks)
    assert [set(group.scores) for group in groups] == [{0, 2}, {1}, {3}]
    assert [group.dark for group in groups] == [False, False, True]


def either_way(bright, dark):
    """Return the look of an image that is served by one scale both ways round."""
    found = look(0.5, height=bright)
    found.scores[1] = look(0.5, dark=True, height=dark).scores[1]
    return found


@pytest.mark.parametrize(
    ("bright", "dark", "others", "sizes"),
    [
        (0.5, 0.6, 3, [4]),
        (0.3, 0.6, 3, [3, 1]),  # the majority's way does not serve it
        (0.25, 0.31, 3, [3, 1]),  # shows no fibers so
        (0.5, 0.6, 1, [1, 1]),  # there is no majority
    ],
)
def test_the_odd_one_in_polarity_goes_with_the_majority_where_that_serves_it(
    bright, dark, others, sizes
):
    looks = {i: look(0.5) for i in range(others)} | {others: either_way(bright, dark)}
    groups = adopted(share(looks), looks)
    assert [len(group.scores) for group in groups] == sizes
    assert not groups[0].dark and adopted([], looks) == []


def test_an_image_read_wrongly_stays_with_its_kind():
    """Its few fibers seem small, but the scale of the others serves it."""
    looks = {i: look(0.25) for i in range(6)} | {6: look(0.35, own=0.6)}
    (group,) = share(looks)
    assert 6 in group.scores and group.own == pytest.approx(0.25)


@pytest.mark.parametrize(("own", "scale"), [(1.2, 1), (0.8, 1), (0.6, 1), (2.0, 2), (0.2, 0.2)])
def test_images_keep_their_own_pixels_unless_their_fibers_are_far_too_wide_or_narrow(own, scale):
    assert share({0: look(own)})[0].scale == scale


@pytest.mark.parametrize(
    ("score", "group", "doubtful"),
    [(0.35, 1, True), (0.6, 1, False), (0.1, 0, False), (None, 1, False)],
)
def test_images_that_reach_little_are_doubtful(score, group, doubtful):
    assert Choice(1.0, False, score, group).doubtful == doubtful


def test_images_without_fibers_belong_to_no_group():
    looks = {0: look(0.5), 1: look(0.5, height=FIBERS / 2)}
    assert [set(group.scores) for group in share(looks)] == [{0}]


@pytest.fixture(scope="module")
def folder():
    """Nine images of one kind, one of them enlarged a little, one stray, one without fibers."""
    kind = [np.roll(rings(300, 300), shift, axis=1) for shift in range(8)]
    kind.append(enlarged(rings(300, 300), 1.2))
    stray = 255 - enlarged(rings(300, 300), 4)
    return [*kind[:4], stray, *kind[4:], np.full((300, 300), 90, np.uint8)]


def test_a_folder_shares_one_scale_and_a_stray_gets_its_own(folder):
    found = decide(BrightIsMyelin(), SETTINGS, folder)
    assert len(found) == len(folder)
    kind = found[:4] + found[5:10]
    assert {(choice.scale, choice.dark) for choice in kind} == {(1.0, False)}
    assert len({choice.group for choice in kind}) == 1
    stray = found[4]
    assert stray.dark and stray.scale == pytest.approx(0.25, rel=0.2)
    assert not found[10].has_fibers and all(choice.has_fibers for choice in found[:10])


def test_images_too_small_to_look_at_go_with_the_others(folder):
    tiny = folder[0][:16, :90]
    (alone,) = decide(BrightIsMyelin(), SETTINGS, [tiny])
    assert alone.scale == 1 and not alone.dark and alone.has_fibers
    dark = [255 - image for image in folder[:3]]
    assert decide(BrightIsMyelin(), SETTINGS, [*dark, tiny])[3].dark


def test_the_network_sees_far_less_than_the_images(folder):
    network = BrightIsMyelin()
    kind = [np.tile(rings(500, 500), (2, 3))] * 20
    decide(network, SETTINGS, kind)
    assert sum(frame.size for frame in network.seen) < 0.15 * sum(image.size for image in kind)


def looked_at(monkeypatch, folder):
    """Return how many images of a folder are looked at in full."""
    looks = []

    def look(self, ways):
        looks.append(self)
        return whole(self, ways)

    whole = Looker.look
    monkeypatch.setattr(Looker, "look", look)
    decide(BrightIsMyelin(), SETTINGS, folder)
    return len(looks)


@pytest.mark.parametrize(("factor", "looks"), [(1, FIRST_LOOKS), (3, FULL_LOOKS)])
def test_more_are_looked_at_in_full_where_the_scale_is_to_be_measured(monkeypatch, factor, looks):
    folder = [np.roll(enlarged(rings(200, 200), factor), shift, axis=1) for shift in range(8)]
    assert looked_at(monkeypatch, folder) == looks


def test_more_are_looked_at_in_full_where_the_first_do_not_belong_together(monkeypatch):
    folder = [rings(250, 250)] * 7 + [255 - rings(250, 250)]
    assert looked_at(monkeypatch, folder) == FULL_LOOKS


def test_what_is_given_is_taken(folder):
    network = BrightIsMyelin()
    found = decide(network, SETTINGS, folder, myelin="dark", scale=0.7)
    assert {(choice.scale, choice.dark) for choice in found} == {(0.7, True)}
    assert not network.seen
    found = decide(BrightIsMyelin(), SETTINGS, folder, scale=1.0)
    assert [choice.dark for choice in found[:4]] == [False] * 4


def test_networks_that_do_not_know_how_wide_fibers_are_see_images_as_they_are(folder):
    assert {choice.scale for choice in decide(BrightIsMyelin(), NATIVE, folder[:2])} == {1.0}
    whole = dataclasses.replace(NATIVE, frame="resize", rows=32, cols=32, myelin="as it is")
    (choice,) = decide(BrightIsMyelin(), whole, folder[:1], myelin="dark")
    assert choice.dark and choice.scale == 1
