"""The methods paragraph for a paper, `methods.txt`, from `run.json`."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path, PurePath

from myelin.measure.exclude import RULES, class_reason
from myelin.runtime.cli import count_of
from myelin.runtime.files import replacing
from myelin.statistics.comparisons import GAMES_HOWELL, WELCH
from myelin.statistics.study import NERVE_DENSITY

# Works that the paragraph cites; those it names are listed below it.
REFERENCES = {
    "Cruz-Orive 2006": "Cruz-Orive LM. A general variance predictor for Cavalieri slices. "
    "J Microsc 2006;222:158-165.",
    "Games and Howell 1976": "Games PA, Howell JF. Pairwise multiple comparison procedures with "
    "unequal n's and/or variances: a Monte Carlo study. J Educ Stat 1976;1:113-125.",
    "Gundersen 1977": "Gundersen HJG. Notes on the estimation of the numerical density of "
    "arbitrary profiles: the edge effect. J Microsc 1977;111:219-223.",
    "Gundersen et al. 1999": "Gundersen HJG, Jensen EBV, Kieu K, Nielsen J. The efficiency of "
    "systematic sampling in stereology - reconsidered. J Microsc 1999;193:199-211.",
    "Hedges 1981": "Hedges LV. Distribution theory for Glass's estimator of effect size and "
    "related estimators. J Educ Stat 1981;6:107-128.",
    "Holm 1979": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat "
    "1979;6:65-70.",
    "Miles 1978": "Miles RE. The sampling, by quadrats, of planar aggregates. J Microsc "
    "1978;113:257-267.",
    "Ronneberger et al. 2015": "Ronneberger O, Fischer P, Brox T. U-Net: convolutional networks "
    "for biomedical image segmentation. MICCAI 2015, LNCS 9351:234-241.",
    "Rushton 1951": "Rushton WAH. A theory of the effects of fibre size in medullated nerve. "
    "J Physiol 1951;115:101-122.",
    "Stikov et al. 2015": "Stikov N, Campbell JSW, Stroh T, et al. In vivo histology of the "
    "myelin g-ratio with magnetic resonance imaging. NeuroImage 2015;118:397-405.",
    "Welch 1947": "Welch BL. The generalization of 'Student's' problem when several different "
    "population variances are involved. Biometrika 1947;34:28-35.",
    "Welch 1951": "Welch BL. On the comparison of several mean values: an alternative approach. "
    "Biometrika 1951;38:330-336.",
}
TESTS = {
    WELCH: "Welch's t-test (Welch 1947)",
    GAMES_HOWELL: "Welch's ANOVA (Welch 1951) and, between pairs of groups, the Games-Howell "
    "test (Games and Howell 1976)",
}
MAX_LISTED = 5  # more different values are given as a range


def add_tissue_option(parser: argparse.ArgumentParser) -> None:
    """Add `--tissue`."""
    parser.add_argument(
        "--tissue",
        metavar="TEXT",
        help="a sentence for methods.txt on fixation, embedding, staining, section thickness and "
        "shrinkage (default: a marked gap)",
    )


def write_methods(folder: Path) -> None:
    """Write `methods.txt` of a folder from its `run.json`."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    with replacing(folder / "methods.txt") as temporary:
        temporary.write_text(methods(run), encoding="utf-8")


def methods(run: dict) -> str:
    """Return the text for a `run.json` of `morphometry.py`: a paragraph and its references."""
    parts = (preparing, segmenting, measuring, counting, excluding, blinding, grouping)
    paragraph = " ".join(filter(None, (part(run) for part in parts)))
    cited = [text for name, text in REFERENCES.items() if name in paragraph]
    cited.insert(0, f"DeepMyelinSegmentation, version {run['version']}; see its CITATION.cff.")
    return f"{paragraph}\n\nReferences\n\n" + "\n".join(cited) + "\n"


def values(numbers: Iterable[float]) -> str:
    """Return different numbers as text: one, a few, or their range."""
    found = sorted(set(numbers))
    if len(found) > MAX_LISTED:
        return f"{found[0]:g} to {found[-1]:g}"
    return " and ".join(", ".join(f"{value:g}" for value in found).rsplit(", ", 1))


def were(count: int, thing: str) -> str:
    """Return "1 fiber was" or "2 fibers were"."""
    return f"{count_of(count, thing)} {'was' if count == 1 else 'were'}"


def blinding(run: dict) -> str:
    """Return that the images were corrected under code names, if they were."""
    if not run.get("blinded"):
        return ""
    return (
        "Images were checked and corrected under code names in random order, without knowledge of "
        "groups and animals."
    )


def preparing(run: dict) -> str:
    """Return how the tissue was prepared, which only the user knows, or a marked gap."""
    tissue = (run.get("tissue") or "").strip()
    if not tissue:
        return (
            "[TISSUE: add fixation, embedding, staining, section thickness and shrinkage, here or "
            "with morphometry.py --tissue.]"
        )
    return tissue if tissue[-1] in ".!?" else f"{tissue}."


def segmenting(run: dict) -> str:
    """Return how the masks were made."""
    images = count_of(len(run["fibers"]), "image")
    made = run["segmentation"]
    if not made or "model" not in made:
        return (
            f"Myelin masks of {images} that were not segmented by the suite, or not in its last "
            f"run, were measured with DeepMyelinSegmentation {run['version']}."
        )
    chosen = [made["images"][name] for name in run["fibers"] if name in made.get("images", {})]
    weights = PurePath(made["model"].replace("\\", "/")).name
    text = (
        f"Myelin was segmented in {images} with DeepMyelinSegmentation {made['version']}, a U-Net "
        f"(Ronneberger et al. 2015) with the weights {weights} (SHA-256 "
        f"{made['model_sha256'][:16]}…), run with {engine_text(made['engine'])}."
    )
    text += inputs(chosen, made.get("options") or {})
    text += (
        f" Pixels with a probability of at least {made['threshold']:g} were classified as myelin."
    )
    unsure = [image for image in chosen if image.get("doubtful")]
    if unsure:
        text += f" Polarity or scale was uncertain in {count_of(len(unsure), 'image')}."
    if run["corrected_by_hand"]:
        text += f" {were(len(run['corrected_by_hand']), 'mask')} corrected by hand."
    return text


def engine_text(engine: str) -> str:
    """Return the engine in `run.json`, such as "openvino, int8", as its makers write it."""
    library, _, numbers = engine.partition(", ")
    library = {"openvino": "OpenVINO", "keras": "Keras"}.get(library, library)
    return f"{library} ({numbers})" if numbers else library


def inputs(images: list[dict], options: dict) -> str:
    """Return at which scales and polarities the network saw the images, and who chose them."""
    kinds = sorted({image["myelin"] for image in images if image.get("myelin")} - {"as it is"})
    scales = {image["network_scale"] for image in images if image.get("network_scale")}
    text = ""
    if kinds:
        how = "as set by the user" if "myelin" in options else "as detected in the images"
        text += f" Myelin was {' or '.join(kinds)}, {how}."
    if scales:
        how = "set by the user" if "scale" in options else "determined from the images"
        seen = "at their own size" if scales == {1} else f"at {values(scales)} times their size"
        text += f" The network received the images {seen}; this scale was {how}."
    return text


def measuring(run: dict) -> str:
    """Return what was measured, and how."""
    given = len(run["axon_masks"])
    axons = "regions enclosed by myelin that are not gaps between sheaths"
    if given == len(run["fibers"]):
        axons = "taken from given axon masks"
    elif given:
        axons += f", in {count_of(given, 'image')} taken from given axon masks"
    fibers, measured = (sum(run[name].values()) for name in ("fibers", "measured_fibers"))
    return (
        f"{were(fibers, 'fiber')} included, and the sizes of {count_of(measured, 'whole fiber')} "
        f"were measured with version {run['version']} at "
        f"{values(run['pixel_sizes_um'].values())} µm per pixel. Axons were "
        f"{axons}; each was assigned the myelin nearest to it, and touching sheaths were divided "
        "by a watershed. Diameters are those of circles of equal area, myelin thickness is half "
        "the difference between fiber and axon diameter, and the g-ratio is axon diameter divided "
        "by fiber diameter (Rushton 1951)."
    )


def counting(run: dict) -> str:
    """Return which fibers count."""
    images, outlined = run["fibers"], run["nerve_outlines"].keys() & run["fibers"].keys()
    searched = [] if run["whole_frame"] else run["images"]
    seen = [name for name in images if name in searched]
    frame = "image without blank margins, if it had any" if seen else "image"
    if seen and len(seen) < len(images):
        frame += f" (the whole image in {len(images) - len(seen):,} of {len(images):,})"
    text = nerves(run) + (
        f"The counting frame was the {frame}. Fibers that touch its border were excluded from "
        "sizes. Density is the number of fibers whose axon does not touch the forbidden line of "
        "the frame (Gundersen 1977), its top and left edge or the half of its outline that faces "
        "up and left, divided by its area."
    )
    if outlined:
        where = "" if len(outlined) == len(images) else f"in {count_of(len(outlined), 'image')} "
        text += (
            f" The frame was limited {where}to the nerve or its fascicles, outlined by hand; a "
            "fiber was measured if the centre of its axon lay inside (Miles 1978)."
        )
    return text + (
        " The aggregate g-ratio is calculated from the area fractions of myelin and axons (Stikov "
        "et al. 2015)."
    )


def nerves(run: dict) -> str:
    """Return how many outlines of nerves were found, and the fibers of whole nerves."""
    text, whole = "", run.get("nerves_whole_frame") or []
    if outlined := len(run.get("nerves_found") or []) - len(whole):
        text = (
            f"In {count_of(outlined, 'image')} the outline of the endoneurium was found as the "
            "area that a disc wider than the gaps between fibers cannot enter. "
        )
    if whole:
        text += f"In {count_of(len(whole), 'image')} no area outside the endoneurium was found. "
    if totals := run.get("whole_nerves"):
        listed = ", ".join(f"{name} {count:,}" for name, count in totals.items())
        text += f"Total number of fibers of nerves wholly in view: {listed}. "
    if samples := run.get("totals"):
        text += (
            "Total numbers of fibers were estimated from systematic uniform random fields; the "
            "coefficient of error (CE) is that for systematic strips of fields, smoothness class 0 "
            "(Gundersen et al. 1999, Cruz-Orive 2006), with Poisson noise within strips: "
            f"{'; '.join(map(total_text, samples))}. "
        )
    return text


def total_text(sample: dict) -> str:
    """Return the total number of fibers of one scan, from its row of `sampling.csv`."""
    error = "" if sample["ce"] is None else f", CE {100 * sample['ce']:.1f} %"
    return (
        f"{sample['scan']} {sample['total_fibers']:,.0f} ({count_of(sample['fields'], 'field')}, "
        f"{sample['fibers_counted']:,} fibers counted{error})"
    )


def excluding(run: dict) -> str:
    """Return how many fibers were excluded, and why."""
    excluded = run["excluded"]
    if excluded is None:
        return "No fiber was excluded."
    limits = {rule: excluded["rules"].get(rule.option) for rule in RULES}
    limits = {rule: limit for rule, limit in limits.items() if limit is not None}
    known = {rule.reason(limit) for rule, limit in limits.items()}
    by_eye = dict(excluded["fibers_by_reason"])
    by_rule = sum(by_eye.pop(text) for text in [*by_eye] if {*text.split("; ")} <= known)
    classes = excluded["left_out_classes"]
    by_class = {name: by_eye.pop(class_reason(name), 0) for name in classes}
    sentences = []
    if excluded["table"] or by_eye:
        listed = (f"{reason} {fibers:,}" for reason, fibers in by_eye.items())
        why = f" ({', '.join(listed)})" if by_eye.keys() - {"by eye"} else ""
        sentences.append(f"{were(sum(by_eye.values()), 'fiber')} excluded by eye{why}.")
    if by_class:
        listed = ", ".join(f"{name} {fibers:,}" for name, fibers in by_class.items())
        sentences.append(f"{were(sum(by_class.values()), 'fiber')} excluded by class ({listed}).")
    if limits:
        said = (f"{rule.what} {rule.side} {limit:g}" for rule, limit in limits.items())
        sentences.append(f"{were(by_rule, 'fiber')} excluded by rule: {', or '.join(said)}.")
    return " ".join(sentences) or "No fiber was excluded."


def grouping(run: dict) -> str:
    """Return the statistical unit if there are groups, otherwise an empty text."""
    groups = run["groups"]
    if not groups:
        return ""
    sizes = (f"{group} {len(animals)}" for group, animals in groups.items())
    text = (
        f"Groups were compared with animals as the statistical units (number of animals: "
        f"{', '.join(sizes)})."
    )
    return f"{text} {testing(run['tests'])}" if run.get("tests") else text


def testing(tests: dict) -> str:
    """Return how groups were tested."""
    text = (
        "For each animal, the g-ratio was regressed on axon diameter and on fiber diameter by "
        "least squares. Differences between groups are given with 95 % confidence intervals, and "
        "effect sizes as Hedges' g (Hedges 1981)."
    )
    if NERVE_DENSITY in tests["measures"]:
        text += " Density was compared as fibers per area of the nerve, where an outline is known."
    ways = [TESTS[name] for name in tests["tests"]]
    if not ways:
        return f"{text} No p values were calculated, as there were too few animals."
    measures = count_of(len(tests["measures"]), "measure")
    over = "" if tests["tests"] == [WELCH] else " of each pair of groups"
    return (
        f"{text} Means of animals were compared by {' and '.join(ways)}, without assuming equal "
        f"variances; p values were adjusted by Holm's method (Holm 1979) over {measures}{over}."
    )
