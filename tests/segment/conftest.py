"""Images to segment with a stand-in for the engine, packed or in a folder tree."""

from pathlib import Path

import cv2
import pytest
from segmenting import NAMES, TREE
from stand_ins import RINGS, rings, stand_in_for_the_engine

import data
from myelin.images.image import write_image


def write_images(paths):
    """Write blurred images of different sizes."""
    for number, path in enumerate(paths):
        image = cv2.GaussianBlur(rings(120 + 10 * number, 140), (7, 7), 2)
        write_image(Path(path), image, 0.2)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A working folder with three test images, packed."""
    monkeypatch.chdir(tmp_path)
    write_images(f"raw/test/{name}.tif" for name in NAMES)
    data.main([])
    stand_in_for_the_engine(monkeypatch, RINGS)
    return tmp_path


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder tree with four images; returns the tree's folder."""
    monkeypatch.chdir(tmp_path)
    write_images(f"study/{name}.tif" for name in TREE)
    stand_in_for_the_engine(monkeypatch, RINGS)
    return tmp_path / "study"
