"""One image that is open in the window: its pixels, its masks, its fibers, and its steps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from myelin.app.decisions import Rows, Table
from myelin.app.history import History, Layers, apply_patch, hashes_of, patches_between
from myelin.app.study import STATE, Study
from myelin.folders.mask_record import hash_of_mask, read_run, written_by_program
from myelin.folders.mask_set import find_nerves
from myelin.folders.naming import MORPHOMETRY, PREDS
from myelin.folders.ownership import files_of, free_path, models_own, set_aside
from myelin.folders.reader import Reader
from myelin.images.image import read_image, read_stored, write_image
from myelin.images.mask_checks import apart
from myelin.measure.doubt import add_doubt
from myelin.measure.exclude import doubtful_order, mask_hash, without
from myelin.measure.fibers import find_fibers, measure_fibers, without_axons
from myelin.measure.frame import find_frame
from myelin.measure.nerve import find_nerve, nerve_columns, read_nerve
from myelin.measure.numbering import Numbers
from myelin.measure.plausible import doubts
from myelin.measure.summary import summarize
from myelin.pixels.labels import LabelImage
from myelin.runtime.cli import UserError
from myelin.runtime.files import copy_file
from myelin.runtime.lock import holding

KINDS = ("exclude", "classes", "kept")


class Sheet:
    """An open image.

    Attributes
    ----------
    image : uint8 array, (rows, cols)
    layers : dict
        See `history.Layers`; 0 and 1, or numbers of fascicles.
    found, fibers : Fibers
        All fibers, and the same with those left out marked.
    nerve : LabelImage or None
        Outline of the nerve, given or found.
    row : dict
        The image's row of `summary.csv`.
    doubts : list of (int, str)
        Rows of the fibers to check, the worst first, with the reason.
    version : int
        Rises with each change of what is shown.
    """

    def __init__(self, study: Study, name: str, image: np.ndarray) -> None:
        self.study, self.name, self.image, self.version = study, name, image, 0
        paths = {"exclude": Path("exclude.csv"), "classes": Path("classes.csv")}
        paths["kept"] = STATE / "kept.csv"
        self.tables = {kind: Table(kind, paths[kind]) for kind in KINDS}
        self.load()

    # ------------------------------------------------------------ files

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.shape

    def files(self) -> dict[str, Path | None]:
        """Return the file of each layer, None if there is none."""
        found = {part: files_of(PREDS, self.name, f"_{part}") for part in ("mask", "axon")}
        nerves = find_nerves([self.name], PREDS, self.study.folder)
        nerve, edited = nerves.get(self.name), MORPHOMETRY / f"{self.name}_nerve.tif"
        if nerve is None and edited.is_file() and not written_by_program(edited, read=read_stored):
            nerve = edited
        paths = {part: paths[0] if paths else None for part, paths in found.items()}
        return paths | {"nerve": nerve}

    def stamp(self) -> list:
        """Return what changes if another program or window writes a file of this image."""
        paths = [*self.files().values(), self.history.path, MORPHOMETRY / "run.json"]
        paths += [table.path for table in self.tables.values()]
        known = [path.stat() for path in paths if path and path.exists()]
        sizes = self.study.pixel_size(self.name)
        return [sizes, *((one.st_mtime_ns, one.st_size) for one in known)]

    def load(self) -> None:
        """Read the layers; complete a step that a killed process has left half; measure."""
        paths = self.files()
        layers: Layers = dict.fromkeys(paths)
        if paths["mask"]:  # which may show the axons too
            myelin, axon = Reader().masks((paths["mask"], paths["axon"]))
            layers["mask"] = np.ascontiguousarray(myelin).view(np.uint8)
            layers["axon"] = None if axon is None else np.ascontiguousarray(axon).view(np.uint8)
        if paths["nerve"]:
            layers["nerve"] = read_nerve(paths["nerve"])[:].astype(np.uint8)
        for part, layer in layers.items():
            if layer is not None and layer.shape != self.shape:
                raise UserError(f"{paths[part]}: not the size of its image, remove or replace it")
        self.history = History(STATE / "steps" / f"{self.name}.jsonl")
        completed = self.history.completed(layers)
        if completed is None:
            self.history.forget()
            completed = layers
        if completed is not layers:
            with holding(PREDS):
                self.save(layers, completed)
            step, forward = self.history.last
            self.write_tables(step["tables"][forward])
        self.layers = completed
        self.measure()
        self.known = self.stamp()

    def refresh(self) -> None:
        """Load again if another program or window has written a file."""
        if self.stamp() != self.known:
            self.load()

    def save(self, before: Layers, after: Layers) -> None:
        """Write the layers that differ; an absent layer has no file."""
        size = self.study.pixel_size(self.name)[0]
        for part, layer in after.items():
            if layer is before[part]:
                continue
            path, own = PREDS / f"{self.name}_{part}.tif", models_own(PREDS, self.name)
            if layer is None:
                path.unlink(missing_ok=True)
            elif part == "mask" and hash_of_mask(own) == mask_hash(layer.view(bool)):
                copy_file(own, path)  # the model's own mask, with its record
            else:
                write_image(path, stored(layer), size)

    def keep_originals(self) -> None:
        """Before the first step, keep the model's mask in model/ and the user's in corrected/."""
        if self.history.steps:
            return
        run, own = read_run(PREDS), models_own(PREDS, self.name)
        for part in ("mask", "axon", "nerve"):
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
        mask = self.bool_layer("mask")
        axon = None if self.layers["axon"] is None else self.bool_layer("axon")
        nerve = self.layers["nerve"]
        self.frame = find_frame(
            mask, self.image, None if nerve is None else LabelImage.from_array(nerve)
        )
        self.hash = mask_hash(mask, axon)
        found = measure_fibers(mask, size or 1.0, axon, self.image, self.probability, self.frame)
        add_doubt(found, self.probability())
        Numbers(MORPHOMETRY).assign(self.name, found, self.hash)
        self.found, self.nerve = found, self.frame.nerve
        outline = find_nerve(found, self.frame, self.image) if self.nerve is None else None
        if outline is not None:
            self.nerve = outline
            place = found.columns["x_px"], found.columns["y_px"]
            found.columns["fascicle"] = replace(self.frame, nerve=outline).fascicles(*place)
        self.read_tables()
        self.summarize()

    def summarize(self) -> None:
        """Set what follows from the fibers and the decisions."""
        reasons = np.full(len(self.found), "", object)
        for row, reason in self.decided["exclude"].items():
            reasons[row] = reason
        myelin = without_axons(self.bool_layer("mask"), self.bool_layer("axon"))
        if self.frame.inside is not None:
            myelin = myelin & self.frame.inside
        self.fibers = without(self.found, reasons, myelin)
        self.row = summarize(self.fibers, self.name, self.source, self.frame)
        in_nerve = replace(self.frame, nerve=self.nerve)
        of_nerve = nerve_columns(self.fibers, in_nerve, self.nerve is not self.frame.nerve)
        warnings = doubts(self.row | of_nerve, self.fibers)
        self.row |= {"warnings": "; ".join(warnings), **of_nerve}
        why = self.fibers.columns["doubt_reason"]
        self.doubts = [(int(row), why[row]) for row in doubtful_order(self.fibers)]
        self.version += 1

    def bool_layer(self, part: str) -> np.ndarray:
        """Return a layer as bool (rows, cols), all False if it is absent."""
        layer = self.layers[part]
        return np.zeros(self.shape, bool) if layer is None else layer.view(bool)

    def probability(self) -> np.ndarray | None:
        """Return the myelin probability x 255 that the model left, None without one."""
        return probability_of(self.name, self.shape)

    # ------------------------------------------------------------ steps

    def change(self, edit: Callable[[dict[str, np.ndarray]], None], what: str) -> None:
        """Change pixels in one step and measure again.

        `edit` gets copies of "mask" and "axon", bool (rows, cols), to change in place. From the
        first step on, the axons are those of an axon mask, so that an edit changes no other fiber.
        """
        mask, axon = self.frozen() if self.layers["axon"] is None else self.masks()
        edit({"mask": mask, "axon": axon})
        layers = {"mask": mask.view(np.uint8), "axon": axon.view(np.uint8)}
        self.step(self.layers | layers, what)

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Return copies of myelin and axon mask."""
        return self.bool_layer("mask").copy(), self.bool_layer("axon").copy()

    def frozen(self) -> tuple[np.ndarray, np.ndarray]:
        """Return myelin and axon mask in which the fibers are those found without an axon mask."""
        mask, tissue = self.bool_layer("mask").copy(), self.frame.tissue
        inside = mask if tissue is None else mask & tissue
        found = find_fibers(inside, None, self.image, tissue) if mask.any() else None
        if found is None:
            return mask, np.zeros(self.shape, bool)
        axon = apart(found.axons[:])
        again = find_fibers(inside & ~axon, axon, self.image, tissue)
        # Holes in a swollen sheath, which only the search for axons tells from gaps between fibers.
        lost = found.labels.to_mask() & ~again.labels.to_mask() & ~axon
        return (mask | lost) & ~axon, axon

    def step(self, after: Layers, what: str, decided: dict[str, Rows] | None = None) -> None:
        """Do one step: write its journal, then the layers and tables that changed.

        `decided` are new decisions by table; without them, decisions follow their fibers.
        """
        before = self.layers
        with holding(PREDS):
            self.keep_originals()
            patches, hashes = patches_between(before, after), [hashes_of(before), hashes_of(after)]
            tables = [{kind: table.own(self.name) for kind, table in self.tables.items()}]
            if patches:
                self.layers = after
                try:
                    self.measure()
                except Exception:
                    self.layers = before
                    self.measure()
                    raise
            self.decided |= decided or {}
            tables.append(self.rows())
            if patches or decided:
                line = {"what": what, "patches": patches, "tables": tables}
                self.history.write(line | {"before": hashes[0], "after": hashes[1]})
                self.save(before, after)
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
        self.step(self.layers, what, decided)

    def move(self, forward: bool) -> str:
        """Undo or redo one step; return what it was, "" if there is none."""
        index = self.history.position - (not forward)
        if not 0 <= index < len(self.history.steps):
            return ""
        step, after = self.history.steps[index], dict(self.layers)
        for patch in step["patches"]:
            apply_patch(after, patch, self.shape, forward)
        with holding(PREDS):
            self.history.write({"move": 1 if forward else -1})
            self.save(self.layers, after)
            self.layers = after
            self.write_tables(step["tables"][forward])
            if step["patches"]:
                self.measure()
                self.write_tables(self.rows())
            else:
                self.read_tables()
                self.summarize()
        self.known = self.stamp()
        return step["what"]

    # ------------------------------------------------------------ tables of decisions

    def read_tables(self) -> None:
        """Read the decisions about the fibers as they are now."""
        self.decided = {
            kind: table.read(self.name, self.found) for kind, table in self.tables.items()
        }

    def rows(self) -> dict[str, list[dict]]:
        """Return the decisions as rows of their tables."""
        return {
            kind: table.rows_of(self.name, self.found, self.hash, self.decided[kind])
            for kind, table in self.tables.items()
        }

    def write_tables(self, rows: dict[str, list[dict]]) -> None:
        """Write the rows of this image into the tables."""
        for kind, table in self.tables.items():
            table.replace(self.name, rows[kind])


def stored(layer: np.ndarray) -> np.ndarray:
    """Return a layer as its file has it: 0 and 255, or the numbers of several fascicles."""
    return layer * np.uint8(255 if layer.max(initial=0) <= 1 else 1)


def probability_of(name: str, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the myelin probability x 255 of an image of some shape, None without one."""
    path = PREDS / f"{name}_pred.png"
    greys = read_image(path) if path.is_file() else None
    return greys if greys is not None and greys.shape == shape else None
