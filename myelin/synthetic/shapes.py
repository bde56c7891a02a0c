"""Shapes in a synthetic nerve: which fibers and cells there are, where, and their outlines.

Discs with the diameters of nerve fibers are pushed apart until they hardly overlap; each is
deformed and cut at its power cell, which presses neighbours flat against each other as in a nerve;
the axon is that outline moved inwards. An outline is a radius for each direction from a point
inside: n outlines are an array (n, DIRECTIONS), in pixels.
"""

from dataclasses import dataclass

import numpy as np

from myelin.synthetic.looks import Array, Rng, Section

# How far the shares, and all diameters by a factor, differ between images; set by eye.
SHARE_SHIFT, SCALE_RANGE = 0.2, (0.8, 1.2)
DIAMETER_RANGE_UM = (0.8, 16.0)
G_SPREAD = 0.045  # between fibers of one size, by eye
# Bodies that a scene adds: kind, number, diameters (µm), largest part of the image's side.
GUESTS = {"vessel": ("vessel", 2, (7, 14), np.inf)}
GUESTS |= {"blood": ("vessel", 4, (6, 26), 0.25), "mast": ("mast", 3, (7, 13), 0.2)}
# Sheaths 1.5 px apart (more than the square root of 2) never touch in the mask, even diagonally.
GAP_PX = (1.5, 3.0)
THINNEST_SHEATH_PX = 1.6  # for the same reason: a ring without a leak
THINNEST_AXON_PX = 4.0  # diameter; smaller ones cannot be resolved
DIRECTIONS = 180  # radii per outline; straight sides deviate by under 0.01 px at 60 px radius
ANGLES = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
# The other kinds have no myelin: "cell", "vessel", "mast", "remak" (a bundle of thin axons).
FIBER_KINDS = ("healthy", "infolded", "swollen", "collapsed")


# ---------------------------------------------------------------- outlines


def waves(count: int, spreads: dict[int, float], rng: Rng) -> Array:
    """Return sums of random cosines, (count, DIRECTIONS); `spreads` is {frequency: deviation}."""
    total = np.zeros((count, DIRECTIONS))
    for frequency, spread in spreads.items():
        phase = rng.uniform(0, 2 * np.pi, (count, 1))
        total += rng.normal(0, spread, (count, 1)) * np.cos(frequency * ANGLES + phase)
    return total


def smooth(radii: Array, frequencies: float) -> Array:
    """Return radii (n, DIRECTIONS) with directions averaged: a Gaussian low-pass."""
    spectrum = np.fft.rfft(radii, axis=1)
    spectrum *= np.exp(-0.5 * (np.arange(spectrum.shape[1]) / frequencies) ** 2)
    return np.fft.irfft(spectrum, DIRECTIONS, axis=1)


def slopes(radii: Array) -> Array:
    """Return the cosine of the angle between outline normal and radius, (n, DIRECTIONS)."""
    slope = (np.roll(radii, -1, 1) - np.roll(radii, 1, 1)) / (4 * np.pi / DIRECTIONS)
    return 1 / np.sqrt(1 + (slope / radii) ** 2)


def areas(radii: Array) -> Array:
    """Return the area within outlines whose radius is linear between directions, (n,) px²."""
    after = np.roll(radii, -1, 1)
    return (radii**2 + radii * after + after**2).sum(1) * (2 * np.pi / DIRECTIONS) / 6


# ---------------------------------------------------------------- the scene


class Fascicle:
    """The border of the nerve bundle, a wavy circle seen in part; all is inside if not present."""

    def __init__(self, section: Section) -> None:
        rng, contents = section.rng, section.contents
        self.present = not {"perineurium", "fat"}.isdisjoint(contents)
        self.radius = section.px(rng.uniform(60, 250))
        heading = rng.uniform(0, 2 * np.pi)
        outward = np.array([np.cos(heading), np.sin(heading)])
        reach = (-0.25, 0.05) if "fat" in contents else (-0.05, 0.3)  # fat cells need room outside
        reach = rng.uniform(*reach) * min(section.shape)
        self.center = np.array(section.shape[::-1]) / 2 + (reach - self.radius) * outward
        self.waves = [(k, rng.normal(0, 0.04 / k), rng.uniform(0, 6.3)) for k in (3, 5, 9, 14)]

    def depth(self, x: Array, y: Array) -> Array:
        """Return the distance (px) of points from the border; negative outside."""
        if not self.present:
            return np.full(np.shape(x), np.inf)
        dx, dy = x - self.center[0], y - self.center[1]
        angle = np.arctan2(dy, dx)
        wave = sum(size * np.cos(k * angle + phase) for k, size, phase in self.waves)
        return self.radius * (1 + wave) - np.hypot(dx, dy)


@dataclass
class Discs:
    """Discs that are to become bodies; lengths in px, the middle of the first pixel is 0, 0."""

    kind: Array  # str, (n,)
    radius: Array  # (n,)
    centers: Array  # x, y, (n, 2)
    low: Array  # corners of the area that they lie in, (2,)
    high: Array


@dataclass
class Bodies:
    """Fibers and cells of one image; lengths in px."""

    kind: Array  # str, (n,)
    centers: Array  # x, y of the point that the radii go out from, (n, 2)
    outer: Array  # outline of the body, (n, DIRECTIONS)
    inner: Array  # outline of its axon, (n, DIRECTIONS); 0 for a body without axon


def draw_discs(section: Section, fascicle: Fascicle) -> Discs:
    """Choose at random the discs that fill the fascicle in the image and in a rim around it."""
    rng, look, contents = section.rng, section.look, section.contents
    pixel_size_um, rim = section.pixel_size_um, section.px(look.rim_um)
    rows, cols = section.shape
    low, high = np.array([-rim, -rim]), np.array([cols + rim, rows + rim])
    spots = rng.uniform(low, high, (20000, 2))
    inside = fascicle.depth(*spots.T) > 0
    area = np.prod(high - low) * inside.mean() * rng.uniform(*look.packing)

    small, large = np.array(look.diameters_um)
    share = small[0] + rng.uniform(-SHARE_SHIFT, SHARE_SHIFT)
    count = int(2 * area * (pixel_size_um / small[1]) ** 2) + 20  # more than will find room
    _, median, spread = np.where(rng.random(count) < share, small[:, None], large[:, None])
    diameter = rng.uniform(*SCALE_RANGE) * median * np.exp(spread * rng.standard_normal(count))
    diameter = np.clip(diameter, *DIAMETER_RANGE_UM)

    kind = np.full(count, "healthy", dtype="<U9")
    kind[(diameter > np.median(diameter)) & (rng.random(count) < 0.15)] = "infolded"
    if "diseased" in contents:
        sick = rng.random(count) < rng.uniform(0.1, 0.3)
        kind[sick] = rng.choice(["swollen", "collapsed"], sick.sum(), p=[0.7, 0.3])
        diameter[kind == "collapsed"] *= 0.75
        diameter[kind == "swollen"] *= rng.uniform(1.1, 1.5, (kind == "swollen").sum())
    dice = rng.random(count)
    other = dice < look.remak_share + look.cell_share
    kind[other] = "cell"
    kind[dice < look.remak_share] = "remak"
    diameter[other] = rng.uniform(*look.cell_um, other.sum())
    first = 0
    for name, number, span, part in (GUESTS[scene] for scene in GUESTS if scene in contents):
        here, first = slice(first, first + number), first + number
        kind[here], largest = name, part * np.sqrt(area) * pixel_size_um
        diameter[here] = np.minimum(rng.uniform(*span, number), largest)
    # Fibers too small to be resolved are left out.
    seen = diameter > (THINNEST_AXON_PX + 2 * THINNEST_SHEATH_PX) * pixel_size_um
    kind, radius = kind[seen], diameter[seen] / 2 / pixel_size_um
    room = np.cumsum(np.pi * radius**2) < area
    kind, radius = kind[room], radius[room]

    centers = rng.choice(spots[inside] if inside.any() else spots, len(radius))
    centers += rng.normal(0, 0.1, centers.shape)  # spots drawn twice would coincide
    # Thin fibers lie in groups: sizes loosely follow slow waves across the nerve.
    waves_per_px = rng.normal(0, 0.1 * pixel_size_um, (2, 3))
    height = np.sin(centers @ waves_per_px + rng.uniform(0, 2 * np.pi, 3)).sum(axis=1)
    order = np.argsort(height + rng.normal(0, 2.5, len(radius)))
    centers[np.argsort(radius)] = centers[order]
    return Discs(kind, radius, centers, low, high)


def push_apart(discs: Discs, fascicle: Fascicle) -> Array:
    """Push overlapping discs apart, within their area and the fascicle; return new centers."""
    centers, true_radius = discs.centers.copy(), discs.radius
    for step in range(200):
        # Larger at first: the crowd spreads evenly before the discs find their places.
        radius = true_radius * max(1.0, 1.5 - step / 240)
        if step % 8 == 0:
            i, j = neighbours(centers, radius, 1.4)
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
        centers = np.clip(centers, discs.low, discs.high)
    return centers


def neighbours(centers: Array, radius: Array, reach: float) -> tuple[Array, Array]:
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


def draw_geometry(section: Section, fascicle: Fascicle) -> Bodies:
    """Return the fibers and cells of one image."""
    rng, look = section.rng, section.look
    discs = draw_discs(section, fascicle)
    kind, radius, centers = discs.kind, discs.radius, push_apart(discs, fascicle)
    inside = fascicle.depth(*centers.T) > 0.6 * radius
    kind, radius, centers = kind[inside], radius[inside], centers[inside]
    gap_px = rng.uniform(*GAP_PX, len(radius))
    limit, keep = power_cells(centers, radius, gap_px)
    kind, radius, centers, limit = kind[keep], radius[keep], centers[keep], limit[keep]
    outer = fiber_outlines(radius, kind, limit, rng)

    size_um = 2 * np.sqrt(areas(outer) / np.pi) * section.pixel_size_um
    g_ratio = np.interp(size_um, *look.g_ratio) + rng.uniform(*look.g_shift)
    g_ratio += G_SPREAD * rng.standard_normal(len(kind))
    swollen, vessel = kind == "swollen", kind == "vessel"
    g_ratio[kind == "mast"] = 0.45  # the nucleus
    g_ratio[swollen] = rng.uniform(0.28, 0.5, swollen.sum())
    g_ratio[vessel] = rng.uniform(0.72, 0.82, vessel.sum())
    inner = axon_outlines(outer, kind, np.clip(g_ratio, 0.28, 0.84), rng)
    inner[np.isin(kind, ("collapsed", "remak", "cell"))] = 0
    # Axons too small to be seen are left out: the table holds no invisible fiber.
    seen = (inner[:, 0] == 0) | (2 * np.sqrt(areas(inner) / np.pi) >= THINNEST_AXON_PX)
    # Small fibers crushed between large ones are left out too.
    seen &= areas(outer) > 0.75 * np.pi * radius**2
    seen &= (outer - inner).min(axis=1) >= 0.99 * THINNEST_SHEATH_PX
    return Bodies(kind[seen], centers[seen], outer[seen], inner[seen])


# ---------------------------------------------------------------- from discs to fibers


def power_cells(centers: Array, radius: Array, gap_px: Array) -> tuple[Array, Array]:
    """Return the radius of each disc's power cell less half the gap, (n, DIRECTIONS), and a flag.

    Sides of power cells (Aurenhammer 1987, SIAM J Comput 16:78) lie where the powers of two discs
    are equal, which is where overlapping discs cut each other. False in the flag marks
    discs so deep inside a neighbour that little would be left of them.
    """
    i, j = neighbours(centers, radius + gap_px, 1.5)
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


def fiber_outlines(radius: Array, kind: Array, limit: Array, rng: Rng) -> Array:
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


def axon_outlines(outer: Array, kind: Array, g_ratio: Array, rng: Rng) -> Array:
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

    def inner(depth: Array) -> Array:
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
