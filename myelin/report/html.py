"""Write `report.html`: one page with all numbers, plots and images, to mark fibers.

The page works from a file, and its content security policy forbids all network access. Its numbers
are those of the tables. Its scripts are in `myelin/report/page/`; this module collects their data.
"""

import base64
import hashlib
import json
import math
from pathlib import Path
from string import Template

import numpy as np

from myelin.measure.exclude import RULES, doubtful_order
from myelin.measure.fibers import Fibers
from myelin.pixels.labels import LabelImage
from myelin.report.page_images import data_uri, encode_picture
from myelin.runtime.cli import count_of, quote, running
from myelin.runtime.files import replacing

PAGE = Path(__file__).with_name("page")
# Joined in this order to one script, since each uses those before it.
SCRIPTS = "canvas scatter scene marks tables page".split()
FIBER_COLUMNS = """fiber x_px y_px axon_diameter_um fiber_diameter_um myelin_thickness_um g_ratio
    axon_solidity axon_circularity axon_eccentricity roundness confidence touches_border doubt
    doubt_reason excluded""".split()
FIGURES = {
    "plots.png": "All images: g-ratio against axon diameter, histograms of sizes",
    "per_group.png": "Animals of the groups, and g-ratio by axon diameter",
    "fibers_per_group.png": "Fibers of the groups: g-ratio against diameters, and their histograms",
}


class Report:
    """The page of a run of `morphometry.py` that measures some number of `images`."""

    def __init__(self, images: int) -> None:
        self.count = images
        self.columns = {name: [] for name in (*FIBER_COLUMNS, "class", "axon_px")}
        self.images, self.pictures, self.doubtful = [], [], []

    def add(
        self,
        found: Fibers,
        kept: Fibers,
        myelin: np.ndarray,
        image: np.ndarray | None,
        outside: np.ndarray | None = None,
        nerve: LabelImage | None = None,
    ) -> None:
        """Add an image.

        Parameters
        ----------
        found, kept : fibers.Fibers
            All fibers, and the same with exclusions.
        myelin : bool array, (rows, cols)
            The mask within the counting frame, without axons.
        image : uint8 array, (rows, cols), or None
        outside : bool array, (rows, cols), optional
            Pixels outside the counting frame.
        nerve : LabelImage, optional
            A found nerve, whose outline is drawn.
        """
        first, order = len(self.columns["fiber"]), doubtful_order(kept)
        (rows, cols), count = myelin.shape, len(found)
        facts = {"first": first, "count": count, "rows": rows, "cols": cols, "doubtful": len(order)}
        self.images.append(facts)
        self.doubtful += (first + order).tolist()
        own = {"class": np.full(count, ""), "axon_px": found.axons.areas(count)} | kept.columns
        for name, column in self.columns.items():
            column += own[name].tolist()
        picture = encode_picture(found, myelin, image, self.count, outside, nerve)
        self.pictures.append(to_json(picture))

    def write(
        self, path: Path, rows: list[dict], tables: dict[str, list[dict]], decimal: str
    ) -> None:
        """Write the page beside `run.json`, `methods.txt` and the figures.

        Parameters
        ----------
        path : Path
        rows : list of dict
            Rows of `summary.csv`, in the order in which images were added.
        tables : dict of str to list of dict
            Tables of the study; `per_group` is shown.
        decimal : {"point", "comma"}
            Decimal sign of the tables that the page saves.
        """
        run = json.loads(path.with_name("run.json").read_text(encoding="utf-8"))
        hashes, groups = run["mask_sha256"], tables.get("per_group", [])
        images = [
            facts | row | {"mask_sha256": hashes[row["image"]]}
            for facts, row in zip(self.images, rows, strict=True)
        ]
        figures = [(path.with_name(name), text) for name, text in FIGURES.items()]
        study = {
            "title": f"Myelin: {count_of(len(images), 'image')}",
            "provenance": f"DeepMyelinSegmentation {run['version']}, {run['date'][:10]}: "
            + run["command"],
            "methods": path.with_name("methods.txt").read_text(encoding="utf-8"),
            "command": quote(["python", "morphometry.py", *without_marks(running["arguments"])]),
            "decimal": decimal,
            "warnings": warnings_of(run),
            "images": images,
            "groups": groups,
            "columns": self.columns,
            "doubtful": self.doubtful,
            "figures": [
                [data_uri("image/png", figure.read_bytes()), text]
                for figure, text in figures
                if figure.name == "plots.png" or groups
            ],
        }
        script = "\n".join((PAGE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
        page = Template((PAGE / "page.html").read_text(encoding="utf-8")).substitute(
            hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
            style=(PAGE / "page.css").read_text(encoding="utf-8"),
            script=script,
            study=to_json(study),
        )
        with (
            replacing(path) as temporary,
            open(temporary, "w", encoding="utf-8", newline="\n") as file,
        ):
            file.write(page)
            for index, picture in enumerate(self.pictures):
                element = f'<script type="application/json" id="picture-{index}">'
                file.write(f"{element}{picture}</script>\n")


def warnings_of(run: dict) -> list[str]:
    """Return the warnings about images that a reader should see before the numbers."""
    texts = [f"{name}: {text}" for name, found in run.get("warnings", {}).items() for text in found]
    if run["corrected_by_hand"]:
        texts.append(f"{', '.join(run['corrected_by_hand'])}: mask corrected by hand")
    if run["missing"]:
        names = ", ".join(run["missing"])
        texts.append(f"{names}: not measured, no mask from the last run of find_myelin.py")
    return texts


def without_marks(arguments: list[str]) -> list[str]:
    """Return the arguments without tables of marks, and without limits that leave fibers out.

    The page adds the tables that it saves; its `exclude.csv` lists what the limits left out.
    """
    dropped = {"--exclude", "--classes", *(rule.option for rule in RULES)}
    kept, skip = [], False
    for argument in arguments:
        if argument.startswith("--"):
            skip = argument.partition("=")[0] in dropped
        if not skip:
            kept.append(argument)
    return kept


def to_json(value: object) -> str:
    """Return JSON that is safe within a script element, numbers with six digits as in tables."""
    text = json.dumps(rounded(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def rounded(value: object) -> object:
    """Return a JSON value with floats of six digits; None for NaN."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return value
