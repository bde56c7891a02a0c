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


@pytest.mark.parametrize("size, wide", [(12, "478"), (0.002, "0.0796")])
def test_the_pixel_size_is_doubted(tmp_path, monkeypatch, capsys, size, wide):
    monkeypatch.chdir(tmp_path)
    save(Path("preds/a_mask.tif"), rings((120, 200), [(50, 60), (140, 60)], 20, 32))
    morphometry.main(["--pixel-size", str(size), "--no-pictures"])
    said = capsys.readouterr().out
    assert f"warning: a: axons are {wide}" in said and f"is {size:g} µm per pixel right" in said
    run = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert run["warnings"]["a"][0].startswith("axons are")
    morphometry.main(["--pixel-size", "0.1", "--no-pictures"])
    assert "warning" not in capsys.readouterr().out
    assert json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))["warnings"] == {}


def test_at_most_five_images_are_warned_about(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in "abcdefg":
        save(Path(f"preds/{name}_mask.tif"), ring((80, 80), 40, 40, 20, 32)[0])
    morphometry.main(["--pixel-size", "50", "--no-pictures"])
    said = capsys.readouterr().out
    assert "warning: e: axons are 1,991 µm wide" in said and "warning: f" not in said
    assert "warning: morphometry/run.json: " in said and "2 more images" in said
    run = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert set(run["warnings"]) == set("abcdefg")


def test_more_fibers_than_fit():
    mask = rings((120, 200), [(50, 60), (140, 60)], 20, 32)
    assert not doubts_of(mask, 0.0035)
    assert any("do not fit" in text for text in doubts_of(mask, 0.002))


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
