"""One image of the window: tools, undo, decisions; its numbers are those of the command."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import read_table, ring, rings, save

import morphometry
from myelin.app.history import History
from myelin.app.propose import propose
from myelin.app.study import Study
from myelin.app.window import Window
from myelin.images.image import read_image, read_mask, write_image
from myelin.runtime.cli import UserError
from myelin.runtime.tables import write_table
from myelin.statistics.groups import read_groups

SHAPE = (160, 300)
CENTERS = [(60, 60), (150, 60), (240, 60)]
ID = {"id": "one"}


@pytest.fixture
def window(folder):
    """Make a study of one image, dark with three bright rings, whose second ring the mask lacks."""
    mask = rings(SHAPE, CENTERS, 16, 26)
    grey = np.random.default_rng(0).integers(90, 100, SHAPE).astype(np.uint8)
    write_image("raw/test/one.tif", np.where(mask, 200, grey).astype(np.uint8))
    save(Path("preds/one_mask.tif"), rings(SHAPE, CENTERS[::2], 16, 26))
    study = Study()
    study.set_pixel_size(study.images(), 0.1)
    return Window(study)


def masks():
    axon = Path("preds/one_axon.tif")
    return read_mask("preds/one_mask.tif"), read_mask(axon) if axon.exists() else None


def step(window, tool, **values):
    return window.step(ID | {"tool": tool} | values)


def place(view, row):
    return view["fibers"]["x"][row], view["fibers"]["y"][row]


def circle(x, y, radius):
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return (np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)).tolist()


def assert_as_the_command_writes(window):
    """Compare the numbers of the window with those of `morphometry.py` by the command it shows."""
    view = window.view("one")
    assert view["command"].startswith("python morphometry.py")
    morphometry.main(["--no-pictures", *window.study.measuring_arguments()])
    (row,) = read_table(Path("morphometry/summary.csv"))
    shown = {name: row[name] for name in view["summary"]}
    assert shown == view["summary"] and len(shown) > 20
    assert view["count"] == row["fiber_count"] and view["density"] == row["fiber_density_per_mm2"]
    fibers = read_table(Path("morphometry/one_fibers.csv"))
    assert [int(fiber["fiber"]) for fiber in fibers] == view["fibers"]["fiber"].tolist()
    assert [fiber["excluded"] for fiber in fibers] == view["fibers"]["exclude"].tolist()


def test_a_click_adds_a_missed_fiber(window):
    assert window.view("one")["count"] == "2"
    found = window.propose(ID | {"x": 150, "y": 60})
    assert len(found["axon"]) == 1 and found["score"] > 0.5
    assert step(window, "accept")["count"] == "3"
    myelin, axon = masks()
    true_myelin, true_axon = ring(SHAPE, 150, 60, 16, 26)
    parts = (axon, true_axon, 0.93), (myelin, true_myelin, 0.85)
    for drawn, true, min_dice in parts:
        drawn, true = drawn[:, 100:200], true[:, 100:200]
        assert 2 * (drawn & true).sum() > min_dice * (drawn.sum() + true.sum())
    assert_as_the_command_writes(window)


def test_a_proposal_grows_and_is_for_the_image_as_it_is(window):
    areas = []
    for grow in (-2, 0, 3):
        window.propose(ID | {"x": 150, "y": 60, "grow": grow})
        areas.append(window.proposals["one"][1].axon.sum())
    assert areas[0] < areas[1] < areas[2]
    step(window, "delete", row=0)
    with pytest.raises(UserError, match="nothing is proposed"):
        step(window, "accept")
    with pytest.raises(UserError, match="no axon found"):
        window.propose(ID | {"x": 5, "y": 150})
    with pytest.raises(UserError, match="an axon already"):
        window.propose(ID | {"x": 240, "y": 60})


def test_a_click_reads_only_a_window_of_the_image():
    rows, cols = np.mgrid[:1400, :1400]
    distance = np.hypot(rows - 100, cols - 120)
    image = np.where((distance >= 16) & (distance < 26), 200, 95).astype(np.uint8)
    no_axons = np.zeros(image.shape, bool)
    found = propose(image, no_axons, no_axons, 120, 100)
    image[900:], no_axons[900:] = 33, True
    again = propose(image, no_axons, no_axons, 120, 100)
    np.testing.assert_array_equal(found.axon, again.axon)
    assert found.axon.shape[0] < 700
    axon = distance[found.window] < 16
    assert 2 * (found.axon & axon).sum() > 0.9 * (found.axon.sum() + axon.sum())


@pytest.mark.parametrize(("bright", "dark"), [(200, 95), (60, 150)])
def test_a_deleted_fiber_comes_back_as_it_was_segmented(bright, dark):
    myelin = rings(SHAPE, CENTERS, 16, 26)
    image = np.where(myelin, bright, dark).astype(np.uint8)
    sheath, axon = ring(SHAPE, 150, 60, 16, 26)
    nothing = np.zeros(SHAPE, bool)
    found = propose(image, nothing, nothing, 156, 57, myelin * np.uint8(255), 0.5)
    np.testing.assert_array_equal(found.axon, axon[found.window])
    assert not (sheath[found.window] & ~found.sheath).any()


def test_tools_change_what_they_say(window):
    view = step(window, "draw", axon=circle(150, 60, 12), outer=circle(150, 60, 20))
    assert view["count"] == "3"
    row = window.at(ID | {"x": 150, "y": 60})["row"]
    assert view["fibers"]["g"][row] == pytest.approx(12 / 20, abs=0.03)
    view = step(window, "split", points=[[150, 40], [150, 80]])
    assert view["count"] == "4"
    rows = [window.at(ID | {"x": x, "y": 60})["row"] for x in (145, 155)]
    view = step(window, "merge", row=rows[0], other=rows[1])
    assert view["count"] == "3"
    view = step(window, "brush", part="nothing", points=[[150, 20], [150, 100]], width=60)
    assert view["count"] == "2"
    step(window, "brush", part="axon", points=[[150, 60], [150, 60]], width=10)
    view = step(window, "brush", part="myelin", points=[*circle(150, 60, 12), [162, 60]], width=8)
    assert view["count"] == "3"
    assert_as_the_command_writes(window)
    with pytest.raises(UserError, match="crosses no axon"):
        step(window, "split", points=[[5, 140], [20, 140]])
    with pytest.raises(UserError, match="do not touch"):
        step(window, "merge", row=0, other=1)


def test_after_any_steps_the_numbers_are_those_of_the_command(window):
    random = np.random.default_rng(1)
    step(window, "delete", row=0)
    assert_as_the_command_writes(window)  # whose numbers the fibers keep from here on
    for part in random.choice(["myelin", "axon", "nothing", "undo", "delete", "draw"], 14):
        x, y = random.integers((20, 20), (280, 140))
        if part == "undo":
            step(window, "undo")
        elif part == "delete" and len(window.view("one")["fibers"]["x"]) > 1:
            step(window, "delete", row=0)
        elif part == "draw":
            step(window, "draw", axon=circle(x, y, 7), width=4)
        elif part != "delete":
            points = [[int(x), int(y)], [int(x) + 25, int(y) + 10]]
            step(window, "brush", part=part, points=points, width=int(random.integers(2, 12)))
    view, stored = window.view("one"), Window(Study()).view("one")
    assert stored["summary"] == view["summary"] and len(view["fibers"]["x"]) > 1
    for name, values in view["fibers"].items():
        np.testing.assert_array_equal(values, stored["fibers"][name], name)
    assert_as_the_command_writes(window)


def test_the_nerve_of_a_large_image_follows_its_steps(window, monkeypatch):
    monkeypatch.setattr("myelin.app.sheet.BAND_PX", 100)
    window.view("one")
    step(window, "draw", axon=circle(150, 60, 12), width=5)
    end = time.monotonic() + 60
    while window.sheets["one"].nerve_is_old and time.monotonic() < end:
        time.sleep(0.05)
    assert window.changes["one"] >= 2  # other pages follow too
    assert_as_the_command_writes(window)


def test_the_ring_tool_chooses_which_region_is_the_axon(window):
    outer = ring(SHAPE, 150, 60, 20, 26)[0] | ring(SHAPE, 150, 60, 8, 11)[0]
    save(Path("preds/one_mask.tif"), outer)
    areas = []
    for x in (150, 135):
        view = step(window, "axon", x=x, y=60)
        assert view["count"] == "1"
        areas.append(view["fibers"]["axon"][0])
    assert areas == pytest.approx([1.6, 4.0], rel=0.05)
    with pytest.raises(UserError, match="this is myelin"):
        step(window, "axon", x=150 + 23, y=60)
    with pytest.raises(UserError, match="is open"):
        step(window, "axon", x=10, y=150)


def test_fascicles_keep_their_numbers_if_their_file_becomes_a_tiff(window):
    nerve = np.ones(SHAPE, np.uint8)
    nerve[:, 150:] = 2
    write_image("preds/one_nerve.png", nerve)
    step(window, "delete", row=0)
    assert np.array_equal(read_image("preds/one_nerve.tif"), nerve)


def test_steps_are_undone_and_redone_also_by_another_window(window):
    states, views = [masks()], [window.view("one")["count"]]
    step(window, "draw", axon=circle(150, 60, 12), width=5)
    states.append(masks())
    step(window, "delete", row=0)
    states.append(masks())
    step(window, "nerve", points=[[10, 10], [200, 10], [200, 150], [10, 150]])
    assert window.view("one")["summary"]["fiber_count"] == "1"
    assert Path("preds/one_nerve.tif").exists()
    other = Window(Study())  # as after a restart
    for index in (2, 1, 0):
        step(other, "undo")
        myelin, axon = masks()
        assert np.array_equal(myelin, states[index][0])
        assert (axon is None) == (states[index][1] is None)
    assert not Path("preds/one_nerve.tif").exists()
    assert other.view("one")["count"] == views[0] == window.view("one")["count"]
    for _ in range(3):
        step(window, "redo")
    assert window.view("one")["count"] == "1" and other.view("one")["redo"] == ""
    step(other, "redo")


def test_a_corner_of_the_nerve_moves_and_the_rest_of_its_outline_stays(window):
    nerve = np.zeros(SHAPE, np.uint8)
    cv2.circle(nerve, (150, 80), 70, 1, -1)
    nerve[60:64, 215:230] = 1  # smaller than corners show
    write_image("preds/one_nerve.tif", nerve)
    ((number, corners),) = window.corners(ID)["outlines"]
    assert number == 1 and 8 < len(corners) < 40
    left = min(range(len(corners)), key=lambda index: corners[index])
    step(window, "nerve", outline=0, points=[*corners[:left], [20, 80], *corners[left + 1 :]])
    moved = read_image("preds/one_nerve.tif") // 255
    assert moved[80, 25] == 1 and moved.sum() > nerve.sum() + 500
    assert np.array_equal(moved[:, 150:], nerve[:, 150:])


def test_a_step_that_was_left_half_is_completed(window, monkeypatch):
    step(window, "draw", axon=circle(150, 60, 12), width=5)
    after = masks()
    step(window, "undo")
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("myelin.app.sheet.Sheet.save", lambda *_: 1 / 0)
        step(window, "redo")
    journal = Path(".window/history/one.jsonl")
    journal.write_bytes(journal.read_bytes() + b'{"what": "torn')
    view = Window(Study()).view("one")
    assert view["count"] == "3" and view["undo"] == "draw"
    assert all(map(np.array_equal, masks(), after))


def test_a_mask_edited_elsewhere_begins_a_new_history(window):
    step(window, "delete", row=0)
    assert Path("preds/corrected/one_mask.tif").exists()  # the user's own
    Path("preds/one_axon.tif").unlink()
    save(Path("preds/one_mask.tif"), rings(SHAPE, CENTERS, 16, 26))
    view = window.view("one")
    assert view["count"] == "3" and view["undo"] == ""


def test_a_fiber_is_found_by_its_place_if_rows_have_changed(window):
    view = window.view("one")
    places = [place(view, row) for row in range(2)]
    step(Window(Study()), "delete", row=0)  # by another program
    view = step(window, "exclude", row=1, row_at=places[1])
    assert view["fibers"]["exclude"].tolist() == ["excluded"]
    with pytest.raises(UserError, match="removed by another program"):
        step(window, "exclude", row=0, row_at=places[0])


def test_decisions_lie_in_the_tables_and_follow_their_fibers(window):
    view = window.view("one")
    kept = place(view, 1)
    step(window, "exclude", row=1, reason="blurred")
    step(window, "class", row=1, **{"class": "swollen"})
    assert window.view("one")["count"] == "1"
    assert_as_the_command_writes(window)
    view = step(window, "draw", axon=circle(150, 60, 12), width=5)
    row = window.at(ID | {"x": kept[0], "y": kept[1]})["row"]
    assert view["fibers"]["exclude"][row] == "blurred"
    assert view["fibers"]["classes"][row] == "swollen"
    assert_as_the_command_writes(window)
    step(window, "delete", row=row)
    assert len(read_table(Path("exclude.csv"))) == len(read_table(Path("classes.csv"))) == 0
    view = step(window, "undo")
    assert view["fibers"]["exclude"][row] == "blurred"
    view = step(window, "keep", row=row)
    assert not any(view["fibers"]["exclude"])
    view = step(window, "undo")
    assert view["fibers"]["exclude"][row] == "blurred"
    assert_as_the_command_writes(window)


def test_a_folder_in_use_is_named_and_nothing_is_done(window):
    import subprocess
    import sys

    root = Path(morphometry.__file__).parent
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from myelin.runtime.lock import holding\n"
        "with holding(Path('preds')): print('held', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = subprocess.Popen([sys.executable, "-c", code, str(root)], **pipes)
    other.stdout.readline()
    before = masks()
    with pytest.raises(UserError, match="preds: in use by"):
        step(window, "delete", row=0)
    other.communicate(b"")
    assert np.array_equal(masks()[0], before[0]) and not History(Path(".window/x")).steps
    assert step(window, "delete", row=0)["count"] == "1"


def test_pixel_sizes_reach_the_command(folder):
    for name in ("one", "two"):
        write_image(f"raw/test/{name}.tif", np.full(SHAPE, 90, np.uint8))
        save(Path(f"preds/{name}_mask.tif"), rings(SHAPE, CENTERS, 16, 26))
    window = Window(Study())
    assert window.view("one")["density"] == ""
    window.describe({"ids": ["one"], "um": 0.2})
    window.describe({"ids": ["two"], "um": 0.1})
    assert "--pixel-size pixel_sizes.csv" in window.study.command()
    assert_as_the_command_writes_of(window, {"one": "0.2", "two": "0.1"})
    window.describe({"ids": ["one", "two"], "um": 0.3})
    assert "--pixel-size 0.3" in window.study.command()
    with pytest.raises(UserError, match="not possible"):
        window.describe({"ids": ["one"], "um": 1e9})


def test_typed_groups_reach_the_table_that_commands_read(folder):
    for name in ("one", "two", "new"):
        write_image(f"raw/test/{name}.tif", np.full(SHAPE, 90, np.uint8))
    write_table("groups.csv", ["image", "group", "animal", "sex"], [["one.tif", "old", "m1", "f"]])
    window = Window(Study())
    window.describe({"ids": ["one", "two"], "group": " control ", "animal": "m1"})
    window.describe({"ids": ["new"], "group": "crush"})
    for name in ("one", "two"):
        save(Path(f"preds/{name}_mask.tif"), rings(SHAPE, CENTERS, 16, 26))
    window.study.write_tables()  # as after a run; the new image waits for its mask and its animal
    rows = read_table(Path("groups.csv"))
    assert [[*row.values()] for row in rows] == [
        ["one.tif", "control", "m1", "f"],
        ["two", "control", "m1", ""],
    ]
    shown = {row["id"]: (row["group"], row["animal"]) for row in window.table()["images"]}
    assert shown == {"one": ("control", "m1"), "two": ("control", "m1"), "new": ("crush", "")}
    assert len(read_groups(Path("groups.csv"), ["one", "two"])[("control", "m1")]) == 2
    rows = window.describe({"ids": ["two"], "group": "crush"})["images"]
    assert ["two groups" in "".join(row["doubts"]) for row in rows] == [False, True, True]


def assert_as_the_command_writes_of(window, sizes):
    morphometry.main(["--no-pictures", *window.study.measuring_arguments()])
    rows = read_table(Path("morphometry/summary.csv"))
    assert {row["image"]: row["pixel_size_um"] for row in rows} == sizes


def test_a_folder_tree_has_groups_and_the_results_of_the_commands(folder):
    names = ["control/a1/x", "control/a2/x", "injured/b1/x"]
    mask = rings(SHAPE, CENTERS, 16, 26)
    for name in names:
        path = Path("study", f"{name}.tif")
        path.parent.mkdir(parents=True)
        write_image(path, np.where(mask, 200, 90).astype(np.uint8), 0.1)
        save(Path(f"preds/{name}_mask.tif"), mask)
    window = Window(Study(Path("study")))
    rows = window.table()["images"]
    assert [row["id"] for row in rows] == names
    assert [(row["group"], row["animal"]) for row in rows][1:] == [
        ("control", "a2"),
        ("injured", "b1"),
    ]
    window.step({"id": names[2], "tool": "delete", "row": 0})
    window.step({"id": names[2], "tool": "exclude", "row": 0})
    view = window.view(names[2])
    arguments = window.study.measuring_arguments()
    assert arguments == "--images study --exclude exclude.csv --groups folders".split()
    morphometry.main(["--no-pictures", *arguments])
    summary = {row["image"]: row for row in read_table(Path("morphometry/summary.csv"))}
    assert summary[names[2]]["fiber_count"] == view["count"] == "1"
    assert summary[names[2]]["fiber_density_per_mm2"] == view["density"]
    assert window.study.add("injured/b1/new.tif", [Path("study/control/a1/x.tif").read_bytes()])
    assert "injured/b1/new" in window.study.images()


def test_images_are_shown_under_code_names_while_blind(folder):
    for name in ("treated", "control"):
        write_image(f"raw/test/{name}.tif", np.full((20, 30), 90, np.uint8))
    window = Window(Study(blind=True))
    shown = [row["id"] for row in window.table()["images"]]
    assert shown == ["blind-001", "blind-002"]
    assert {row["code"] for row in read_table(Path("blind_key.csv"))} == set(shown)
    assert window.view("blind-001")["count"] == "0"
    with pytest.raises(UserError, match="no such image"):
        window.view("treated")
    window.set({"unblind": True})
    assert [row["id"] for row in window.table()["images"]] == ["control", "treated"]
    assert not Study(blind=True).blind


def test_uploads_are_read_before_they_are_kept(folder):
    study = Study()
    write_image("new.tif", np.full((20, 30), 90, np.uint8))
    content = Path("new.tif").read_bytes()
    assert study.add("../../new.tif", [content[:50], content[50:]]) == "new"
    assert read_image("raw/test/new.tif").shape == (20, 30)
    for name, chunks, text in (
        ("bad.tif", [b"no image"], "cannot be read"),
        ("script.py", [content], "not an image file"),
        ("new.tif", [content + b" "], "another image"),
    ):
        with pytest.raises(UserError, match=text):
            study.add(name, chunks)
    assert [path.name for path in Path("raw/test").iterdir()] == ["new.tif"]
