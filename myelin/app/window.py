"""What the page asks of the server, as functions of JSON values: images, steps, runs, results."""

import contextlib
import math
import sys
import tempfile
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from myelin.app import tools
from myelin.app.learning import (
    NEW_MODEL,
    TRAINING_PICTURES,
    TRIAL,
    comparing,
    keras_is_installed,
    training,
)
from myelin.app.pictures import Greys, class_colours, overlay_tile, states_of, threshold_picture
from myelin.app.propose import Proposal, grown, propose
from myelin.app.runs import Run
from myelin.app.segmenting import adopt, segmenting, trial_of_one
from myelin.app.sheet import Sheet
from myelin.app.steps import corners_of, do_step, place_of, rings_of, row_of, text_of
from myelin.app.study import DEFAULTS, Study
from myelin.folders.mask_record import read_run
from myelin.folders.naming import MORPHOMETRY, PREDS
from myelin.measure.nerve import find_nerve
from myelin.network.model_file import MODELS
from myelin.runtime.cli import UserError, quote
from myelin.runtime.files import beside
from myelin.runtime.tables import read_table

MAX_OPEN = 3  # images that are kept in memory
FIBER_COLUMNS = {
    "fiber": "fiber",
    "x": "x_px",
    "y": "y_px",
    "axon": "axon_diameter_um",
    "diameter": "fiber_diameter_um",
    "myelin": "myelin_thickness_um",
    "g": "g_ratio",
    "confidence": "confidence",
}


class Window:
    """The state that all pages of one server share.

    Attributes
    ----------
    changes : dict of str to int
        How often each image has changed, so that other pages follow.
    """

    def __init__(self, study: Study) -> None:
        self.study, self.run = study, Run()
        self.lock, self.reading, self.following = (threading.RLock() for _ in range(3))
        self.sheets: OrderedDict[str, Sheet] = OrderedDict()
        self.greys: OrderedDict[str, Greys] = OrderedDict()
        self.proposals: dict[str, tuple[int, Proposal]] = {}
        self.changes: dict[str, int] = {}
        self.was_running = self.run.is_running()

    # ------------------------------------------------------------ images

    def name_of(self, given: object) -> str:
        """Return the id of the image that the page names; raise UserError if there is none."""
        names = {shown: name for name, shown in self.study.codes().items()}
        if not isinstance(given, str) or given not in names:
            raise UserError("image: no such image in this study, reload the page")
        return names[given]

    def open(self, given: object) -> Sheet:
        """Return an image that is open, or open it; follow changes of its files."""
        name = self.name_of(given)
        sheet = recent(
            self.sheets, name, lambda: Sheet(self.study, name, self.greys_of(given).image)
        )
        sheet.refresh()
        return sheet

    def greys_of(self, given: object) -> Greys:
        """Return the pixels of an image, which need no mask."""
        name = self.name_of(given)
        with self.reading:
            return recent(self.greys, name, lambda: Greys(self.study, name))

    def table(self) -> dict:
        """Return the table of images and what is set for all of them."""
        study, mistakes = self.study, []
        try:
            codes = study.codes()
        except UserError as mistake:
            codes, mistakes = {}, list(mistake.args)
        groups = {} if study.blind or mistakes else study.groups()
        run = read_run(PREDS)
        rows = []
        for name, shown in codes.items():
            record, mistake = study.record(study.path(name))
            try:
                size, source = study.pixel_size(name)
            except UserError as contradiction:
                size, source, mistake = None, "unknown", str(contradiction)
            fact = (run or {}).get("images", {}).get(name, {})
            group, animal = groups.get(name, ("", ""))
            doubts = ["the result looks unreliable"] if fact.get("doubtful") else []
            if len({pair[0] for pair in groups.values() if pair[1] == animal != ""}) > 1:
                doubts.append(f"animal {animal} is in two groups")
            rows.append(
                {
                    "id": shown,
                    "shape": record and record.shape,
                    "group": group,
                    "animal": animal,
                    "pixel_size": size,
                    "source": source,
                    "state": study.state_of(name, run),
                    "myelin": fact.get("myelin", ""),
                    "scale": fact.get("network_scale"),
                    "doubts": [mistake] if mistake else doubts,
                }
            )
        return {
            "images": rows,
            "mistakes": mistakes,
            "tree": study.is_tree,
            "blind": study.blind,
            "model": study.settings["model"],
            "threshold": study.settings["threshold"],
            "command": study.command() if not mistakes else "",
            "keras": keras_is_installed(),
            "install": quote([sys.executable, "-m", "pip", "install", "-r", "requirements.txt"]),
            "trained": (MODELS / NEW_MODEL).exists(),
        }

    def view(self, given: object) -> dict:
        """Return what the page shows of an open image; arrays have a value for each fiber."""
        sheet = self.open(given)
        columns, row, decided, history = (
            sheet.found.columns,
            sheet.row,
            sheet.decided,
            sheet.history,
        )
        known = self.study.pixel_size(sheet.name)[0] is not None
        fibers = {key: columns[column] for key, column in FIBER_COLUMNS.items()}
        for kind in ("exclude", "classes"):
            fibers[kind] = np.full(len(sheet.found), "", object)
            fibers[kind][[*decided[kind]]] = [*decided[kind].values()]
        steps, at = [step["what"] for step in history.steps], history.position
        if sheet.nerve_is_old:
            threading.Thread(target=self.follow_nerve, args=(given, sheet), daemon=True).start()
        return {
            "id": given,
            "version": sheet.version,
            **self.greys_of(given).facts(),
            "count": cell(row["fiber_count"]),
            "density": cell(row["fiber_density_per_mm2"]) if known else "",
            "mean_g": cell(row["g_ratio_mean"]),
            "summary": {name: cell(value) for name, value in row.items() if name != "image"},
            "fibers": fibers | {"state": states_of(sheet)},
            "class_colours": class_colours(sheet),
            "doubts": [one for one in sheet.doubts if one[0] not in decided["kept"]],
            "warnings": row["warnings"] if known else "",
            "undo": steps[at - 1] if at else "",
            "redo": steps[at] if at < len(steps) else "",
            "command": self.study.command(),
            "segmented": sheet.layers["mask"] is not None,
        }

    def follow_nerve(self, given: str, sheet: Sheet) -> None:
        """Find the nerve of a large image, and prepare its axon mask, while the page goes on."""
        with sheet.behind:
            version = sheet.version
            if sheet.nerve_is_old:
                nerve = find_nerve(sheet.found, sheet.frame, sheet.image)
                with self.lock:
                    if sheet.version == version:
                        sheet.nerve, sheet.nerve_is_old = nerve, False
                        sheet.summarize()
                        self.changes[given] = self.changes.get(given, 0) + 1
            if sheet.layers["axon"] is None:
                sheet.freeze()

    def describe(self, body: dict) -> dict:
        """Set the pixel size, the group or the animal of some images."""
        names = [self.name_of(given) for given in body["ids"]]
        if "um" in body:
            self.study.set_pixel_size(names, float(body["um"]))
        if typed := {key: text_of(body, key) for key in ("group", "animal") if key in body}:
            self.study.set_groups(names, typed)
        return self.table()

    def thumbnail(self, query: dict) -> bytes:
        """Return a small picture of an image."""
        return Greys(self.study, self.name_of(query.get("id"))).thumbnail()

    def tile(self, query: dict) -> bytes:
        """Return a tile of an image, which does not wait for its measures, or of its fibers."""
        place = [int(query[key]) for key in ("level", "x", "y")]
        if query["kind"] == "image":
            return self.greys_of(query.get("id")).tile(*place)
        with self.lock:
            return overlay_tile(self.open(query.get("id")), *place, query["mode"])

    def size(self, query: dict) -> dict:
        """Return what the viewer needs to show the image alone."""
        return {"id": query["id"], "version": -1} | self.greys_of(query["id"]).facts()

    def at(self, query: dict) -> dict:
        """Return the row of the fiber at a place, None without one."""
        sheet = self.open(query.get("id"))
        x, y = place_of(sheet, query)
        index = int(sheet.found.labels.at(np.array([y]), np.array([x]))[0])
        return {"row": index - 1 if index else None}

    def outline(self, query: dict) -> dict:
        """Return the outlines of the fiber in a row and of its axon."""
        sheet = self.open(query.get("id"))
        row = row_of(sheet, {"row": int(query["row"])})
        parts = (tools.own_pixels(part, row) for part in (sheet.found.labels, sheet.found.axons))
        return {"rings": [ring for window, own in parts for ring in rings_of(own, window)]}

    def corners(self, query: dict) -> dict:
        """Return the corners of the outlines of the nerve, those of each fascicle."""
        return {"outlines": corners_of(self.open(query.get("id")))}

    def threshold_picture(self, query: dict) -> bytes:
        """Return the middle of an image with its myelin at a threshold."""
        image = self.greys_of(query.get("id")).image
        probability = self.study.probability(self.name_of(query["id"]), image.shape)
        if probability is None:
            raise UserError("threshold: the run has left no probability, segment the image first")
        return threshold_picture(image, probability, float(query["t"]))

    def overlay(self, query: dict) -> Path:
        """Return the overlay of an image, by the run or by the new model."""
        name, trial = self.name_of(query["id"]), query.get("trial")
        return (TRIAL if trial else PREDS) / f"{Path(name).name if trial else name}_overlay.png"

    def training_picture(self, query: dict) -> Path:
        """Return the learning curve of the new model, or a pair of pictures."""
        return beside(MODELS / NEW_MODEL, TRAINING_PICTURES[query["what"]])

    # ------------------------------------------------------------ steps

    def step(self, body: dict) -> dict:
        """Do one step, and return the image as it is then."""
        given = body["id"]
        sheet = self.open(given)
        do_step(sheet, body, self.proposals.get(sheet.name, (-1, None)))
        self.proposals.pop(sheet.name, None)
        self.changes[given] = self.changes.get(given, 0) + 1
        return self.view(given)

    def propose(self, body: dict) -> dict:
        """Return the outlines of the fiber around a click."""
        with self.lock:
            sheet = self.open(body["id"])
            x, y = place_of(sheet, body)
            is_drawn = sheet.layers["axon"] is not None
            axons = sheet.bool_layer("axon") if is_drawn else sheet.found.axons.to_mask()
            version, threshold = sheet.version, (read_run(PREDS) or {}).get("threshold") or 0.5
            myelin = sheet.bool_layer("mask")
        found = propose(sheet.image, axons, myelin, x, y, sheet.probability, threshold)
        found = grown(found, int(np.clip(int(body.get("grow", 0)), -100, 100)), axons)
        with self.lock:
            self.proposals[sheet.name] = version, found
        fiber = found.axon | found.sheath
        rings = {"axon": rings_of(found.axon, found.window), "fiber": rings_of(fiber, found.window)}
        return rings | {"score": round(found.score, 3)}

    # ------------------------------------------------------------ runs

    def start(self, body: dict) -> dict:
        """Start a command."""
        what, study = body["what"], self.study
        if what == "segment" and body.get("id") is not None:
            name = self.name_of(body["id"])
            myelin, scale = str(body.get("myelin", "auto")), str(body.get("scale", "auto"))
            self.run.start("segment one image", trial_of_one(study, name, myelin, scale))
        elif what == "segment":
            words = segmenting(study)
            self.run.start("segment", words, [*words, "--resume"])
        elif what == "measure":
            words = ["morphometry.py", *study.measuring_arguments(), "--xlsx"]
            self.run.start("measure", words, words)
        elif what == "train":
            names = [n for n in study.images() if study.state_of(n, read_run(PREDS)) == "corrected"]
            held_back = [self.name_of(given) for given in body.get("held_back", [])]
            words, folder = training(study, names, int(body.get("epochs", 10)), held_back)
            self.run.start("train", words, folder=folder)
        elif what == "compare":
            self.run.start("compare", comparing(study, self.name_of(body["id"])))
        else:
            raise ValueError("what")
        return self.status()

    def stop(self, _body: dict) -> dict:
        """Stop the command that runs."""
        self.run.stop()
        return self.status()

    def status(self) -> dict:
        """Return the state of the run and which images have changed; follow the end of a run."""
        with self.following:
            status = self.run.status()
            ended = self.was_running and not status["running"]
            self.was_running = status["running"]
            if ended:
                with self.lock, contextlib.suppress(UserError):
                    adopt(self.run.facts)
                    self.study.write_tables()
        if self.study.blind:
            status |= {"lines": [], "command": ""}
        return {"run": status, "changes": self.changes}

    def set(self, body: dict) -> dict:
        """Change the model or the threshold of later runs, or unblind the study."""
        if body.get("unblind"):
            self.study.set(unblinded=True)
            self.study.blind = False
        if "threshold" in body:
            value = body["threshold"]
            if value is not None and not 0 < float(value) < 1:
                raise ValueError("threshold")
            self.study.set(threshold=value and round(float(value), 3))
        if body.get("model") in (DEFAULTS["model"], NEW_MODEL):
            self.study.set(model=body["model"])
        return self.table()

    # ------------------------------------------------------------ results

    def results(self, _query: dict) -> dict:
        """Return the tables that were written, and the names of all files."""
        files = self.result_files()
        tables = {}
        for name, path in files.items():
            if name.endswith(".csv") and not name.endswith("_fibers.csv") and name != "fibers.csv":
                header, rows = read_table(path)
                tables[name] = {"header": header, "rows": rows[:500]}
        return {"files": list(files), "tables": tables, "command": self.study.command()}

    def result_files(self) -> dict[str, Path]:
        """Return {name: path} of the files of results; none while the study is blind."""
        paths = (
            [] if self.study.blind else [p for p in sorted(MORPHOMETRY.rglob("*")) if p.is_file()]
        )
        named = {path.relative_to(MORPHOMETRY).as_posix(): path for path in paths}
        return {name: path for name, path in named.items() if "/." not in f"/{name}"}

    def result(self, query: dict) -> Path:
        """Return a file of the results by its name."""
        if query["name"] not in (files := self.result_files()):
            raise UserError("file: no such result, reload the page")
        return files[query["name"]]

    def zip_results(self, _query: dict) -> Path:
        """Return a new temporary zip of all results, the decisions and the command."""
        with (
            tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        ):
            for name, one in self.result_files().items():
                file.write(one, f"morphometry/{name}")
            for name in ("exclude.csv", "classes.csv", "groups.csv"):
                if Path(name).exists():
                    file.write(name)
            file.writestr("command.txt", self.study.command() + "\n")
        return Path(temporary.name)


def recent(kept: OrderedDict, name: str, make: Callable) -> object:
    """Return what is kept by a name, or make it; drop what was not asked for longest."""
    if name not in kept:
        kept[name] = make()
    kept.move_to_end(name)
    while len(kept) > MAX_OPEN:
        kept.popitem(last=False)
    return kept[name]


def cell(value: object) -> str:
    """Return a value as the tables show it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
