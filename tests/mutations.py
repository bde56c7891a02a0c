"""Damaged and hostile files, the same for the same seed."""

import functools
import io
import re
import struct
import zipfile
import zlib

import cv2
import numpy as np
import tifffile
from PIL import Image

LIMITS = (0, 1, 2, 3, 5, 127, 255, 256, 4097, 65535, 2**20, 2**31 - 1, 2**31, 2**32 - 1)


def cases(kind, seed, numbers):
    """Yield (number, name, content) of damaged files.

    Parameters
    ----------
    kind : "images", "arrays", "models", "tables" or "outlines"
    seed : int
    numbers : iterable of int
        Which; each depends on its number and the seed alone.
    """
    whole = SAMPLES[kind]()
    names = sorted(whole)
    for number in numbers:
        rng = np.random.default_rng([seed, list(SAMPLES).index(kind), number])
        name = names[number % len(names)]
        content, other = bytearray(whole[name]), whole[names[int(rng.integers(len(names)))]]
        for _ in range(int(rng.integers(1, 4))):
            change = CHANGES[kind][int(rng.integers(len(CHANGES[kind])))]
            content = bytearray(change(content, other, rng)) or bytearray(b"\0")
        yield number, name, bytes(content)


# ---------------------------------------------------------------- whole files


def drawing(rows=48, cols=60, channels=None, dtype=np.uint8):
    """Return a smooth image with a little noise, which every packing shortens."""
    y, x = np.mgrid[:rows, :cols]
    grey = 100 + 60 * np.sin(x / 7) * np.cos(y / 9) + np.random.default_rng(0).normal(0, 3, x.shape)
    grey = (grey * (1 if dtype == np.uint8 else 200)).astype(dtype)
    return grey if channels is None else np.stack([grey >> k for k in range(channels)], axis=-1)


def encoded(image, suffix, *options):
    return cv2.imencode(suffix, image, options)[1].tobytes()


def with_pillow(image, format, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format, **options)
    return file.getvalue()


def with_tifffile(image, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, image, **options)
    return file.getvalue()


@functools.cache
def image_samples():
    grey, deep, colour = drawing(), drawing(dtype=np.uint16), drawing(channels=3)
    large = drawing(200, 300)
    palette = Image.fromarray(grey).quantize(64)
    microscope = {"imagej": True, "resolution": (5, 5), "metadata": {"unit": "um"}}
    ome = {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.1}}
    files = {
        "plain.tif": with_tifffile(grey),
        "big_endian.tif": with_tifffile(deep, byteorder=">"),
        "big.tif": with_tifffile(grey, bigtiff=True),
        "deflate.tif": with_tifffile(large, compression="zlib", rowsperstrip=16),
        "lzma.tif": with_tifffile(grey, compression="lzma"),
        "predictor.tif": with_tifffile(deep, compression="zlib", predictor=True),
        "tiles.tif": with_tifffile(colour, tile=(32, 32), photometric="rgb", compression="zlib"),
        "planes.tif": with_tifffile(
            np.moveaxis(colour, -1, 0), photometric="rgb", planarconfig="separate"
        ),
        "imagej.tif": with_tifffile(grey, **microscope),
        "ome.tif": with_tifffile(grey, **ome),
        "float.tif": with_tifffile(grey.astype(np.float32)),
        "pages.tif": with_tifffile(np.stack([grey] * 3), photometric="minisblack"),
        "lzw8.tif": with_pillow(large, "TIFF", compression="tiff_lzw"),
        "lzw16.tif": encoded(deep, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 5),
        "packbits.tif": with_pillow(grey // 16 * 16, "TIFF", compression="packbits"),
        "jpeg.tif": with_pillow(large, "TIFF", compression="jpeg"),
        "fax.tif": with_pillow(grey > 100, "TIFF", compression="group4"),
        "grey.png": encoded(grey, ".png"),
        "deep.png": encoded(deep, ".png"),
        "colour.png": encoded(colour, ".png"),
        "bits.png": with_pillow(grey > 100, "PNG"),
        "grey.jpg": encoded(large, ".jpg"),
        "colour.jpg": encoded(drawing(200, 300, 3), ".jpg"),
        "progressive.jpg": encoded(large, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "restart.jpg": encoded(large, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
        "grey.bmp": encoded(grey, ".bmp"),
        "colour.bmp": encoded(colour, ".bmp"),
    }
    for format, suffix in (("TIFF", "tif"), ("PNG", "png"), ("BMP", "bmp")):
        file = io.BytesIO()
        palette.save(file, format)
        files[f"palette.{suffix}"] = file.getvalue()
    return files


def array_samples():
    """Return the arrays of npydata, as `data.py` packs them."""
    arrays = {"imgs_id_train": np.array(["a", "b"]), "imgs_id_test": np.array(["c", "d"])}
    for name in ("imgs_train", "imgs_mask_train", "imgs_test"):
        arrays[name] = np.zeros((2, 4, 5), np.uint8)
    for name in ("train", "test"):
        arrays[f"imgs_shape_{name}"] = np.array([[4, 5], [3, 2]])
    arrays["imgs_pixel_size_test"] = np.array([0.1, np.nan])
    files = {}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array)
        files[f"{name}.npy"] = file.getvalue()
    return files


@functools.cache
def model_samples():
    """Return a model file of a small network, whole and without Adam's state."""
    import tempfile
    from pathlib import Path

    import unet
    from myelin import engine, model_file
    from myelin.preprocessing import Preprocessing

    engine.start_keras()
    network = unet.get_unet(32, 32)
    network.compile(optimizer="adam", loss=unet.dice_coef_loss)
    network.optimizer.build(network.trainable_variables)
    with tempfile.TemporaryDirectory() as folder:
        for name, optimizer in (("whole.h5", True), ("weights.h5", False)):
            settings = Preprocessing(rows=32, cols=32, mean=120.0, std=40.0)
            model_file.save_model(Path(folder) / name, network, settings, optimizer)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def table_samples():
    lines = [
        "image,group,animal",
        *(f"n{k},{'wild' if k < 4 else 'ko'},m{k // 2}" for k in range(8)),
    ]
    text = "\n".join(lines) + "\n"
    return {
        "comma.csv": text.encode(),
        "semicolon.csv": text.replace(",", ";").encode("utf-8-sig"),
        "tab.csv": text.replace(",", "\t").replace("\n", "\r\n").encode(),
        "quoted.csv": re.sub(r"(\w+)", r'"\1"', text).encode(),
    }


@functools.cache
def outline_samples():
    """Return outlines as ImageJ and QuPath save them, of every kind that is read."""
    import tempfile
    from pathlib import Path

    from roifile import ROI_OPTIONS, ROI_TYPE

    from myelin.drawing import Drawing
    from myelin.geojson import write_geojson
    from myelin.imagej_rois import to_roi, write_zip

    fibers = np.zeros((48, 60), int)
    fibers[4:20, 4:20], fibers[10:40, 30:55] = 1, 2
    axons = np.where(np.roll(fibers, 6, (0, 1)) == fibers, fibers, 0)
    mask = (fibers > 0) & (axons == 0)
    mask[12:14, 32:34], mask[44:47, 2:9] = False, True
    outlines = Drawing.of(fibers, axons, mask).outlines()
    with tempfile.TemporaryDirectory() as folder:
        write_zip(Path(folder) / "packed.zip", outlines)
        write_geojson(Path(folder) / "cells.geojson", outlines, {1: {"g_ratio": 0.6}}, "one")
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for outline in outlines:
            archive.writestr(f"{outline.name}.roi", to_roi(outline).tobytes())
    roi = to_roi(outlines[0])
    files |= {"stored.zip": file.getvalue(), "traced.roi": roi.tobytes()}
    roi.subpixel_coordinates, roi.options = roi.coordinates().astype(np.float32), ROI_OPTIONS(128)
    files["float.roi"] = roi.tobytes()
    roi.subpixel_coordinates = roi.integer_coordinates = None
    for kind in (ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.LINE):
        roi.roitype, roi.n_coordinates, roi.options = kind, 0, ROI_OPTIONS.NONE
        files[f"{kind.name.lower()}.roi"] = roi.tobytes()
    roi.roitype, path = ROI_TYPE.RECT, [0, 3, 3, 2, 9, 3, 9, 9, 3, 9, 20, 3, 20, 3, 9, 1, 3, 5, 4]
    roi.multi_coordinates, roi.shape_roi_size = np.array(path, np.float32), len(path)
    files["curves.roi"] = roi.tobytes()
    return files


# New kinds go last: the damage of each depends on its place.
SAMPLES = {
    "arrays": array_samples,
    "images": image_samples,
    "models": model_samples,
    "tables": table_samples,
    "outlines": outline_samples,
}

# ---------------------------------------------------------------- changes


def place_in(content, rng):
    """Return a place, half of them near the start or the end, where headers are."""
    if rng.random() < 0.5:
        place = int(rng.integers(min(len(content), 400)))
        return place if rng.random() < 0.7 else len(content) - 1 - place
    return int(rng.integers(len(content)))


def flip_bits(content, _, rng):
    for _ in range(int(rng.integers(1, 12))):
        content[place_in(content, rng)] ^= 1 << int(rng.integers(8))
    return content


def overwrite(content, _, rng):
    place, length = place_in(content, rng), int(rng.integers(1, 17))
    fill = (rng.bytes(length), bytes(length), b"\xff" * length)[int(rng.integers(3))]
    content[place : place + length] = fill[: len(content) - place]
    return content


def set_number(content, _, rng):
    place = place_in(content, rng)
    number, order = LIMITS[int(rng.integers(len(LIMITS)))], "<>"[int(rng.integers(2))]
    code = "BHIQ"[int(rng.integers(4))]
    value = struct.pack(order + code, number % 2 ** (8 * struct.calcsize(code)))
    content[place : place + len(value)] = value[: len(content) - place]
    return content


def cut(content, _, rng):
    return content[: place_in(content, rng)]


def leave_out(content, _, rng):
    place = place_in(content, rng)
    del content[place : place + int(rng.integers(1, 200))]
    return content


def repeat(content, _, rng):
    place, length = place_in(content, rng), int(rng.integers(1, 500))
    return (
        content[:place]
        + content[place : place + length] * int(rng.integers(2, 6))
        + content[place:]
    )


def join(content, other, rng):
    return content[: place_in(content, rng)] + other[place_in(other, rng) :]


def is_tiff(content):
    return content[:4] in (b"II*\0", b"MM\0*") and len(content) >= 20


def first_page(content):
    """Return byte order, place and count of tags of a TIFF's first page; None without one."""
    order = "<" if content[:2] == b"II" else ">"
    start = struct.unpack(f"{order}I", content[4:8])[0]
    if start + 2 > len(content):
        return None
    return order, start, struct.unpack(f"{order}H", content[start : start + 2])[0]


def change_tag(content, other, rng):
    """Change kind, count or value of one tag of a TIFF's first page."""
    if not is_tiff(content):
        return set_number(content, other, rng)
    if not (page := first_page(content)):
        return content
    order, start, count = page
    place = start + 2 + 12 * int(rng.integers(max(count, 1)))
    field, code = ((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H"))[int(rng.integers(5))]
    number = int(rng.choice([*LIMITS, 4, 8, start, len(content) - 1, int(rng.integers(70))]))
    value = struct.pack(order + code, number % 2 ** (8 * struct.calcsize(code)))
    place += field
    content[place : place + len(value)] = value[: max(len(content) - place, 0)]
    return content


def change_next(content, other, rng):
    """Let a TIFF's first page be followed by another place."""
    if not is_tiff(content):
        return leave_out(content, other, rng)
    if not (page := first_page(content)):
        return content
    order, start, count = page
    place = start + 2 + 12 * count
    following = struct.pack(
        f"{order}I", int(rng.choice([start, 8, int(rng.integers(len(content)))]))
    )
    content[place : place + 4] = following[: max(len(content) - place, 0)]
    return content


def seal_png(content, other, rng):
    """Change a byte of a PNG and set the checksums right again."""
    if content[:4] != b"\x89PNG":
        return overwrite(content, other, rng)
    content = set_number(content, other, rng)
    place = 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        if place + 12 + length > len(content):
            break
        checksum = zlib.crc32(content[place + 4 : place + 8 + length])
        content[place + 8 + length : place + 12 + length] = struct.pack(">I", checksum)
        place += 12 + length
    return content


BYTES = [flip_bits, overwrite, set_number, cut, leave_out, repeat, join]

HEADERS = [
    *("()", "(2,)", "(-1, 4, 5)", "(2, 4, 5", "(2, 4, 5))", "(2.5, 4, 5)", "(2, 4, 5, 1)"),
    *("(99999999999999999999, 4, 5)", "(2**70, 4, 5)", "('a', 4, 5)", "(True, 4, 5)", "(2, 4, 0)"),
    *("(4294967296, 4294967296, 4)", "(" * 300, "[2, 4, 5]", "None", "(0, 4, 5)"),
]
KINDS = [
    *("'|O'", "'|u1'", "'<f4'", "'<f8'", "'<U999999999'", "'<U0'", "'|V7'", "'<c16'", "'<M8[s]'"),
    *("[('a', '<f4')]", "'no'", "7", "'<U3', 'x': 1", "'|b1'", "'<i8'", "('<i8', (3,))"),
]


def change_header(content, other, rng):
    """Put another shape or type into the header of an array."""
    if content[:6] != b"\x93NUMPY" or len(content) < 10:
        return content
    length = struct.unpack("<H", content[8:10])[0]
    header = content[10 : 10 + length].decode("latin1")
    if rng.random() < 0.5:
        new = HEADERS[int(rng.integers(len(HEADERS)))]
        header = re.sub(r"\([\d, ]*\)(?=, })", lambda _: new, header)
    else:
        new = KINDS[int(rng.integers(len(KINDS)))]
        header = re.sub(r"(?<='descr': )'[^']*'", lambda _: new, header)
    header = header.encode("latin1")
    return content[:8] + struct.pack("<H", len(header)) + header + content[10 + length :]


def change_text(content, _, rng):
    """Change one letter of a long text of a model file: its description or its settings."""
    places = [match.start() for match in re.finditer(rb"[\w\"{}\[\]:, ]{30,}", bytes(content))]
    if places:
        place = places[int(rng.integers(len(places)))] + int(rng.integers(30))
        letters = b'0123456789"{}[],:-eEtnN\\ \0\xff/'
        content[place] = letters[int(rng.integers(len(letters)))]
    return content


def change_table(content, _, rng):
    """Put something odd between the cells of a table."""
    odd = [
        *(b'"', b"'", b"\0", b"\r", b"\n\n\n", b",,,", b";;;", b"\t", b"\xff\xfe", b"\xef\xbb\xbf"),
        *(
            b"=1+1",
            b"\xe2\x80\xae",
            b"\xc3\xa4",
            b"a\xcc\x88",
            b"x" * 200_000,
            b"\nn1,wild,m0" * 300,
        ),
        *(
            b"image,group,animal\n",
            b"\n,,\n",
            b"n1",
            b"../",
            b"\\",
            b" ",
            b"\xc2\x85",
            b"\n" * 3000,
        ),
    ]
    place = int(rng.integers(len(content) + 1))
    return content[:place] + odd[int(rng.integers(len(odd)))] + content[place:]


def change_json(content, other, rng):
    """Put something odd in the place of a number, a text or a bracket of GeoJSON."""
    if content[:1] != b"{":
        return set_number(content, other, rng)
    odd = [b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"9" * 400, b'"7"', b"{}", b"[]"]
    odd += [b"[" * 2000, b"-1e300", b"3.5", b"", b'"\\ud800"', b"[[1,2],[3,4],[5,6],[1,2]]"]
    places = list(re.finditer(rb"[\d.]+|\"[^\"]*\"|[\[\]{},:]", bytes(content)))
    if not places:
        return content
    found = places[int(rng.integers(len(places)))]
    new = odd[int(rng.integers(len(odd)))]
    return content[: found.start()] + new + content[found.end() :]


CHANGES = {
    "images": [*BYTES, change_tag, change_tag, change_tag, change_next, seal_png],
    "arrays": [*BYTES, change_header, change_header, change_header, change_header],
    "models": [*BYTES, change_text, change_text, change_text],
    "tables": [*BYTES, *[change_table] * 7],
    "outlines": [*BYTES, *[change_json] * 7],
}
