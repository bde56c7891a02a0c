"""The look of a drawn nerve: grey levels and textures of its tissue, and the microscope's image.

The grey edge of an outline is at half height where the outline runs.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from myelin.synthetic.shapes import ANGLES, DIRECTIONS, FIBER_KINDS, slopes, waves

# Grey levels, (lowest, highest) per image, by eye after the study's nerves and the SEM set.
GREY = {
    "light": {"myelin": (195, 232), "axon": (3, 22), "ground": (22, 48), "cell": (78, 115)},
    "electron": {"myelin": (150, 215), "axon": (25, 80), "ground": (50, 110), "cell": (60, 105)},
}
NOISE = {"light": (1.5, 5.0), "electron": (4.0, 25.0)}  # grey levels, standard deviation
BLUR_UM = (0.07, 0.15)  # Gaussian sigma; about 0.2 µm resolution of an oil objective


# ---------------------------------------------------------------- textures


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


# ---------------------------------------------------------------- tissue


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
        window, rho, out = found.window, found.rho, found.radius
        cover = np.clip((out - rho) * found.normal + 0.5, 0, 1)
        if (depth[window][cover > 0] > -wall_px - 2).any():
            continue  # it would overlap the wall or a fiber
        tone = rng.uniform(0.9, 1.5) * tones["cell"]
        value = tone + 12 * (rho < out - px(0.5)) * (rho / radius - 1)
        drops = noise(value.shape, max(0.7, px(0.22)), rng) + noise(value.shape, px(3), rng)
        value = value - 0.8 * tone * np.clip(2 * (drops - 1.4), 0, 1) * (rho < 0.9 * out)
        ground[window] += (value - ground[window]) * cover
        depth[window][cover > 0] = np.inf  # taken, for the next one


@dataclass
class Polar:
    """The pixels around a body, seen from the point that its radii go out from.

    Attributes
    ----------
    window : pair of slices
        Rows and columns of these pixels in the image.
    rho : float array, (rows, cols)
        Their distance from that point, px.
    radius, normal : float arrays, (rows, cols) or (k, rows, cols)
        In their direction: the outline, and the cosine of the angle between its normal and the
        radius; of each of k outlines.
    """

    window: tuple
    rho: np.ndarray
    radius: np.ndarray
    normal: np.ndarray


def polar(x, y, outline, shape):
    """Return the `Polar` of outlines around x, y; None outside an image of `shape`.

    `outline` is radii (DIRECTIONS,) or several stacked (k, DIRECTIONS), the first being the
    outermost.
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
    return Polar((slice(top, bottom), slice(left, right)), rho, *here)


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
    textures = draw_textures(shape, pixel_size_um, rng)
    fine, blotch = textures["fine"], textures["blotch"]

    everything = zip(bodies.kind, bodies.centers, bodies.outer, bodies.inner, strict=True)
    for number, (kind, center, outer, inner) in enumerate(everything, 1):
        halo = outer.mean() * rng.uniform(0.02, 0.05) + 1
        if rng.random() < 0.3:  # the Schwann cell's nucleus or cytoplasm bulges at one side
            bulge = np.exp((np.cos(ANGLES - rng.uniform(0, 6.3)) - 1) / rng.uniform(0.1, 0.4))
            halo = halo + outer.mean() * rng.uniform(0.15, 0.4) * bulge
        found = polar(*center, np.stack([outer + halo, outer, inner]), shape)
        if found is None:
            continue
        window, rho, (skin, out, into) = found.window, found.rho, found.radius
        _, out_normal, into_normal = found.normal
        if kind == "remak":  # a bundle of thin axons ends in loose tissue, not at a line
            warped = out * (0.95 + 0.12 * blotch[window])
            whole = np.clip((warped - rho) * pixel_size_um / 0.5, 0, 1)
        else:
            whole = np.clip((out - rho) * out_normal + 0.5, 0, 1)
        core = np.clip((into - rho) * into_normal + 0.5, 0, 1) if inner[0] else 0 * rho
        if kind not in ("remak", "cell"):
            film = np.clip(skin - rho, 0, 1) * rng.uniform(0.6, 1.0)
            cytoplasm[window] = np.maximum(cytoplasm[window], film)
        local = {name: texture[window] for name, texture in textures.items()}
        wall, lumen = body_tones(kind, rho, out, into, local, tones, pixel_size_um, rng)
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


def draw_textures(shape, pixel_size_um, rng):
    """Return what bodies are filled with, {name: float array of `shape`}."""
    fine = noise(shape, max(0.6, 0.12 / pixel_size_um), rng)
    blotch = noise(shape, max(0.8, 0.5 / pixel_size_um), rng)
    remak = cells(shape, 0.55 / pixel_size_um, rng)
    specks = np.where(rng.random(shape) < 0.45 * pixel_size_um**2, 1.0, 0).astype(np.float32)
    specks *= rng.exponential(1.0, shape)  # mitochondria in the axon, some half below the surface
    sigma = max(0.5, 0.13 / pixel_size_um)
    specks = cv2.GaussianBlur(specks, (0, 0), sigma) * (2 * np.pi * sigma**2)
    return {"fine": fine, "blotch": blotch, "remak": remak, "specks": specks}


def body_tones(kind, rho, out, into, textures, tones, pixel_size_um, rng):
    """Return the grey levels of a body's wall and of what the wall encloses, over its window."""
    fine, blotch = textures["fine"], textures["blotch"]
    cell = tones["cell"] * rng.uniform(0.85, 1.15)
    if kind == "remak":
        return cell * (0.55 + 0.6 * textures["remak"] + 0.08 * blotch), 0
    if kind == "cell":
        chromatin = np.clip((0.75 * out - rho) / 2, 0, 1) * 0.2 * np.tanh(blotch)
        return cell * (0.95 + 0.08 * fine + chromatin), 0
    if kind == "vessel":
        return cell * (1 + 0.12 * blotch), 0.4 * tones["ground"] + 0 * rho
    if kind == "mast":  # full of granules as dark as myelin in the stain, around a pale nucleus
        full = np.clip(1.3 - 1.1 * cells(rho.shape, 0.6 / pixel_size_um, rng) + 0.3 * blotch, 0, 1)
        chromatin = np.clip((rho - 0.7 * into) * pixel_size_um, 0, 0.3) + 0.15 * np.tanh(blotch)
        return cell + full * (tones["myelin"] - cell), cell * (0.8 + chromatin)
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
    lumen = tones["axon"] + 0.02 * contrast * (blotch + fine)
    lumen = lumen + 0.4 * contrast * textures["specks"]
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


# ---------------------------------------------------------------- the microscope


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
