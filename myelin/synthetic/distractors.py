"""Contents of a synthetic nerve beside fibers: blood, debris, cracks, text burnt into the image.

Contents of the tissue are painted before the microscope blurs it (`draw_contents`), lines and text
afterwards (`burn_in`). Each returns where it covers the fibers: there is no myelin there. A mast
cell is a body among the fibers, placed by shapes.py and painted by tissue.py.
"""

import cv2
import numpy as np

from myelin.synthetic.looks import Array, Rng, Section
from myelin.synthetic.shapes import Bodies, waves
from myelin.synthetic.tissue import noise, polar, random_rows

FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)
FONTS += (cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_TRIPLEX)
LABELS = ("A", "B", "c", "a)", "WT 3", "sciatic 12", "x 100", "63x/1.4 oil", "day 28, 04")
LABELS += ("KO 2", "5.00 kV", "WD 4.2 mm", "x 3,500", "HFW 41.4 um", "BSE")
BAR_UM = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
HALF = 127  # a pixel covered by more than this (of 255) is not myelin


def draw_contents(section: Section, grey: Array, bodies: Bodies, myelin: Array) -> Array:
    """Paint blood, debris and cracks into `grey`, in place; return what covers fibers, bool.

    Grains keep away from `myelin`, bool (rows, cols), so that no sheath gets a hole.
    """
    covered = np.zeros(grey.shape, bool)
    if "blood" in section.contents:
        for index in np.flatnonzero(bodies.kind == "vessel"):
            draw_blood(section, grey, bodies.centers[index], bodies.inner[index])
    if "debris" in section.contents:
        draw_grains(section, grey, myelin)
        covered |= draw_dust(section, grey)
    if "cracks" in section.contents:
        covered |= draw_cracks(section, grey)
    return covered


def blend(grey: Array, tone: Array | float, cover: Array) -> None:
    """Paint `tone` where the uint8 `cover` is 255 and in part where it is less, in place."""
    grey += (tone - grey) * (cover / np.float32(255))


# ---------------------------------------------------------------- in the tissue


def draw_blood(section: Section, grey: Array, center: Array, lumen: Array) -> None:
    """Fill a vessel's lumen, radii (DIRECTIONS,) in px, with red cells that flatten each other."""
    found = polar(*center, lumen, grey.shape)
    if found is None:
        return
    tones, px, rng = section.tones, section.px, section.rng
    room = px(0.25) < found.radius - found.rho
    size = min(px(rng.uniform(2.6, 3.5)), 0.9 * lumen.mean())
    gap = np.ones((2 * int(px(0.12)) + 3,) * 2, np.uint8)
    hollow = rng.random() < 0.7  # in the plane of the section, or all of them full
    value = grey[found.window]
    for y, x in random_rows(np.argwhere(room), rng.integers(4, 90), rng):
        flat = rng.uniform(0.35, 0.6) if rng.random() < 0.3 else rng.uniform(0.75, 1)
        outline = size * (1 + waves(1, {2: 0.05, 3: 0.04, 4: 0.03}, rng)[0])
        cell = np.zeros(room.shape, np.uint8)
        angles = np.linspace(0, 2 * np.pi, len(outline), endpoint=False)
        along, across = outline * np.cos(angles), flat * outline * np.sin(angles)
        cv2.fillPoly(cell, [turned(along, across, x, y, rng)], 1, cv2.LINE_8, 4)
        cell &= room
        if cell.sum() < 0.55 * np.pi * flat * size**2:
            continue
        # Blurring rounds the corners that cutting left.
        soft = cv2.GaussianBlur(cell * np.float32(255), (0, 0), max(0.8, px(0.25)))
        soft = np.clip((soft - HALF) * max(1.5, 2.5 * px(0.25)) + HALF, 0, 255) * room
        room &= cv2.dilate((soft > HALF).astype(np.uint8), gap) == 0
        depth = cv2.distanceTransform((soft > HALF).astype(np.uint8), cv2.DIST_L2, 5)
        pale = rng.uniform(0.25, 0.95) * hollow * (flat > 0.7)
        pale = pale * np.clip((depth - px(rng.uniform(0.4, 0.9))) / px(0.7), 0, 1)
        full = tones["myelin"] * rng.uniform(0.85, 1.05)
        blend(value, full - pale * (full - tones["ground"]), soft)


def draw_grains(section: Section, grey: Array, myelin: Array) -> None:
    """Paint small irregular grains and flecks between the sheaths and within axons."""
    px, rng, myelin_tone = section.px, section.rng, section.tones["myelin"]
    free = cv2.distanceTransform((~myelin).astype(np.uint8), cv2.DIST_L2, 3)
    spots = np.argwhere(free > max(2.0, px(0.3)))
    if not len(spots):
        return
    groups = random_rows(spots, rng.integers(2, 9), rng)
    cover = np.zeros(grey.shape, np.uint8)
    for _ in range(rng.poisson(rng.uniform(0.003, 0.03) * grey.size / px(1) ** 2) + 3):
        y, x = spots[rng.integers(len(spots))]
        if rng.random() < 0.5:  # precipitates lie in swarms
            y, x = groups[rng.integers(len(groups))] + rng.normal(0, px(2), 2)
        corners = polygon(x, y, max(1.0, px(0.35) * rng.lognormal(0, 0.6)), rng)
        cv2.fillPoly(cover, [corners], int(rng.integers(150, 256)), cv2.LINE_AA, 4)
    # A grain ends a little before a sheath: joined, it could not be told from a bulge.
    cover[free < 1.5] = 0
    shine = rng.uniform(0.85, 1.7 if section.look.scanning else 1.2)
    blend(grey, np.minimum(shine * myelin_tone, 255), cover)
    if section.look.scanning:  # what charges bleeds into its scan line
        tail = np.exp(-np.arange(int(px(4)) + 2, dtype=np.float32) / px(1.5))
        kernel = np.concatenate([np.zeros(len(tail) - 1, np.float32), tail])[None, ::-1]
        bleeding = cv2.filter2D((cover > HALF).astype(np.float32), -1, kernel.copy())
        grey += rng.uniform(0, 25) * np.minimum(bleeding / px(0.5), 1)


def polygon(x: float, y: float, size: float, rng: Rng) -> Array:
    """Return the corners of an irregular grain, int32 (n, 2) in sixteenths of a pixel."""
    count = int(rng.integers(5, 10))
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    radius = size * rng.uniform(0.5, 1.2, count)
    long = rng.uniform(1, 1.7)
    return turned(long * radius * np.cos(angles), radius * np.sin(angles) / long, x, y, rng)


def turned(along: Array, across: Array, x: float, y: float, rng: Rng) -> Array:
    """Return corners turned at random and moved to x, y, for cv2: sixteenths of a pixel."""
    turn = rng.uniform(0, np.pi)
    corners = [along * np.cos(turn) - across * np.sin(turn) + x]
    corners += [along * np.sin(turn) + across * np.cos(turn) + y]
    return np.rint(16 * np.transpose(corners)).astype(np.int32)


def draw_dust(section: Section, grey: Array) -> Array:
    """Paint hairs and a few large flecks that lie on the section; return what they cover."""
    px, rng = section.px, section.rng
    cover = np.zeros(grey.shape, np.uint8)
    rows, cols = grey.shape
    for _ in range(rng.integers(0, 3)):
        draw_strand(section, cover, rng.uniform(8, 40), max(1.5, px(rng.uniform(0.4, 1.0))))
    for _ in range(rng.integers(0, 4)):
        x, y, size = rng.uniform(0, cols), rng.uniform(0, rows), px(rng.uniform(0.8, 2.5))
        cv2.fillPoly(cover, [polygon(x, y, size, rng)], 255, cv2.LINE_AA, 4)
    mottle = 1 + 0.1 * noise(grey.shape, max(0.7, px(0.4)), rng)
    blend(grey, rng.uniform(0.6, 1.15) * section.tones["myelin"] * mottle, cover)
    return cover > HALF


def draw_cracks(section: Section, grey: Array) -> Array:
    """Tear the tissue along one to three lines of uneven width; return where."""
    px, rng = section.px, section.rng
    cover = np.zeros(grey.shape, np.uint8)
    for _ in range(rng.integers(1, 4)):
        width = max(1.5, px(rng.uniform(0.3, 2.0)))
        draw_strand(section, cover, rng.uniform(10, 60), width, ragged=0.35)
    if section.look.scanning and rng.random() < 0.6:  # the edges of a hole shine
        rim = cv2.GaussianBlur(cover, (0, 0), max(0.8, px(0.25)))
        blend(grey, section.tones["myelin"], cv2.multiply(rim, rng.uniform(0.2, 0.7)))
    blend(grey, rng.uniform(0.0, 0.6) * section.tones["axon"], cover)
    return cover > HALF


def draw_strand(
    section: Section, cover: Array, length_um: float, width_px: float, ragged: float = 0.0
) -> None:
    """Draw a winding line from a random point into uint8 `cover`; `ragged` varies its width."""
    px, rng = section.px, section.rng
    steps = int(px(length_um)) + 4
    heading = rng.uniform(0, 2 * np.pi)
    heading = heading + np.cumsum(noise((1, steps), max(1.0, px(5)), rng)[0]) / px(20)
    start = rng.uniform((0, 0), cover.shape[::-1])
    path = start + np.cumsum(np.transpose([np.cos(heading), np.sin(heading)]), axis=0)
    widths = 1 + ragged * noise((1, steps), max(1.0, px(1.2)), rng)[0]
    for (x, y), width in zip(np.rint(16 * path).astype(int), width_px * widths, strict=True):
        radius = max(1, round(8 * width))
        cv2.circle(cover, (int(x), int(y)), radius, 255, -1, cv2.LINE_AA, 4)


# ---------------------------------------------------------------- burnt into the image


def burn_in(section: Section, image: Array) -> Array:
    """Draw a frame, a scale bar and text into a uint8 `image`, in place; return what they cover."""
    covered = np.zeros(image.shape, bool)
    if "frame" in section.contents:
        covered |= draw_frame(image, section.rng)
    if "annotation" in section.contents:
        covered |= annotate(section, image)
    return covered


def draw_frame(image: Array, rng: Rng) -> Array:
    """Draw a line along some or all edges, sometimes with an empty border beyond it."""
    line, beyond = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    border = int(rng.uniform(0.005, 0.05) * min(image.shape)) if rng.random() < 0.5 else 0
    width = int(rng.integers(1, max(3, min(image.shape) // 90)))
    turns = range(4) if rng.random() < 0.5 else rng.permutation(4)[: rng.integers(1, 4)]
    for turn in turns:
        np.rot90(line, turn)[: border + width] = True  # a view: this sets it in `line`
        np.rot90(beyond, turn)[:border] = True
    tone = 255 if rng.random() < 0.5 else 0
    image[line] = abs(tone - (0 if rng.random() < 0.7 else rng.integers(0, 100)))
    image[beyond] = 255 - tone if rng.random() < 0.7 else tone
    return line


def annotate(section: Section, image: Array) -> Array:
    """Draw a scale bar, its length, and other words, each in a corner; return what they cover."""
    rng = section.rng
    wanted = image.shape[1] * section.pixel_size_um * rng.uniform(0.12, 0.35)
    bar = BAR_UM[np.abs(np.log(BAR_UM) - np.log(wanted)).argmin()]
    blocks = [(f"{bar:g} um" if rng.random() < 0.75 else "", section.px(bar))]
    blocks += [(str(words), 0) for words in rng.permutation(LABELS)[: rng.integers(3)]]
    font = FONTS[rng.integers(len(FONTS))]
    height = max(7.0, rng.uniform(0.02, 0.06) * min(image.shape))
    tone = 255 if rng.random() < 0.6 else 0
    thickness = max(2, int(rng.uniform(0.004, 0.02) * image.shape[0]))
    boxed = rng.random() < 0.4
    covered = np.zeros(image.shape, bool)
    margin = int(rng.uniform(0.01, 0.05) * min(image.shape)) + 1
    for corner, (words, length) in zip(rng.permutation(4), blocks, strict=False):
        stamp = draw_block(words, int(length), font, height, thickness)
        rows, cols = (min(a, b - margin) for a, b in zip(stamp.shape, image.shape, strict=True))
        top = margin if corner < 2 else image.shape[0] - margin - rows
        left = margin if corner % 2 else image.shape[1] - margin - cols
        window = np.s_[max(0, top) : max(0, top) + rows, max(0, left) : max(0, left) + cols]
        value = image[window].astype(np.float32)
        stamp = stamp[: value.shape[0], : value.shape[1]]
        value = np.full_like(value, 255 - tone) if boxed else value
        blend(value, tone, stamp)
        image[window] = np.rint(value).astype(np.uint8)
        covered[window] |= (stamp > 0) | boxed
    return covered


def draw_block(words: str, length: int, font: int, height: float, thickness: int) -> Array:
    """Return the opacity of a bar `length` px long with words over it, uint8 (rows, cols)."""
    scale = height / cv2.getTextSize("X", font, 1, 1)[0][1]
    stroke = max(1, round(height / 12))
    pad = max(2, int(0.35 * height))
    (wide, high), below = cv2.getTextSize(words, font, scale, stroke)
    text_rows = high + below + pad if words else 0
    bar_rows = thickness + pad if length else 0
    width = max(wide, length)
    stamp = np.zeros((text_rows + bar_rows + pad, width + 2 * pad), np.uint8)
    spot = (pad + (width - wide) // 2, pad + high)
    cv2.putText(stamp, words, spot, font, scale, 255, stroke, cv2.LINE_AA)
    if length:
        left = pad + (width - length) // 2
        stamp[-pad - thickness : -pad, left : left + length] = 255
    return stamp
