"""Draw nerve cross-sections whose true geometry is known.

    python synthetic.py --train 6 --test 2 --seed 1

fills `raw/train` with `synthetic_01.tif`, `synthetic_01_mask.tif` (myelin 255) and
`synthetic_01_fibers.csv` (every true fiber in µm), and `raw/test` with `synthetic_test_01.tif` and
so on, the mask there being a reference for evaluate.py. Also from Python:

    image, mask, fibers = draw_nerve(512, 512, 0.1, np.random.default_rng(1))

How it works: discs with the diameters of nerve fibers are pushed apart until they hardly overlap;
each is deformed and cut at its power cell, which presses neighbours flat against each other as in
a nerve; the axon is that outline moved inwards. An outline is a radius for each direction from a
point inside, so a pixel is myelin exactly if its centre lies between two radii, and the grey edge
is at half height there. The table tells the areas of these continuous outlines, not of pixels.
"""

import argparse
import csv

import cv2
import numpy as np

from data import (
    RAW_TEST,
    RAW_TRAIN,
    SUFFIXES,
    UserError,
    check_pixel_size,
    progress,
    replacing,
    script,
    write_image,
)

# Difficult contents and the share of pictures that show each when nobody chooses. "diseased" puts
# swollen and collapsed fibers among the healthy ones; "fat" brings its perineurium along.
SCENES = {"diseased": 0.25, "vessel": 0.25, "perineurium": 0.25, "fat": 0.1, "margin": 0.15}

# Fiber diameters, µm: (share, median, standard deviation of the logarithm) of each population.
# Light: a group of small and one of large fibers, as in motor branches of the tibial nerve (Fraher
# et al. 1990, Acta Neuropathol 79:364, rat) and ventral roots (Berthold et al. 1983, J Anat
# 136:483, cat); medians and spreads set by eye to the study's mouse nerves.
# Electron: white matter of the spinal cord, many thin fibers, as in the SEM set of Zaimi et al.
# 2018, Sci Rep 8:3816, doi:10.1038/s41598-018-22181-4.
DIAMETERS_UM = {
    "light": ((0.5, 3.6, 0.28), (0.5, 7.8, 0.20)),
    "electron": ((0.7, 2.2, 0.40), (0.3, 4.8, 0.40)),
}
# How far the shares, and all diameters by a factor, differ between pictures; set by eye.
SHARE_SHIFT, SCALE_RANGE = 0.2, (0.8, 1.2)
DIAMETER_RANGE_UM = (0.8, 16.0)
# g-ratio against fiber diameter (µm). Light: sheaths are relatively thicker on smaller fibers
# (Berthold: 30 lamellae per µm of axon in the small group, 15 in the large), but relatively thin on
# the smallest (Fraher); the turning point at 3 to 4 µm and the values are set by eye.
# Electron: the square root of axon over fiber area is 0.61 to 0.69 in the hand-drawn masks of the
# nine images of the SEM set.
G_RATIO = {
    "light": ((1.5, 3.5, 6.0, 12.0), (0.68, 0.57, 0.62, 0.70)),
    "electron": ((0.8, 2.5, 5.0, 10.0), (0.72, 0.63, 0.65, 0.71)),
}
G_SHIFT = {"light": (-0.10, 0.04), "electron": (-0.05, 0.05)}  # between pictures, by eye
G_SPREAD = 0.045  # between fibers of one size, by eye
# Part of the area that discs (fibers and cells) fill; chosen by eye against the study's nerves.
PACKING = {"light": (0.88, 1.02), "electron": (0.70, 0.92)}
# Shares of the discs that are cells or bundles of thin axons, none of them myelin.
OTHERS = {
    "light": {"share": (0.08, 0.03), "diameter_um": (2.5, 7.0)},
    "electron": {"share": (0.06, 0.04), "diameter_um": (1.5, 5.0)},
}
# Grey levels, (lowest, highest) per picture, by eye after the study's nerves and the SEM set.
GREY = {
    "light": {"myelin": (195, 232), "axon": (3, 22), "ground": (22, 48), "cell": (78, 115)},
    "electron": {"myelin": (150, 215), "axon": (25, 80), "ground": (50, 110), "cell": (60, 105)},
}
NOISE = {"light": (1.5, 5.0), "electron": (4.0, 25.0)}  # grey levels, standard deviation
BLUR_UM = (0.07, 0.15)  # Gaussian sigma; about 0.2 µm resolution of an oil objective
# Two sheaths 1.5 px apart never join in the mask, diagonally neither: the square root of 2 is less.
GAP_PX = (1.5, 3.0)
THINNEST_SHEATH_PX = 1.6  # the same reason: a ring without a leak
THINNEST_AXON_PX = 4.0  # diameter; smaller ones cannot be told in such a picture
DIRECTIONS = 180  # radii per outline; straight sides deviate by under 0.01 px at 60 px radius

COLUMNS = ["fiber", "x_px", "y_px", "axon_area_um2", "axon_diameter_um", "fiber_area_um2"]
COLUMNS += ["fiber_diameter_um", "myelin_area_um2", "myelin_thickness_um", "g_ratio"]
COLUMNS += ["touches_border", "kind"]
FIBER_KINDS = ("healthy", "infolded", "swollen", "collapsed")
ANGLES = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)


# ---------------------------------------------------------------- noise


def noise(shape, sigma_px, rng):
    """Return Gaussian noise correlated over `sigma_px`, float32 `shape`, mean 0, deviation 1."""
    coarse = max(1, int(sigma_px / 1.5))  # slow variation is drawn small and enlarged
    small = [side // coarse + 4 for side in shape]
    field = rng.standard_normal(small, dtype=np.float32)
    field = cv2.GaussianBlur(field, (0, 0), max(0.3, sigma_px / coarse))
    field /= max(field.std(), 1e-6)
    if coarse > 1:
        size = (small[1] * coarse, small[0] * coarse)
        field = cv2.resize(field, size, interpolation=cv2.INTER_CUBIC)
    return field[: shape[0], : shape[1]]


def cells(shape, spacing_px, rng):
    """Return a pattern of small cells, float32 `shape`, 0 in the middle to 1 at the rims."""
    seeds = (rng.random(shape) > 1 / max(2.0, spacing_px) ** 2).astype(np.uint8)
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
    return np.clip(distance / (0.6 * spacing_px), 0, 1)


def waves(count, spreads, rng):
    """Return sums of random cosines, (count, DIRECTIONS); `spreads` is {frequency: deviation}."""
    total = np.zeros((count, DIRECTIONS))
    for frequency, spread in spreads.items():
        phase = rng.uniform(0, 2 * np.pi, (count, 1))
        total += rng.normal(0, spread, (count, 1)) * np.cos(frequency * ANGLES + phase)
    return total


def smooth(radii, frequencies):
    """Return radii (n, DIRECTIONS) with directions averaged: a Gaussian low-pass."""
    spectrum = np.fft.rfft(radii, axis=1)
    spectrum *= np.exp(-0.5 * (np.arange(spectrum.shape[1]) / frequencies) ** 2)
    return np.fft.irfft(spectrum, DIRECTIONS, axis=1)


# ---------------------------------------------------------------- geometry


class Fascicle:
    """The border of the nerve bundle: a wavy circle, seen in part; or none, all is inside."""

    def __init__(self, rows, cols, pixel_size_um, present, reach, rng):
        self.present = present
        self.radius = rng.uniform(60, 250) / pixel_size_um
        heading = rng.uniform(0, 2 * np.pi)
        outward = np.array([np.cos(heading), np.sin(heading)])
        reach = rng.uniform(*reach) * min(rows, cols)
        self.center = np.array([cols, rows]) / 2 + (reach - self.radius) * outward
        self.waves = [(k, rng.normal(0, 0.04 / k), rng.uniform(0, 6.3)) for k in (3, 5, 9, 14)]

    def depth(self, x, y):
        """Return how far (px) points lie inside the border; negative outside."""
        if not self.present:
            return np.full(np.shape(x), np.inf)
        dx, dy = x - self.center[0], y - self.center[1]
        angle = np.arctan2(dy, dx)
        wave = sum(size * np.cos(k * angle + phase) for k, size, phase in self.waves)
        return self.radius * (1 + wave) - np.hypot(dx, dy)


def draw_discs(rows, cols, pixel_size_um, look, scenes, fascicle, rng):
    """Choose the discs that fill the fascicle in the picture and in a rim around it.

    Returns
    -------
    kind : str array, (n,)
    radius : float array, (n,)
        px.
    centers : float array, (n, 2)
        x, y in px, at random; the middle of the first pixel is 0, 0.
    low, high : float arrays, (2,)
        Corners of the area with its rim.
    """
    rim = (8 if look == "light" else 4) / pixel_size_um  # a large fiber: the edge looks like within
    low, high = np.array([-rim, -rim]), np.array([cols + rim, rows + rim])
    spots = rng.uniform(low, high, (20000, 2))
    inside = fascicle.depth(*spots.T) > 0
    area = np.prod(high - low) * inside.mean() * rng.uniform(*PACKING[look])

    (share, small_um, _), _ = population = DIAMETERS_UM[look]
    share += rng.uniform(-SHARE_SHIFT, SHARE_SHIFT)
    count = int(2 * area * (pixel_size_um / small_um) ** 2) + 20  # more than will find room
    _, median, spread = np.array(population)[(rng.random(count) > share).astype(int)].T
    diameter = rng.uniform(*SCALE_RANGE) * median * np.exp(spread * rng.standard_normal(count))
    diameter = np.clip(diameter, *DIAMETER_RANGE_UM)

    kind = np.full(count, "healthy", dtype="<U9")
    kind[(diameter > np.median(diameter)) & (rng.random(count) < 0.15)] = "infolded"
    if "diseased" in scenes:
        sick = rng.random(count) < rng.uniform(0.1, 0.3)
        kind[sick] = rng.choice(["swollen", "collapsed"], sick.sum(), p=[0.7, 0.3])
        diameter[kind == "collapsed"] *= 0.75
        diameter[kind == "swollen"] *= rng.uniform(1.1, 1.5, (kind == "swollen").sum())
    remak, cell = OTHERS[look]["share"]
    dice = rng.random(count)
    kind[dice < remak + cell] = "cell"
    kind[dice < remak] = "remak"
    other = dice < remak + cell
    diameter[other] = rng.uniform(*OTHERS[look]["diameter_um"], other.sum())
    if "vessel" in scenes:
        kind[:2] = "vessel"
        diameter[:2] = rng.uniform(7, 14, 2)
    # What could not be resolved in such a picture is left out.
    large = diameter > (THINNEST_AXON_PX + 2 * THINNEST_SHEATH_PX) * pixel_size_um
    kind, radius = kind[large], diameter[large] / 2 / pixel_size_um
    room = np.cumsum(np.pi * radius**2) < area
    kind, radius = kind[room], radius[room]

    centers = rng.choice(spots[inside] if inside.any() else spots, len(radius))
    centers += rng.normal(0, 0.1, centers.shape)  # spots drawn twice would coincide
    # Thin fibers lie in groups: sizes loosely follow slow waves across the nerve.
    waves_per_px = rng.normal(0, 0.1 * pixel_size_um, (2, 3))
    height = np.sin(centers @ waves_per_px + rng.uniform(0, 2 * np.pi, 3)).sum(axis=1)
    order = np.argsort(height + rng.normal(0, 2.5, len(radius)))
    centers[np.argsort(radius)] = centers[order]
    return kind, radius, centers, low, high


def push_apart(centers, radius, low, high, fascicle):
    """Push overlapping discs apart, within a rectangle and the fascicle; returns new centers."""
    centers, true_radius = centers.copy(), radius
    for step in range(200):
        # Larger at first: the crowd spreads evenly before the discs find their places.
        radius = true_radius * max(1.0, 1.5 - step / 240)
        if step % 8 == 0:
            i, j = pairs(centers, radius, 1.4)
        across = centers[j] - centers[i]
        distance = np.maximum(np.hypot(*across.T), 1e-3)
        overlap = np.maximum(0, radius[i] + radius[j] - distance)
        push = 0.5 * (overlap / distance)[:, None] * across
        give = (radius[j] ** 2 / (radius[i] ** 2 + radius[j] ** 2))[:, None]
        for axis in (0, 1):
            centers[:, axis] -= np.bincount(i, (push * give)[:, axis], len(radius))
            centers[:, axis] += np.bincount(j, (push * (1 - give))[:, axis], len(radius))
        if fascicle.present:
            outside = np.maximum(0, radius - fascicle.depth(*centers.T))
            inward = fascicle.center - centers
            centers += 0.7 * outside[:, None] * inward / np.hypot(*inward.T)[:, None]
        centers = np.clip(centers, low, high)
    return centers


def pairs(centers, radius, reach):
    """Return indices i, j of discs nearer to each other than `reach` times the sum of radii.

    Each pair once, i the larger disc: it is looked for within the larger disc's own reach, as one
    search radius for all would find far too many.
    """
    from scipy.spatial import cKDTree

    if not len(radius):  # a small frame beside a fascicle
        return np.zeros((2, 0), int)
    near = cKDTree(centers).query_ball_point(centers, 2 * reach * radius)
    i = np.repeat(np.arange(len(radius)), [len(row) for row in near])
    j = np.concatenate(near).astype(int)
    close = np.hypot(*(centers[i] - centers[j]).T) < reach * (radius[i] + radius[j])
    close &= (radius[j] < radius[i]) | ((radius[j] == radius[i]) & (j < i))
    return i[close], j[close]


def power_cells(centers, radius, gap_px):
    """Return the radius of each disc's power cell less half the gap, (n, DIRECTIONS), and a flag.

    Sides of power cells (Aurenhammer 1987, SIAM J Comput 16:78) lie where the powers of two discs
    are equal, which is where overlapping discs cut each other. False in the flag marks
    discs so deep inside a neighbour that little would be left of them.
    """
    i, j = pairs(centers, radius + gap_px, 1.5)
    i, j = np.concatenate([i, j]), np.concatenate([j, i])
    distance = np.maximum(np.hypot(*(centers[j] - centers[i]).T), 1e-3)
    side = (distance**2 + radius[i] ** 2 - radius[j] ** 2) / (2 * distance) - gap_px[i] / 2
    crushed = side < 0.45 * radius[i]
    crushed &= (radius[i] < radius[j]) | (side < 1)
    alive = np.ones(len(radius), bool)
    alive[i[crushed]] = False
    use = alive[i] & alive[j]
    i, j, side = i[use], j[use], side[use]
    order = np.argsort(i, kind="stable")
    i, j, side = i[order], j[order], side[order]
    across = centers[j] - centers[i]
    facing = np.cos(ANGLES - np.arctan2(across[:, 1], across[:, 0])[:, None])
    rays = np.where(facing > 0.02, side[:, None] / np.maximum(facing, 0.02), np.inf)
    limit = np.full((len(radius), DIRECTIONS), np.inf)
    first = np.flatnonzero(np.diff(i, prepend=-1))
    if len(first):
        limit[i[first]] = np.minimum.reduceat(rays, first, axis=0)
    return limit, alive & (limit.min(axis=1) > 0.3 * radius)


def fiber_outlines(radius, kind, limit, rng):
    """Return the outer outlines, radii (n, DIRECTIONS) in px: wavy discs within their cells."""
    count = len(radius)
    spreads = {2: 0.10, 3: 0.06, 4: 0.04, 5: 0.03, 6: 0.022, 7: 0.018, 9: 0.012, 11: 0.008}
    wave = waves(count, spreads, rng)
    notch = np.where(rng.random(count) < 0.10, rng.uniform(0.15, 0.4, count), 0)
    notch[~np.isin(kind, ("healthy", "infolded"))] = 0
    turn = ANGLES - rng.uniform(0, 2 * np.pi, (count, 1))
    wave -= notch[:, None] * np.exp((np.cos(turn) - 1) / rng.uniform(0.03, 0.12, (count, 1)))
    wave[np.isin(kind, ("swollen", "vessel", "collapsed"))] *= 0.6  # under tension: rounder
    # A little larger than the disc: the discs only just touch, the fibers press.
    grown = np.where(np.isin(kind, ("remak", "cell")), 1.4, 1.05) * radius  # cells fill gaps
    round_cell = np.minimum(smooth(np.minimum(grown[:, None], limit), 3.5), limit)
    return np.minimum(smooth(np.minimum(round_cell * (1 + wave), limit), 10), limit)


def slopes(radii):
    """Return the cosine of the angle between outline normal and radius, (n, DIRECTIONS)."""
    slope = (np.roll(radii, -1, 1) - np.roll(radii, 1, 1)) / (4 * np.pi / DIRECTIONS)
    return 1 / np.sqrt(1 + (slope / radii) ** 2)


def areas(radii):
    """Return the area within outlines whose radius is linear between directions, (n,) px²."""
    after = np.roll(radii, -1, 1)
    return (radii**2 + radii * after + after**2).sum(1) * (2 * np.pi / DIRECTIONS) / 6


def axon_outlines(outer, kind, g_ratio, rng):
    """Return the axon outlines, radii (n, DIRECTIONS) in px, whose areas give `g_ratio`."""
    count = len(outer)
    uneven = waves(count, {1: 0.12, 2: 0.08, 3: 0.06, 5: 0.03, 7: 0.025, 9: 0.02}, rng)
    uneven *= np.minimum(1, 0.7 * g_ratio / (1 - g_ratio))[:, None]  # a small axon is no star
    profile = np.maximum(1 + uneven, 0.5) / np.maximum(slopes(outer), 0.55)
    buds = np.zeros((count, DIRECTIONS))
    for _ in range(2):  # infoldings: round buds of the sheath, reaching into the axon
        size = outer.mean(1) * rng.uniform(0.14, 0.24, count) * (kind == "infolded")
        size *= rng.random(count) < 0.7
        far = outer.mean(1) * g_ratio * rng.uniform(0.75, 1.05, count)
        turn = ANGLES - rng.uniform(0, 2 * np.pi, (count, 1))
        across = far[:, None] * np.sin(turn)
        hit = (np.abs(across) < size[:, None]) & (np.cos(turn) > 0)
        near = far[:, None] * np.cos(turn) - np.sqrt(np.maximum(0, size[:, None] ** 2 - across**2))
        buds = np.maximum(buds, np.where(hit, outer - near, 0))
    least = np.maximum(0.12 * outer, 1.3)

    def inner(depth):
        sheath = np.maximum(smooth(np.maximum(depth[:, None] * profile, buds), 16), 0.0)
        sheath = np.maximum(sheath, THINNEST_SHEATH_PX / np.maximum(slopes(outer), 0.4))
        return np.maximum(outer - sheath, least)

    low, high = np.zeros(count), outer.max(1)
    target = g_ratio**2 * areas(outer)
    for _ in range(25):  # bisection: the axon shrinks as the sheath grows
        middle = (low + high) / 2
        large = areas(inner(middle)) > target
        low, high = np.where(large, middle, low), np.where(large, high, middle)
    return inner(high)


def draw_geometry(rows, cols, pixel_size_um, look, scenes, fascicle, rng):
    """Return the bodies of one picture: dict of kind, centers, outer, inner (px), n rows each."""
    kind, radius, centers, low, high = draw_discs(
        rows, cols, pixel_size_um, look, scenes, fascicle, rng
    )
    centers = push_apart(centers, radius, low, high, fascicle)
    inside = fascicle.depth(*centers.T) > 0.6 * radius
    kind, radius, centers = kind[inside], radius[inside], centers[inside]
    gap_px = rng.uniform(*GAP_PX, len(radius))
    limit, keep = power_cells(centers, radius, gap_px)
    kind, radius, centers, limit = kind[keep], radius[keep], centers[keep], limit[keep]
    outer = fiber_outlines(radius, kind, limit, rng)

    size_um = 2 * np.sqrt(areas(outer) / np.pi) * pixel_size_um
    g_ratio = np.interp(size_um, *G_RATIO[look]) + rng.uniform(*G_SHIFT[look])
    g_ratio += G_SPREAD * rng.standard_normal(len(kind))
    swollen, vessel = kind == "swollen", kind == "vessel"
    g_ratio[swollen] = rng.uniform(0.28, 0.5, swollen.sum())
    g_ratio[vessel] = rng.uniform(0.72, 0.82, vessel.sum())
    inner = axon_outlines(outer, kind, np.clip(g_ratio, 0.28, 0.84), rng)
    inner[np.isin(kind, ("collapsed", "remak", "cell"))] = 0
    # What a person could not resolve is not drawn, so that the table holds no invisible fiber.
    seen = (inner[:, 0] == 0) | (2 * np.sqrt(areas(inner) / np.pi) >= THINNEST_AXON_PX)
    # A small fiber crushed between large ones gives way along the nerve: not seen, either.
    seen &= areas(outer) > 0.75 * np.pi * radius**2
    seen &= (outer - inner).min(axis=1) >= 0.99 * THINNEST_SHEATH_PX
    names, values = ("kind", "centers", "outer", "inner"), (kind, centers, outer, inner)
    return {name: value[seen] for name, value in zip(names, values, strict=True)}


# ---------------------------------------------------------------- picture


def background(fascicle, pixel_size_um, tones, scenes, shape, rng):
    """Draw what lies between and around the fibers, float32 grey levels of `shape`.

    Endoneurium inside the fascicle; its layered wall, the perineurium; dark connective tissue and
    fat cells outside.
    """

    def px(um):
        return um / pixel_size_um

    grain = noise(shape, px(0.22), rng) + 0.6 * noise(shape, px(0.8), rng)
    patches = noise(shape, px(6), rng)
    ground = tones["ground"] + 0.16 * (tones["cell"] + 20) * (grain + 0.4 * patches)
    # Where thin unmyelinated axons lie between the fibers, the ground is paler and granular.
    bundles = tones["cell"] * (0.5 + 0.6 * cells(shape, px(0.55), rng))
    ground += (bundles - ground) * np.clip(1.5 * (patches - 0.6), 0, 1)
    if not fascicle.present:
        return ground
    y, x = np.indices(shape, np.float32)
    depth = fascicle.depth(x, y).astype(np.float32)
    dark = 0.35 * tones["ground"]
    gap, wall = px(rng.uniform(0.5, 2.5)), px(rng.uniform(2, 6))
    ground += (dark - ground) * np.clip((px(1.0) - depth) / px(0.5), 0, 1)

    streaks = np.abs(noise(shape, px(1.2), rng)) < 0.06  # collagen bundles, seen lengthwise
    wisps = streaks * np.clip(noise(shape, px(2), rng) - 0.5, 0, 1)
    outside = dark * (1 + 0.15 * grain) + 0.8 * tones["cell"] * wisps
    layers = noise((1, int(depth.max() - depth.min()) + 40), max(0.7, px(0.25)), rng)[0]
    rank = depth - depth.min() + 3 * noise(shape, px(2.5), rng) + 15
    lamellae = layers[np.clip(rank, 0, len(layers) - 1).astype(int)]
    band = 1.1 * tones["cell"] + 9 * lamellae + 4 * noise(shape, px(0.3), rng)
    ripple = px(0.35) * noise(shape, px(3), rng)
    below = np.clip(-depth - gap + ripple, 0, 1)
    beyond = np.clip(-depth - gap - wall + ripple, 0, 1)
    ground += (band - ground) * below
    ground += (outside - ground) * beyond
    if "fat" in scenes:
        draw_fat(ground, depth, gap + wall, px, tones, rng)
    return ground


def draw_fat(ground, depth, wall_px, px, tones, rng):
    """Draw fat cells outside the wall into `ground`: smooth, grey, with dark droplets."""
    rows, cols = ground.shape
    for _ in range(40):
        x, y, radius = rng.uniform(0, cols), rng.uniform(0, rows), px(rng.uniform(6, 16))
        outline = np.maximum(radius * (1 + waves(1, {2: 0.08, 3: 0.04}, rng))[0], 2)
        found = polar(x, y, outline, ground.shape)
        if found is None:
            continue
        window, rho, out, normal = found
        cover = np.clip((out - rho) * normal + 0.5, 0, 1)
        if (depth[window][cover > 0] > -wall_px - 2).any():
            continue  # it would overlap the wall or a fiber
        tone = rng.uniform(0.9, 1.5) * tones["cell"]
        value = tone + 12 * (rho < out - px(0.5)) * (rho / radius - 1)
        drops = noise(value.shape, max(0.7, px(0.22)), rng) + noise(value.shape, px(3), rng)
        value = value - 0.8 * tone * np.clip(2 * (drops - 1.4), 0, 1) * (rho < 0.9 * out)
        ground[window] += (value - ground[window]) * cover
        depth[window][cover > 0] = np.inf  # taken, for the next one


def polar(x, y, outline, shape):
    """Return a body's window (slices), pixel distances from x, y, and there outline and cosine.

    `outline` is radii (DIRECTIONS,) or several stacked (k, DIRECTIONS), the first being the
    outermost; the two last results have the same number of leading axes. None: out of the picture.
    """
    reach = np.max(outline) + 2
    top, left = max(0, int(y - reach)), max(0, int(x - reach))
    bottom, right = min(shape[0], int(y + reach) + 2), min(shape[1], int(x + reach) + 2)
    if top >= bottom or left >= right:
        return None
    dy = (np.arange(top, bottom) - y)[:, None]
    dx = (np.arange(left, right) - x)[None]
    rho = np.sqrt(dx * dx + dy * dy)
    step = np.arctan2(dy, dx) % (2 * np.pi) * (DIRECTIONS / (2 * np.pi))
    index = np.minimum(step.astype(np.intp), DIRECTIONS - 1)
    part = step - index
    radii = np.atleast_2d(outline)
    normal = slopes(np.maximum(radii, 1e-3))
    here = [row[index] + (np.roll(row, -1) - row)[index] * part for row in (*radii, *normal)]
    here = np.array(here).reshape(2, *np.shape(outline)[:-1], *rho.shape)
    return (slice(top, bottom), slice(left, right)), rho, here[0], here[1]


def draw_bodies(bodies, ground, tones, pixel_size_um, rng):
    """Paint the bodies on `ground` and return the number of the fiber at each pixel.

    Returns
    -------
    grey : float32 array (rows, cols)
    fiber, axon : int32 arrays (rows, cols)
        Index of the body + 1 where a pixel's centre lies within its outline or its axon.
    """
    shape = ground.shape
    fiber, axon = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    cover, paint = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    cytoplasm = np.zeros(shape, np.float32)
    fine = noise(shape, max(0.6, 0.12 / pixel_size_um), rng)
    blotch = noise(shape, max(0.8, 0.5 / pixel_size_um), rng)
    remak = cells(shape, 0.55 / pixel_size_um, rng)
    specks = np.where(rng.random(shape) < 0.45 * pixel_size_um**2, 1.0, 0).astype(np.float32)
    specks *= rng.exponential(1.0, shape)  # mitochondria in the axon, some half below the surface
    sigma = max(0.5, 0.13 / pixel_size_um)
    specks = cv2.GaussianBlur(specks, (0, 0), sigma) * (2 * np.pi * sigma**2)

    for number, kind in enumerate(bodies["kind"], 1):
        center, outer, inner = (bodies[name][number - 1] for name in ("centers", "outer", "inner"))
        halo = outer.mean() * rng.uniform(0.02, 0.05) + 1
        if rng.random() < 0.3:  # the Schwann cell's nucleus or cytoplasm bulges at one side
            bulge = np.exp((np.cos(ANGLES - rng.uniform(0, 6.3)) - 1) / rng.uniform(0.1, 0.4))
            halo = halo + outer.mean() * rng.uniform(0.15, 0.4) * bulge
        found = polar(*center, np.stack([outer + halo, outer, inner]), shape)
        if found is None:
            continue
        window, rho, (skin, out, into), (_, out_normal, into_normal) = found
        if kind == "remak":  # a bundle of thin axons ends in loose tissue, not at a line
            warped = out * (0.95 + 0.12 * blotch[window])
            whole = np.clip((warped - rho) * pixel_size_um / 0.5, 0, 1)
        else:
            whole = np.clip((out - rho) * out_normal + 0.5, 0, 1)
        core = np.clip((into - rho) * into_normal + 0.5, 0, 1) if inner[0] else 0 * rho
        if kind not in ("remak", "cell"):
            film = np.clip(skin - rho, 0, 1) * rng.uniform(0.6, 1.0)
            cytoplasm[window] = np.maximum(cytoplasm[window], film)
        noises = fine[window], blotch[window], remak[window], specks[window]
        wall, lumen = body_tones(kind, rho, out, into, noises, tones, pixel_size_um, rng)
        paint[window] += whole * (wall + (lumen - wall) * core)
        cover[window] += whole
        if kind in FIBER_KINDS:
            fiber[window][rho < out] = number
            within = (rho < into).astype(np.uint8)
            _, parts, sizes, _ = cv2.connectedComponentsWithStats(within, connectivity=4)
            # A tip of the axon thinner than a pixel may come apart from it: no axon of its own.
            axon[window][(within > 0) & (sizes[parts, cv2.CC_STAT_AREA] > 4)] = number
    tint = tones["cell"] * (0.9 + 0.1 * blotch + 0.08 * fine)
    ground = ground + (tint - ground) * cytoplasm
    return ground * (1 - np.minimum(cover, 1)) + paint, fiber, axon


def body_tones(kind, rho, out, into, noises, tones, pixel_size_um, rng):
    """Return the grey levels of a body's wall and of what the wall encloses, over its window."""
    fine, blotch, remak, specks = noises
    cell = tones["cell"] * rng.uniform(0.85, 1.15)
    if kind == "remak":
        return cell * (0.55 + 0.6 * remak + 0.08 * blotch), 0
    if kind == "cell":
        chromatin = np.clip((0.75 * out - rho) / 2, 0, 1) * 0.2 * np.tanh(blotch)
        return cell * (0.95 + 0.08 * fine + chromatin), 0
    if kind == "vessel":
        return cell * (1 + 0.12 * blotch), 0.4 * tones["ground"] + 0 * rho
    contrast = tones["myelin"] - tones["axon"]
    texture = 0.035 * rng.standard_normal() + 0.015 * fine + 0.02 * blotch
    wall = tones["myelin"] + contrast * texture
    if rng.random() < 0.1:
        wall = wall - rng.uniform(0.1, 0.25) * contrast  # paler sheaths occur in every nerve
    outward = (rho - into) / np.maximum(out - into, 1)
    if kind == "healthy" and rng.random() < 0.07:  # an incisure: a line, greyer within
        edge = rng.uniform(0.35, 0.65) + 0.06 * blotch
        line = np.exp(-(((outward - edge) / 0.09) ** 2))
        wall = wall - contrast * (0.25 * line + 0.12 * (outward < edge))
    if kind == "collapsed":
        mottle = 0.5 + 0.5 * np.tanh(blotch + 0.5)
        inside = np.clip((0.9 * out - rho) / (0.2 * out), 0, 1)
        return wall - contrast * inside * (0.03 + 0.25 * mottle), 0
    clefts = rng.uniform(0.02, 0.10) if kind == "swollen" else 0.004 * rng.exponential()
    wall = wall - 0.8 * contrast * split(rho, out, into, clefts, pixel_size_um, rng)
    lumen = tones["axon"] + 0.02 * contrast * (blotch + fine) + 0.4 * contrast * specks
    if rng.random() < (0.4 if kind == "swollen" else 0.04):
        lumen = lumen + rng.uniform(0.05, 0.3) * contrast
    return wall, lumen


def split(rho, out, into, fraction, pixel_size_um, rng):
    """Return splits between the lamellae, 0..1 over a window: small dashes along the sheath."""
    marks = np.zeros(rho.shape, np.uint8)
    area = ((rho < out) & (rho > into)).sum() * pixel_size_um**2
    spots = np.argwhere((rho < out - 0.25 / pixel_size_um) & (rho > into + 0.25 / pixel_size_um))
    count = min(rng.poisson(fraction * area / 0.12), len(spots))
    if not count:
        return marks
    middle = np.unravel_index(rho.argmin(), rho.shape)  # for fibers cut by the edge: near enough
    for y, x in spots[rng.integers(len(spots), size=count)]:
        along = np.degrees(np.arctan2(y - middle[0], x - middle[1])) + 90
        size = rng.uniform((0.24, 0.10), (0.80, 0.28)) * rng.lognormal(0, 0.3) / pixel_size_um
        box = ((float(x), float(y)), np.maximum(size, 0.8).tolist(), float(along))
        cv2.ellipse(marks, box, int(rng.integers(120, 256)), -1, cv2.LINE_AA)
    return marks / 255


def photograph(grey, pixel_size_um, look, rng):
    """Blur, light unevenly, add noise: float32 (rows, cols) grey levels to uint8."""
    sigma = np.clip(rng.uniform(*BLUR_UM) / pixel_size_um, 0.5, 2.5)
    grey = cv2.GaussianBlur(grey, (0, 0), sigma)
    sharpen = rng.uniform(0, 0.5) if look == "light" else 0
    grey = grey + sharpen * (grey - cv2.GaussianBlur(grey, (0, 0), 1.5 * sigma))
    light = noise(grey.shape, 0.6 * max(grey.shape), rng)
    grey = grey * (1 + 0.05 * np.clip(light, -2, 2))
    if look == "electron":  # charging brightens whole regions, scan lines differ a little
        grey = grey + 6 * noise(grey.shape, 0.15 * max(grey.shape), rng)
        grey = grey + rng.normal(0, 1.0, (grey.shape[0], 1))
    strength = rng.uniform(*NOISE[look])
    grey = grey + strength * noise(grey.shape, rng.uniform(0.3, 0.8), rng)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def margins(shape, rng):
    """Return where a frame is empty, bool `shape`: one or two edges, the second one in part."""
    empty = np.zeros(shape, bool)
    for part in (1.0, rng.uniform(0.3, 0.7))[: rng.integers(1, 3)]:
        turn = int(rng.integers(4))
        side = np.rot90(empty, turn)  # a view: what is set here is set in `empty`
        width = int(side.shape[0] * rng.uniform(0.08, 0.35))
        side[:width, : int(side.shape[1] * part)] = True
    return empty


def measure(bodies, fiber, empty, pixel_size_um):
    """Return the table of the fibers in view, dict of columns."""
    shown = np.unique(fiber[~empty])
    index = shown[shown > 0] - 1
    cut = np.zeros(len(bodies["kind"]) + 1, bool)
    framed = np.pad(empty, 1, constant_values=True).astype(np.uint8)
    near = cv2.dilate(framed, np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    cut[np.unique(fiber[near])] = True
    fiber_area = areas(bodies["outer"][index]) * pixel_size_um**2
    axon_area = areas(bodies["inner"][index]) * pixel_size_um**2
    axon_area[bodies["kind"][index] == "collapsed"] = np.nan
    fiber_diameter, axon_diameter = 2 * np.sqrt([fiber_area / np.pi, axon_area / np.pi])
    columns = (
        np.arange(1, len(index) + 1),
        *bodies["centers"][index].T,
        axon_area,
        axon_diameter,
        fiber_area,
        fiber_diameter,
        fiber_area - np.nan_to_num(axon_area),
        (fiber_diameter - axon_diameter) / 2,
        axon_diameter / fiber_diameter,
        cut[index + 1],
        bodies["kind"][index],
    )
    return dict(zip(COLUMNS, columns, strict=True))


def draw_nerve(rows, cols, pixel_size_um, rng, myelin="bright", look="light", scenes="random"):
    """Draw one nerve cross-section.

    Parameters
    ----------
    rows, cols : int
        Size of the picture.
    pixel_size_um : float
        µm per pixel, 0.02 to 0.5.
    rng : numpy.random.Generator
        The same state draws the same picture.
    myelin : {"bright", "dark", "mixed"}
    look : {"light", "electron", "mixed"}
        Inverted light microscopy of a peripheral nerve, or scanning electron microscopy of white
        matter. "mixed" chooses at random.
    scenes : "random" or collection of str
        Difficult contents, of `SCENES`; "random" takes each with its probability there.

    Returns
    -------
    image : uint8 array, (rows, cols)
    mask : bool array, (rows, cols)
        Myelin. Splits and vacuoles within a sheath count as myelin, as when drawn by hand.
    fibers : dict of arrays
        The columns of morphometry.py's table that apply, µm: see `COLUMNS`. Areas are those of the
        whole continuous outlines, also where a fiber is cut by the picture's edge or a black
        margin (`touches_border`). x_px, y_px is a point inside the axon. A collapsed
        fiber (`kind`) has no axon: NaN there.

    Raises
    ------
    UserError
        A name or a number out of range.

    Examples
    --------
    >>> image, mask, fibers = draw_nerve(200, 300, 0.1, np.random.default_rng(1))
    >>> image.shape, mask.dtype
    ((200, 300), dtype('bool'))
    >>> bool(np.median(image[mask]) > np.median(image[~mask]))
    True
    """
    myelin = choose("myelin", myelin, ("bright", "dark"), rng)
    look = choose("look", look, tuple(GREY), rng)
    if isinstance(scenes, str) and scenes == "random":
        scenes = {name for name, share in SCENES.items() if rng.random() < share}
    if unknown := sorted(set(scenes) - set(SCENES)):
        raise UserError(f"scenes: {', '.join(unknown)}, choose from {', '.join(SCENES)}")
    if not 0.02 <= pixel_size_um <= 0.5:
        raise UserError(f"pixel size: {pixel_size_um:g} µm, choose 0.02 to 0.5")
    if min(rows, cols) < 64 or max(rows, cols) > 8192:
        raise UserError(f"size: {rows} x {cols}, choose 64 to 8192 rows and columns")

    shape = (rows, cols)
    bundled = not {"perineurium", "fat"}.isdisjoint(scenes)
    reach = (-0.25, 0.05) if "fat" in scenes else (-0.05, 0.3)  # fat cells need room outside
    fascicle = Fascicle(rows, cols, pixel_size_um, bundled, reach, rng)
    bodies = draw_geometry(rows, cols, pixel_size_um, look, scenes, fascicle, rng)
    tones = {name: rng.uniform(*span) for name, span in GREY[look].items()}
    ground = background(fascicle, pixel_size_um, tones, scenes, shape, rng)
    grey, fiber, axon = draw_bodies(bodies, ground, tones, pixel_size_um, rng)
    image = photograph(grey.astype(np.float32), pixel_size_um, look, rng)
    if myelin == "dark":
        image = 255 - image
    empty = margins(shape, rng) if "margin" in scenes else np.zeros(shape, bool)
    image[empty] = 0 if myelin == "bright" or rng.random() < 0.5 else 255
    mask = (fiber > 0) & (axon == 0) & ~empty
    return image, mask, measure(bodies, fiber, empty, pixel_size_um)


def choose(what, value, choices, rng):
    """Return `value`, one of `choices`, or for "mixed" one of them at random."""
    if value == "mixed":
        return str(rng.choice(choices))
    if value not in choices:
        raise UserError(f"{what}: {value}, choose {', '.join(choices)} or mixed")
    return value


# ---------------------------------------------------------------- files


def write_table(path, fibers):
    """Write the fibers' columns as CSV, missing values empty."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in zip(*(fibers[name] for name in COLUMNS), strict=True):
            writer.writerow(
                format(value, ".6g").replace("nan", "") if isinstance(value, float) else value
                for value in row
            )


def refuse_to_overwrite(folder, stems):
    """Raise a UserError naming every file in the way that this script did not write.

    Its own pictures are those with its table beside them.
    """
    mistakes = []
    for stem in stems:
        table = folder / f"{stem}_fibers.csv"
        if table.is_file():
            head = table.read_bytes()[:1000].decode(errors="replace").splitlines()[:1]
            if head == [",".join(COLUMNS)]:
                continue
        names = [f"{stem}{part}{suffix}" for part in ("", "_mask") for suffix in sorted(SUFFIXES)]
        for path in [table, *(folder / name for name in names)]:
            if path.exists():
                mistakes.append(
                    f"{path}: exists and was not made by synthetic.py, move it away or give --force"
                )
    if mistakes:
        raise UserError(*mistakes)


def count(text):
    """Return a number of pictures from the command line."""
    if not text.isdecimal() or int(text) > 9999:
        raise argparse.ArgumentTypeError(f"{text!r} is no count, give a whole number up to 9999")
    return int(text)


def build_parser():
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--train", type=count, default=6, metavar="N", help="pictures for raw/train (default 6)")
    add("--test", type=count, default=2, metavar="N", help="pictures for raw/test (default 2)")
    add("--seed", type=count, default=1, help="another seed, other pictures (default 1)")
    add(
        "--size",
        type=count,
        nargs=2,
        default=(512, 512),
        metavar=("ROWS", "COLS"),
        help="size in pixels, 64 to 8192 (default 512 512)",
    )
    add(
        "--pixel-size",
        type=check_pixel_size,
        default=0.1,
        metavar="UM",
        help="µm per pixel, 0.02 to 0.5; kept in the TIFFs (default 0.1)",
    )
    add(
        "--myelin",
        choices=("bright", "dark", "mixed"),
        default="bright",
        help="how myelin looks; mixed: drawn for each picture (default bright)",
    )
    add(
        "--look",
        choices=("light", "electron", "mixed"),
        default="light",
        help="light: inverted light microscopy of peripheral nerve; electron: scanning electron "
        "microscopy of white matter (default light)",
    )
    add(
        "--scenes",
        nargs="+",
        choices=("random", "none", "all", *SCENES),
        default=["random"],
        metavar="NAME",
        help="difficult contents of every picture: none, all, or some of "
        f"{', '.join(SCENES)}; random: each in a part of the pictures (default random)",
    )
    add("--force", action="store_true", help="overwrite files of the same name that others made")
    return parser


@script
def main(argv=None):
    """Draw pictures, masks and tables into `raw/train` and `raw/test`."""
    args = build_parser().parse_args(argv)
    if args.train + args.test == 0:
        raise UserError("--train 0 --test 0: nothing to draw, ask for one picture at least")
    scenes = {"random": "random", "none": (), "all": SCENES}.get(args.scenes[0], args.scenes)
    if len(args.scenes) > 1 and not set(args.scenes) <= set(SCENES):
        raise UserError(f"--scenes {' '.join(args.scenes)}: random, none and all stand alone")

    jobs = []
    for folder, prefix, wanted in (
        (RAW_TRAIN, "synthetic", args.train),
        (RAW_TEST, "synthetic_test", args.test),
    ):
        stems = [f"{prefix}_{number:02d}" for number in range(1, wanted + 1)]
        if not args.force:
            refuse_to_overwrite(folder, stems)
        jobs += [(folder, stem, number) for number, stem in enumerate(stems, 1)]
    total = 0
    for folder, stem, number in progress(jobs, "drawing"):
        # One generator per picture: the third is the same whether three are drawn or thirty.
        rng = np.random.default_rng([args.seed, folder == RAW_TEST, number])
        image, mask, fibers = draw_nerve(
            *args.size, args.pixel_size, rng, args.myelin, args.look, scenes
        )
        # The table first: it marks the pictures as ours should the next lines be interrupted.
        write_table(folder / f"{stem}_fibers.csv", fibers)
        write_image(folder / f"{stem}.tif", image, args.pixel_size)
        write_image(folder / f"{stem}_mask.tif", mask * np.uint8(255), args.pixel_size)
        total += len(fibers["fiber"])
    print(
        f"{len(jobs)} pictures with {total:,} fibers drawn: {args.train} in {RAW_TRAIN}, "
        f"{args.test} in {RAW_TEST}"
    )


if __name__ == "__main__":
    main()
