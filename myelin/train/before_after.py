"""Draw what a continued training changed: masks before and after on images held back."""

from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from myelin.images.overlay import overlay
from myelin.measure.agreement import overlap
from myelin.network.model_file import load_model, read_model_file
from myelin.runtime.files import beside, replacing
from myelin.train.batches import FrameBatches
from myelin.train.pairs import Pairs, split
from myelin.train.recipe import Run

PICTURE = "_before_after.png"
MAX_IMAGES = 3  # drawn; a prediction of each takes as long as validating on it


def draw_before_after(path: Path, old: Path, pairs: Pairs, run: Run) -> Path | None:
    """Draw the masks of the old and the new model on images held back, beside the new model.

    Returns
    -------
    Path or None
        The picture; None if no image was held back, or the new model is a copy of the old.
    """
    picture = beside(path, PICTURE)
    picture.unlink(missing_ok=True)
    _, held_out = split(pairs, run.validation_split, run.validate_on)
    network, settings, _ = load_model(path)
    if not held_out or not settings.provenance["epochs"]:
        return None
    frames = FrameBatches(pairs, held_out[:MAX_IMAGES], settings)
    after = masks_of(network, frames, settings.threshold)
    weights, old_settings, _ = read_model_file(old)
    network.set_weights(weights)
    before = masks_of(network, frames, old_settings.threshold)
    figure = Figure(figsize=(8, 2.8 * len(frames)), layout="constrained", dpi=150)
    panels = figure.subplots(len(frames), 3, squeeze=False)
    for row, masks in enumerate(zip(before, after, strict=True)):
        image, drawn = (part[0, ..., 0] for part in frames[row])
        low, high = np.percentile(image, [1, 99])
        grey = np.clip(255 * (image - low) / max(high - low, 1e-6), 0, 255).astype(np.uint8)
        name = pairs.ids[frames.indices[row]].replace("$", r"\$")
        shown = [(f"{name}: mask in raw/train", drawn > 0.5)]
        for what, mask in zip((f"before: {old.name}", f"after: {path.name}"), masks, strict=True):
            shown.append((f"{what}, Dice {overlap(mask, drawn > 0.5)[0]:.3f}", mask))
        for panel, (title, mask) in zip(panels[row], shown, strict=True):
            panel.imshow(overlay(grey, mask))
            panel.set_title(title, fontsize=7)
            panel.set_axis_off()
    with replacing(picture) as temporary:
        figure.savefig(temporary)
    return picture


def masks_of(network: keras.Model, frames: FrameBatches, threshold: float) -> list[np.ndarray]:
    """Return the mask of each frame, bool (rows, cols)."""
    images = (frames[index][0] for index in range(len(frames)))
    return [network.predict_on_batch(image)[0, ..., 0] >= threshold for image in images]
