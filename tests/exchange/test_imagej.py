"""Outlines in the real ImageJ, if it is installed (Debian: imagej, xvfb)."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from nerves import fiber_areas_px, measure_drawn

import rois
from myelin.images.image import read_mask, write_image

JAR = Path("/usr/share/java/ij.jar")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (JAR.exists() and shutil.which("xvfb-run") and shutil.which("java")), reason="no ImageJ"
    ),
]
MEASURE = """
args = split(getArgument(), "|");
setBatchMode(true);
open(args[0]);
getPixelSize(unit, width, height);
out = File.open(args[2]);
print(out, unit + "," + d2s(width, 6));
roiManager("Open", args[1]);
for (i = 0; i < roiManager("count"); i++) {
    roiManager("select", i);
    getStatistics(area);
    print(out, Roi.getName + "," + d2s(area, 6));
}
File.close(out);
"""


DRAW = """
folder = getArgument();
setBatchMode(true);
newImage("one", "8-bit black", 220, 150, 1);
makeRectangle(5, 5, 30, 20); add("fiber 1");
makeOval(50, 5, 41, 33); add("fiber 2");
makePolygon(100, 5, 140, 12, 120, 40); add("fiber 3");
makeSelection("freehand", newArray(150.5, 190.5, 180.5, 160.5), newArray(5.5, 9.5, 40.5, 30.5));
add("fiber 4");
makeEllipse(10, 60, 50, 90, 0.6); add("fiber 5");
makeRotatedRectangle(60, 60, 100, 90, 20); add("fiber 6");
makeOval(120, 60, 40, 40); setKeyDown("alt"); makeRectangle(130, 70, 15, 15); add("fiber 7");
makeRectangle(10, 105, 40, 40); setKeyDown("shift"); makeOval(30, 120, 40, 25); add("fiber 8");
makeOval(100, 110, 30, 30); run("Make Inverse"); run("Make Inverse"); add("fiber 9");
roiManager("Save", folder + "/one.zip");
setColor(255);
for (i = 0; i < roiManager("count"); i++) {
    roiManager("select", i);
    fill();
}
saveAs("tif", folder + "/filled.tif");

function add(name) {
    Roi.setName(name);
    roiManager("add");
    run("Select None");
}
"""


def imagej(folder, macro, *arguments):
    """Run a macro in ImageJ on an invisible screen."""
    (folder / "macro.ijm").write_text(macro, encoding="utf-8")
    command = ["xvfb-run", "-a", "java", "-cp", JAR, "ij.ImageJ", "-ijpath", folder]
    command += ["-batch", folder / "macro.ijm", "|".join(str(folder / path) for path in arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def test_imagej_measures_what_the_table_says(folder):
    """Each outline on the label image that napari gets, which has the pixel size: areas in µm²."""
    measure_drawn()
    rois.main(["export"])
    rois.main(["export", "--format", "napari"])
    imagej(folder, MEASURE, "rois/one_labels.tif", "rois/one.zip", "areas.csv")
    scale, *lines = Path("areas.csv").read_text(encoding="utf-8").splitlines()
    assert scale in ("µm,0.100000", "um,0.100000")
    found = {name: float(area) for name, area in (line.split(",") for line in lines)}
    expected = {name: area * 0.01 for name, area in fiber_areas_px().items()}
    assert len(expected) == 10
    assert found == pytest.approx(expected, rel=1e-5)


def test_what_a_person_draws_in_imagej_is_filled_as_imagej_fills_it(folder):
    """Every kind of outline; where an edge passes through the centre of a pixel, it may differ."""
    write_image(Path("raw/test/one.tif"), np.zeros((150, 220), np.uint8))
    imagej(folder, DRAW, "")
    rois.main(["import", "one.zip"])
    ours, theirs = read_mask("preds/one_mask.tif"), read_mask("filled.tif")
    assert theirs.sum() > 8000
    assert (ours ^ theirs).sum() < 0.005 * theirs.sum()
    assert not (ours ^ theirs)[:, :95].any()
    assert not (ours ^ theirs)[45:].any()
