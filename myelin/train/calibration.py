"""Find the scales of a model's 8-bit numbers on drawn images, and prove what they do to masks.

    calibrate(Path("models/ourlab.h5"))

The images are drawn (synthetic_nerve.py) from a fixed seed, of every kind: light and electron
microscopy, bright and dark myelin, fine and coarse, with margins and other contents. Others than
those that gave the scales prove them: where the mask of one kind differs from that of float32 by
more than `LEAST_DICE` allows, the model gets no scales and stays with longer numbers.
"""

import importlib.util
import itertools
import json

import numpy as np

from myelin.measure.agreement import overlap
from myelin.network.engine import OpenVinoEngine, start_openvino
from myelin.network.model_file import read_model_file
from myelin.network.preprocessing import normalize
from myelin.network.quantization import scales_from, scales_path, stored_places
from myelin.runtime.cli import progress
from myelin.runtime.files import replacing, sha256
from myelin.synthetic.nerve import draw_nerve

SEED = 8
SIZE = 320  # px, of the drawn images
PIXEL_SIZES_UM = (0.08, 0.12, 0.18, 0.27)  # from wide fibers to narrow ones
LOOKS = ("light", "electron")
LEAST_DICE = 0.995


def calibrate_trained(path):
    """Calibrate a model file that was just trained, where OpenVINO is there to use it."""
    if importlib.util.find_spec("openvino"):
        calibrate(path)


def calibrate(path):
    """Write the scales of a model file beside it, if they keep its masks; say so if they do not.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to float
        Dice of the masks in 8-bit numbers against float32, by kind of image.
    """
    weights, settings, _ = read_model_file(path)
    scales = scales_from(extremes(weights, calibration_frames(settings)))
    dice = prove(weights, scales, proof_frames(settings), settings.threshold)
    worst = min(dice, key=dice.get)
    scales_path(path).unlink(missing_ok=True)
    if dice[worst] < LEAST_DICE:
        print(
            f"note: {path} stays without 8-bit numbers: with them the Dice of its masks against "
            f"those without falls to {dice[worst]:.4f} ({worst})"
        )
        return dice
    facts = {
        "model_sha256": sha256(path),
        "dice": {kind: round(value, 5) for kind, value in dice.items()},
        # Five digits: a scale a little larger or smaller serves as well.
        "scales": [[float(f"{x:.5g}") for x in scales[place]] for place in stored_places()],
    }
    with replacing(scales_path(path)) as temporary:
        temporary.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    return dice


def calibration_frames(settings):
    """Yield what a network is to be ready for: every kind, the right way round and the wrong."""
    kinds = list(itertools.product(LOOKS, PIXEL_SIZES_UM, (False, True)))
    for number, (look, pixel_size_um, wrong) in enumerate(progress(kinds, "calibrating")):
        rng = np.random.default_rng([SEED, number])
        image, _, _ = draw_nerve(SIZE, SIZE, pixel_size_um, rng, "bright", look)
        yield normalize(image, settings, wrong)


def proof_frames(settings):
    """Yield other images, shown the right way round, each with what kind it is of."""
    kinds = list(itertools.product(LOOKS, PIXEL_SIZES_UM, ("bright", "dark"), ((), ("margin",))))
    for number, kind in enumerate(progress(kinds, "proving")):
        look, pixel_size_um, myelin, scenes = kind
        rng = np.random.default_rng([SEED, 1000 + number])
        image, _, _ = draw_nerve(SIZE, SIZE, pixel_size_um, rng, myelin, look, scenes)
        name = f"{look}, {myelin}, {pixel_size_um:g} µm{', margin' * bool(scenes)}"
        yield name, normalize(image, settings, myelin == "dark")


def extremes(weights, frames):
    """Return the lowest and highest value of each channel that is stored in 8 bits.

    Parameters
    ----------
    weights : list of float32 arrays
    frames : iterable of float32 arrays, (rows, cols)

    Returns
    -------
    dict of int to (float array, float array)
    """
    core, places = start_openvino().Core(), stored_places()
    from myelin.network.openvino_graph import build_graph

    network = core.compile_model(
        build_graph(weights, shown=places), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = dict.fromkeys(places, (np.inf, -np.inf))
    for frame in frames:
        outputs = network(frame[None, None])
        for number, place in enumerate(places, 1):
            values = outputs[number][0]
            low, high = found[place]
            found[place] = (
                np.minimum(low, values.min(axis=(1, 2))),
                np.maximum(high, values.max(axis=(1, 2))),
            )
    return found


def prove(weights, scales, frames, threshold):
    """Return the Dice of the masks in 8-bit numbers against float32, {kind: Dice}.

    Of those at the model's own threshold, which `find_myelin.py` takes.
    """
    engines = OpenVinoEngine(weights, "float32"), OpenVinoEngine(weights, "int8", scales)
    return {
        name: overlap(*(engine.predict(frame) >= threshold for engine in engines))[0]
        for name, frame in frames
    }
