"""The outlines in the real ImageJ, where there is one (Debian: imagej, xvfb)."""

import shutil
import subprocess
from pathlib import Path

import pytest
from nerves import measure_drawn
from test_rois import fiber_areas_px

import rois

JAR = Path("/usr/share/java/ij.jar")
needs_imagej = pytest.mark.skipif(
    not (JAR.exists() and shutil.which("xvfb-run") and shutil.which("java")), reason="no ImageJ"
)
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


def imagej(folder, macro, *arguments):
    """Run a macro in ImageJ on an invisible screen."""
    (folder / "macro.ijm").write_text(macro, encoding="utf-8")
    command = ["xvfb-run", "-a", "java", "-cp", JAR, "ij.ImageJ", "-ijpath", folder]
    command += ["-batch", folder / "macro.ijm", "|".join(str(folder / path) for path in arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


@needs_imagej
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
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
