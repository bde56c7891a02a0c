"""The study of the window: its images, their files, and what a person has set for them."""

import contextlib
import functools
import json
import random
import threading
import time
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from myelin.folders.image_tree import find_images, takes_of
from myelin.folders.mask_record import mask_record, pixel_hash, read_run
from myelin.folders.naming import (
    BLIND_KEY,
    IMAGE_SUFFIXES,
    PREDS,
    RAW_TEST,
    is_id,
    test_images,
)
from myelin.folders.ownership import files_of
from myelin.folders.pixel_sizes import COLUMN, GivenSizes, read_pixel_sizes
from myelin.folders.reader import Reader
from myelin.images.image import ImageRecord, read_image, read_mask, read_record
from myelin.images.pixel_size import is_possible
from myelin.measure.cases import Case, set_pixel_size
from myelin.runtime.cli import UserError, quote, size_text
from myelin.runtime.files import replacing, stem_of, write_json
from myelin.runtime.tables import image_ids, read_rows, write_table

GROUPS, SIZES = Path("groups.csv"), Path("pixel_sizes.csv")
STATE = Path(".window")  # what only the window needs: steps of each image, settings, runs
LISTED_S = 1.0  # how long a listing of the folder is used
MAX_UPLOAD_BYTES = 8 * 2**30
DEFAULTS = {"pixel_sizes": {}, "groups": {}, "model": "bestmyelin.h5", "threshold": None}
DEFAULTS |= {"unblinded": False}


class Study:
    """The images of a folder, and the results in `preds/` and `morphometry/`.

    Parameters
    ----------
    folder : Path or None
        Folder tree of images; None for `raw/test`.
    blind : bool
        Whether images are shown under code names, in random order.
    """

    def __init__(self, folder: Path | None = None, blind: bool = False) -> None:
        self.is_tree = folder is not None
        self.folder = folder or RAW_TEST
        self.lock = threading.RLock()
        self.settings = self.stored()
        self.blind = blind and not self.settings["unblinded"]
        self.records: dict[Path, tuple] = {}
        self.listed: tuple[float, dict[str, Path]] = -LISTED_S, {}

    def set(self, **settings: object) -> None:
        """Change settings and keep them."""
        self.settings = self.stored() | settings  # another window may have changed others
        write_json(STATE / "settings.json", self.settings)

    def stored(self) -> dict:
        """Return the settings as they are in the file."""
        path = STATE / "settings.json"
        return DEFAULTS | (json.loads(path.read_text(encoding="utf-8")) if path.exists() else {})

    # ------------------------------------------------------------ images

    def images(self) -> dict[str, Path]:
        """Return {id: path} of the images; raise UserError on mistakes in the folder."""
        if time.monotonic() - self.listed[0] > LISTED_S:
            self.settings = self.stored()
            self.listed = time.monotonic(), self.find()
        return self.listed[1]

    def find(self) -> dict[str, Path]:
        """Return {id: path} of the images that are in the folder now."""
        if self.is_tree:
            try:
                with contextlib.redirect_stdout(None):  # its notes, each time
                    return find_images([str(self.folder)], PREDS)[1]
            except UserError as mistake:
                if all(": no images," in text for text in mistake.args):
                    return {}
                raise
        return test_images(self.folder)

    def path(self, name: str) -> Path:
        """Return the file of an image; raise UserError for any name that is not an image's."""
        images = self.images()
        if name not in images:
            raise UserError(f"{name[:80]}: no such image in this study, reload the page")
        return images[name]

    def read(self, name: str) -> np.ndarray:
        """Return the pixels of an image, uint8 (rows, cols)."""
        path = self.path(name)
        return self.reader(path).image(path)

    def reader(self, path: Path) -> Reader:
        """Return a reader that takes from a file what the run took."""
        reader = Reader()
        reader.takes = takes_of(read_run(PREDS), [path])
        return reader

    def probability(self, name: str, shape: tuple[int, int]) -> np.ndarray | None:
        """Return the myelin probability x 255 that the model left, None without one of a shape."""
        path = PREDS / f"{name}_pred.png"
        greys = read_image(path) if path.is_file() else None
        return greys if greys is not None and greys.shape == shape else None

    def record(self, path: Path) -> tuple[ImageRecord | None, str]:
        """Return the header of a file, or else its mistake; kept until the file changes."""
        status = path.stat()
        key = status.st_mtime_ns, status.st_size
        if self.records.get(path, [None])[0] != key:
            try:
                found = self.reader(path).record(path), ""
            except UserError as mistake:
                found = None, str(mistake)
            self.records[path] = key, found
        return self.records[path][1]

    def add(self, given: str, chunks: Iterable[bytes]) -> str:
        """Keep an uploaded image after reading all of it; return its name.

        `given` is a file name, in a folder tree with the folders it lies in.
        """
        parts = PurePosixPath(given.replace("\\", "/"))
        parts = parts if self.is_tree else PurePosixPath(parts.name)
        name = str(parts.parent / stem_of(parts))
        if not is_id(name) or parts.suffix.lower() not in IMAGE_SUFFIXES - {".zarr"}:
            raise UserError(f"{given[:80]}: not an image file, choose TIFF, PNG, JPEG or BMP")
        path = self.folder / parts
        if self.images().get(name, path) != path:
            raise UserError(f"{parts}: another image has this id, rename one")
        with replacing(path) as temporary:
            size = 0
            with open(temporary, "wb") as file:
                for chunk in chunks:
                    size += len(chunk)
                    if size > MAX_UPLOAD_BYTES:
                        limit = size_text(MAX_UPLOAD_BYTES)
                        raise UserError(f"{parts}: more than {limit}, put it into {self.folder}")
                    file.write(chunk)
            read_image(read_record(temporary))
            if path.exists() and path.read_bytes() != temporary.read_bytes():
                raise UserError(f"{parts}: another image has this name, rename one")
        self.listed = -LISTED_S, {}
        return name

    # ------------------------------------------------------------ pixel sizes

    def pixel_size(self, name: str) -> tuple[float | None, str]:
        """Return µm per pixel of an image, None if unknown, and where it is from.

        Raises
        ------
        UserError
            Image and mask contradict each other, and nobody has typed the pixel size.
        """
        masks = files_of(PREDS, name, "_mask")[:1]
        case = Case(name, [(path, None) for path in masks], self.path(name))
        reader = Reader()
        for path in [case.image, *masks]:
            if (record := self.record(path)[0]) is not None:
                reader.records[path] = record
        set_pixel_size(case, self.typed_sizes().get(name), reader)
        return case.pixel_size_um, case.pixel_size_source

    def typed_sizes(self) -> GivenSizes:
        """Return the pixel sizes that were typed, or those in the table of groups."""
        images, sizes = self.images(), self.settings["pixel_sizes"]
        if not sizes and GROUPS.exists():
            return read_pixel_sizes(GROUPS, images, ["image"])
        source = f"table {SIZES}" if self.common_size() is None else "option --pixel-size"
        return {name: (sizes[name], source) for name in images if name in sizes}

    def common_size(self) -> float | None:
        """Return the size that was typed for all images, which commands get as an option."""
        sizes = {self.settings["pixel_sizes"].get(name) for name in self.images()}
        return sizes.pop() if len(sizes) == 1 else None

    def set_pixel_size(self, names: Iterable[str], size_um: float) -> None:
        """Set the pixel size of some images."""
        if not is_possible(size_um):
            raise UserError(f"pixel size {size_um:g}: not possible, give µm per pixel, such as 0.1")
        self.set(pixel_sizes=self.settings["pixel_sizes"] | dict.fromkeys(names, size_um))
        self.write_tables()

    def write_tables(self) -> None:
        """Write what was typed about images with a mask into the tables that commands read."""
        sizes = self.settings["pixel_sizes"]
        masked = [name for name in self.images() if files_of(PREDS, name, "_mask")]
        rows = [{"image": name, COLUMN: sizes[name]} for name in masked if name in sizes]
        if rows:
            write_table(SIZES, ["image", COLUMN], rows)
        if self.settings["groups"]:
            self.write_groups(masked)

    # ------------------------------------------------------------ groups, code names, commands

    def groups(self) -> dict[str, tuple[str, str]]:
        """Return {id: (group, animal)}: of `groups.csv` or group/animal/image, and as typed."""
        split = {name: name.split("/") for name in self.images()}
        found = {name: (parts[0], parts[1]) for name, parts in split.items() if len(parts) > 2}
        if GROUPS.exists():
            found = {name: (row["group"], row["animal"]) for name, row in self.group_rows()}
        typed = self.settings["groups"]
        found |= {name: tuple(typed[name]) for name in split if name in typed}
        return {name: found[name] for name in split if name in found}

    def group_rows(self) -> list[tuple[str | None, dict[str, str]]]:
        """Return the rows of `groups.csv` with the id of the image of each, None if unknown."""
        find = image_ids(self.images())
        rows = read_rows(GROUPS, ("image", "group", "animal"), "image", least=0)
        return [(find(row["image"]), row) for _, row in rows]

    def set_groups(self, names: Iterable[str], typed: dict[str, str]) -> None:
        """Set what was typed of "group" and "animal" of some images."""
        found = self.groups()
        for name in names:
            group, animal = found.get(name, ("", ""))
            found[name] = typed.get("group", group), typed.get("animal", animal)
        self.set(groups=found)
        self.write_tables()

    def write_groups(self, masked: list[str]) -> None:
        """Write typed groups and animals into `groups.csv`; its other columns stay."""
        groups, known = self.groups(), self.group_rows() if GROUPS.exists() else []
        old = {name: row for name, row in known if name}
        names = [name for name in groups if name in old or name in masked]
        ready = {name: groups[name] for name in names if all(groups[name])}
        rows = [row for name, row in known if not name]
        for name, (group, animal) in ready.items():
            rows.append(old.get(name, {"image": name}) | {"group": group, "animal": animal})
        if rows or known:
            columns = list(dict.fromkeys(["image", "group", "animal", *(known and known[0][1])]))
            write_table(GROUPS, columns, ([row.get(one, "") for one in columns] for row in rows))
        waiting = self.settings["groups"].keys() - ready.keys()
        self.set(groups={name: groups[name] for name in waiting})

    def codes(self) -> dict[str, str]:
        """Return {id: name to show}: code names while the study is blind."""
        images = self.images()
        if not self.blind:
            return {name: name for name in images}
        known = {}
        if BLIND_KEY.exists():
            rows = read_rows(BLIND_KEY, ("image", "code"), "image")
            known = {row["image"]: row["code"] for _, row in rows}
        if new := [name for name in images if name not in known]:
            random.SystemRandom().shuffle(new)
            first = len(known) + 1
            known |= {name: f"blind-{first + index:03}" for index, name in enumerate(new)}
            rows = [{"image": name, "code": code} for name, code in known.items()]
            write_table(BLIND_KEY, ["image", "code"], rows)
        return {name: known[name] for name in sorted(images, key=known.get)}

    def measuring_arguments(self) -> list[str]:
        """Return the arguments of `morphometry.py` that give the tables of the window."""
        words = []
        if self.is_tree:
            words += ["--images", str(self.folder)]
        if size := self.common_size():
            words += ["--pixel-size", f"{size:g}"]
        elif self.settings["pixel_sizes"] and SIZES.exists():
            words += ["--pixel-size", str(SIZES)]
        if Path("exclude.csv").exists():
            words += ["--exclude", "exclude.csv"]
        if Path("classes.csv").exists():
            words += ["--classes", "classes.csv"]
        if GROUPS.exists():
            words += ["--groups", str(GROUPS)]
        elif len(groups := self.groups()) == len(self.images()) and len(set(groups.values())) > 1:
            words += ["--groups", "folders"]
        return words

    def command(self) -> str:
        """Return the command that gives the tables of the window."""
        return quote(["python", "morphometry.py", *self.measuring_arguments()])

    def state_of(self, name: str, run: dict | None) -> str:
        """Return the state of an image in a word: new, segmented, corrected."""
        paths = files_of(PREDS, name, "_mask")
        if not paths:
            return "new"
        known = ((run or {}).get("images", {}).get(name) or {}).get("mask_sha256")
        own = PREDS / f"{name}_mask.tif"
        record = mask_record(own) if own in paths else None
        if record:
            return "segmented"
        stamp = paths[0].stat().st_mtime_ns
        return "segmented" if known and known == hash_since(paths[0], stamp) else "corrected"


@functools.lru_cache(maxsize=4096)
def hash_since(path: Path, _time_ns: int) -> str:
    """Return the `pixel_hash` of a mask, which is read again when its time has changed."""
    return pixel_hash(read_mask(path))
