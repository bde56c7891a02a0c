"""One step of the page, from JSON values to the image: tools, decisions, outlines of the nerve."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from myelin.app import decisions, tools
from myelin.app.propose import Proposal
from myelin.app.sheet import Sheet
from myelin.folders.naming import PREDS
from myelin.folders.ownership import models_own
from myelin.images.image import read_mask
from myelin.measure.fibers import find_fibers
from myelin.runtime.cli import UserError

OUTLINE_ERROR = 0.005  # of an outline with few corners, as a part of the image's longer side


def do_step(sheet: Sheet, body: dict, proposed: tuple[int, Proposal | None]) -> None:
    """Do the step of a request; `proposed` is the last proposal and the version it is for."""
    tool = body["tool"]
    if tool in ("undo", "redo"):
        sheet.move(tool == "redo")
    elif tool in DECISIONS:
        DECISIONS[tool](sheet, row_of(sheet, body), body)
    elif tool == "nerve":
        (change_outline if "outline" in body else set_nerve)(sheet, body)
    elif tool == "brush" and body["part"] in ("nerve", "outside"):
        paint_nerve(sheet, body)
    elif tool == "restore":
        restore(sheet, body)
    elif tool == "accept":
        accept(sheet, proposed)
    else:
        edit, what = PIXEL_TOOLS[tool], NAMES.get(tool, tool)
        sheet.change(lambda masks: edit(masks, sheet, body), what)


def accept(sheet: Sheet, proposed: tuple[int, Proposal]) -> None:
    """Add the fiber that was proposed last."""
    version, found = proposed
    if version != sheet.version:
        raise UserError("accept: nothing is proposed for this image as it is now, click again")
    axon, sheath = np.zeros(sheet.shape, bool), np.zeros(sheet.shape, bool)
    axon[found.window], sheath[found.window] = found.axon, found.sheath
    sheet.change(lambda masks: tools.add_fiber(masks, axon, sheath), "add")


def set_nerve(sheet: Sheet, body: dict) -> None:
    """Replace the outline of the nerve, or add a fascicle; without points, remove it."""
    nerve = None
    if body.get("points"):
        inside = tools.polygon(sheet.shape, tools.points_of(body["points"], 3))
        nerve = inside.astype(np.uint8)
        if body.get("add"):
            before = nerve_of(sheet)
            nerve = np.where(inside & (before == 0), before.max() + 1, before).astype(np.uint8)
        if not nerve.any():
            raise UserError("nerve: the outline has no pixel in the image, draw it again")
    sheet.step(sheet.layers | {"nerve": nerve}, "nerve")


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


def change_outline(sheet: Sheet, body: dict) -> None:
    """Move an outline of the nerve to new corners; where they are the old ones it stays."""
    number, corners = corners_of(sheet)[int(body["outline"])]
    given = tools.points_of(body["points"], 3)
    old, new = (tools.polygon(sheet.shape, np.array(points)) for points in (corners, given))
    changed = tools.dilate(old ^ new, tools.disk(int(OUTLINE_ERROR * max(sheet.shape)) + 1))
    nerve = nerve_of(sheet).copy()
    nerve[changed & (nerve == number)] = 0
    nerve[changed & new & (nerve == 0)] = number
    sheet.step(sheet.layers | {"nerve": nerve}, "nerve")


def paint_nerve(sheet: Sheet, body: dict) -> None:
    """Add a stroke to the nerve, or take it away."""
    points, nerve = tools.points_of(body["points"]), nerve_of(sheet)
    line = tools.stroke(sheet.shape, points, float(body["width"]))
    # A stroke continues the fascicle that it begins in.
    x, y = np.clip(points[0].astype(int), 0, np.array(sheet.shape[::-1]) - 1)
    number = max(int(nerve[y, x]), 1) if body["part"] == "nerve" else 0
    after = np.where(line, np.uint8(number), nerve)
    sheet.step(sheet.layers | {"nerve": after if after.any() else None}, "nerve")


def restore(sheet: Sheet, body: dict) -> None:
    """Bring back the model's own mask, of the whole image or of one fiber."""
    path = models_own(PREDS, sheet.name)
    if not path.exists():
        raise UserError(f"{sheet.name}: no mask of the model is kept, nothing to restore")
    mask = read_mask(path)
    if body.get("row") is None:
        after = {"mask": mask.view(np.uint8), "axon": None}
        sheet.step(sheet.layers | after, "the model's own image")
        return
    row = row_of(sheet, body)
    own = find_fibers(mask, None, sheet.image, sheet.frame.tissue)
    area = sheet.found.labels.keep(np.arange(len(sheet.found) + 1) == row + 1).to_mask()
    numbers = np.unique(own.labels.numbers_on(area))
    kept = np.isin(np.arange(own.labels.count + 1), numbers[numbers > 0])
    area |= own.labels.keep(kept).to_mask()
    axons = own.axons.keep(kept).to_mask()

    def put_back(masks: tools.Masks) -> None:
        masks["mask"][area] = mask[area] & ~axons[area]
        masks["axon"][area] = axons[area]

    sheet.change(put_back, "the model's own fiber")


# ---------------------------------------------------------------- tools


def row_of(sheet: Sheet, body: dict, key: str = "row") -> int:
    """Return the row of the fiber that the page means."""
    row = body[key]
    if (
        place := body.get(f"{key}_at")
    ) is not None:  # rows may have changed since the page saw them
        x, y = map(float, place)
        row = decisions.row_of(sheet.found, 0, (x, y))
        if row is None:
            raise UserError("fiber: is not there any more, the image has changed; choose another")
    if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < len(sheet.found):
        raise ValueError("row")
    return row


def place_of(sheet: Sheet, body: dict) -> tuple[int, int]:
    """Return the pixel (x, y) that the page means."""
    x, y = math.floor(float(body["x"])), math.floor(float(body["y"]))
    if not (0 <= x < sheet.shape[1] and 0 <= y < sheet.shape[0]):
        raise ValueError("place")
    return x, y


def draw(masks: tools.Masks, sheet: Sheet, body: dict) -> None:
    """Draw a fiber by its outlines."""
    outer = tools.points_of(body["outer"], 3) if body.get("outer") else None
    width = float(np.clip(float(body.get("width", 0)), 1, 1000))
    tools.draw_fiber(masks, tools.points_of(body["axon"], 3), outer, width)


PIXEL_TOOLS: dict[str, Callable[[tools.Masks, Sheet, dict], None]] = {
    "draw": draw,
    "brush": lambda masks, sheet, body: tools.paint(
        masks, body["part"], tools.points_of(body["points"]), float(body["width"])
    ),
    "split": lambda masks, sheet, body: tools.split_fiber(
        masks, sheet.found, tools.points_of(body["points"], 2)
    ),
    "merge": lambda masks, sheet, body: tools.merge_fibers(
        masks, sheet.found, row_of(sheet, body), row_of(sheet, body, "other")
    ),
    "delete": lambda masks, sheet, body: tools.delete_fiber(
        masks, sheet.found, row_of(sheet, body)
    ),
    "axon": lambda masks, sheet, body: tools.choose_axon(
        masks, sheet.found, *place_of(sheet, body)
    ),
}
NAMES = {"axon": "choose the axon"}
DECISIONS: dict[str, Callable[[Sheet, int, dict], None]] = {
    "exclude": lambda sheet, row, body: sheet.decide(
        row, {"exclude": text_of(body, "reason") or "excluded", "kept": None}, "exclude"
    ),
    "keep": lambda sheet, row, body: sheet.decide(row, {"exclude": None, "kept": "kept"}, "keep"),
    "class": lambda sheet, row, body: sheet.decide(
        row, {"classes": text_of(body, "class") or None}, "class"
    ),
}


def text_of(body: dict, key: str) -> str:
    """Return a short text of the page."""
    return " ".join(str(body.get(key) or "").split())[:100]


def rings_of(mask: np.ndarray, window: tuple[slice, slice]) -> list:
    """Return the outlines of a mask in a window as points of the image."""
    rings, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    offset = np.array([window[1].start, window[0].start]) + 0.5
    return [(ring[:, 0] + offset).tolist() for ring in rings]
