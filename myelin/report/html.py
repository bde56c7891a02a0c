"""Write `report.html`: one page with all numbers, plots and images, to decide on doubtful fibers.

The page works from a file and asks for nothing on the network, which its own policy forbids. What
it does is in `myelin/page/`; what it knows is gathered here.
"""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

import numpy as np

from myelin.measure.exclude import axon_areas
from myelin.measure.rules import RULES
from myelin.pixels.regions import sum_pixels
from myelin.report.page_images import encode_picture, to_base64
from myelin.runtime.cli import quote
from myelin.runtime.files import replacing

PAGE = Path(__file__).with_name("page")
# In this order one script: each uses those before it.
SCRIPTS = "study numbers decisions scene viewer plots tables page".split()
FIBER_COLUMNS = """fiber x_px y_px axon_diameter_um fiber_diameter_um myelin_thickness_um g_ratio
    axon_solidity axon_circularity axon_eccentricity confidence touches_border""".split()
FAR_OUTLIER = 3  # a diameter so many quartile ranges above the upper quartile (Tukey) is doubtful


class Report:
    """The page of a run of `morphometry.py`.

    Parameters
    ----------
    images : int
        How many the run measures.
    """

    def __init__(self, images):
        self.count = images
        self.images, self.columns, self.excluded, self.pictures = [], [], [], []

    def add(self, name, found, kept, myelin, image, outside=None):
        """Take in an image.

        Parameters
        ----------
        name : str
        found, kept : fibers.Fibers
            All fibers, and with those left out marked.
        myelin : bool array, (rows, cols)
            The mask in the frame, without axons.
        image : uint8 array, (rows, cols), or None
        outside : bool array, (rows, cols), optional
            What is no tissue.
        """
        first = sum(entry["count"] for entry in self.images)
        self.images.append(
            {
                "name": name,
                "first": first,
                "count": len(found),
                "cols": myelin.shape[1],
                "area_mm2": found.area_mm2,
                "tissue_px": found.area_px,
                "myelin_px": found.myelin_px,
            }
        )
        self.columns.append(fiber_columns(found, myelin))
        reasons = kept.columns["excluded"].tolist()
        self.excluded += [[first + row, reason] for row, reason in enumerate(reasons) if reason]
        picture = encode_picture(found, myelin, image, self.count, outside)
        self.pictures.append(to_json(picture))

    def write(self, path, arguments, methods, decimal="point"):
        """Write the page.

        Parameters
        ----------
        path : path
            `run.json` lies beside it.
        arguments : list of str
            Of the command line.
        methods : str
            The text of `methods.txt`.
        decimal : {"point", "comma"}
            How the page writes `exclude.csv`, see `tables.write_table`.
        """
        template = (PAGE / "page.html").read_text(encoding="utf-8")
        run = json.loads(path.with_name("run.json").read_text(encoding="utf-8"))
        parts = self.parts(run, arguments, methods, decimal)
        with (
            replacing(path) as temporary,
            open(temporary, "w", encoding="utf-8", newline="\n") as file,
        ):
            # What is filled in is never searched for places to fill.
            for index, text in enumerate(re.split(r"<!--(\w+)-->", template)):
                file.writelines(parts[text] if index % 2 else [text])

    def parts(self, run, arguments, methods, decimal):
        """Return what goes into the places of `page.html`, {name: texts}."""
        style = (PAGE / "page.css").read_text(encoding="utf-8")
        script = "\n".join((PAGE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
        count, plural = len(self.images), "" if len(self.images) == 1 else "s"
        made = f"DeepMyelinSegmentation {run['version']}, {run['date']}: {run['command']}"
        return {
            "policy": [policy(style, script)],
            "title": [f"Myelin: {count} image{plural}"],
            "style": [style],
            "provenance": [html.escape(made)],
            "methods": [html.escape(methods)],
            "study": [to_json(self.study(run, arguments) | {"decimal": decimal})],
            "script": [script],
            "pictures": (
                f'<script type="application/json" id="picture-{index}">{picture}</script>\n'
                for index, picture in enumerate(self.pictures)
            ),
        }

    def study(self, run, arguments):
        """Return what the page's script is given but the pictures, as JSON values."""
        columns = {
            name: np.concatenate([part[name] for part in self.columns]) for name in self.columns[0]
        }
        places = {image["name"]: index for index, image in enumerate(self.images)}
        groups = {
            group: {animal: [places[name] for name in names] for animal, names in animals.items()}
            for group, animals in run["groups"].items()
        }
        for image in self.images:
            image["mask_sha256"] = run["mask_sha256"][image["name"]]
        for group, animals in groups.items():
            for animal, indices in animals.items():
                for index in indices:
                    self.images[index] |= {"group": group, "animal": animal}
        return {
            "command": quote(["python", "morphometry.py", *without_exclusions(arguments)]),
            "images": self.images,
            "groups": groups,
            "columns": {name: to_base64(part.tobytes()) for name, part in columns.items()},
            "excluded": self.excluded,
            "rules": page_rules(columns, run["excluded"]),
            "warnings": warnings_of(run),
        }


def warnings_of(run):
    """Return what a reader has to know of the images before the numbers, as texts."""
    texts = [f"{name}: {text}" for name, found in run.get("warnings", {}).items() for text in found]
    segmented = (run["segmentation"] or {}).get("images") or {}
    for name in run["fibers"]:
        if isinstance(segmented.get(name), dict) and segmented[name].get("doubtful"):
            texts.append(f"{name}: find_myelin.py doubts this image")
    for names, text in (
        (run["corrected_by_hand"], "mask corrected by hand"),
        (run["missing"], "not measured, no mask is from the last run of find_myelin.py"),
    ):
        if names:
            texts.append(f"{', '.join(names)}: {text}")
    return texts


def fiber_columns(fibers, myelin):
    """Return the columns that the page needs, little-endian float64: exactly the numbers measured.

    Those of the table, and per fiber whether it is counted in density and the pixels of its axon
    and of the mask on its sheath.
    """
    columns = {name: fibers.columns[name] for name in FIBER_COLUMNS}
    sheath = sum_pixels(fibers.labels, len(fibers), myelin)
    columns["sheath_px"] = sheath[1:]
    columns["axon_px"] = axon_areas(fibers)
    columns["counted"] = fibers.counted
    return {name: np.asarray(column, "<f8") for name, column in columns.items()}


def page_rules(columns, excluded):
    """Return the rules with the limits that the page starts with.

    Those of the run go first, then what `rules.RULES` calls doubtful; axons are too large where
    they are far outliers of the study.
    """
    given = (excluded or {}).get("rules", {})
    limits = {rule.option: rule.doubt for rule in RULES} | given
    if limits["--max-axon-diameter"] is None:
        limits["--max-axon-diameter"] = far_outlier(columns["axon_diameter_um"])
    return [
        {
            "option": rule.option,
            "column": rule.column,
            "sign": rule.sign,
            "what": rule.what,
            "limit": limits[rule.option],
        }
        for rule in RULES
    ]


def far_outlier(values):
    """Return the limit above which a value is a far outlier, to two digits; None without values."""
    if not len(values):
        return None
    lower, upper = np.percentile(values, [25, 75])
    return float(f"{upper + FAR_OUTLIER * (upper - lower):.2g}")


def without_exclusions(arguments):
    """Return the command line that applies `exclude.csv`: it holds what the options left out."""
    dropped = {"--exclude", *(rule.option for rule in RULES)}
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument.partition("=")[0] in dropped:
            skip = "=" not in argument
        else:
            kept.append(argument)
    return [*kept, "--exclude", "exclude.csv"]


def to_json(value):
    """Return JSON that may stand in a script element, whatever texts it holds."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def policy(style, script):
    """Return the page's policy: this style and script, pictures within the page, nothing else."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
        for text in (style, script)
    )
    return f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; " + (
        f"script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    )
