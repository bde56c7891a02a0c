"""One image that is open in the window: its pixels, its masks, its fibers, and its steps."""

import contextlib
import copy
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from myelin.app.decisions import Rows, Table
from myelin.app.history import (
    History,
    Layers,
    apply_patch,
    hash_of,
    make_patches,
    window_of,
)
from myelin.app.study import STATE, Study
from myelin.app.tools import Part
from myelin.folders.mask_record import read_run, written_by_program
from myelin.folders.mask_set import find_nerves
from myelin.folders.naming import MORPHOMETRY, PREDS
from myelin.folders.ownership import files_of, free_path, models_own, set_aside
from myelin.folders.reader import Reader
from myelin.images.image import read_mask, read_stored, write_image
from myelin.images.mask_checks import apart
from myelin.images.tiff_writer import update_tiff
from myelin.measure.edited import EditedFibers
from myelin.measure.exclude import doubtful_order, mask_hash, without
from myelin.measure.fibers import find_fibers, in_tissue
from myelin.measure.frame import find_frame
from myelin.measure.nerve import find_nerve, nerve_columns, read_nerve
from myelin.measure.numbering import Numbers
from myelin.measure.plausible import doubts
from myelin.measure.summary import summarize
from myelin.pixels.labels import BAND_PX, LabelImage, row_bands
from myelin.pixels.regions import Window
from myelin.runtime.cli import UserError
from myelin.runtime.files import copy_file
from myelin.runtime.lock import holding

MAX_GROWTH = 2  # a mask's file that steps have made this many times larger is rewritten
NOWHERE = slice(0, 0), slice(0, 0)
TABLES = {
    "exclude": Path("exclude.csv"),
    "classes": Path("classes.csv"),
    "kept": STATE / "kept.csv",
}


class Sheet:
    """An open image.

    Attributes
    ----------
    image : uint8 array, (rows, cols)
    layers : dict
        See `history.Layers`; 0 and 1, or numbers of fascicles. Steps change them in place.
    found, fibers : Fibers
        All fibers, and the same with those left out marked.
    nerve : LabelImage or None
        Outline of the nerve, given or found.
    nerve_is_old : bool
        Whether the outline is that found before the last steps, as that of a large image takes
        seconds; its other numbers do not depend on it.
    row : dict
        The image's row of `summary.csv`.
    doubts : list of (int, str)
        Rows of the fibers to check, the worst first, with the reason.
    version : int
        Rises with each change of what is shown.
    """

    def __init__(self, study: Study, name: str, image: np.ndarray) -> None:
        self.study, self.name, self.image, self.version = study, name, image, 0
        self.shape = image.shape
        self.whole = tuple(slice(0, length) for length in image.shape)
        self.tables = {kind: Table(kind, path) for kind, path in TABLES.items()}
        self.freezing, self.behind = threading.Lock(), threading.Lock()
        self.colours = -1, {}  # version, and colours of fibers by mode, see `pictures.colours_of`
        self.load()

    # ------------------------------------------------------------ files

    def files(self) -> dict[str, Path | None]:
        """Return the file of each layer, None if there is none."""
        found = {part: files_of(PREDS, self.name, f"_{part}") for part in ("mask", "axon")}
        nerve = find_nerves([self.name], PREDS, self.study.folder).get(self.name)
        return {part: next(iter(paths), None) for part, paths in found.items()} | {"nerve": nerve}

    def stamp(self) -> list:
        """Return what changes if another program or window writes a file of this image."""
        paths = [*self.files().values(), self.history.path, MORPHOMETRY / "run.json"]
        paths += [MORPHOMETRY / f"{self.name}_nerve.tif", *TABLES.values()]
        return [self.study.pixel_size(self.name), *map(stamp_of, paths)]

    def load(self) -> None:
        """Read the layers; complete a step that a killed process has left half; measure."""
        paths, edited = self.files(), MORPHOMETRY / f"{self.name}_nerve.tif"
        if not paths["nerve"] and edited.is_file():
            by_program = written_by_program(edited, read=read_stored)
            paths["nerve"] = None if by_program else edited
        layers: Layers = dict.fromkeys(paths)
        if paths["mask"]:  # which may show the axons too
            myelin, axon = Reader().masks((paths["mask"], paths["axon"]))
            layers["mask"] = myelin.astype(np.uint8)
            layers["axon"] = None if axon is None else axon.astype(np.uint8)
        if paths["nerve"]:
            layers["nerve"] = read_nerve(paths["nerve"])[:].astype(np.uint8)
        for part, layer in layers.items():
            if layer is not None and layer.shape != self.shape:
                raise UserError(f"{paths[part]}: not the size of its image, remove or replace it")
        self.probability = self.study.probability(self.name, self.shape)
        self.numbers = Numbers(MORPHOMETRY)
        self.earlier = self.numbers.earlier(self.name, self.shape)
        self.layers, self.written, self.models_hash = layers, {}, ""
        self.history = History(STATE / "history" / f"{self.name}.jsonl")
        missing = self.history.missing(layers)
        if missing is None:
            self.history.forget()
        elif missing:
            step, forward = self.history.last
            self.turn(missing, forward)
            with holding(PREDS):
                self.save({patch["part"] for patch in missing}, self.whole)
            self.write_tables(step["tables"][forward])
        self.measure()
        self.known = self.stamp()

    def refresh(self) -> None:
        """Load again if another program or window has written a file."""
        if self.stamp() != self.known:
            self.load()

    def turn(self, patches: list[dict], forward: bool) -> None:
        """Apply patches to the layers, or take them back."""
        for patch in patches if forward else reversed(patches):
            apply_patch(self.layers, patch, self.shape, forward)

    def save(self, parts: set[str], window: Window) -> None:
        """Write layers that have changed in a window; an absent layer has no file."""
        size, hashes = (
            self.study.pixel_size(self.name)[0],
            self.history.hashes(self.layers, NOWHERE),
        )
        own = models_own(PREDS, self.name)
        if "mask" in parts and own.is_file() and not self.models_hash:
            self.models_hash = hash_of(read_mask(own).view(np.uint8), {})
        for part in parts:
            path, layer = PREDS / f"{self.name}_{part}.tif", self.layers[part]
            known, least = self.written.pop(part, (None, 0))
            if layer is None:
                path.unlink(missing_ok=True)
            elif part == "mask" and hashes[part] == self.models_hash:
                copy_file(own, path)  # the model's own mask, with its record
            elif known and known == stamp_of(path) and known[1] < MAX_GROWTH * least:
                update_tiff(path, layer, window, 255)
                self.written[part] = stamp_of(path), least
            else:
                write_image(path, stored(layer), size)
                if part != "nerve":
                    self.written[part] = stamp_of(path), path.stat().st_size

    def keep_originals(self) -> None:
        """Before the first step, keep the model's mask in model/ and the user's in corrected/."""
        run, own = read_run(PREDS), models_own(PREDS, self.name)
        for part in self.layers:
            for path in files_of(PREDS, self.name, f"_{part}"):
                if part == "mask" and written_by_program(path, run, self.name):
                    copy_file(path, own)
                elif path.suffix == ".tif":
                    copy_file(path, free_path(path))
                else:
                    set_aside(path)
                    write_image(path.with_suffix(".tif"), stored(self.layers[part]))

    # ------------------------------------------------------------ numbers

    def measure(self) -> None:
        """Measure the fibers as `morphometry.py` does."""
        size, self.source = self.study.pixel_size(self.name)
        masks = self.bool_layer("mask"), self.bool_layer("axon")
        self.frame = find_frame(masks[0], self.image, self.given_nerve())
        earlier = self.earlier and self.earlier.labels
        self.edited = EditedFibers(self.frame, size or 1.0, self.image, self.probability, earlier)
        self.edited.measure_all(masks[0], None if self.layers["axon"] is None else masks[1])
        self.nerve, self.frozen = self.frame.nerve, None
        self.follow()

    def change_pixels(self, patches: list[dict], forward: bool) -> None:
        """Apply patches, or take them back, and measure what they have changed."""
        parts, window = {patch["part"] for patch in patches}, window_of(patches)
        near = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in window)
        is_whole = not all(all(patch["exists"]) for patch in patches if patch["part"] != "nerve")
        is_whole |= any(line[near].any() for line in self.frame.decisive)
        before = [self.bool_layer(part)[window].copy() for part in ("mask", "axon")]
        self.turn(patches, forward)
        if is_whole and parts != {"nerve"}:
            self.measure()
            return
        masks = self.bool_layer("mask"), self.bool_layer("axon")
        if "nerve" in parts:
            self.frame = replace(self.frame, nerve=self.given_nerve())
            self.nerve = self.frame.nerve
            self.edited.change_frame(self.frame, *masks)
        else:
            self.edited.measure_change(*masks, window, before)
        self.follow()

    def given_nerve(self) -> LabelImage | None:
        """Return the outline of the nerve that a person has given, None without one."""
        layer = self.layers["nerve"]
        return None if layer is None else LabelImage.from_array(layer)

    def follow(self) -> None:
        """Set what follows from the fibers."""
        self.found, shared = self.edited.fibers()
        self.numbers.assign_by(self.name, self.found, "", self.earlier, shared)
        self.nerve_is_old = self.frame.nerve is None and self.image.size > BAND_PX
        if self.frame.nerve is None and not self.nerve_is_old:
            self.nerve = find_nerve(self.found, self.frame, self.image)
        self.decided = {
            kind: table.read(self.name, self.found) for kind, table in self.tables.items()
        }
        self.summarize()

    def summarize(self) -> None:
        """Set what follows from the fibers, the outline of the nerve and the decisions."""
        columns, excluded = self.found.columns, self.decided["exclude"]
        frame, in_nerve = self.frame, replace(self.frame, nerve=self.nerve)
        if self.nerve is not None and frame.nerve is None:
            columns["fascicle"] = in_nerve.fascicles(columns["x_px"], columns["y_px"])
        reasons = np.full(len(self.found), "", object)
        reasons[[*excluded]] = [*excluded.values()]
        myelin = self.bool_layer("mask")
        if excluded:
            myelin = myelin & ~self.bool_layer("axon")
            myelin = myelin if frame.inside is None else myelin & frame.inside
        self.fibers = without(self.found, reasons, myelin)
        self.row = summarize(self.fibers, self.name, self.source, frame)
        of_nerve = nerve_columns(self.fibers, in_nerve, frame.nerve is None)
        warnings = doubts(self.row | of_nerve, self.fibers)
        self.row |= {"warnings": "; ".join(warnings), **of_nerve}
        why = columns["doubt_reason"]
        self.doubts = [(int(row), why[row]) for row in doubtful_order(self.fibers)]
        self.version += 1

    def bool_layer(self, part: str) -> np.ndarray:
        """Return a layer as bool (rows, cols), all False if it is absent."""
        layer = self.layers[part]
        return np.zeros(self.shape, bool) if layer is None else layer.view(bool)

    # ------------------------------------------------------------ steps

    def change(self, window: Window, edit: Callable[[Part], None], what: str) -> None:
        """Change pixels of a window in one step; `edit` changes its masks in place.

        From the first step on, the axons are those of an axon mask, so that an edit changes no
        other fiber.
        """
        frozen = self.freeze() if self.layers["axon"] is None else None
        layers = dict(zip(("mask", "axon"), frozen, strict=False)) if frozen else self.layers
        before = {part: layers[part][window] for part in ("mask", "axon")}
        part = Part(window, *(mask.view(bool).copy() for mask in before.values()))
        edit(part)
        after = {"mask": part.mask.view(np.uint8), "axon": part.axon.view(np.uint8)}
        self.step(make_patches(before, after, window), what, frozen=frozen)

    def freeze(self) -> tuple[np.ndarray, np.ndarray, EditedFibers]:
        """Return both masks, uint8, with the found axons in the axon mask, and their fibers."""
        with self.freezing:
            if self.frozen is None or self.frozen[2].frame is not self.frame:
                edited, mask = copy.copy(self.edited), self.bool_layer("mask")  # as they are now
                found, tissue = edited.found, edited.frame.tissue
                axon = np.empty(self.shape, bool)
                for rows in row_bands(self.shape):
                    above = min(rows.start, 1)
                    axons = apart(found.axons[rows.start - above : rows.stop + 1])
                    axon[rows] = axons[above:][: rows.stop - rows.start]
                again = find_fibers(*in_tissue(mask, axon, tissue), None, tissue)
                # Holes in a swollen sheath, which only the search for axons tells from gaps.
                lost = found.labels.to_mask() & ~again.labels.to_mask() & ~axon
                mask = (mask | lost) & ~axon
                edited.measure_all(mask, axon)
                self.frozen = mask.view(np.uint8), axon.view(np.uint8), edited
            return self.frozen

    def step(
        self,
        patches: list[dict],
        what: str,
        decided: dict[str, Rows] | None = None,
        frozen: tuple | None = None,
    ) -> None:
        """Do one step: write its journal, then the layers and tables that changed.

        `decided` are new decisions by table; without them, decisions follow their fibers. With
        masks that `freeze` returned, these come before the patches.
        """
        if not patches and decided is None:
            return
        with holding(PREDS):
            hashes = [self.history.hashes(self.layers, NOWHERE)]
            tables = [{kind: table.own(self.name) for kind, table in self.tables.items()}]
            if patches:
                if not self.history.steps:
                    self.keep_originals()
                if frozen:
                    after = {"mask": frozen[0], "axon": frozen[1]}
                    freezing = make_patches(self.layers, after, self.whole)
                    self.turn(freezing, True)
                    self.edited = frozen[2]
                self.change_pixels(patches, True)
                patches = [*freezing, *patches] if frozen else patches
            self.decided |= decided or {}
            tables.append(self.rows())
            window = window_of(patches) if patches else NOWHERE
            hashes.append(self.history.hashes(self.layers, window))
            line = {"what": what, "patches": patches, "hashes": hashes, "tables": tables}
            self.history.write(line)
            self.save({patch["part"] for patch in patches}, window)
            self.write_tables(tables[1])
        if decided:
            self.summarize()
        self.known = self.stamp()

    def decide(self, row: int, changes: dict[str, str | None], what: str) -> None:
        """Change what the tables say of the fiber in a row; None removes it from a table."""
        decided = {kind: dict(self.decided[kind]) for kind in changes}
        for kind, text in changes.items():
            decided[kind].pop(row, None)
            if text is not None:
                decided[kind][row] = text
        self.step([], what, decided)

    def move(self, forward: bool) -> None:
        """Undo or redo one step, if there is one."""
        index = self.history.position - (not forward)
        if not 0 <= index < len(self.history.steps):
            return
        step = self.history.steps[index]
        with holding(PREDS):
            self.history.write({"move": 1 if forward else -1})
            self.write_tables(step["tables"][forward])
            if patches := step["patches"]:
                self.change_pixels(patches, forward)
                self.history.hashes(self.layers, window_of(patches))
                self.save({patch["part"] for patch in patches}, window_of(patches))
                self.write_tables(self.rows())
            else:
                self.follow()
        self.known = self.stamp()

    # ------------------------------------------------------------ tables of decisions

    def rows(self) -> dict[str, list[dict]]:
        """Return the decisions as rows of their tables."""
        if not any(self.decided.values()):
            return {kind: [] for kind in self.tables}
        parts = (self.layers[part] for part in ("mask", "axon"))
        hashed = mask_hash(*(part if part is None else part.view(bool) for part in parts))
        return {
            kind: table.rows_of(self.name, self.found, hashed, self.decided[kind])
            for kind, table in self.tables.items()
        }

    def write_tables(self, rows: dict[str, list[dict]]) -> None:
        """Write the rows of this image into the tables."""
        for kind, table in self.tables.items():
            table.replace(self.name, rows[kind])


def stamp_of(path: Path | None) -> tuple | None:
    """Return time and size of a file, None if there is none."""
    with contextlib.suppress(FileNotFoundError):
        status = path and path.stat()
        return status and (status.st_mtime_ns, status.st_size, status.st_ino)
    return None


def stored(layer: np.ndarray) -> np.ndarray:
    """Return a layer as its file has it: 0 and 255, or the numbers of several fascicles."""
    return layer * np.uint8(255 if layer.max(initial=0) <= 1 else 1)
