"""An image that was segmented and measured, for its outlines to be exported and imported."""

import json
from pathlib import Path

import pytest
from nerves import measure_drawn

from myelin.folders.mask_record import pixel_hash


@pytest.fixture
def measured(folder):
    """Measure an image whose mask find_myelin.py wrote, by its run.json; return the mask."""
    mask = measure_drawn()
    run = {"threshold": 0.5, "images": {"one": {"mask_sha256": pixel_hash(mask)}}}
    Path("preds/run.json").write_text(json.dumps(run), encoding="utf-8")
    return mask
