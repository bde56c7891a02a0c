"""Train the view, the small network that finds polarity and scale: one call, an hour on two cores.

    python models/train_view.py models/newview.h5 sem tem nerve synthetic --steps 4000
    python models/train_view.py models/newview.h5 sem tem nerve synthetic --steps 4000 --resume

Each folder holds images of one kind with their masks, `x.png` and `x_mask.png`; masks with few of
the fibers outlined are fine. Draw the folder of synthetic images with

    python synthetic.py --train 64 --test 0 --size 600 600 --look mixed --myelin mixed

Windows without fibers come from the photographs of scikit-image, from textures drawn here, and from
parts of the images without myelin. The model card names the folders of the view in `models/`.
"""

import argparse
import dataclasses
import functools
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.images.image import read_image, read_mask
from myelin.measure.fiber_width import FIBER_PX
from myelin.measure.fibers import measure_fibers
from myelin.network.view import SIDE, folded_weights, get_view, normalize, save_view

BATCH = 48
WARM_UP_STEPS = 100
SAVE_STEPS = 50
SETTLING = 60  # batches, from which batch normalisation takes its last means and deviations
NEGATIVES = 0.42  # share of windows of photographs and textures
WIDTHS_PX = (8, 160)  # of fibers, between which a window is asked whether it shows some
USUAL, BEYOND_PX = 0.85, (3, 600)  # share of windows between those widths; the rest between these
LOCAL_FIBERS = 5  # a window with as many has a width of its own
SHOWN = 0.02  # share of myelin in a window from which it shows fibers
PHOTOGRAPHS = (
    "astronaut brick camera cell chelsea coffee coins grass gravel horse hubble_deep_field ihc "
    "logo microaneurysms moon motorcycle_left page retina rocket text"
).split()


@dataclasses.dataclass
class Source:
    """An image that windows are cut from.

    Attributes
    ----------
    levels : list of uint8 arrays, (rows, cols, 3)
        Image, myelin and axons (255), each half as large as the one before.
    dark : bool
    places, widths : float arrays, (n, 2) and (n,)
        Centres (x, y) and widths of its fibers, px; none for a photograph.
    """

    levels: list
    dark: bool = False
    places: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 2)))
    widths: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))


def pyramid(image, myelin, axons):
    """Return an image with its masks at full size, half, a quarter and so on."""
    levels = [np.dstack([image, myelin, axons])]
    while min(levels[-1].shape[:2]) >= 32:
        rows, cols = levels[-1].shape[:2]
        size = (cols // 2, rows // 2)
        levels.append(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA))
    return levels


def read_folder(folder, left_out):
    """Return the `Source` of each pair of a folder; images without fibers are passed over."""
    sources = []
    for path in sorted(Path(folder).iterdir()):
        mask = next(iter(Path(folder).glob(f"{path.stem}_mask.*")), None)
        if mask is None or any(path.match(pattern) for pattern in left_out):
            continue
        image, myelin = read_image(path), read_mask(mask) > 0
        columns = measure_fibers(myelin, 1.0).columns
        if len(columns["x_px"]) < 3:
            continue
        filled = myelin.astype(np.uint8)
        outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(filled, outlines, -1, 1, -1)
        axons = (filled > 0) & ~myelin
        dark = bool(np.median(image[myelin]) < np.median(image[axons]))
        levels = pyramid(image, myelin * np.uint8(255), axons * np.uint8(255))
        places = np.stack([columns["x_px"], columns["y_px"]], axis=1)
        sources.append(Source(levels, dark, places, columns["fiber_diameter_um"]))
    return sources


def photographs(left_out):
    """Return the `Source` of each of scikit-image's own photographs."""
    import skimage.data

    folder, sources = Path(skimage.data.__file__).parent, []
    for name in PHOTOGRAPHS:
        if name not in left_out:
            (path,) = (path for path in folder.glob(f"{name}.*") if path.suffix in (".png", ".jpg"))
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            sources.append(Source(pyramid(image, image * 0, image * 0)))
    return sources


# ---------------------------------------------------------------- windows


def log_uniform(low, high, rng):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def cut(source, scale, rng):
    """Return a window at a magnification, float32 (SIDE, SIDE, 3), and which fibers it shows."""
    rows, cols = source.levels[0].shape[:2]
    reach = SIDE / 2 / scale
    x = rng.uniform(min(reach, cols / 2), max(cols - reach, cols / 2))
    y = rng.uniform(min(reach, rows / 2), max(rows - reach, rows / 2))
    level = int(np.clip(np.floor(-np.log2(scale)), 0, len(source.levels) - 1))
    angle = rng.integers(4) * np.pi / 2 if rng.random() < 0.4 else rng.uniform(0, 2 * np.pi)
    stretch = np.exp(rng.uniform(-0.12, 0.12, 2)) if rng.random() < 0.4 else np.ones(2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = turn @ np.diag(stretch * [rng.choice([-1, 1]), 1]) / scale
    middle = (SIDE - 1) / 2
    matrix = np.hstack([affine, (np.array([x, y]) - affine @ [middle, middle])[:, None]])
    matrix[:, :2] /= 2**level
    matrix[:, 2] = (matrix[:, 2] + 0.5) / 2**level - 0.5
    shown = cv2.warpAffine(
        source.levels[level],
        matrix,
        (SIDE, SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    ).astype(np.float32)
    inside = np.abs((source.places - [x, y]) @ np.linalg.inv(affine).T).max(axis=1) < SIDE / 2
    return shown, inside


def tinted(shown, rng):
    """Return the grey values of a window after background, axons and sheaths got others.

    Stains and microscopes differ in how bright each is; sheaths stay the darkest or brightest.
    """
    grey, myelin, axons = shown[..., 0], shown[..., 1] / 255, shown[..., 2] / 255
    weight = myelin.sum()
    if not SHOWN * myelin.size < weight < (1 - SHOWN) * myelin.size:
        return grey
    contrast = (grey * myelin).sum() / weight - (grey * (1 - myelin)).sum() / (1 - myelin).sum()
    ground = np.clip(1 - myelin - axons, 0, 1)
    if rng.random() < 0.2:  # thinner sheaths
        thin = cv2.erode(myelin, np.ones((3, 3)))
        grey = grey - contrast * (myelin - thin)
    grey = grey + contrast * rng.uniform(-0.6, 0.6) * ground
    grey = grey + contrast * rng.uniform(-0.5, 0.5) * axons
    if rng.random() < 0.4:
        grey = grey + contrast * rng.uniform(0.1, 0.5) * ground * smooth_noise(rng)
    if rng.random() < 0.2:  # nuclei
        spots = np.zeros((SIDE, SIDE), np.float32)
        for _ in range(rng.integers(1, 6)):
            center, axes = rng.uniform(0, SIDE, 2), rng.uniform(3, 16, 2)
            box = (center.tolist(), (2 * axes).tolist(), rng.uniform(0, 180))
            cv2.ellipse(spots, box, 1.0, -1, cv2.LINE_AA)
        grey = grey + contrast * rng.uniform(0.3, 0.9) * ground * spots
    return grey


def smooth_noise(rng):
    """Return noise of a random grain, float32 (SIDE, SIDE), deviation 1."""
    grain = log_uniform(0.6, 12, rng)
    coarse = 4 if grain > 3 else 1  # slow variation is drawn small and enlarged
    field = rng.standard_normal((SIDE // coarse, SIDE // coarse), np.float32)
    field = cv2.GaussianBlur(field, (0, 0), grain / coarse)
    field = cv2.resize(field, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return field / max(field.std(), 1e-6)


def varied(grey, rng):
    """Return a window's grey values as another microscope would give them, float32."""
    if rng.random() < 0.35:
        grey = cv2.GaussianBlur(grey, (0, 0), log_uniform(0.4, 3, rng))
    if rng.random() < 0.25:
        grey = grey - rng.uniform(0.3, 1) * cv2.GaussianBlur(grey, (0, 0), log_uniform(8, 50, rng))
    low, high = np.percentile(grey[::3, ::3], [0.5, 99.5])
    grey = np.clip((grey - low) / max(high - low, 1e-3), -0.2, 1.3)
    if rng.random() < 0.5:
        grey = np.clip(grey, 0, 1) ** log_uniform(0.4, 2.5, rng)
    if rng.random() < 0.4:
        slope = np.linspace(-1, 1, SIDE, dtype=np.float32)
        field = rng.uniform(-1, 1) * slope + rng.uniform(-1, 1) * slope[:, None]
        grey = grey * (1 + 0.4 * field) if rng.random() < 0.5 else grey + 0.25 * field
    if rng.random() < 0.4:
        noise = rng.standard_normal((SIDE, SIDE), np.float32)
        if rng.random() < 0.5:
            noise = smooth_noise(rng)
        grey = grey + log_uniform(0.01, 0.25, rng) * noise
    if rng.random() < 0.15:  # saturated
        grey = np.clip(grey, rng.uniform(0, 0.25), rng.uniform(0.7, 1))
    if rng.random() < 0.08:  # beside the tissue
        side = rng.integers(16, 80)
        grey = np.rot90(grey, rng.integers(4)).copy()
        grey[:side] = rng.choice([0, 1, np.median(grey)])
    if rng.random() < 0.2:
        whole = np.clip(40 + 175 * grey, 0, 255).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 90))]
        whole = cv2.imdecode(cv2.imencode(".jpg", whole, quality)[1], cv2.IMREAD_GRAYSCALE)
        grey = whole.astype(np.float32)
    return grey


def draw_texture(rng):
    """Return a texture without fibers, float32 (SIDE, SIDE)."""
    kind = rng.integers(5)
    if kind == 0:
        return np.full((SIDE, SIDE), 0.5, np.float32) + 0.01 * smooth_noise(rng)
    if kind == 1:
        return smooth_noise(rng)
    if kind == 2:
        return smooth_noise(rng) + rng.uniform(0.2, 1) * np.abs(smooth_noise(rng))
    return draw_cells(rng)


def draw_cells(rng):
    """Return polygons with thin borders, as muscle fibers and liver cells show, and nuclei."""
    pitch, side = log_uniform(8, 90, rng), 2 * SIDE
    count = int(side / pitch) + 2
    seeds = np.indices((count, count)).reshape(2, -1).T * pitch
    seeds = seeds + rng.uniform(-0.4, 0.4, seeds.shape) * pitch

    def nearest(points):
        empty = np.ones((side, side), np.uint8)
        inside = points[((points >= 0) & (points < side)).all(axis=1)].astype(int)
        empty[tuple(inside.T)] = 0
        each = cv2.DIST_LABEL_PIXEL
        return cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=each)

    _, cells = nearest(seeds)
    edges = np.zeros((side, side), bool)
    edges[:-1] = cells[:-1] != cells[1:]
    edges[:, :-1] |= cells[:, :-1] != cells[:, 1:]
    depth = cv2.distanceTransform((~edges).view(np.uint8), cv2.DIST_L2, 3)
    border = np.exp(-((depth / (rng.uniform(0.015, 0.04) * pitch + 0.5)) ** 2))
    tones = 1 + rng.uniform(0, 0.3) * rng.standard_normal(cells.max() + 1)
    grey = tones[cells] + rng.uniform(-0.8, 0.8) * border
    shift = rng.uniform(0.35, 0.5) if rng.random() < 0.5 else 0.0  # at the border, or in the middle
    turns = rng.uniform(0, 2 * np.pi, len(seeds))
    nuclei = seeds + shift * pitch * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    grey += rng.uniform(-0.8, 0.8) * (nearest(nuclei)[0] < rng.uniform(0.08, 0.25) * pitch)
    part = grey[SIDE // 2 :, SIDE // 2 :][:SIDE, :SIDE].astype(np.float32)
    return part + rng.uniform(0, 0.25) * smooth_noise(rng)


def draw_window(folders, negatives, rng):
    """Return one window, float32 (SIDE, SIDE), and its labels.

    Labels are fibers, dark, log2 of the width over FIBER_PX, and the weights of the three.
    """
    if rng.random() < NEGATIVES:
        if rng.random() < 0.4 or not negatives:
            grey = draw_texture(rng)
        else:
            source = negatives[rng.integers(len(negatives))]
            least = 0.6 * SIDE / min(source.levels[0].shape[:2])
            grey = cut(source, log_uniform(min(least, 1), 2, rng), rng)[0][..., 0]
        grey = varied(grey, rng)
        return (-grey if rng.random() < 0.5 else grey), [0, 0, 0, 1, 0, 0]
    shares = np.array([min(len(folder), 64) ** 0.5 for folder in folders])
    folder = folders[rng.choice(len(folders), p=shares / shares.sum())]
    source = folder[rng.integers(len(folder))]
    typical = np.median(source.widths)
    width = log_uniform(*(WIDTHS_PX if rng.random() < USUAL else BEYOND_PX), rng)
    shown, inside = cut(source, width / typical, rng)
    if inside.sum() >= LOCAL_FIBERS:
        width *= np.median(source.widths[inside]) / typical
    share = shown[..., 1].mean() / 255
    grey = tinted(shown, rng) if rng.random() < 0.5 else shown[..., 0]
    grey, dark = varied(grey, rng), source.dark
    if rng.random() < 0.5:
        grey, dark = -grey, not dark
    usual = WIDTHS_PX[0] < width < WIDTHS_PX[1]
    shows = share > SHOWN
    sure = (shows and usual) or share == 0
    return grey, [shows, dark, np.log2(width / FIBER_PX), sure, shows and usual, shows]


def draw_batch(folders, negatives, seed, step):
    """Return the windows, float32 (BATCH, SIDE, SIDE, 1), and labels of a step."""
    rng = np.random.default_rng([seed, step])
    drawn = [draw_window(folders, negatives, rng) for _ in range(BATCH)]
    grey = normalize(np.stack([100 * window for window, _ in drawn]))
    return grey[..., None], np.array([labels for _, labels in drawn], np.float32)


# ---------------------------------------------------------------- training


def view_loss(labels, answers):
    """Return cross-entropy of fibers and polarity plus minus the log-likelihood of the width."""
    from keras import ops

    fibers, dark, width, sure, polar, sized = (labels[:, place] for place in range(6))

    def entropy(target, logit):
        return ops.softplus(logit) - target * logit

    spread = ops.clip(answers[:, 3], -3.5, 3.0)
    off = ops.abs(answers[:, 2] - width) * ops.exp(-spread) + spread
    return ops.mean(
        sure * entropy(fibers, answers[:, 0]) + polar * entropy(dark, answers[:, 1]) + sized * off
    )


def describe(labels, answers):
    """Return how right a batch was: fibers, polarity, and the median factor of the width."""
    width, sure, polar, sized = labels.T[2:]
    right = (answers[:, :2] > 0) == (labels[:, :2] > 0)
    near = (sized > 0) & (np.abs(width) < 1.5)
    off = 2 ** np.median(np.abs(answers[near, 2] - width[near]))
    return [right[sure > 0, 0].mean(), right[(polar > 0) & near, 1].mean(), off]


def train(args, folders, negatives):
    """Train for `args.steps` steps, or go on with an interrupted run, and write the file."""
    import keras

    cv2.setNumThreads(1)  # the other cores are Keras's
    keras.utils.set_random_seed(args.seed)
    unfinished = args.model.with_name(f"{args.model.stem}_resume.keras")
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, args.steps - WARM_UP_STEPS, warmup_target=args.rate, warmup_steps=WARM_UP_STEPS
    )
    step = 0
    if args.resume:
        model = keras.models.load_model(unfinished, {"view_loss": view_loss})
        model.optimizer.learning_rate = rate
        step = int(model.optimizer.iterations)
    else:
        model = get_view()
        model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3), view_loss)
    draw = functools.partial(draw_batch, folders, negatives, args.seed)
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(draw, step)
        losses = []
        while step < args.steps:
            windows, labels = ahead.result()
            step += 1
            ahead = pool.submit(draw, step)
            model.reset_metrics()  # else the loss is the mean since the start
            losses.append(float(model.train_on_batch(windows, labels)))
            if step % SAVE_STEPS == 0:
                rights = describe(labels, np.asarray(model.predict_on_batch(windows)))
                shown = " ".join(f"{right:.3f}" for right in rights)
                print(f"step {step}: loss {np.mean(losses):.3f}, last batch {shown}", flush=True)
                losses.clear()
                model.save(unfinished)
        for batch in pool.map(draw, range(args.steps, args.steps + SETTLING)):
            model(batch[0], training=True)  # moves means and deviations only
    save_view(args.model, folded_weights(model), {"steps": args.steps, "seed": args.seed})
    unfinished.unlink(missing_ok=True)


def main():
    """Read the folders, then train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="file to write")
    add = parser.add_argument
    add("folders", nargs="+", help="folders of images with masks, one for each kind")
    add("--steps", type=int, default=4000)
    add("--rate", type=float, default=2e-3, help="highest step size of Adam")
    add("--seed", type=int, default=0)
    add("--leave-out", nargs="*", default=[], help="images, such as sem/rat3*, or photographs")
    add("--resume", action="store_true", help="go on with an interrupted run")
    args = parser.parse_args()
    folders = [read_folder(folder, args.leave_out) for folder in args.folders]
    for name, folder in zip(args.folders, folders, strict=True):
        typical = np.median([np.median(source.widths) for source in folder])
        dark = sum(source.dark for source in folder)
        print(f"{name}: {len(folder)} images, {dark} dark, fibers {typical:.0f} px", flush=True)
    train(args, folders, photographs(args.leave_out))


if __name__ == "__main__":
    main()
