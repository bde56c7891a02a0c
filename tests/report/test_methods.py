"""methods.txt: each statement follows from run.json."""

from pathlib import Path

import numpy as np
import pytest
from measuring import save

import morphometry
from myelin.images.image import write_image
from myelin.report.methods import methods

RUN = {
    "version": "1.2.3",
    "fibers": {"a": 1000, "b": 234},
    "measured_fibers": {"a": 900, "b": 1},
    "pixel_sizes_um": {"a": 0.1, "b": 0.2},
    "axon_masks": [],
    "images": ["a", "b"],
    "nerve_outlines": {},
    "excluded": None,
    "groups": {},
    "whole_frame": False,
    "corrected_by_hand": [],
    "segmentation": None,
}
MADE = {
    "version": "1.2.2",
    "model": "C:\\lab\\models\\ours.h5",
    "model_sha256": "0123456789abcdef" * 4,
    "engine": "openvino, float32",
    "threshold": 0.4,
    "images": {
        "a": {"myelin": "bright", "network_scale": 0.5},
        "b": {"myelin": "dark", "network_scale": 1.5},
        "left_out": {"myelin": "dark", "network_scale": 9},
    },
}
EXCLUDED = {
    "table": "exclude.csv",
    "left_out_classes": [],
    "rules": {"--max-g-ratio": 0.95},
    "fibers_by_reason": {},
}
EYE = EXCLUDED | {"rules": {}}


def test_what_was_segmented_with_what():
    text = methods(RUN | {"segmentation": MADE})
    assert (
        "in 2 images with DeepMyelinSegmentation 1.2.2, a U-Net (Ronneberger et al. 2015)" in text
    )
    assert "weights ours.h5 (SHA-256 0123456789abcdef…), run with OpenVINO (float32)." in text
    assert "Myelin was bright or dark, as detected in the images. The network received the" in text
    assert "at 0.5 and 1.5 times their size; this scale was determined from the images." in text
    assert "probability of at least 0.4" in text
    assert (
        "1,234 fibers were included, and the sizes of 901 whole fibers were measured with" in text
    )
    assert "version 1.2.3 at 0.1 and 0.2 µm per pixel" in text


def test_scales_and_polarities_that_were_set_are_said_to_be():
    images = {name: {"myelin": "dark", "network_scale": 1.0} for name in "ab"}
    made = MADE | {"images": images, "options": {"scale": 1.0, "myelin": "dark"}}
    text = methods(RUN | {"segmentation": made})
    assert "Myelin was dark, as set by the user. The network received the images at their" in text
    assert "own size; this scale was set by the user." in text and "1 times" not in text


def test_given_masks_cite_no_network():
    text = methods(RUN)
    assert "Ronneberger" not in text and "not segmented by the suite" in text
    assert text.count("Gundersen") == 2 and text.count("Stikov") == 2, "cited and listed"


@pytest.mark.parametrize(
    "fact, said",
    [
        ({"axon_masks": []}, "Axons were regions enclosed by myelin that are not gaps between"),
        ({"axon_masks": ["a"]}, "sheaths, in 1 image taken from given axon masks;"),
        ({"axon_masks": ["a", "b"]}, "Axons were taken from given axon masks;"),
        ({"corrected_by_hand": ["a"]}, "1 mask was corrected by hand."),
        ({"corrected_by_hand": ["a", "b"]}, "2 masks were corrected by hand."),
        ({"excluded": None}, "No fiber was excluded."),
        (
            {"excluded": EXCLUDED},
            "0 fibers were excluded by eye. 0 fibers were excluded by rule: g-",
        ),
        (
            {"excluded": EYE | {"fibers_by_reason": {"by eye": 37}}},
            " 37 fibers were excluded by eye.\n\n",
        ),
        (
            {"excluded": EYE | {"fibers_by_reason": {"by eye": 2, "vessel": 1}}},
            "3 fibers were excluded by eye (by eye 2, vessel 1).",
        ),
        (
            {"excluded": EXCLUDED | {"fibers_by_reason": {"g_ratio > 0.95": 1, "vessel": 2}}},
            "2 fibers were excluded by eye (vessel 2). 1 fiber was excluded by rule: g-ratio above",
        ),
        ({"whole_frame": True}, "frame was the image."),
        ({"whole_frame": False}, "frame was the image without blank margins"),
        ({"images": []}, "frame was the image. Fibers"),
        ({"images": ["b"]}, "margins, if it had any (the whole image in 1 of 2). Fibers"),
        ({"nerves_found": ["a", "b"]}, "In 2 images the outline of the endoneurium was found"),
        (
            {"nerves_found": ["a", "b"], "nerves_whole_frame": ["b"]},
            "cannot enter. In 1 image no area outside the endoneurium was found. The counting",
        ),
        ({"nerve_outlines": {"a": "a_nerve.tif"}}, "limited in 1 image to the nerve or its fas"),
        ({"nerve_outlines": {"a": "", "b": ""}}, "limited to the nerve or its fascicles, outlin"),
        ({"groups": {"a": {"A": ["a"], "B": ["b"]}, "b": {"C": ["c"]}}}, "animals: a 2, b 1)"),
    ],
)
def test_each_fact_of_the_run_is_stated(fact, said):
    assert said in methods(RUN | {"segmentation": MADE} | fact)


def test_what_was_not_done_is_not_stated():
    text = methods(RUN | {"segmentation": MADE})
    assert "corrected" not in text and "statistical units" not in text


def test_a_run_writes_it(two_masks):
    morphometry.main(["--pixel-size", "0.1", "--no-pictures", "--max-g-ratio", "0.5"])
    text = Path("morphometry/methods.txt").read_text(encoding="utf-8")
    assert "the sizes of 0 whole fibers were measured" in text
    assert " 4 fibers were excluded by rule: g-ratio above 0.5." in text


@pytest.mark.parametrize(
    "done, said",
    [
        ("image", "frame was the image without blank margins, if it had any. Fibers"),
        ("image nerve", "frame was limited to the nerve or its fascicles, outlined by hand"),
        ("image --whole-frame", "frame was the image. Fibers"),
    ],
)
def test_what_is_stated_was_done(two_masks, done, said):
    for name in ("one", "two"):
        noise = np.random.default_rng(0).integers(0, 255, (120, 200), dtype=np.uint8)
        write_image(Path(f"raw/test/{name}.tif"), noise)
        if "nerve" in done:
            save(Path(f"preds/{name}_nerve.tif"), np.ones((120, 200), bool))
    options = [word for word in done.split() if word.startswith("--")]
    morphometry.main(["--pixel-size", "0.1", "--no-pictures", *options])
    text = Path("morphometry/methods.txt").read_text(encoding="utf-8")
    assert said in text
    assert ("limited to the nerve" in text) == ("Miles RE" in text) == ("nerve" in done)


def test_tissue_is_given_or_a_marked_gap():
    assert methods(RUN).startswith("[TISSUE: add fixation")
    given = methods(RUN | {"tissue": "Nerves were embedded in epoxy resin"})
    assert given.startswith("Nerves were embedded in epoxy resin. ") and "[" not in given


@pytest.mark.parametrize(
    "tests, said",
    [
        (["Welch's t-test"], "by Welch's t-test (Welch 1947), without assuming"),
        (["Games-Howell after Welch's ANOVA"], "over 2 measures of each pair of groups."),
        ([], "No p values were calculated"),
    ],
)
def test_what_groups_were_tested_with(tests, said):
    groups = {"a": {"1": ["x"], "2": ["y"]}, "b": {"3": ["z"]}}
    measures = ["fiber_density_nerve_per_mm2", "x"]
    text = methods(RUN | {"groups": groups, "tests": {"tests": tests, "measures": measures}})
    assert "fibers per area of the nerve" in text
    assert "(number of animals: a 2, b 1)" in text and said in text
    assert text.count("Hedges") == 3 and text.count("Holm 1979") == (1 if tests else 0)
