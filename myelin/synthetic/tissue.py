"""Paint the tissue of a synthetic nerve: grey levels and textures, and the microscope's image.

The grey edge of an outline is at half height where the outline runs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from myelin.synthetic.looks import Array, Rng, Section
from myelin.synthetic.shapes import ANGLES, DIRECTIONS, FIBER_KINDS, Bodies, Fascicle, slopes, waves

# ---------------------------------------------------------------- textures


def noise(shape: tuple[int, ...], sigma_px: float, rng: Rng) -> Array:
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


def cells(shape: tuple[int, ...], spacing_px: float, rng: Rng, membranes: bool = False) -> Array:
    """Return a pattern of small cells, 0 in the middle to 1 at rims, or at thin `membranes`."""
    seeds = (rng.random(shape) > 1 / max(2.0, spacing_px) ** 2).astype(np.uint8)
    distance, nearest = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    if not membranes:
        return np.clip(distance / (0.6 * spacing_px), 0, 1)
    line = (nearest != np.roll(nearest, 1, 0)) | (nearest != np.roll(nearest, 1, 1))
    sigma = max(0.5, 0.07 * spacing_px)
    return np.clip(cv2.GaussianBlur(line.astype(np.float32), (0, 0), sigma) * 2 * sigma, 0, 1)


# ---------------------------------------------------------------- tissue


def background(section: Section, fascicle: Fascicle) -> Array:
    """Return grey levels of endoneurium, perineurium, connective tissue and fat, float32."""
    shape, tones, px, rng = section.shape, section.tones, section.px, section.rng
    grain = noise(shape, px(0.22), rng) + 0.6 * noise(shape, px(0.8), rng)
    patches = noise(shape, px(6), rng)
    ground = tones["ground"] + 0.16 * (tones["cell"] + 20) * (grain + 0.4 * patches)
    # Where thin unmyelinated axons lie between the fibers, the ground is paler and granular.
    rims = cells(shape, px(0.55), rng, section.look.membranes)
    bundles = tones["cell"] * (0.5 + 0.6 * rims)
    ground += (bundles - ground) * np.clip(1.5 * (patches + section.look.thin_axons), 0, 1)
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
    ground += (band - ground) * np.clip(-depth - gap + ripple, 0, 1)
    ground += (outside - ground) * np.clip(-depth - gap - wall + ripple, 0, 1)
    if "fat" in section.contents:
        draw_fat(section, ground, depth, gap + wall)
    return ground


def draw_fat(section: Section, ground: Array, depth: Array, wall_px: float) -> None:
    """Draw fat cells outside the wall into `ground`: smooth, grey, with dark droplets."""
    rows, cols = ground.shape
    px, rng = section.px, section.rng
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
        tone = rng.uniform(0.9, 1.5) * section.tones["cell"]
        value = tone + 12 * (rho < out - px(0.5)) * (rho / radius - 1)
        drops = noise(value.shape, max(0.7, px(0.22)), rng) + noise(value.shape, px(3), rng)
        value = value - 0.8 * tone * np.clip(2 * (drops - 1.4), 0, 1) * (rho < 0.9 * out)
        ground[window] += (value - ground[window]) * cover
        depth[window][cover > 0] = np.inf  # taken, for the next one


# ---------------------------------------------------------------- bodies


@dataclass
class Polar:
    """The pixels around a body, in polar coordinates around its center."""

    window: tuple[slice, slice]  # rows and columns of these pixels in the image
    rho: Array  # their distance from the center, px, (rows, cols)
    radius: Array  # of the outline in their direction, (rows, cols), or (k, rows, cols) of k ones
    normal: Array  # cosine of the angle between the outline's normal and the radius, same shape


def polar(x: float, y: float, outline: Array, shape: tuple[int, int]) -> Polar | None:
    """Return the `Polar` of one outline, (DIRECTIONS,), or several; None outside the image."""
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


def draw_bodies(section: Section, bodies: Bodies, ground: Array) -> tuple[Array, Array, Array]:
    """Paint the bodies on `ground` and return the number of the fiber at each pixel.

    Returns
    -------
    grey : float32 array (rows, cols)
    fiber, axon : int32 arrays (rows, cols)
        Index of the body + 1 where a pixel's centre lies within its outline or its axon.
    """
    shape, rng = section.shape, section.rng
    fiber, axon = np.zeros((2, *shape), np.int32)
    cover, paint, cytoplasm = np.zeros((3, *shape), np.float32)
    textures = draw_textures(section)
    blotch = textures["blotch"]

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
            whole = np.clip((warped - rho) * section.pixel_size_um / 0.5, 0, 1)
        else:
            whole = np.clip((out - rho) * out_normal + 0.5, 0, 1)
        core = np.clip((into - rho) * into_normal + 0.5, 0, 1) if inner[0] else 0 * rho
        if kind not in ("remak", "cell"):
            film = np.clip(skin - rho, 0, 1) * rng.uniform(0.6, 1.0)
            cytoplasm[window] = np.maximum(cytoplasm[window], film)
        local = {name: texture[window] for name, texture in textures.items()}
        wall, lumen = body_tones(section, kind, rho, out, into, local)
        paint[window] += whole * (wall + (lumen - wall) * core)
        cover[window] += whole
        if kind in FIBER_KINDS:
            fiber[window][rho < out] = number
            within = (rho < into).astype(np.uint8)
            _, parts, sizes, _ = cv2.connectedComponentsWithStats(within, connectivity=4)
            # A tip of the axon thinner than a pixel may come apart from it: no axon of its own.
            axon[window][(within > 0) & (sizes[parts, cv2.CC_STAT_AREA] > 4)] = number
    tint = section.tones["cell"] * (0.9 + 0.1 * blotch + 0.08 * textures["fine"])
    ground = ground + (tint - ground) * cytoplasm
    return ground * (1 - np.minimum(cover, 1)) + paint, fiber, axon


def draw_textures(section: Section) -> dict[str, Array]:
    """Return what bodies are filled with, {name: float array of the section's shape}."""
    shape, px, rng = section.shape, section.px, section.rng
    fine = noise(shape, max(0.6, px(0.12)), rng)
    blotch = noise(shape, max(0.8, px(0.5)), rng)
    remak = cells(shape, px(0.55), rng, section.look.membranes)
    specks = np.where(rng.random(shape) < 0.45 / px(1) ** 2, 1.0, 0).astype(np.float32)
    specks *= rng.exponential(1.0, shape)  # mitochondria in the axon, some half below the surface
    sigma = max(0.5, px(0.13))
    specks = cv2.GaussianBlur(specks, (0, 0), sigma) * (2 * np.pi * sigma**2)
    return {"fine": fine, "blotch": blotch, "remak": remak, "specks": specks}


def body_tones(
    section: Section, kind: str, rho: Array, out: Array, into: Array, textures: dict[str, Array]
) -> tuple[Array, Array | float]:
    """Return the grey levels of a body's wall and of what the wall encloses, over its window."""
    fine, blotch = textures["fine"], textures["blotch"]
    tones, px, rng = section.tones, section.px, section.rng
    cell = tones["cell"] * rng.uniform(0.85, 1.15)
    if kind == "remak":
        return cell * (0.55 + 0.6 * textures["remak"] + 0.08 * blotch), 0
    if kind == "cell":
        chromatin = np.clip((0.75 * out - rho) / 2, 0, 1) * 0.2 * np.tanh(blotch)
        return cell * (0.95 + 0.08 * fine + chromatin), 0
    if kind == "vessel":
        return cell * (1 + 0.12 * blotch), 0.4 * tones["ground"] + 0 * rho
    if kind == "mast":  # full of granules as dark as myelin in the stain, around a pale nucleus
        full = np.clip(1.3 - 1.1 * cells(rho.shape, px(0.6), rng) + 0.3 * blotch, 0, 1)
        chromatin = np.clip((rho - 0.7 * into) / px(1), 0, 0.3) + 0.15 * np.tanh(blotch)
        return cell + full * (tones["myelin"] - cell), cell * (0.8 + chromatin)
    look = section.look
    contrast = tones["myelin"] - tones["axon"]
    texture = 0.035 * rng.standard_normal() + 0.015 * fine + 0.02 * blotch
    wall = tones["myelin"] + contrast * texture
    if rng.random() < look.pale_sheaths:
        wall = wall - rng.uniform(0.1, 0.2 + look.pale_sheaths / 2) * contrast
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
    wall = wall - 0.8 * contrast * split(rho, out, into, clefts, px, rng)
    lumen = tones["axon"] + 0.02 * contrast * (blotch + fine)
    lumen = lumen + 0.4 * contrast * textures["specks"]
    if rng.random() < (0.4 if kind == "swollen" else look.filled_axons):
        lumen = lumen + rng.uniform(0.05, 0.3) * contrast
    if look.mitochondria:
        lumen = lumen + 0.9 * contrast * mitochondria(rho, into, look.mitochondria, rng)
    return wall, lumen


def split(
    rho: Array, out: Array, into: Array, fraction: float, px: Callable[[float], float], rng: Rng
) -> Array:
    """Return splits between the lamellae, 0..1 over a window: small dashes along the sheath."""
    marks = np.zeros(rho.shape, np.uint8)
    area_um2 = ((rho < out) & (rho > into)).sum() / px(1) ** 2
    spots = np.argwhere((rho < out - px(0.25)) & (rho > into + px(0.25)))
    middle = np.unravel_index(rho.argmin(), rho.shape)  # for fibers cut by the edge: near enough
    for y, x in random_rows(spots, rng.poisson(fraction * area_um2 / 0.12), rng):
        along = np.degrees(np.arctan2(y - middle[0], x - middle[1])) + 90
        size = px(rng.uniform((0.24, 0.10), (0.80, 0.28)) * rng.lognormal(0, 0.3))
        box = ((float(x), float(y)), np.maximum(size, 0.8).tolist(), float(along))
        cv2.ellipse(marks, box, int(rng.integers(120, 256)), -1, cv2.LINE_AA)
    return marks / 255


def mitochondria(rho: Array, into: Array, mean_number: float, rng: Rng) -> Array:
    """Return mitochondria in an axon, 0..1 over a window: ellipses that may touch the sheath."""
    marks = np.zeros(rho.shape, np.uint8)
    spots = np.argwhere(rho < 0.9 * into)
    radius = np.sqrt(len(spots) / np.pi)
    for y, x in random_rows(spots, rng.poisson(mean_number) if radius > 4 else 0, rng):
        axes = radius * rng.uniform((0.3, 0.2), (0.9, 0.5))
        box = (float(x), float(y)), axes.tolist(), float(rng.uniform(0, 180))
        cv2.ellipse(marks, box, int(rng.integers(90, 235)), -1, cv2.LINE_AA)
    return marks / 255 * (rho < into - 1)


def random_rows(rows: Array, count: int, rng: Rng) -> Array:
    """Return `count` rows drawn at random, repeats allowed; none where there are no rows."""
    return rows[rng.integers(len(rows), size=count)] if len(rows) else rows


# ---------------------------------------------------------------- the microscope


def photograph(section: Section, grey: Array) -> Array:
    """Blur, light unevenly, add noise: float32 (rows, cols) grey levels to uint8."""
    look, rng = section.look, section.rng
    sigma = np.clip(section.px(rng.uniform(*look.blur_um)), 0.5, 2.5)
    grey = cv2.GaussianBlur(grey, (0, 0), sigma)
    sharpening = rng.uniform(0, look.sharpening)
    grey = grey + sharpening * (grey - cv2.GaussianBlur(grey, (0, 0), 1.5 * sigma))
    light = noise(grey.shape, 0.6 * max(grey.shape), rng)
    grey = grey * (1 + 0.05 * np.clip(light, -2, 2))
    if look.scanning:  # charging brightens whole regions, scan lines differ a little
        grey = grey + 6 * noise(grey.shape, 0.15 * max(grey.shape), rng)
        grey = grey + rng.normal(0, 1.0, (grey.shape[0], 1))
    strength = rng.uniform(*look.noise)
    grey = grey + strength * noise(grey.shape, rng.uniform(0.3, 0.8), rng)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)
