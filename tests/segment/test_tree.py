"""Files, folders and folder trees as they are: what is found, and where results go."""

import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from measuring import read_table
from segmenting import TREE, files_in, segment, stopped, summary
from stand_ins import rings

import data
import evaluate
import morphometry
import rois
from myelin.folders import image_tree as tree
from myelin.images.image import read_mask, write_image
from myelin.runtime.cli import UserError


def test_results_mirror_the_tree_and_equal_those_of_packed_images(study):
    segment("--images", "study", "--out", "results")
    wanted = {f"{name}_{part}" for name in TREE for part in ("mask.tif", "pred.png")}
    assert files_in("results") == wanted | {f"{name}_overlay.png" for name in TREE} | {"run.json"}
    assert list(summary("results")["images"]) == list(TREE)
    assert not Path("npydata").exists() and not Path("preds").exists()
    for name in TREE:
        shutil.rmtree("raw", ignore_errors=True)
        Path("raw/test").mkdir(parents=True)
        shutil.copy(study / f"{name}.tif", "raw/test/z.tif")
        data.main([])
        segment()
        for ending in ("mask.tif", "pred.png", "overlay.png"):
            one, other = f"results/{name}_{ending}", f"preds/z_{ending}"
            assert np.array_equal(cv2.imread(one), cv2.imread(other))


def test_ids_begin_at_the_folder_given_or_above_all_that_were(study):
    assert list(tree.find_images([study])[1]) == list(TREE)
    assert list(tree.find_images([study / "control"])[1]) == ["a1/x", "a1/y"]
    some = tree.find_images([study / "treated/a2", study / "control/a1/y.tif"])
    assert list(some[1]) == ["control/a1/y", "treated/a2/x"] and some[0] == Path("study")
    assert list(tree.find_images([study / "treated/a2/x.tif"])[1]) == ["x"]
    assert list(tree.find_images([f"{study}/*/a1/x.tif"])[1]) == ["control/a1/x", "treated/a1/x"]
    assert list(tree.find_images([study, study / "control"])[1]) == list(TREE)


def test_what_is_no_image_is_left_alone(study, capsys):
    for other in ("control/a1/x_mask.png", ".hidden/z.tif", "results/z.tif", "corrected/z.tif"):
        write_image(study / other, np.zeros((20, 20), np.uint8))
    (study / "earlier/deep").mkdir(parents=True)
    (study / "earlier/run.json").write_text("{}")
    write_image(study / "earlier/deep/z.tif", np.zeros((20, 20), np.uint8))
    (study / "notes.txt").write_text("notes")
    assert list(tree.find_images([study], study / "results")[1]) == list(TREE)
    said = capsys.readouterr().out.replace("\\", "/")
    assert said.count("results of a run") == 2


def test_a_cycle_of_links_is_named_and_not_followed(study, capsys):
    try:
        os.symlink(study, study / "control/loop", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert list(tree.find_images([study])[1]) == list(TREE)
    (line,) = capsys.readouterr().out.splitlines()
    assert "loop: leads back to a folder above it" in line


@pytest.mark.parametrize(
    ("change", "given", "message"),
    [
        ("treated/a1/x.png", ["study"], "x.tif: x.png has the same name before the dot"),
        ("treated/A1/x.png", ["study"], "differs from"),
        ("treated/model/x.png", ["study"], "treated/model: this name is reserved"),
        ("treated/a1/x_pred.png", ["study"], "looks like a result made from x"),
        (None, ["absent"], "--images absent: no such file or folder, check the name"),
        (None, ["study", "--out", "study"], "--out study: is the folder of the images, choose"),
        (None, ["other"], "other: no images, name folders that hold TIFF or PNG files"),
        ("preds/run.json", ["preds", "--out", "x"], "preds: holds results of a run"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(study, capsys, change, given, message):
    Path("other").mkdir()
    if change == "preds/run.json":
        Path("preds").mkdir()
        Path(change).write_text("{}")
    elif change:
        write_image(study / change, rings(50, 50))
    if change == "treated/A1/x.png" and (study / "treated/a1/x.png").exists():
        pytest.skip("names that differ in case are one here")
    before = files_in(".")
    assert any(message in line for line in stopped(capsys, 2, "--images", *given))
    assert files_in(".") == before


def test_an_image_that_cannot_be_read_is_named_at_the_end(study, capsys):
    (study / "control/a1/broken.tif").write_bytes(b"half a file")
    whole = (study / "treated/a2/x.tif").read_bytes()
    (study / "treated/a2/cut.tif").write_bytes(whole[: len(whole) // 2])
    lines = stopped(capsys, 2, "--images", "study", "--strict")
    assert len(lines) == 2 and not Path("preds").exists()
    assert stopped(capsys, 3, "--images", "study") == lines
    assert all(line.startswith("error: study/") for line in lines)
    assert list(summary()["images"]) == list(TREE) and summary()["complete"]
    morphometry.main(["--no-pictures"])
    said = capsys.readouterr().out
    assert "not segmented, left out: control/a1/broken, treated/a2/cut; run python find_my" in said
    assert f"; run {summary()['command']}\n" in said and "--images study" in said


def test_a_folder_without_permission_does_not_keep_the_others_from_being_done(
    study, monkeypatch, capsys
):
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path).name != "a2" and access(path, mode)
    )
    (line,) = stopped(capsys, 3, "--images", "study")
    assert line.startswith("error: study/treated/a2: no permission")
    assert list(summary()["images"]) == list(TREE[:3]) and summary()["complete"]


def test_the_call_in_run_json_repeats_an_image_of_a_tree(study):
    segment("--images", "study")
    call = summary()["images"]["treated/a2/x"]["repeat"].replace("\\", "/").split()
    assert call[3:5] == ["--images", "study/treated/a2/x.tif"]
    segment(*call[3:], "--out", "again")
    assert Path("again/x_pred.png").read_bytes() == Path("preds/treated/a2/x_pred.png").read_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("old/z.zvi", "study/old: cannot read the format of z.zvi, save as TIFF or PNG first"),
        ("old/z.czi", "study/old/z.czi: needs czifile, which is not installed, run pip install"),
    ],
)
def test_a_format_without_a_reader_does_not_keep_the_others_from_being_done(
    study, monkeypatch, capsys, name, message
):
    monkeypatch.setitem(sys.modules, "czifile", None)
    (study / "old").mkdir()
    (study / name).write_bytes(b"of a microscope")
    (line,) = stopped(capsys, 2, "--images", "study", "--strict")
    assert message in line and not Path("preds").exists()
    assert stopped(capsys, 3, "--images", "study") == [line]
    assert list(summary()["images"]) == list(TREE) and summary()["complete"]
    morphometry.main(["--no-pictures"])
    assert len(read_table("morphometry/summary.csv")) == len(TREE)
    assert stopped(capsys, 2, "--images", "study/old") == [line]


@pytest.mark.slow
def test_measuring_follows_the_tree_with_groups_by_folders(study, capsys):
    segment("--images", "study")
    morphometry.main(["--groups", "folders", "--xlsx"])
    said = capsys.readouterr().out
    assert "  control  a1  2 images: x, y\n  treated  a1  1 image: x\n  treated  a2  1" in said
    assert [row["image"] for row in read_table("morphometry/summary.csv")] == list(TREE)
    rows = [(row["group"], row["animal"]) for row in read_table("morphometry/per_animal.csv")]
    assert rows == [("control", "a1"), ("treated", "a1"), ("treated", "a2")]
    for part in ("fibers.csv", "labels.tif", "axons.tif", "overlay.png", "plots.png"):
        assert all(Path(f"morphometry/{name}_{part}").is_file() for name in TREE)
    assert summary("morphometry")["images"] == list(TREE)
    Path("groups.csv").write_text(
        "image,group,animal\n"
        + "".join(f"{name.replace('/', chr(92))}.tif,g,{i}\n" for i, name in enumerate(TREE))
    )
    morphometry.main(["--groups", "groups.csv", "--no-pictures"])
    assert len(read_table("morphometry/per_animal.csv")) == 4


def test_evaluating_follows_the_tree(study, capsys):
    segment("--images", "study")
    for name in TREE[1:3]:
        shutil.copy(f"preds/{name}_mask.tif", study / f"{name}_mask.tif")
    evaluate.main(["--no-pictures"])
    said = capsys.readouterr().out
    assert "without a reference, left out: control/a1/x, treated/a2/x\n" in said
    rows = read_table("evaluation/evaluation.csv")
    assert [row["image"] for row in rows[:2]] == list(TREE[1:3])
    assert all(float(row["myelin_dice"]) == 1 for row in rows)


def test_corrections_in_a_tree_come_and_go(study, capsys):
    segment("--images", "study")
    models = read_mask("preds/treated/a1/x_mask.tif")
    morphometry.main(["--no-pictures"])
    rois.main(["export", "treated/a1/x"])
    corrected = models.copy()
    corrected[:60, :55] = False
    cv2.imwrite("preds/treated/a1/x_mask.tif", corrected.astype(np.uint8) * 255)
    capsys.readouterr()
    segment("--images", "study")
    said = capsys.readouterr().out.replace("\\", "/")
    assert "kept, corrected by hand: treated/a1/x_mask.tif;" in said
    assert "are in preds/treated/a1/model/," in said
    assert np.array_equal(read_mask("preds/treated/a1/model/x_mask.tif"), models)
    rois.main(["import", "rois/treated/a1/x.zip", "--force"])
    assert np.array_equal(read_mask("preds/treated/a1/x_mask.tif"), models)
    assert np.array_equal(read_mask("preds/treated/a1/corrected/x_mask.tif"), corrected)


def test_a_folder_name_that_not_every_system_allows(study):
    try:
        write_image(study / "con:trol/x.tif", rings(50, 50))
    except OSError:
        pytest.skip("nor does this one")
    with pytest.raises(UserError, match="not every system allows in a name, rename the folder"):
        tree.find_images([study])


def test_pages_are_chosen_and_measuring_knows_it(study, capsys):
    pages = np.stack([255 - rings(120, 140), rings(120, 140)])
    (study / "treated/a2/x.tif").unlink()
    tifffile.imwrite(study / "treated/a2/pages.tif", pages)
    (line,) = stopped(capsys, 3, "--images", "study/treated")
    assert "pages.tif: 2 pages in one file, choose with --take page=N" in line
    assert stopped(capsys, 3, "--images", "study/treated", "--take", "page=2") != [line]
    assert summary()["images"].keys() == {"a2/pages"} and summary()["take"] == "page=2"
    morphometry.main(["--no-pictures", "--pixel-size", "0.2"])
    assert "--take: only with --images" in stopped(capsys, 2, "--take", "page=2")[0]
