"""The paragraph for a paper, `methods.txt`: how the numbers came about, from `run.json`.

>>> number_of(1, "image"), number_of(1200, "fiber")
('1 image', '1,200 fibers')
"""

import json
from pathlib import PurePath

from myelin.measure.rules import RULES
from myelin.runtime.files import replacing

# What the paragraph may cite, and where it is listed below it.
REFERENCES = {
    "Gundersen 1977": "Gundersen HJG. Notes on the estimation of the numerical density of "
    "arbitrary profiles: the edge effect. J Microsc 1977;111:219-223.",
    "Ronneberger et al. 2015": "Ronneberger O, Fischer P, Brox T. U-Net: convolutional networks "
    "for biomedical image segmentation. MICCAI 2015, LNCS 9351:234-241.",
    "Rushton 1951": "Rushton WAH. A theory of the effects of fibre size in medullated nerve. "
    "J Physiol 1951;115:101-122.",
    "Stikov et al. 2015": "Stikov N, Campbell JSW, Stroh T, et al. In vivo histology of the "
    "myelin g-ratio with magnetic resonance imaging. NeuroImage 2015;118:397-405.",
}
SOME = 5  # more different values than these are given as a range


def write_methods(folder):
    """Write `methods.txt` of a folder from its `run.json`, and return the text."""
    text = methods(json.loads((folder / "run.json").read_text(encoding="utf-8")))
    with replacing(folder / "methods.txt") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return text


def methods(run):
    """Return the text for a `run.json` of `morphometry.py`: a paragraph and its references."""
    parts = (segmenting, measuring, counting, excluding, grouping)
    paragraph = " ".join(filter(None, (part(run) for part in parts)))
    cited = [text for name, text in REFERENCES.items() if name in paragraph]
    cited.insert(0, f"DeepMyelinSegmentation, version {run['version']}; see its CITATION.cff.")
    return f"{paragraph}\n\nReferences\n\n" + "\n".join(cited) + "\n"


def number_of(count, what):
    """Return a number of things in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def values(numbers):
    """Return different numbers as text: one, a few, or their range."""
    found = sorted(set(numbers))
    if len(found) > SOME:
        return f"{found[0]:g} to {found[-1]:g}"
    return " and ".join(", ".join(f"{value:g}" for value in found).rsplit(", ", 1))


def segmenting(run):
    """Say what made the masks."""
    images, made = len(run["fibers"]), run["segmentation"]
    if not made or "model" not in made:
        return (
            f"Myelin masks of {number_of(images, 'image')} that were not segmented by the suite, "
            f"or not in its last run, were measured with DeepMyelinSegmentation {run['version']}."
        )
    chosen = [made["images"][name] for name in run["fibers"] if name in made.get("images", {})]
    text = (
        f"Myelin was segmented in {number_of(images, 'image')} with DeepMyelinSegmentation "
        f"{made['version']}, a U-Net (Ronneberger et al. 2015) with the weights "
        f"{PurePath(made['model'].replace(chr(92), '/')).name} (SHA-256 "
        f"{made['model_sha256'][:16]}…), run with {made['engine']}."
    )
    kinds = sorted({image["myelin"] for image in chosen if image.get("myelin")})
    if scales := [image["network_scale"] for image in chosen if image.get("network_scale")]:
        text += (
            f" The network saw the images at {values(scales)} times their size, with "
            f"{' or '.join(kinds)} myelin, as determined from the images unless set by hand."
        )
    text += f" Pixels with a probability of at least {made['threshold']:g} were taken for myelin."
    if corrected := len(run["corrected_by_hand"]):
        text += f" The {'mask' if corrected == 1 else 'masks'} of {number_of(corrected, 'image')} "
        text += f"{'was' if corrected == 1 else 'were'} corrected by hand."
    return text


def measuring(run):
    """Say what was measured, and how."""
    drawn = len(run["axon_masks"])
    axons = "regions enclosed by myelin that are not gaps between sheaths"
    if drawn == len(run["fibers"]):
        axons = "taken from given axon masks"
    elif drawn:
        axons += f", in {number_of(drawn, 'image')} taken from given axon masks"
    sizes = run["pixel_sizes_um"].values()
    return (
        f"{number_of(sum(run['fibers'].values()), 'fiber')} were measured with version "
        f"{run['version']} at {values(sizes)} µm per pixel. Axons were {axons}; each was assigned "
        "the myelin nearest to it, touching sheaths being divided by a watershed. Diameters are "
        "those of circles of equal area, myelin thickness is half the difference between fiber "
        "and axon diameter, and the g-ratio is axon diameter divided by fiber diameter "
        "(Rushton 1951)."
    )


def counting(run):
    """Say which fibers enter which number."""
    frame = "image" if run["whole_frame"] else "image without its blank margins, where it had any"
    return (
        f"The counting frame was the {frame}. Fibers that touch its border were left out of sizes. "
        "Density is the number of fibers whose axon does not touch the forbidden line of the frame "
        "(Gundersen 1977), its top and left edge or the half of its outline that faces up and "
        "left, divided by its area. The aggregate g-ratio is that of the area fractions of myelin "
        "and axons (Stikov et al. 2015)."
    )


def excluding(run):
    """Say how many fibers were left out, and by which rule."""
    excluded = run["excluded"]
    if excluded is None:
        return "No fiber was excluded."
    reasons, ways = excluded["fibers_by_reason"], []
    if excluded["table"]:
        ways.append("by eye")
    if excluded["rules"]:
        given = [rule for rule in RULES if rule.option in excluded["rules"]]
        limits = (f"{rule.what} {rule.side} {excluded['rules'][rule.option]:g}" for rule in given)
        ways.append(f"by rule ({', '.join(limits)})")
    count = sum(reasons.values())
    text = f"{number_of(count, 'further fiber')} {'was' if count == 1 else 'were'} excluded "
    text += " and ".join(ways)
    if reasons:
        listed = (f"{reason} ({fibers:,})" for reason, fibers in reasons.items())
        text += f"; reasons and numbers: {', '.join(listed)}"
    return f"{text}."


def grouping(run):
    """Say what the statistical unit is, where there are groups."""
    groups = run["groups"]
    if not groups:
        return ""
    sizes = (f"{group} {len(animals)}" for group, animals in groups.items())
    return (
        f"Groups were compared with animals as the statistical units (number of animals: "
        f"{', '.join(sizes)})."
    )
