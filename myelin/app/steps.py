"""One step of the page, from JSON values to the image: tools, decisions, outlines of the nerve."""

import math

import cv2
import numpy as np

from myelin.app import decisions, tools
from myelin.app.history import make_patches
from myelin.app.propose import Proposal
from myelin.app.sheet import Sheet
from myelin.app.tools import Part
from myelin.folders.naming import PREDS
from myelin.folders.ownership import models_own
from myelin.images.image import read_mask
from myelin.measure.fibers import find_fibers
from myelin.pixels.regions import Window
from myelin.runtime.cli import UserError

OUTLINE_ERROR = 0.005  # of an outline with few corners, as a part of the image's longer side
NAMES = {"axon": "axon of a ring"}


def do_step(sheet: Sheet, body: dict, proposed: tuple[int, Proposal | None]) -> None:
    """Do the step of a request; `proposed` is the last proposal and the version it is for."""
    tool = body["tool"]
    if tool in ("undo", "redo"):
        sheet.move(tool == "redo")
    elif tool in ("exclude", "keep", "class"):
        decide(sheet, row_of(sheet, body), body)
    elif tool == "nerve":
        set_nerve(sheet, (moved_outline if "outline" in body else drawn_nerve)(sheet, body))
    elif tool == "brush" and body["part"] in ("nerve", "outside"):
        set_nerve(sheet, painted_nerve(sheet, body))
    elif tool == "restore":
        restore(sheet, body)
    elif tool == "accept":
        version, found = proposed
        if version != sheet.version:
            raise UserError("accept: nothing is proposed for this image as it is now, click again")
        window, add = found.window, lambda part: tools.add_fiber(part, found.axon, found.sheath)
        sheet.change(window, add, "add")
    else:
        EDITS[tool](sheet, body, NAMES.get(tool, tool))


def decide(sheet: Sheet, row: int, body: dict) -> None:
    """Exclude a fiber, keep it, or give it a class."""
    tool = body["tool"]
    text = text_of(body, "reason" if tool == "exclude" else "class")
    changes = {
        "exclude": {"exclude": text or "excluded", "kept": None},
        "keep": {"exclude": None, "kept": "kept"},
        "class": {"classes": text or None},
    }
    sheet.decide(row, changes[tool], tool)


def set_nerve(sheet: Sheet, nerve: np.ndarray | None) -> None:
    """Replace the outline of the nerve."""
    sheet.step(make_patches(sheet.layers, {"nerve": nerve}, sheet.whole), "nerve")


def drawn_nerve(sheet: Sheet, body: dict) -> np.ndarray | None:
    """Return a new outline of the nerve, or one with another fascicle; None without points."""
    if not body.get("points"):
        return None
    inside = tools.polygon(sheet.whole, tools.points_of(body["points"], 3))
    before = nerve_of(sheet) if body.get("add") else np.zeros(sheet.shape, np.uint8)
    nerve = np.where(inside & (before == 0), before.max() + 1, before).astype(np.uint8)
    if not nerve.any():
        raise UserError("nerve: the outline has no pixel in the image, draw it again")
    return nerve


def nerve_of(sheet: Sheet) -> np.ndarray:
    """Return the numbers of fascicles, uint8 (rows, cols), as given or else found."""
    if (given := sheet.layers["nerve"]) is not None:
        return given
    found = sheet.nerve
    return np.zeros(sheet.shape, np.uint8) if found is None else found[:].astype(np.uint8)


def corners_of(sheet: Sheet) -> list[tuple[int, list]]:
    """Return the outlines of the nerve: number of the fascicle and a few corners (x, y) of each."""
    nerve, outlines = nerve_of(sheet), []
    for number in range(1, int(nerve.max()) + 1):
        inside = (nerve == number).view(np.uint8)
        rings, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        error = OUTLINE_ERROR * max(sheet.shape)
        few = (cv2.approxPolyDP(ring, error, True)[:, 0] for ring in rings)
        outlines += [(number, (ring + 0.5).tolist()) for ring in few if len(ring) > 2]
    return outlines


def moved_outline(sheet: Sheet, body: dict) -> np.ndarray:
    """Return the nerve with new corners of an outline; where they are the old ones it stays."""
    number, corners = corners_of(sheet)[int(body["outline"])]
    given = tools.points_of(body["points"], 3)
    old, new = (tools.polygon(sheet.whole, np.array(points)) for points in (corners, given))
    changed = tools.dilate(old ^ new, tools.disk(int(OUTLINE_ERROR * max(sheet.shape)) + 1))
    nerve = nerve_of(sheet).copy()
    nerve[changed & (nerve == number)] = 0
    nerve[changed & new & (nerve == 0)] = number
    return nerve


def painted_nerve(sheet: Sheet, body: dict) -> np.ndarray | None:
    """Return the nerve with a stroke added or erased."""
    points, nerve = tools.points_of(body["points"]), nerve_of(sheet)
    line = tools.stroke(sheet.whole, points, float(body["width"]))
    # A stroke continues the fascicle that it begins in.
    x, y = np.clip(points[0].astype(int), 0, np.array(sheet.shape[::-1]) - 1)
    number = max(int(nerve[y, x]), 1) if body["part"] == "nerve" else 0
    nerve = np.where(line, np.uint8(number), nerve)
    return nerve if nerve.any() else None


def restore(sheet: Sheet, body: dict) -> None:
    """Bring back the model's own mask, of the whole image or of one fiber."""
    path = models_own(PREDS, sheet.name)
    if not path.exists():
        raise UserError(f"{sheet.name}: no mask of the model is kept, nothing to restore")
    mask = read_mask(path)
    if body.get("row") is None:
        after = {"mask": mask.view(np.uint8), "axon": None}
        sheet.step(make_patches(sheet.layers, after, sheet.whole), "restored image")
        return
    own = find_fibers(mask, None, sheet.image, sheet.frame.tissue)
    window, area = tools.own_pixels(sheet.found.labels, row_of(sheet, body))
    kept = np.zeros(own.labels.count + 1, bool)
    kept[own.labels[window][area]] = True
    kept[0] = False
    others = np.flatnonzero(kept) - 1
    whole = tools.union(window, *(tools.window_of(own.labels, [row]) for row in others))
    area = (sheet.found.labels[whole] == row_of(sheet, body) + 1) | kept[own.labels[whole]]
    axons = kept[own.axons[whole]]

    def put_back(part: Part) -> None:
        part.mask[area] = (mask[whole] & ~axons)[area]
        part.axon[area] = axons[area]

    sheet.change(whole, put_back, "restored fiber")


# ---------------------------------------------------------------- tools that change pixels


def draw(sheet: Sheet, body: dict, what: str) -> None:
    """Draw a fiber by its outlines."""
    axon = tools.points_of(body["axon"], 3)
    outer = tools.points_of(body["outer"], 3) if body.get("outer") else None
    width = float(np.clip(float(body.get("width", 0)), 1, 1000))
    points = axon if outer is None else np.vstack([axon, outer])
    window = tools.window_around(points, 2 * width, sheet.shape)
    sheet.change(window, lambda part: tools.draw_fiber(part, axon, outer, width), what)


def brush(sheet: Sheet, body: dict, what: str) -> None:
    """Paint myelin or axon, or erase both."""
    points, width = tools.points_of(body["points"]), float(body["width"])
    window = tools.window_around(points, min(width, 255), sheet.shape)
    sheet.change(window, lambda part: tools.paint(part, body["part"], points, width), what)


def split(sheet: Sheet, body: dict, what: str) -> None:
    """Split the axons under a line."""
    found, points = sheet.found, tools.points_of(body["points"], 2)
    window = tools.window_of(found.axons, tools.crossed_axons(found, points))
    sheet.change(window, lambda part: tools.split_fiber(part, found, points), what)


def merge(sheet: Sheet, body: dict, what: str) -> None:
    """Make one fiber of two neighbours."""
    found, rows = sheet.found, [row_of(sheet, body, key) for key in ("row", "other")]
    window = tools.window_of(found.labels, rows)
    sheet.change(window, lambda part: tools.merge_fibers(part, found, *rows), what)


def delete(sheet: Sheet, body: dict, what: str) -> None:
    """Remove a fiber."""
    found, row = sheet.found, row_of(sheet, body)
    window = tools.window_of(found.labels, [row])
    sheet.change(window, lambda part: tools.delete_fiber(part, found, row), what)


def choose_axon(sheet: Sheet, body: dict, what: str) -> None:
    """Choose which region within a ring is the axon."""
    masks = sheet.bool_layer("mask"), sheet.bool_layer("axon")
    ring, region = tools.ring_region(*masks, *place_of(sheet, body))
    rows = tools.axons_beside(sheet.found, ring)
    window = tools.union(ring, *(tools.window_of(sheet.found.axons, [row]) for row in rows))
    sheet.change(
        window, lambda part: tools.choose_axon(part, sheet.found, rows, ring, region), what
    )


EDITS = {
    "draw": draw,
    "brush": brush,
    "split": split,
    "merge": merge,
    "delete": delete,
    "axon": choose_axon,
}


# ---------------------------------------------------------------- what the page means


def row_of(sheet: Sheet, body: dict, key: str = "row") -> int:
    """Return the row of the fiber that the page means."""
    row = body[key]
    if (at := body.get(f"{key}_at")) is not None:  # rows may have changed since the page saw them
        row = decisions.row_of(sheet.found, 0, tuple(map(float, at)))
        if row is None:
            raise UserError("fiber: removed by another program, select another fiber")
    if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < len(sheet.found):
        raise ValueError("row")
    return row


def place_of(sheet: Sheet, body: dict) -> tuple[int, int]:
    """Return the pixel (x, y) that the page means."""
    x, y = math.floor(float(body["x"])), math.floor(float(body["y"]))
    if not (0 <= x < sheet.shape[1] and 0 <= y < sheet.shape[0]):
        raise ValueError("place")
    return x, y


def text_of(body: dict, key: str) -> str:
    """Return a short text of the page."""
    return " ".join(str(body.get(key) or "").split())[:100]


def rings_of(mask: np.ndarray, window: Window) -> list:
    """Return the outlines of a mask in a window as points of the image."""
    rings, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    offset = tools.origin(window) + 0.5
    return [(ring[:, 0] + offset).tolist() for ring in rings]
