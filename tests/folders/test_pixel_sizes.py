"""Pixel sizes that the user gives: for all images, in a table, or beside the groups of animals."""

import json
from pathlib import Path

import pytest
from measuring import fails, read_table, rings

import evaluate
import morphometry
from myelin.folders.pixel_sizes import given_sizes, pixel_size_or_table
from myelin.images.image import write_image
from myelin.runtime.cli import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder whose masks a and b record 0.1 µm per pixel."""
    monkeypatch.chdir(tmp_path)
    Path("preds").mkdir()
    mask = rings((120, 200), [(50, 60), (140, 60)], 20, 32)
    for name in "ab":
        write_image(Path(f"preds/{name}_mask.tif"), mask.astype("uint8") * 255, 0.1)


def sizes_in(text):
    Path("sizes.csv").write_bytes(text.encode())
    return given_sizes(pixel_size_or_table("sizes.csv"), ["a", "b"])


@pytest.mark.parametrize(
    "text",
    [
        "image,pixel_size_um\na,0.2\nb.tif,0.05\n",
        "\ufeffImage;Pixel_Size_um\r\na_mask.tif;0,2\r\nb;0,05\r\n",
        'note,image,pixel_size_um\n,a,"0,2"\n,b,5e-2\n',
    ],
)
def test_a_table_as_programs_write_it(text):
    assert sizes_in(text) == {"a": (0.2, "table sizes.csv"), "b": (0.05, "table sizes.csv")}


@pytest.mark.parametrize(
    "text, message",
    [
        ("image,pixel_size_um\na,150", "line 2: '150' is not a pixel size"),
        ("image,pixel_size_um\na,2 nm", "line 2: '2 nm' is not a pixel size"),
        ("image,pixel_size_um\nc,0.2", "line 2: the image c has no mask"),
        ("image,pixel_size_um\na,1\na.tif,2", "line 3: the image a.tif has a line already"),
        ("image,size\na,0.2", "columns image, size .* give it the columns image, pixel_size_um"),
    ],
)
def test_mistakes_in_a_table_are_named(text, message):
    with pytest.raises(UserError, match=f"sizes.csv: {message}"):
        sizes_in(text)


def test_images_are_measured_with_the_sizes_of_a_table(capsys):
    Path("sizes.csv").write_text("image,pixel_size_um\na,0.05\n", encoding="utf-8")
    morphometry.main(["--pixel-size", "sizes.csv", "--no-pictures"])
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert "a_mask.tif: records 0.1 µm per pixel, 0.05 was given" in warning
    rows = read_table("morphometry/summary.csv")
    assert [(row["pixel_size_um"], row["pixel_size_source"]) for row in rows] == [
        ("0.05", "table sizes.csv, but a_mask.tif records 0.1"),
        ("0.1", "ImageJ tags of b_mask.tif"),
    ]
    small, large = (float(row["axon_diameter_um_mean"]) for row in rows)
    assert large / small == pytest.approx(2, rel=1e-4)


def test_sizes_beside_the_groups(capsys):
    table = "image,group,animal,pixel_size_um\na,x,A,0.05\nb,y,B,\n"
    Path("g.csv").write_text(table, encoding="utf-8")
    morphometry.main(["--groups", "g.csv", "--no-pictures"])
    run = json.loads(Path("morphometry/run.json").read_text(encoding="utf-8"))
    assert run["pixel_sizes_um"] == {"a": 0.05, "b": 0.1}
    line = fails(morphometry.main, capsys, "--groups", "g.csv", "--pixel-size", "0.2")
    assert "g.csv has a column pixel_size_um too, give one of them" in line


def test_a_size_that_all_images_contradict_is_said_in_one_line(capsys):
    evaluate.main(["--reference", "preds", "--pixel-size", "0.3", "--no-pictures", "--out", "out"])
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert warning.startswith("warning: preds") and warning.endswith("given, 1 more image likewise")
