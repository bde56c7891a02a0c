"""Find the int8 scales of a model on synthetic images, and check how they change its masks.

    calibrate(Path("models/ourlab.h5"))

The images come from a fixed seed: light and electron microscopy, bright and dark myelin, fine and
coarse. Other images, also with margins, are the check: if the Dice coefficient of int8 masks
against float32 masks falls below `MIN_DICE` for any, the model gets no scales and keeps bfloat16 or
float32.
"""

import importlib.util
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from myelin.measure.agreement import overlap
from myelin.network.engine import OpenVinoEngine, start_openvino
from myelin.network.model_file import read_model_file
from myelin.network.preprocessing import Preprocessing, normalize
from myelin.network.quantization import quantized_places, scales_from, scales_path
from myelin.runtime.cli import progress
from myelin.runtime.files import replacing, sha256
from myelin.synthetic.nerve import draw_nerve

SEED = 8
SIZE = 320  # px, side of the synthetic images
PIXEL_SIZES_UM = (0.08, 0.12, 0.18, 0.27)  # from wide fibers to narrow ones
LOOKS = ("light", "electron")
MIN_DICE = 0.995


def calibrate_if_openvino(path: Path) -> None:
    """Calibrate a model file that was just trained, if OpenVINO is installed."""
    if importlib.util.find_spec("openvino"):
        print(f"{path}: preparing faster segmenting, with 8-bit numbers", flush=True)
        calibrate(path)


def calibrate(path: Path) -> dict[str, float]:
    """Write the int8 scales of a model file beside it, if its masks stay the same.

    Returns
    -------
    dict of str to float
        Dice coefficient of int8 masks against float32 masks, by kind of image.
    """
    weights, settings, _ = read_model_file(path)
    scales = scales_from(channel_ranges(weights, calibration_frames(settings)))
    dice = compare_masks(weights, scales, check_frames(settings), settings.threshold)
    worst = min(dice, key=dice.get)
    scales_path(path).unlink(missing_ok=True)
    if dice[worst] < MIN_DICE:
        print(
            f"note: {path}: segments at normal speed, because the faster way, with 8-bit numbers, "
            f"would change its masks (Dice {dice[worst]:.4f} on synthetic images)"
        )
        return dice
    facts = {
        "model_sha256": sha256(path),
        "dice": {kind: round(value, 5) for kind, value in dice.items()},
        # Five digits: a slightly larger or smaller scale serves as well.
        "scales": [[float(f"{x:.5g}") for x in scales[place]] for place in quantized_places()],
    }
    with replacing(scales_path(path)) as temporary:
        temporary.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    return dice


def calibration_frames(settings: Preprocessing) -> Iterator[np.ndarray]:
    """Yield network inputs of every kind, in the right and in the wrong polarity."""
    kinds = itertools.product(LOOKS, PIXEL_SIZES_UM, (False, True))
    for number, (look, size_um, wrong) in enumerate(progress(list(kinds), "preparing")):
        yield normalize(draw(number, size_um, "bright", look), settings, wrong)


def check_frames(settings: Preprocessing) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and network input of other images of every kind, in the right polarity."""
    kinds = list(itertools.product(LOOKS, PIXEL_SIZES_UM, ("bright", "dark")))
    for number, (look, size_um, myelin) in enumerate(progress(kinds, "checking")):
        scenes = ("margin",) * ((number + number // 2 + number // 8) % 2)  # in half of each kind
        image = draw(1000 + number, size_um, myelin, look, scenes)
        name = ", ".join([look, myelin, f"{size_um:g} µm", *scenes])
        yield name, normalize(image, settings, myelin == "dark")


def draw(number: int, pixel_size_um: float, *how: str | tuple) -> np.ndarray:
    """Return the synthetic image of a seed; `how` are further parameters of `draw_nerve`."""
    rng = np.random.default_rng([SEED, number])
    return draw_nerve(SIZE, SIZE, pixel_size_um, rng, *how)[0]


def channel_ranges(
    weights: list[np.ndarray], frames: Iterable[np.ndarray]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return the lowest and highest value of each channel that is stored in 8 bits, by place."""
    core = start_openvino().Core()
    places = quantized_places()
    from myelin.network.openvino_graph import build_graph

    graph = build_graph(weights, extra_outputs=places)
    network = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ranges = dict.fromkeys(places, (np.inf, -np.inf))
    for frame in frames:
        outputs = network(frame[None, None])
        for number, place in enumerate(places, 1):
            values = outputs[number][0]
            low, high = ranges[place]
            ranges[place] = (
                np.minimum(low, values.min(axis=(1, 2))),
                np.maximum(high, values.max(axis=(1, 2))),
            )
    return ranges


def compare_masks(
    weights: list[np.ndarray],
    scales: dict[int, np.ndarray],
    frames: Iterable[tuple[str, np.ndarray]],
    threshold: float,
) -> dict[str, float]:
    """Return the Dice coefficient of int8 masks against float32 masks, by name of the frame."""
    exact = OpenVinoEngine(weights, "float32")
    int8 = OpenVinoEngine(weights, "int8", scales)
    return {
        name: overlap(exact.predict(frame) >= threshold, int8.predict(frame) >= threshold)[0]
        for name, frame in frames
    }
