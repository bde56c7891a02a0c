"""Points and counts of persons: files of ImageJ and tables, and what evaluate.py makes of them."""

from pathlib import Path

import numpy as np
import pytest
from measuring import fails, read_table, rings, save
from roifile import ROI_TYPE, ImagejRoi, roiwrite

import evaluate
from myelin.exchange.points import read_points

# In mask a are fibers at x 50, 140 and 230, and one at the left border. Two points lie on the first
# fiber, and one lies on none.
MARKED = [(50, 60), (64, 60.8), (140.5, 60.5), (299, 119)]
FOUND = {"points": "4", "fibers": "4", "found": "2", "missed": "2", "invented": "2"}
CELL_COUNTER = """<?xml version="1.0" encoding="UTF-8"?>
<CellCounter_Marker_File>
 <Image_Properties><Image_Filename>{}</Image_Filename></Image_Properties>
 <Marker_Data><Current_Type>1</Current_Type>
  <Marker_Type><Type>1</Type>{}</Marker_Type>
  <Marker_Type><Type>2</Type></Marker_Type>
 </Marker_Data>
</CellCounter_Marker_File>"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    centers = [(50, 60), (140, 60), (230, 60), (0, 100)]
    save(Path("preds/a_mask.tif"), rings((120, 300), centers, 12, 20))
    save(Path("preds/b_mask.tif"), rings((120, 300), centers[:1], 12, 20))


def roi(points, name="points"):
    made = ImagejRoi.frompoints(points, name=name)
    made.roitype = ROI_TYPE.POINT
    return made


def write_xml(path, points, image="a.tif"):
    """Write a Cell Counter file, whose places are whole pixels."""
    markers = "".join(
        f"<Marker><MarkerX>{int(x)}</MarkerX><MarkerY>{int(y)}</MarkerY><MarkerZ>1</MarkerZ></Marker>"
        for x, y in points
    )
    Path(path).write_text(CELL_COUNTER.format(image, markers), encoding="utf-8")


def write_points(path):
    outline = ImagejRoi.frompoints([(1, 1), (9, 1), (9, 9)], name="outline")
    if path == "a.roi":
        roi(MARKED).tofile(path)
    elif path == "a.zip":
        roiwrite(path, [roi(MARKED[:3], "1"), outline, roi(MARKED[3:], "2")])
    elif path.endswith(".xml"):
        write_xml(path, MARKED)
    else:
        text = "".join(f"a.tif;{x};{y}\n" for x, y in MARKED).replace(".", ",")
        Path(path).write_text("Image;X;Y\n" + text.replace("a,tif", "a.tif"), encoding="utf-8")


@pytest.mark.parametrize("path", ["a.roi", "a.zip", "CellCounter_a.xml", "points.csv"])
def test_found_missed_and_invented_fibers(folder, capsys, path):
    write_points(path)
    evaluate.main(["--points", path])
    row, total = read_table("evaluation/points.csv")
    assert row == row | FOUND | {"image": "a", "invented_at_border": "1"}
    assert total == row | {"image": "all"}
    assert (row["precision"], row["recall"], row["f1"]) == ("0.5", "0.5", "0.5")
    places = read_table("evaluation/missed_invented.csv")
    assert [place["kind"] for place in places] == ["missed", "missed", "invented", "invented"]
    assert (places[0]["x"], places[1]["x"], places[2]["x"]) == ("64", "299", "230.5")
    assert "invented" in capsys.readouterr().out


def test_points_outside_the_nerve_are_left_out(folder):
    nerve = np.zeros((120, 300), bool)
    nerve[:, :100] = True
    save(Path("preds/a_nerve.tif"), nerve)
    roi(MARKED).tofile("a.roi")
    evaluate.main(["--points", "a.roi"])
    row = read_table("evaluation/points.csv")[0]
    assert (row["points"], row["found"], row["missed"]) == ("2", "1", "1")


@pytest.mark.parametrize(
    "path, content, said",
    [
        ("a.csv", "x,y\n50,60\n300,60\n5,-1\n", "a.csv: 2 points outside the image a of 300 x 120"),
        ("a.csv", "x,y\n50,left\n", "a.csv: line 2 has y 'left', which is not a number"),
        ("a.csv", "left,top\n50,60\n", "a.csv: columns left, top"),
        ("c.csv", "x,y\n50,60\n", "c.csv: marks the image c, which has no mask"),
        ("a.roi", "not a roi", "a.roi: cannot be read as points"),
        ("a.zip", "not a zip", "a.zip: cannot be read as points"),
        ("a.xml", "<a><Marker>", "a.xml: cannot be read as points"),
        ("a.xml", CELL_COUNTER.format("a.tif", ""), "a.xml: cannot be read as points"),
        ("a.xml", CELL_COUNTER.format("a.tif", "<Marker/>"), "a.xml: cannot be read as points"),
        ("a.xml", None, "a.xml: cannot be read as points"),
        ("counts.csv", "image,count\nc,5\n", "counts.csv: line 2 names the image c, which has no"),
        ("counts.csv", "image,count\na,-5\n", "counts.csv: line 2 has count '-5', which is"),
        (
            "counts.csv",
            "image,count\na,5\na,6\n",
            "counts.csv: line 3 names the image a, which has",
        ),
        (
            "counts.csv",
            "image,count\na,many\n",
            "counts.csv: line 2 has count 'many', which is",
        ),
        ("counts.csv", "image,fibers\na,5\n", "counts.csv: columns image, fibers"),
    ],
)
def test_mistakes_are_one_line(folder, capsys, path, content, said):
    if content is not None:
        Path(path).write_text(content, encoding="utf-8")
    found = fails(evaluate.main, capsys, "--counts" if "counts" in path else "--points", path)
    assert found.startswith(f"error: {said}") and found.count("\n") == 1
    assert not list(Path().glob("evaluation/*.csv"))


def test_two_files_for_one_image_and_other_references(folder, capsys):
    write_points("a.roi")
    write_points("a.zip")
    said = fails(evaluate.main, capsys, "--points", "a.roi", "a.zip")
    assert "a.zip: marks the image a, as a.roi does" in said
    said = fails(evaluate.main, capsys, "--points", "a.roi", "--reference", "preds")
    assert "argument --reference" in said
    assert list(read_points([Path("a.roi")], ["a"])) == ["a"]


def test_counts_of_two_persons(folder, capsys):
    Path("counts.csv").write_text("image,count,Ben\na,5,4\nb.tif,2,\n", encoding="utf-8")
    evaluate.main(["--counts", "counts.csv"])
    assert read_table("evaluation/counts.csv")[1] == {
        "image": "b", "count": "2", "ben": "", "counted_fibers": "1"
    }  # fmt: skip
    rows = {row["compared"]: row for row in read_table("evaluation/count_agreement.csv")}
    assert list(rows) == [
        "ben - count", "counted_fibers - count", "counted_fibers - ben", "all persons"
    ]  # fmt: skip
    row = rows["counted_fibers - count"]
    assert (row["images"], row["bias"], row["r_squared"]) == ("2", "-1.5", "")
    assert rows["all persons"]["icc"] == ""
    assert Path("evaluation/counts_bland_altman.png").exists()
    assert "counted_fibers - ben" in capsys.readouterr().out
