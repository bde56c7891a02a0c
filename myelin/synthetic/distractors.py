"""What is no fiber in a drawn nerve: blood, debris, cracks, and what is burnt into the image.

Contents of the tissue are painted before the microscope blurs it (`draw_contents`), lines and text
afterwards (`burn_in`). Each returns what it covers: no myelin there. A mast cell is a body among
the fibers, so synthetic_shapes.py places it and synthetic_look.py paints it.
"""

import cv2
import numpy as np

from myelin.synthetic.look import noise, polar
from myelin.synthetic.shapes import waves

FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)
FONTS += (cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_TRIPLEX)
LABELS = {
    "light": ("A", "B", "c", "a)", "WT 3", "sciatic 12", "x 100", "63x/1.4 oil", "day 28, 04"),
    "electron": ("A", "D", "b", "KO 2", "5.00 kV", "WD 4.2 mm", "x 3,500", "HFW 41.4 um", "BSE"),
}
BAR_UM = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
# A pixel covered by more than this (of 255) is no myelin: half, as everywhere in these images.
HALF = 127


def draw_contents(grey, bodies, myelin, tones, pixel_size_um, look, scenes, rng):
    """Paint blood, debris and cracks into `grey`, in place.

    Grains keep off `myelin`, bool (rows, cols), so that no sheath gets a hole.

    Returns
    -------
    bool array, (rows, cols)
        Where nothing is seen of the fibers.
    """

    def px(um):
        return um / pixel_size_um

    covered = np.zeros(grey.shape, bool)
    if "blood" in scenes:
        for index in np.flatnonzero(bodies.kind == "vessel"):
            draw_blood(grey, bodies.centers[index], bodies.inner[index], px, tones, rng)
    if "debris" in scenes:
        if look == "electron":
            draw_mitochondria(grey, bodies, px, tones, rng)
        draw_grains(grey, myelin, px, tones, look, rng)
        covered |= draw_dust(grey, px, tones, rng)
    if "cracks" in scenes:
        covered |= draw_cracks(grey, myelin, px, tones, look, rng)
    return covered


def blend(grey, tone, cover):
    """Paint `tone` where the uint8 `cover` is 255 and in part where it is less, in place."""
    grey += (tone - grey) * (cover / np.float32(255))


# ---------------------------------------------------------------- in the tissue


def draw_blood(grey, center, lumen, px, tones, rng):
    """Fill a vessel's lumen, radii (DIRECTIONS,) in px, with red cells that flatten each other."""
    found = polar(*center, lumen, grey.shape)
    if found is None:
        return
    room = px(0.25) < found.radius - found.rho
    size = min(px(rng.uniform(2.6, 3.5)), 0.9 * lumen.mean())
    spots = np.argwhere(room)
    gap = np.ones((2 * int(px(0.12)) + 3,) * 2, np.uint8)
    hollow = rng.random() < 0.7  # in the plane of the section, or all of them full
    value = grey[found.window]
    for y, x in spots[rng.integers(len(spots), size=rng.integers(4, 90))] if len(spots) else ():
        flat = rng.uniform(0.35, 0.6) if rng.random() < 0.3 else rng.uniform(0.75, 1)
        outline = size * (1 + waves(1, {2: 0.05, 3: 0.04, 4: 0.03}, rng)[0])
        cell = np.zeros(room.shape, np.uint8)
        angles = np.linspace(0, 2 * np.pi, len(outline), endpoint=False)
        along, across = outline * np.cos(angles), flat * outline * np.sin(angles)
        cv2.fillPoly(cell, [turned(along, across, rng, x, y)], 1, cv2.LINE_8, 4)
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


def draw_mitochondria(grey, bodies, px, tones, rng):
    """Paint bright mitochondria into some of the cells and bundles of thin axons."""
    for index in np.flatnonzero(np.isin(bodies.kind, ("cell", "remak"))):
        found = polar(*bodies.centers[index], bodies.outer[index], grey.shape)
        if found is None or rng.random() < 0.4:
            continue
        spots = np.argwhere(found.rho < 0.85 * found.radius)
        cover = np.zeros(found.rho.shape, np.uint8)
        count = rng.poisson(rng.uniform(0.1, 0.7) * len(spots) / px(1) ** 2) if len(spots) else 0
        for y, x in spots[rng.integers(max(len(spots), 1), size=count)]:
            axes = np.maximum(px(rng.uniform((0.3, 0.2), (0.9, 0.4))), 1)
            box = (float(x), float(y)), axes.tolist(), float(rng.uniform(0, 180))
            cv2.ellipse(cover, box, int(rng.integers(140, 256)), -1, cv2.LINE_AA)
        blend(grey[found.window], rng.uniform(0.75, 1.05) * tones["myelin"], cover)


def draw_grains(grey, myelin, px, tones, look, rng):
    """Paint small irregular grains and flecks between the sheaths and within axons."""
    shape = grey.shape
    free = cv2.distanceTransform((~myelin).astype(np.uint8), cv2.DIST_L2, 3)
    spots = np.argwhere(free > max(2.0, px(0.3)))
    if not len(spots):
        return
    groups = spots[rng.integers(len(spots), size=rng.integers(2, 9))]
    count = rng.poisson(rng.uniform(0.003, 0.03) * grey.size / px(1) ** 2) + 3
    cover = np.zeros(shape, np.uint8)
    for _ in range(count):
        y, x = spots[rng.integers(len(spots))]
        if rng.random() < 0.5:  # precipitates lie in swarms
            y, x = groups[rng.integers(len(groups))] + rng.normal(0, px(2), 2)
        size = max(1.0, px(0.35) * rng.lognormal(0, 0.6))
        corners = polygon(x, y, size, rng)
        cv2.fillPoly(cover, [corners], int(rng.integers(150, 256)), cv2.LINE_AA, 4)
    # A grain ends a little before a sheath: joined, nobody could tell it from a bulge.
    cover[free < 1.5] = 0
    shine = rng.uniform(0.85, 1.2 if look == "light" else 1.7)
    blend(grey, np.minimum(shine * tones["myelin"], 255), cover)
    if look == "electron":  # what charges bleeds into its scan line
        tail = np.exp(-np.arange(int(px(4)) + 2, dtype=np.float32) / px(1.5))
        kernel = np.concatenate([np.zeros(len(tail) - 1, np.float32), tail])[None, ::-1]
        bleeding = cv2.filter2D((cover > HALF).astype(np.float32), -1, kernel.copy())
        grey += rng.uniform(0, 25) * np.minimum(bleeding / px(0.5), 1)


def polygon(x, y, size, rng):
    """Return the corners of an irregular grain, int32 (n, 2) in sixteenths of a pixel."""
    count = int(rng.integers(5, 10))
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    radius = size * rng.uniform(0.5, 1.2, count)
    long = rng.uniform(1, 1.7)
    return turned(long * radius * np.cos(angles), radius * np.sin(angles) / long, rng, x, y)


def turned(along, across, rng, x, y):
    """Return corners turned at random and moved to x, y, for cv2: sixteenths of a pixel."""
    turn = rng.uniform(0, np.pi)
    corners = [along * np.cos(turn) - across * np.sin(turn) + x]
    corners += [along * np.sin(turn) + across * np.cos(turn) + y]
    return np.rint(16 * np.transpose(corners)).astype(np.int32)


def draw_dust(grey, px, tones, rng):
    """Paint dust that lies on the section: hairs and a few large flecks; return what it covers."""
    cover = np.zeros(grey.shape, np.uint8)
    rows, cols = grey.shape
    for _ in range(rng.integers(0, 3)):
        steps = np.arange(int(px(rng.uniform(8, 40))) + 4)
        bend = noise((1, len(steps)), max(1.0, px(5)), rng)[0]
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(bend) / px(20)
        start = rng.uniform((0, 0), (cols, rows))
        path = start + np.cumsum(np.transpose([np.cos(heading), np.sin(heading)]), axis=0)
        strand(cover, path, np.full(len(path), max(1.5, px(rng.uniform(0.4, 1.0)))))
    for _ in range(rng.integers(0, 4)):
        x, y, size = rng.uniform(0, cols), rng.uniform(0, rows), px(rng.uniform(0.8, 2.5))
        cv2.fillPoly(cover, [polygon(x, y, size, rng)], 255, cv2.LINE_AA, 4)
    mottle = 1 + 0.1 * noise(grey.shape, max(0.7, px(0.4)), rng)
    tone = rng.uniform(0.6, 1.15) * tones["myelin"] * mottle
    blend(grey, tone, cover)
    return cover > HALF


def strand(cover, path, widths):
    """Draw a line through x, y points (n, 2), with a width in px at each, into uint8 `cover`."""
    for (x, y), width in zip(np.rint(16 * path).astype(int), widths, strict=True):
        radius = max(1, round(8 * width))
        cv2.circle(cover, (int(x), int(y)), radius, 255, -1, cv2.LINE_AA, 4)


def draw_cracks(grey, myelin, px, tones, look, rng):
    """Tear the tissue along branching lines, rather between fibers than through; return where."""
    from skimage.graph import route_through_array

    shape = np.array(grey.shape)
    coarse = max(1.0, max(shape) / 200)  # the way need not be known to the pixel
    size = np.maximum(np.rint(shape / coarse).astype(int), 2)
    cost = cv2.resize(myelin.astype(np.float32), size[::-1].tolist(), interpolation=cv2.INTER_AREA)
    cost = 1 + rng.uniform(1, 5) * cost + 1.5 * np.abs(noise(cost.shape, 2.0, rng))
    cover = np.zeros(grey.shape, np.uint8)
    for _ in range(rng.integers(1, 3)):
        start, end = rng.random((2, 2))
        start[rng.integers(2)] = rng.integers(2) * 0.999  # from an edge of the image
        width = px(rng.uniform(0.5, 2.2))
        ways = [(start, end, width)]
        for _ in range(rng.integers(0, 5)):
            ways.append((None, rng.random(2), width * rng.uniform(0.35, 0.7)))
        trunk = None
        for origin, target, thick in ways:
            if origin is None:  # a branch leaves the trunk and does not get far
                origin = trunk[rng.integers(len(trunk))] / size
                target = np.clip(origin + 0.5 * (target - origin), 0, 0.999)
            route, _ = route_through_array(
                cost, (origin * size).astype(int), (target * size).astype(int)
            )
            trunk = np.array(route, float) if trunk is None else trunk
            open_crack(cover, (np.array(route) + 0.5) * (shape / size) - 0.5, thick, px, rng)
    if look == "electron" and rng.random() < 0.6:  # the edges of a hole shine
        rim = cv2.GaussianBlur(cover, (0, 0), max(0.8, px(0.25)))
        blend(grey, tones["myelin"], cv2.multiply(rim, rng.uniform(0.2, 0.7)))
    blend(grey, rng.uniform(0.0, 0.6) * tones["axon"], cover)
    return cover > HALF


def open_crack(cover, route, width, px, rng):
    """Draw one crack along `route`, rows and columns (n, 2), narrowing to its end."""
    if len(route) < 3:
        return
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(route, axis=0).T))])
    steps = np.arange(0, length[-1], 0.7)
    path = np.transpose([np.interp(steps, length, route[:, axis]) for axis in (1, 0)])
    # The route runs from cell to cell of a coarse grid: smooth, then tremble a little.
    path = cv2.GaussianBlur(path, (1, 0), 0, None, sigmaY=px(0.8), borderType=cv2.BORDER_REPLICATE)
    path += 0.1 * width * noise(path.shape, max(1.0, px(0.3)), rng)
    taper = np.sqrt(np.clip(1.02 - steps / steps[-1], 0, 1))
    ragged = 1 + 0.35 * noise((1, len(steps)), max(1.0, px(1.2)), rng)[0]
    strand(cover, path, np.maximum(width * taper * np.clip(ragged, 0.3, 2), 1.2))


# ---------------------------------------------------------------- burnt into the image


def burn_in(image, pixel_size_um, look, scenes, rng):
    """Draw a frame, a scale bar and text into a uint8 `image`, in place; return what they cover."""
    covered = np.zeros(image.shape, bool)
    if "frame" in scenes:
        covered |= draw_frame(image, rng)
    if "annotation" in scenes:
        if look == "electron" and rng.random() < 0.4:
            covered |= draw_data_bar(image, pixel_size_um, rng)
        else:
            covered |= annotate(image, pixel_size_um, look, rng)
    return covered


def draw_frame(image, rng):
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


def annotate(image, pixel_size_um, look, rng):
    """Draw a scale bar, its length, and other words, each in a corner of its own."""
    wanted = image.shape[1] * pixel_size_um * rng.uniform(0.12, 0.35)
    bar = BAR_UM[np.abs(np.log(BAR_UM) - np.log(wanted)).argmin()]
    blocks = [(f"{bar:g} um" if rng.random() < 0.75 else "", bar / pixel_size_um)]
    blocks += [(str(words), 0) for words in rng.permutation(LABELS[look])[: rng.integers(3)]]
    style = {
        "font": FONTS[rng.integers(len(FONTS))],
        "height": max(7.0, rng.uniform(0.02, 0.06) * min(image.shape)),
        "tone": 255 if rng.random() < 0.6 else 0,
        "bar": max(2, int(rng.uniform(0.004, 0.02) * image.shape[0])),
        "around": rng.choice(["nothing", "box", "rim"], p=[0.5, 0.3, 0.2]),
    }
    covered = np.zeros(image.shape, bool)
    margin = int(rng.uniform(0.01, 0.05) * min(image.shape)) + 1
    for corner, (words, length) in zip(rng.permutation(4), blocks, strict=False):
        stamp, solid = draw_block(words, length, style)
        rows, cols = (min(a, b - margin) for a, b in zip(stamp.shape, image.shape, strict=True))
        top = margin if corner < 2 else image.shape[0] - margin - rows
        left = margin if corner % 2 else image.shape[1] - margin - cols
        covered |= burn(image, (max(0, top), max(0, left)), stamp, solid, style["tone"])
    return covered


def draw_block(words, length, style):
    """Draw a bar `length` px long with words over it.

    Returns
    -------
    stamp, solid : uint8 arrays of one shape
        Opacity of the ink, and of what lies behind it in the opposite tone.
    """
    scale = style["height"] / cv2.getTextSize("X", style["font"], 1, 1)[0][1]
    thick = max(1, round(style["height"] / 12))
    pad = max(2, int(0.35 * style["height"]))
    (wide, high), below = cv2.getTextSize(words, style["font"], scale, thick)
    high, below = (high, below) if words else (0, 0)
    length, bar = int(length), style["bar"] if length else 0
    width = max(wide, length)
    rows = high + below + bar + (3 if words and bar else 2) * pad
    stamp, solid = np.zeros((2, rows, width + 2 * pad), np.uint8)
    spot = (pad + (width - wide) // 2, pad + high)
    bar_top, bar_left = rows - pad - bar, pad + (width - length) // 2
    if style["around"] == "rim":
        cv2.putText(solid, words, spot, style["font"], scale, 255, thick + 2, cv2.LINE_AA)
        solid[bar_top - 1 : rows - pad + 1, bar_left - 1 : bar_left + length + 1] = 255
    elif style["around"] == "box":
        solid[:] = 255
    cv2.putText(stamp, words, spot, style["font"], scale, 255, thick, cv2.LINE_AA)
    stamp[bar_top : rows - pad, bar_left : bar_left + length] = 255
    return stamp, solid


def burn(image, corner, stamp, solid, tone):
    """Blend a block into `image`, in place, its upper left at `corner`; return what it covers."""
    top, left = corner
    window = (slice(top, top + stamp.shape[0]), slice(left, left + stamp.shape[1]))
    value = image[window].astype(np.float32)
    stamp, solid = (ink[: value.shape[0], : value.shape[1]] for ink in (stamp, solid))
    blend(value, 255 - tone, solid)
    blend(value, tone, stamp)
    image[window] = np.rint(value).astype(np.uint8)
    covered = np.zeros(image.shape, bool)
    covered[window] = np.maximum(stamp, solid) > 0
    return covered


def draw_data_bar(image, pixel_size_um, rng):
    """Draw the strip of a scanning microscope below the image: settings and a scale bar."""
    rows, cols = image.shape
    height = max(12, int(rng.uniform(0.04, 0.08) * rows))
    tone = 255 if rng.random() < 0.7 else 0
    covered = np.zeros(image.shape, bool)
    covered[-height:] = True
    image[covered] = 255 - tone
    bar = BAR_UM[np.abs(np.log(BAR_UM) - np.log(0.15 * cols * pixel_size_um)).argmin()]
    style = {"font": FONTS[rng.integers(len(FONTS))], "height": 0.3 * height, "tone": tone}
    style |= {"bar": max(1, height // 12), "around": "nothing"}
    left = int(0.02 * cols)
    words = rng.permutation(LABELS["electron"][4:])
    for text, length in ((f"{bar:g} um", bar / pixel_size_um), *((word, 0) for word in words)):
        stamp, solid = draw_block(str(text), length, style)
        if left + stamp.shape[1] > cols or stamp.shape[0] > height:
            continue
        top = rows - height + (height - stamp.shape[0]) // 2
        burn(image, (top, left), stamp, solid, tone)
        left += stamp.shape[1] + int(rng.uniform(0.01, 0.06) * cols)
    return covered
