"""Numbers that cannot be right are named, with the likely reason."""

import json
from pathlib import Path

import numpy as np
import pytest
from measuring import ring, rings, save

import morphometry
from myelin.measure.fibers import measure_fibers
from myelin.measure.plausible import doubts
from myelin.measure.summary import summarize


def doubts_of(mask, size, axon=None):
    fibers = measure_fibers(mask, size, axon)
    return doubts(summarize(fibers, "a", "--pixel-size"), fibers)


@pytest.mark.parametrize(
    "size, wide, cause",
    [
        (0.8, "31.9", "If the decimal point or the magnification is wrong, it is 0.08"),
        (0.008, "0.319", "If the decimal point or the magnification is wrong, it is 0.08"),
        (90, "3,583", "If nm were taken for µm, it is 0.09, and axons are 3.6 µm wide"),
        (
            0.0002,
            "0.00796",
            "or µm for nm, it is 0.2, and axons are 8 µm wide",
        ),
        (1, "39.8", "Programs write 1 if nobody measured it"),
    ],
)
def test_the_pixel_size_is_doubted(folder, capsys, size, wide, cause):
    save(Path("preds/a_mask.tif"), rings((120, 200), [(50, 60), (140, 60)], 20, 32))
    morphometry.main(["--pixel-size", str(size), "--no-pictures"])
    said = capsys.readouterr().out
    assert f"warning: a: axons are {wide} µm wide" in said and cause in said
    assert f"is {size:g} µm per pixel right (option --pixel-size)" in said
    run = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert run["warnings"]["a"][0].startswith("axons are")
    morphometry.main(["--pixel-size", "0.1", "--no-pictures"])
    assert "warning" not in capsys.readouterr().out
    assert json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))["warnings"] == {}


def test_exactly_one_is_doubted_where_axons_are_of_usual_size():
    mask = rings((120, 200), [(50, 60), (140, 60)], 5, 8)
    assert not doubts_of(mask, 0.99)
    (doubt,) = doubts_of(mask, 1)
    assert doubt.startswith("the pixel size is exactly 1 µm: is 1 µm per pixel right")


def test_images_with_the_same_doubt_share_a_warning(folder, capsys):
    for name in "abcdefg":
        save(Path(f"preds/{name}_mask.tif"), ring((80, 80), 40, 40, 20, 32)[0])
    morphometry.main(["--pixel-size", "50", "--no-pictures"])
    said = capsys.readouterr().out
    assert said.count("warning: ") == 1 and "warning: a: axons are 1,991 µm wide" in said
    assert "similar: b, c, d" in said
    run = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert set(run["warnings"]) == set("abcdefg")


def test_more_fibers_than_any_tissue_has():
    """Two rings on 44 x 88 px are 2.3 million per mm² where a pixel is 15 nm wide."""
    mask = rings((44, 88), [(22, 22), (66, 22)], 18, 20)
    assert not doubts_of(mask, 0.0165)
    (doubt,) = doubts_of(mask, 0.015)
    assert doubt.startswith("2,295,684 fibers per mm² are more than any tissue has: is 0.015 µm")


def test_fewer_fibers_than_fit_side_by_side():
    """Four rings, 64 px wide and side by side, on 72 x 280 px fill 60 % of it."""
    mask = rings((72, 280), [(36 + 69 * k, 36) for k in range(4)], 15, 32)
    assert not doubts_of(mask, 0.4)
    (doubt,) = doubts_of(mask, 0.48)
    assert doubt.startswith("fibers fill 64 % of the area, but are only 861 per mm²: is 0.48 µm")
    assert "it is 0.048, and axons are 1.4 µm wide" in doubt
    (alone,) = doubts_of(np.ones((9, 9), bool), 0.48)
    assert alone.startswith("no fibers, though 100%"), "nothing about the pixel size"


@pytest.mark.parametrize("inner, outer, text", [(38, 39.5, "above 0.95"), (5, 30, "below 0.2")])
def test_many_impossible_g_ratios(inner, outer, text):
    places = [(45 + 90 * col, 45 + 90 * row) for row in range(2) for col in range(4)]
    parts = [ring((180, 360), x, y, inner, outer) for x, y in places]
    masks = [np.any([part[kind] for part in parts], axis=0) for kind in (0, 1)]
    (doubt,) = doubts_of(masks[0], 0.1, masks[1])
    assert "8 of 8 fibers have a g-ratio" in doubt and text in doubt
    parts = parts[:2] + [ring((180, 360), *place, 20, 32) for place in places[2:]]
    few = [np.any([part[kind] for part in parts], axis=0) for kind in (0, 1)]
    assert not doubts_of(few[0], 0.1, few[1])
