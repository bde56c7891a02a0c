"""Content of report.html; its behaviour is tested in test_report_page.py."""

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import rings, save, save_two

import morphometry
from myelin.measure.doubt import add_doubt
from myelin.measure.exclude import RULES
from myelin.measure.fibers import measure_fibers
from myelin.pixels import labels
from myelin.report.html import FIBER_COLUMNS, without_exclusions
from myelin.report.page_images import encode_picture, encode_runs

CALL = ["--pixel-size", "0.1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with two masks of two whole fibers each in preds/."""
    monkeypatch.chdir(tmp_path)
    save_two()
    return tmp_path


def page():
    return Path("morphometry/report.html").read_text(encoding="utf-8")


def stored(text, name):
    """Return the JSON of a script element of the page."""
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)[1])


def decode_runs(coded):
    """Return the values and lengths of `encode_runs`, rewritten from its description."""
    numbers, value, shift = [], 0, 0
    for byte in coded:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value = shift = 0
    return numbers[::2], numbers[1::2]


@pytest.mark.parametrize("largest", [1, 127, 128, 16383, 16384, 2**21, 2**28, 2**31 - 1])
def test_runs_give_the_values_back(largest):
    values = np.random.default_rng(1).choice([0, 1, largest], size=(7, 300)).astype(np.int32)
    values[3:5] = largest  # one run per row
    runs, lengths = decode_runs(encode_runs(values))
    assert np.array_equal(np.repeat(runs, lengths), values.ravel())
    ends = np.cumsum(lengths)
    assert set(np.arange(1, 8) * 300) <= set(ends.tolist()), "a run goes beyond its row"


def test_a_picture_made_smaller_in_bands_fits_its_fibers(monkeypatch):
    monkeypatch.setattr("myelin.report.page_images.MAX_PIXELS", 60 * 100)
    monkeypatch.setattr(labels, "BAND_PX", 14 * 200)
    myelin = rings((120, 200), [(50, 60), (140, 60)], 20, 32)
    outside = np.zeros(myelin.shape, bool)
    outside[:, 130:] = True
    shown = encode_picture(measure_fibers(myelin, 0.1), myelin, None, 1, outside)
    assert (shown["width"], shown["height"]) == (100, 60)
    runs, lengths = decode_runs(base64.b64decode(shown["runs"]))
    values = np.repeat(runs, lengths).reshape(60, 100)
    assert values[30, [25, 70]].tolist() == [3, 5], "axons"
    assert values[30, [12, 83]].tolist() == [2, 4], "sheaths"
    assert values[0, [0, 99]].tolist() == [0, 1], "within and outside the frame"
    jpeg = np.frombuffer(base64.b64decode(shown["picture"].partition(",")[2]), np.uint8)
    grey = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
    sheath = (values % 2 == 0) & (values > 0)
    assert sheath[grey > 170].mean() > 0.97, "sheaths are where the mask is"


@pytest.mark.slow
def test_the_page_knows_exactly_what_was_measured(folder):
    Path("exclude.csv").write_text("image,fiber,reason\ntwo,2,</script><b>x\n", encoding="utf-8")
    morphometry.main([*CALL, "--min-axon-diameter", "1", "--exclude", "exclude.csv"])
    text = page()
    study = stored(text, "study")
    mask = rings((120, 200), [(50, 60), (140, 60)], 20, 32)
    fibers = measure_fibers(mask, 0.1)
    add_doubt(fibers, None)
    columns = fibers.columns
    for name in FIBER_COLUMNS:
        found = np.frombuffer(base64.b64decode(study["columns"][name]), "<f8")
        assert np.array_equal(found, np.tile(columns[name].astype(float), 2), equal_nan=True)
    assert [(image["first"], image["count"]) for image in study["images"]] == [(0, 2), (2, 2)]
    assert study["images"][0]["myelin_px"] == np.count_nonzero(mask)
    limits = {rule["option"]: rule["limit"] for rule in study["rules"]}
    assert limits["--min-axon-diameter"] == 1 and limits["--max-g-ratio"] == 0.95
    assert study["excluded"] == [[3, "</script><b>x"]]
    assert stored(text, "picture-1")["width"] == 200
    # Nothing is loaded from the network.
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)=["\'](?!#|data:)', text)
    assert not re.findall(r"\bfetch\(|XMLHttpRequest|importScripts|@import|url\(", text)


@pytest.mark.slow
def test_names_cannot_leave_their_place(folder):
    name = "</script><script>alert(1)</script><!--study-->"
    Path("g.csv").write_text(f"image,group,animal\none,{name},&amp;\n", encoding="utf-8")
    save(Path("preds/two_mask.tif"), np.zeros((40, 50), bool))  # without fibers
    morphometry.main([*CALL, "--groups", "g.csv"])
    text = page()
    assert list(stored(text, "study")["groups"]) == [name]
    assert [image["count"] for image in stored(text, "study")["images"]] == [2, 0]
    assert "<script>alert" not in text and text.count('id="study"') == 1
    scripts = len(re.findall("<script", text))
    assert scripts == len(re.findall("</script", text)) == 4, "study, script, two pictures"


def test_the_command_that_applies_the_table():
    given = "--masks m --exclude=a.csv --max-g-ratio 0.9 --groups g.csv --exclude b.csv".split()
    wanted = "--masks m --groups g.csv --exclude exclude.csv".split()
    assert without_exclusions(given) == wanted
    given[2:3] = ["--leave-out-class", "thin", "onion bulb"]
    assert without_exclusions(given) == wanted
    for rule in RULES:
        assert without_exclusions([rule.option, "1"]) == ["--exclude", "exclude.csv"]
