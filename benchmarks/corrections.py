"""Correct ten missed, five false and two merged fibers in the window, as a person does; count.

    python benchmarks/corrections.py nerve.tif

Takes the masks of the bundled model as the truth, damages them, and corrects them in a browser by
clicks, drags and keys; each is an action. Then compares what `morphometry.py` measures with the
truth. Needs selenium, Chromium and its driver.
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / name) for name in ("helpers", "app"))]
from selenium.webdriver.common.keys import Keys
from test_page import Window, open_browser

from myelin.app.study import Study
from myelin.app.tools import delete_fiber, draw_fiber, stroke, window_of
from myelin.app.window import Window as Server
from myelin.images.image import write_image
from myelin.runtime.tables import read_table

SIZES = ("axon_area_um2", "fiber_area_um2", "axon_perimeter_um", "g_ratio")
GAP_PX = 4  # width of the gap in the sheath between merged fibers


def main():
    """Damage, correct, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("raw/test").mkdir(parents=True)
        shutil.copy(args.image, f"raw/test/one{args.image.suffix}")
        run("find_myelin.py")
        study = Study()
        study.set_pixel_size(study.images(), 0.1)
        sheet, _ = Server(study).open("one")
        mask, axon = sheet.frozen()
        save(mask, axon)
        true = measured()
        shutil.rmtree("morphometry")
        sheet.refresh()
        places = damage(sheet, {"mask": mask, "axon": axon}, np.random.default_rng(args.seed))
        save(mask, axon)
        print(f"{len(true)} fibers, {len(measured())} after the damage")
        shutil.rmtree("morphometry")
        print(f"{correct(folder, *places)} actions")
        found = measured()
    pairs = {one: found.get(nearest(one, found)) for one in true}
    touched = {"missed": [nearest(one, true) for one in places[0]]}
    touched["merged"] = [nearest(one, true) for ends, _ in places[2] for one in ends]
    own = [*touched["missed"], *touched["merged"]]
    for name, ones in (touched | {"all others": [one for one in true if one not in own]}).items():
        differ = np.array([np.divide(pairs[one], true[one]) - 1 for one in ones])
        same = (differ == 0).sum(axis=0)
        worst = np.abs(differ).max(axis=0)
        for size, equal, largest in zip(SIZES, same, worst, strict=True):
            print(f"{name:10} {size:18} {equal} of {len(ones)} equal, others within {largest:.1%}")
    print(f"{len(found)} fibers")


def run(script, *arguments):
    """Run a command of the suite."""
    call = [sys.executable, str(ROOT / script), *arguments]
    subprocess.run(call, check=True, capture_output=True)


def save(mask, axon):
    """Write both masks as a person's own."""
    for name, pixels in (("mask", mask), ("axon", axon)):
        write_image(Path(f"preds/one_{name}.tif"), pixels.astype(np.uint8) * np.uint8(255))


def measured():
    """Return the sizes of the fibers by their places."""
    run("morphometry.py", "--no-pictures", "--pixel-size", "0.1")
    header, rows = read_table("morphometry/one_fibers.csv")
    rows = [dict(zip(header, row, strict=True)) for row in rows]
    return {
        (float(row["x_px"]), float(row["y_px"])): [float(row[size] or "nan") for size in SIZES]
        for row in rows
    }


def nearest(place, fibers):
    """Return the place of the fiber nearest to a place."""
    return min(fibers, key=lambda one: np.hypot(one[0] - place[0], one[1] - place[1]))


def damage(sheet, masks, rng):
    """Erase ten fibers, draw five false ones, open the sheaths between two pairs; return where."""
    found, size = sheet.found, sheet.shape
    x, y = found.columns["x_px"], found.columns["y_px"]
    whole = np.flatnonzero(found.whole & (found.columns["axon_diameter_um"] > 1))
    order, used, merged = rng.permutation(whole), set(), []
    for row in order:  # pairs whose axons face each other over one double sheath
        gaps = np.hypot(x[whole] - x[row], y[whole] - y[row])
        other = int(whole[np.argsort(gaps)[1]])
        ends = np.array([[x[row], y[row]], [x[other], y[other]]])
        line = stroke(size, ends, GAP_PX)
        numbers = np.unique(found.labels.numbers_on(line))
        if {row, other} & used or set(numbers) - {0} != {row + 1, other + 1}:
            continue
        used |= {row, other}
        merged.append((ends, passage(ends, line & masks["mask"])))
        masks["axon"] |= line
        masks["mask"] &= ~line
        if len(merged) == 2:
            break
    missed = [row for row in order if row not in used][:10]
    for row in missed:
        delete_fiber(masks, found, row)
    taken, false = (found.labels.to_mask() | sheet.bool_layer("mask")).astype(np.uint8), []
    while len(false) < 5:
        distance = cv2.distanceTransform(1 - taken, cv2.DIST_L2, 5)
        row, col = np.unravel_index(np.argmax(distance), size)
        radius = min(distance[row, col] * 0.5, 6)
        angles = np.linspace(0, 2 * np.pi, 30)
        ring = np.stack([col + radius * np.cos(angles), row + radius * np.sin(angles)], axis=1)
        draw_fiber(masks, ring, None, 3)
        cv2.circle(taken, (int(col), int(row)), 60, 1, -1)
        false.append((int(col), int(row)))
    return [clicks_into(found, row) for row in missed], false, merged


def clicks_into(found, row):
    """Return the place within an axon that is farthest from its sheath."""
    window, own = window_of(found.axons, row)
    distance = cv2.distanceTransform(np.pad(own, 1).view(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    top, left = np.unravel_index(np.argmax(distance), own.shape)
    return int(left + window[1].start), int(top + window[0].start)


def passage(ends, opened):
    """Return the ends of a brush stroke that closes what was opened between two axons."""
    places = np.argwhere(opened)[:, ::-1]
    along = (places - ends[0]) @ (ends[1] - ends[0]) / np.hypot(*(ends[1] - ends[0])) ** 2
    inset = GAP_PX / 2 / np.hypot(*(ends[1] - ends[0]))
    limits = along.min() + inset, along.max() - inset
    return [(ends[0] + part * (ends[1] - ends[0])).tolist() for part in limits]


def correct(folder, missed, false, merged):
    """Correct the image in the window; return the number of actions."""
    browser = open_browser()
    window, actions = Window(browser, folder), 0
    try:
        window.press("open-one")
        for key, places, then in (("a", missed, Keys.ENTER), ("v", false, Keys.DELETE)):
            window.key(key)
            for place in places:
                window.pointer(place)
                window.key(then)
            actions += 1 + 2 * len(places)
        keys = "b", "[", "["  # a brush as wide as the gap
        window.key(*keys)
        for _, ends in merged:
            window.pointer(*ends, drag=True)
        return actions + 1 + len(keys) + len(merged)  # one opened the image
    finally:
        window.stop()
        browser.quit()


if __name__ == "__main__":
    main()
