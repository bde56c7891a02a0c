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
import tifffile

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / name) for name in ("helpers", "app"))]
from selenium.webdriver.common.keys import Keys
from test_page import Window, open_browser

from myelin.images.image import read_mask, write_image
from myelin.images.mask_checks import apart
from myelin.runtime.tables import read_table

SIZES = ("axon_area_um2", "fiber_area_um2", "axon_perimeter_um", "g_ratio")
GAP_PX = 4  # width of the gap in the sheath between merged fibers
BRUSH_PX = 8  # of the brush in the window, as it starts


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
        mask = read_mask(Path("preds/one_mask.tif"))
        measured()
        axon = apart(labels("axons"))
        mask &= ~axon
        save(mask, axon)
        true = measured()
        places = damage(true, mask, axon, np.random.default_rng(args.seed))
        shutil.rmtree("morphometry")
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


def labels(name):
    """Return a label image that morphometry.py wrote."""
    return tifffile.imread(f"morphometry/one_{name}.tif")


def damage(true, mask, axon, rng):
    """Erase ten fibers, draw five false ones, open the sheaths between two pairs; return where."""
    axons, fibers = labels("axons"), labels("labels")
    places = np.array(list(true))
    numbers = fibers[tuple(np.rint(places[:, ::-1]).astype(int).T)]
    inside = (numbers > 0) & np.all((places > 40) & (places < np.array(mask.shape[::-1]) - 40), 1)
    order = rng.permutation(np.flatnonzero(inside & (np.array([*true.values()])[:, 0] > 0.8)))
    used, merged = set(), []
    for row in order:  # pairs whose axons face each other over one double sheath
        other = int(np.argsort(np.hypot(*(places - places[row]).T))[1])
        line = np.zeros(mask.shape, np.uint8)
        ends = np.array([places[row], places[other]])
        cv2.line(line, *np.rint(ends).astype(int).tolist(), 1, GAP_PX)
        on_line = set(np.unique(fibers[line > 0])) - {0}
        if {row, other} & used or on_line != {numbers[row], numbers[other]}:
            continue
        used |= {row, other}
        merged.append((ends, passage(ends, (line > 0) & mask)))
        axon |= line > 0
        mask &= line == 0
        if len(merged) == 2:
            break
    missed = [numbers[row] for row in order if row not in used][:10]
    gone = np.isin(fibers, missed) | np.isin(axons, missed)
    mask &= ~gone
    axon &= ~gone
    taken, false = (fibers > 0).astype(np.uint8), []
    while len(false) < 5:
        distance = cv2.distanceTransform(1 - taken, cv2.DIST_L2, 5)
        row, col = map(int, np.unravel_index(np.argmax(distance), mask.shape))
        radius = int(min(distance[row, col] * 0.5, 6))
        for part, radius_px in ((mask, radius + 3), (axon, radius)):
            drawn = np.zeros(mask.shape, np.uint8)
            cv2.circle(drawn, (col, row), radius_px, 1, -1)
            part |= drawn > 0
        mask &= ~axon
        cv2.circle(taken, (col, row), 60, 1, -1)
        false.append((col, row))
    return [clicks_into(axons == number) for number in missed], false, merged


def clicks_into(own):
    """Return the place within an axon that is farthest from its sheath."""
    distance = cv2.distanceTransform(own.view(np.uint8), cv2.DIST_L2, 5)
    return tuple(map(int, np.unravel_index(np.argmax(distance), own.shape)[::-1]))


def passage(ends, opened):
    """Return the ends of a brush stroke that closes what was opened between two axons."""
    places = np.argwhere(opened)[:, ::-1]
    along = (places - ends[0]) @ (ends[1] - ends[0]) / np.hypot(*(ends[1] - ends[0])) ** 2
    inset = min(BRUSH_PX / 2 / np.hypot(*(ends[1] - ends[0])), np.ptp(along) / 2)
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
        window.key("b")
        for _, ends in merged:
            window.pointer(*ends, drag=True)
        return actions + 2 + len(merged)  # with the click that opened the image
    finally:
        window.stop()
        browser.quit()


if __name__ == "__main__":
    main()
