"""Windows to train the view: parts of images of known masks, photographs and textures.

Each window is varied as microscopes and stains vary, and its labels say whether it shows fibers,
whether myelin is dark, and how wide the fibers are.
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator as Rng

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from myelin.images.image import read_image, read_mask
from myelin.measure.fiber_width import FIBER_PX
from myelin.measure.fibers import measure_fibers
from myelin.network.view import SIDE, normalize
from myelin.synthetic.nerve import draw_nerve

BATCH = 48
NEGATIVES = 0.42  # share of windows from photographs and textures
# Largest magnification of photographs and share of windows beside the fibers: for the first steps,
# and to fine-tune.
MAX_SCALE, BARE = (2, 5), (0, 0.2)
TRIES = 6  # to find a window without myelin in an image with fibers
WIDTHS_PX = (8, 160)  # fiber widths at which a window counts as showing fibers
USUAL, BEYOND_PX = 0.85, (3, 600)  # share of windows with such widths; widths of the others
LOCAL_FIBERS = 5  # with at least this many fibers in it, a window has a width of its own
MIN_MYELIN = 0.02  # share of a window that is myelin if it shows fibers
# Look, images, µm per pixel of the synthetic images.
DRAWINGS = (
    ("mixed", 24, 0.1),
    ("mixed", 12, 0.06),
    ("stained", 10, 0.2),
    ("osmium", 6, 0.12),
    ("cars", 6, 0.12),
    ("transmission", 14, 0.06),
)
PHOTOGRAPHS = (
    "astronaut brick camera cell chelsea coffee coins grass gravel horse hubble_deep_field ihc "
    "logo microaneurysms moon motorcycle_left page retina rocket text"
).split()


@dataclasses.dataclass
class Source:
    """An image from which windows are cut.

    Attributes
    ----------
    levels : list of uint8 arrays, (rows, cols, 3)
        Image, myelin (255) and axons (255); each level is half as large as the one before.
    dark : bool
        Whether myelin is dark.
    places, widths : float arrays, (n, 2) and (n,)
        Centres (x, y) and widths of the fibers, px; none for a photograph.
    """

    levels: list
    dark: bool = False
    places: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 2)))
    widths: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))


def pyramid(image: Array, myelin: Array, axons: Array) -> list[Array]:
    """Return an image with its masks at full size, half, a quarter and so on."""
    levels = [np.dstack([image, myelin, axons])]
    while min(levels[-1].shape[:2]) >= 32:
        rows, cols = levels[-1].shape[:2]
        size = (cols // 2, rows // 2)
        levels.append(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA))
    return levels


def read_folder(folder: str, left_out: list[str]) -> list[Source]:
    """Return the `Source` of each pair of a folder that shows fibers."""
    sources = []
    for path in sorted(Path(folder).iterdir()):
        mask = next(iter(Path(folder).glob(f"{path.stem}_mask.*")), None)
        if mask is not None and not any(path.match(pattern) for pattern in left_out):
            sources.append(as_source(read_image(path), read_mask(mask) > 0))
    return [source for source in sources if len(source.widths) >= 3]


def draw_synthetic(seed: int, drawings: tuple, as_source: Callable) -> list:
    """Return what `as_source` returns for image and myelin of each synthetic image.

    `drawings` is like DRAWINGS.
    """
    return [
        as_source(*draw_nerve(600, 600, pixel_size_um, rng, "mixed", look)[:2])
        for place, (look, count, pixel_size_um) in enumerate(drawings)
        for rng in (np.random.default_rng([seed, place, number]) for number in range(count))
    ]


def as_source(image: Array, myelin: Array) -> Source:
    """Return the `Source` of an image, uint8, with its myelin, bool."""
    columns = measure_fibers(myelin, 1.0).columns
    filled = myelin.astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, outlines, -1, 1, -1)
    axons = (filled > 0) & ~myelin
    dark = bool(np.median(image[myelin]) < np.median(image[axons])) if axons.any() else False
    levels = pyramid(image, myelin * np.uint8(255), axons * np.uint8(255))
    places = np.stack([columns["x_px"], columns["y_px"]], axis=1)
    return Source(levels, dark, places, np.array(columns["fiber_diameter_um"]))


def photographs(left_out: list[str]) -> list[Source]:
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


def log_uniform(low: float, high: float, rng: Rng) -> float:
    """Return a random number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def cut(source: Source, scale: float, rng: Rng) -> tuple[Array, Array]:
    """Return a window, float32 (SIDE, SIDE, 3), and which fibers lie in it."""
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


def tinted(shown: Array, rng: Rng) -> Array:
    """Return a window with other grey values for background, axons and sheaths.

    Stains and microscopes differ in these; sheaths stay the darkest or brightest.
    """
    grey, myelin, axons = shown[..., 0], shown[..., 1] / 255, shown[..., 2] / 255
    weight = myelin.sum()
    if not MIN_MYELIN * myelin.size < weight < (1 - MIN_MYELIN) * myelin.size:
        return grey
    contrast = (grey * myelin).sum() / weight - (grey * (1 - myelin)).sum() / (1 - myelin).sum()
    ground, side = np.clip(1 - myelin - axons, 0, 1), len(grey)
    if rng.random() < 0.2:  # thinner sheaths
        thin = cv2.erode(myelin, np.ones((3, 3)))
        grey = grey - contrast * (myelin - thin)
    grey = grey + contrast * rng.uniform(-0.6, 0.6) * ground
    grey = grey + contrast * rng.uniform(-0.5, 0.5) * axons
    if rng.random() < 0.4:
        grey = grey + contrast * rng.uniform(0.1, 0.5) * ground * smooth_noise(rng, side)
    if rng.random() < 0.2:  # nuclei
        spots = np.zeros((side, side), np.float32)
        for _ in range(rng.integers(1, 6)):
            center, axes = rng.uniform(0, side, 2), rng.uniform(3, 16, 2)
            box = (center.tolist(), (2 * axes).tolist(), rng.uniform(0, 180))
            cv2.ellipse(spots, box, 1.0, -1, cv2.LINE_AA)
        grey = grey + contrast * rng.uniform(0.3, 0.9) * ground * spots
    return grey


def smooth_noise(rng: Rng, side: int = SIDE) -> Array:
    """Return noise of a random grain, float32 (side, side), standard deviation 1."""
    grain = log_uniform(0.6, 12, rng)
    coarse = 4 if grain > 3 else 1  # slow variation is computed at a quarter of the size
    field = rng.standard_normal((side // coarse, side // coarse), np.float32)
    field = cv2.GaussianBlur(field, (0, 0), grain / coarse)
    field = cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC)
    return field / max(field.std(), 1e-6)


def varied(grey: Array, rng: Rng, margin_px: tuple[int, int] = (16, 80)) -> Array:
    """Return a window as another microscope would record it, float32.

    Some windows get a blank margin, whose width is between those of `margin_px`.
    """
    if rng.random() < 0.35:
        grey = cv2.GaussianBlur(grey, (0, 0), log_uniform(0.4, 3, rng))
    if rng.random() < 0.25:
        grey = grey - rng.uniform(0.3, 1) * cv2.GaussianBlur(grey, (0, 0), log_uniform(8, 50, rng))
    low, high = np.percentile(grey[::3, ::3], [0.5, 99.5])
    grey = np.clip((grey - low) / max(high - low, 1e-3), -0.2, 1.3)
    if rng.random() < 0.5:
        grey = np.clip(grey, 0, 1) ** log_uniform(0.4, 2.5, rng)
    if rng.random() < 0.4:
        slope = np.linspace(-1, 1, len(grey), dtype=np.float32)
        field = rng.uniform(-1, 1) * slope + rng.uniform(-1, 1) * slope[:, None]
        grey = grey * (1 + 0.4 * field) if rng.random() < 0.5 else grey + 0.25 * field
    if rng.random() < 0.4:
        noise = rng.standard_normal(grey.shape, np.float32)
        if rng.random() < 0.5:
            noise = smooth_noise(rng, len(grey))
        grey = grey + log_uniform(0.01, 0.25, rng) * noise
    if rng.random() < 0.15:  # saturated
        grey = np.clip(grey, rng.uniform(0, 0.25), rng.uniform(0.7, 1))
    if rng.random() < 0.08:  # beside the tissue
        side = rng.integers(*margin_px)
        grey = np.rot90(grey, rng.integers(4)).copy()
        grey[:side] = rng.choice([0, 1, np.median(grey)])
    if rng.random() < 0.2:
        whole = np.clip(40 + 175 * grey, 0, 255).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 90))]
        whole = cv2.imdecode(cv2.imencode(".jpg", whole, quality)[1], cv2.IMREAD_GRAYSCALE)
        grey = whole.astype(np.float32)
    return grey


def draw_texture(rng: Rng) -> Array:
    """Return a texture without fibers, float32 (SIDE, SIDE)."""
    kind = rng.integers(5)
    if kind == 0:
        return np.full((SIDE, SIDE), 0.5, np.float32) + 0.01 * smooth_noise(rng)
    if kind == 1:
        return smooth_noise(rng)
    if kind == 2:
        return smooth_noise(rng) + rng.uniform(0.2, 1) * np.abs(smooth_noise(rng))
    return draw_cells(rng)


def draw_cells(rng: Rng) -> Array:
    """Return polygons with thin borders and nuclei, similar to muscle and liver."""
    pitch, side = log_uniform(8, 90, rng), 2 * SIDE
    count = int(side / pitch) + 2
    seeds = np.indices((count, count)).reshape(2, -1).T * pitch
    seeds = seeds + rng.uniform(-0.4, 0.4, seeds.shape) * pitch

    def nearest(points: Array) -> tuple[Array, Array]:
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


def draw_window(
    folders: list[list[Source]], negatives: list[Source], fine: bool, rng: Rng
) -> tuple[Array, list[float]]:
    """Return one window, float32 (SIDE, SIDE), and its labels.

    The labels are fibers, dark, log2 of the width over FIBER_PX, and the weights of the three.
    """
    if rng.random() < NEGATIVES:
        if rng.random() < 0.4 or not negatives:
            grey = draw_texture(rng)
        else:
            source = negatives[rng.integers(len(negatives))]
            least = 0.6 * SIDE / min(source.levels[0].shape[:2])
            grey = cut(source, log_uniform(min(least, 1), MAX_SCALE[fine], rng), rng)[0][..., 0]
        grey = varied(grey, rng)
        return (-grey if rng.random() < 0.5 else grey), [0, 0, 0, 1, 0, 0]
    shares = np.array([min(len(folder), 64) ** 0.5 for folder in folders])
    folder = folders[rng.choice(len(folders), p=shares / shares.sum())]
    source = folder[rng.integers(len(folder))]
    typical = np.median(source.widths)
    width = log_uniform(*(WIDTHS_PX if rng.random() < USUAL else BEYOND_PX), rng)
    bare = rng.random() < BARE[fine]
    for _ in range(TRIES if bare else 1):
        shown, inside = cut(source, width / typical, rng)
        if not shown[..., 1].any():
            break
    if inside.sum() >= LOCAL_FIBERS:
        width *= np.median(source.widths[inside]) / typical
    share = shown[..., 1].mean() / 255
    grey = tinted(shown, rng) if rng.random() < 0.5 else shown[..., 0]
    grey, dark = varied(grey, rng), source.dark
    if rng.random() < 0.5:
        grey, dark = -grey, not dark
    usual = WIDTHS_PX[0] < width < WIDTHS_PX[1]
    shows = share > MIN_MYELIN
    sure = (shows and usual) or share == 0
    return grey, [shows, dark, np.log2(width / FIBER_PX), sure, shows and usual, shows]


def draw_batch(
    folders: list[list[Source]], negatives: list[Source], fine: bool, seed: int, step: int
) -> tuple[Array, Array]:
    """Return the windows, float32 (BATCH, SIDE, SIDE, 1), and labels of a step."""
    rng = np.random.default_rng([seed, step])
    drawn = [draw_window(folders, negatives, fine, rng) for _ in range(BATCH)]
    grey = normalize(np.stack([100 * window for window, _ in drawn]))
    return grey[..., None], np.array([labels for _, labels in drawn], np.float32)
