"""The record in a mask's TIFF: who made the mask, and the summary rebuilt from all records."""

import json
from pathlib import Path

import numpy as np
import pytest
from tifffile import imread, imwrite

from myelin.folders.mask_record import mask_record, pixel_hash, read_run, written_by_program
from myelin.images.image import read_mask, read_record, write_image

MASK = np.zeros((40, 50), bool)
MASK[10:20, 5:40] = True


def write(path, mask=MASK, **facts):
    """Write a mask as the program does and return its record."""
    record = {"model_sha256": "m", "threshold": 0.5, "options": {}, **facts}
    record["mask_sha256"] = pixel_hash(mask)
    write_image(Path(path), mask.view(np.uint8) * np.uint8(255), 0.2, record=record)
    return record


def test_a_record_comes_back_and_changes_neither_pixels_nor_pixel_size(tmp_path):
    path = tmp_path / "a_mask.tif"
    record = write(path, repeat="find_myelin.py --images 'µ é.tif'")
    assert mask_record(path) == record
    assert (read_mask(path) == MASK).all()
    assert read_record(path).pixel_size()[0] == pytest.approx(0.2)


@pytest.mark.parametrize("change", ["pixels", "tag dropped", "damaged"])
def test_a_mask_that_is_not_as_recorded_is_the_users(tmp_path, change):
    path = tmp_path / "a_mask.tif"
    record = write(path)
    assert written_by_program(path)
    if change == "pixels":
        write_image(path, np.zeros((40, 50), np.uint8), record=record)
    elif change == "tag dropped":
        imwrite(path, imread(path))
    else:
        path.write_bytes(path.read_bytes()[:100])
    assert not written_by_program(path)


def test_run_json_knows_masks_without_a_record(tmp_path):
    path = tmp_path / "a_mask.tif"
    write_image(path, MASK.view(np.uint8) * np.uint8(255))
    images = {"a": {"mask_sha256": pixel_hash(MASK)}, "b": 3}
    (tmp_path / "run.json").write_text(json.dumps({"images": images}))
    assert written_by_program(path, read_run(tmp_path), "a")
    assert not written_by_program(path, read_run(tmp_path), "b")


@pytest.mark.parametrize("summary", [None, "{", "[]", '{"complete": false, "threshold": 0.5}'])
def test_a_summary_that_is_missing_damaged_or_stale_is_rebuilt_from_the_masks(tmp_path, summary):
    assert read_run(tmp_path) is None
    write(tmp_path / "old_mask.tif", threshold=0.4)
    record = write(tmp_path / "c/b_mask.tif", doubtful=True)
    facts = {"doubtful": True, "mask_sha256": record["mask_sha256"]}
    write(tmp_path / "c/model/x_mask.tif", doubtful=True)
    write(tmp_path / "corrected/z_mask.tif")
    if summary:
        (tmp_path / "run.json").write_text(summary)
    if summary and "complete" in summary:
        run = {"complete": False, "threshold": 0.5, "model_sha256": "m", "options": {}}
        (tmp_path / "run.json").write_text(json.dumps(run))
    assert read_run(tmp_path)["images"] == {"c/b": facts, "c/x": facts}
