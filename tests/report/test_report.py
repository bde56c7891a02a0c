"""Content of report.html; its behaviour is tested in test_report_page.py."""

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import rings, save

import morphometry
from myelin.measure.doubt import add_doubt
from myelin.measure.exclude import RULES
from myelin.measure.fibers import measure_fibers
from myelin.pixels import labels
from myelin.pixels.outlines import fill
from myelin.report.html import FIBER_COLUMNS, without_marks
from myelin.report.page_images import encode_picture

CALL = ["--pixel-size", "0.1"]


def page():
    return Path("morphometry/report.html").read_text(encoding="utf-8")


def stored(text, name):
    """Return the JSON of a script element of the page."""
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)[1])


def pixels(path, shape):
    """Return the pixels within an SVG path of horizontal and vertical edges, bool `shape`."""
    rings = []
    for x, y, steps in re.findall(r"M(\d+) (\d+)([^z]*)z", path):
        steps = [(axis, int(step)) for axis, step in re.findall(r"([hv])(-?\d+)", steps)]
        moves = [(step, 0) if axis == "h" else (0, step) for axis, step in steps]
        rings.append(np.cumsum([(int(x), int(y)), *moves], axis=0))
    found = np.zeros(shape, bool)
    found.ravel()[fill(rings, shape)] = True
    return found


def test_a_picture_made_smaller_in_bands_fits_its_fibers(monkeypatch):
    monkeypatch.setattr("myelin.report.page_images.MAX_PIXELS", 60 * 100)
    monkeypatch.setattr(labels, "BAND_PX", 14 * 200)
    myelin = rings((120, 200), [(50, 60), (140, 60)], 20, 32)
    outside = np.zeros(myelin.shape, bool)
    outside[:, 130:] = True
    shown = encode_picture(measure_fibers(myelin, 0.1), myelin, None, 1, outside)
    assert (shown["width"], shown["height"]) == (100, 60)
    sheaths = [pixels(path, (60, 100)) for path in shown["fibers"]]
    for sheath, x, (left, top, width, height) in zip(
        sheaths, (25, 70), shown["boxes"], strict=True
    ):
        assert sheath[30, x - 13] and not sheath[30, x], "sheath, axon"
        rows, cols = np.nonzero(sheath)
        assert (cols.min(), rows.min()) == (left, top)
        assert (np.ptp(cols) + 1, np.ptp(rows) + 1) == (width, height)
    beyond = pixels(shown["outside"], (60, 100))
    assert beyond[0, 99] and not beyond[0, 0] and not (beyond & sheaths[1]).any()
    jpeg = np.frombuffer(base64.b64decode(shown["picture"].partition(",")[2]), np.uint8)
    grey = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
    assert (sheaths[0] | sheaths[1])[grey > 170].mean() > 0.97, "sheaths are where the mask is"


@pytest.mark.slow
def test_the_page_knows_exactly_what_was_measured(two_masks, monkeypatch):
    monkeypatch.setattr("myelin.measure.exclude.DOUBTFUL", 0)
    Path("exclude.csv").write_text("image,fiber,reason\ntwo,2,</script><b>x\n", encoding="utf-8")
    save(Path("preds/void_mask.tif"), np.zeros((40, 50), bool))
    morphometry.main([*CALL, "--exclude", "exclude.csv"])
    text = page()
    study = stored(text, "study")
    mask = rings((120, 200), [(50, 60), (140, 60)], 20, 32)
    fibers = measure_fibers(mask, 0.1)
    add_doubt(fibers, None)
    columns = fibers.columns
    for name in FIBER_COLUMNS[:-2]:
        wanted = np.tile(columns[name].astype(float), 2)
        found = np.array(study["columns"][name], float)
        assert np.allclose(found, wanted, rtol=1e-5, atol=0, equal_nan=True), name
    places = [(image["first"], image["count"]) for image in study["images"]]
    assert places == [(0, 2), (2, 2), (4, 0)]
    assert study["columns"]["excluded"] == ["", "", "", "</script><b>x"]
    assert study["columns"]["axon_px"][0] == np.count_nonzero(fibers.axons.to_array() == 1)
    assert sorted(study["doubtful"]) == [0, 1, 2], "those that are not left out"
    assert stored(text, "picture-1")["width"] == 200
    scripts = len(re.findall("<script", text))
    assert scripts == len(re.findall("</script", text)) == 5, "study, script, three pictures"
    # Nothing is loaded from the network.
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)=["\'](?!#|data:)', text)
    assert not re.findall(r"\bfetch\(|XMLHttpRequest|importScripts|@import|url\(", text)


def test_the_command_to_which_tables_are_added():
    given = "--masks m --exclude=a.csv --max-g-ratio 0.9 --classes c.csv --groups g.csv".split()
    given += ["--leave-out-class", "thin", "onion bulb"]
    assert without_marks(given) == ["--masks", "m", "--groups", "g.csv", *given[-3:]]
    for rule in RULES:
        assert without_marks([rule.option, "1"]) == []
