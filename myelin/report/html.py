"""Write `report.html`: one page with all numbers, plots and images, to decide on doubtful fibers.

The page works from a file, and its content security policy forbids all network access. Its scripts
are in `myelin/report/page/`; this module collects their data.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from myelin.measure.doubt import REASONS
from myelin.measure.exclude import RULES
from myelin.measure.fibers import Fibers
from myelin.pixels.labels import LabelImage
from myelin.report.page_images import encode_picture, to_base64
from myelin.runtime.cli import count_of, quote
from myelin.runtime.files import replacing

PAGE = Path(__file__).with_name("page")
# Joined in this order to one script, since each uses those before it.
SCRIPTS = "study numbers decisions scene viewer plots tables page".split()
FIBER_COLUMNS = """fiber x_px y_px axon_diameter_um fiber_diameter_um myelin_thickness_um g_ratio
    axon_solidity axon_circularity axon_eccentricity confidence touches_border doubt""".split()
WORDS = ["", *REASONS.values()]


class Report:
    """The page of a run of `morphometry.py` that measures some number of `images`."""

    def __init__(self, images: int) -> None:
        self.count = images
        self.images, self.columns, self.excluded, self.pictures = [], [], [], []

    def add(
        self,
        name: str,
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
        name : str
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
        picture = encode_picture(found, myelin, image, self.count, outside, nerve)
        self.pictures.append(to_json(picture))

    def write(self, path: Path, arguments: list[str], methods: str, decimal: str = "point") -> None:
        """Write the page beside `run.json`, with the text of `methods.txt`.

        `decimal` is the decimal sign of the `exclude.csv` that the page saves.
        """
        template = (PAGE / "page.html").read_text(encoding="utf-8")
        run = json.loads(path.with_name("run.json").read_text(encoding="utf-8"))
        parts = self.parts(run, arguments, methods, decimal)
        with (
            replacing(path) as temporary,
            open(temporary, "w", encoding="utf-8", newline="\n") as file,
        ):
            # One pass, so that placeholders in inserted text stay as they are.
            for index, text in enumerate(re.split(r"<!--(\w+)-->", template)):
                file.writelines(parts[text] if index % 2 else [text])

    def parts(
        self, run: dict, arguments: list[str], methods: str, decimal: str
    ) -> dict[str, Iterable[str]]:
        """Return the texts for the placeholders of `page.html` by name."""
        style = (PAGE / "page.css").read_text(encoding="utf-8")
        script = "\n".join((PAGE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
        made = f"DeepMyelinSegmentation {run['version']}, {run['date'][:10]}: {run['command']}"
        return {
            "policy": [policy(style, script)],
            "title": [f"Myelin: {count_of(len(self.images), 'image')}"],
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

    def study(self, run: dict, arguments: list[str]) -> dict:
        """Return the data of the page's script as JSON values, without the pictures."""
        columns = {
            name: np.concatenate([part[name] for part in self.columns]) for name in self.columns[0]
        }
        counts = [image["count"] for image in self.images]
        image_of = np.repeat(np.arange(len(counts)), counts)
        columns["order"] = np.lexsort((-columns["doubt"], image_of)).astype("<f8")
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
            "rules": page_rules(run["excluded"]),
            "doubt_words": WORDS,
            "warnings": warnings_of(run),
        }


def warnings_of(run: dict) -> list[str]:
    """Return the warnings about images that a reader should see before the numbers."""
    texts = [f"{name}: {text}" for name, found in run.get("warnings", {}).items() for text in found]
    if run["corrected_by_hand"]:
        texts.append(f"{', '.join(run['corrected_by_hand'])}: mask corrected by hand")
    if run["missing"]:
        names = ", ".join(run["missing"])
        texts.append(f"{names}: not measured, no mask from the last run of find_myelin.py")
    return texts


def fiber_columns(fibers: Fibers, myelin: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns that the page needs as float64, little-endian: the unrounded numbers.

    They are columns of the table, and pixels of the axon, myelin pixels of the sheath, whether the
    fiber counts for density, and the place of its reason for doubt in `WORDS`.
    """
    columns = {name: fibers.columns[name] for name in FIBER_COLUMNS}
    columns["sheath_px"] = fibers.labels.sums(myelin, len(fibers))
    columns["axon_px"] = np.rint(fibers.columns["axon_area_um2"] / fibers.pixel_size_um**2)
    columns["counted"] = fibers.counted
    columns["doubt_word"] = [WORDS.index(text) for text in fibers.columns["doubt_reason"]]
    return {name: np.asarray(column, "<f8") for name, column in columns.items()}


def page_rules(excluded: dict | None) -> list[dict]:
    """Return the rules with the limits of the run, otherwise those of `exclude.RULES`."""
    given = (excluded or {}).get("rules", {})
    limits = {rule.option: rule.doubt for rule in RULES} | given
    return [
        {name: getattr(rule, name) for name in ("option", "column", "sign", "side", "what")}
        | {"limit": limits[rule.option]}
        for rule in RULES
    ]


def without_exclusions(arguments: list[str]) -> list[str]:
    """Return the arguments with `--exclude exclude.csv` in place of all options that exclude."""
    dropped = {"--exclude", "--leave-out-class", *(rule.option for rule in RULES)}
    kept, skip = [], False
    for argument in arguments:
        if argument.startswith("--"):
            skip = argument.partition("=")[0] in dropped
        if not skip:
            kept.append(argument)
    return [*kept, "--exclude", "exclude.csv"]


def to_json(value: object) -> str:
    """Return JSON that is safe within a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def policy(style: str, script: str) -> str:
    """Return the content security policy: only this style and script, and embedded pictures."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
        for text in (style, script)
    )
    return f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; " + (
        f"script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    )
