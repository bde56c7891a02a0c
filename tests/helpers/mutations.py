"""Damaged files, the same for the same seed."""

import re
import struct
import zlib

import numpy as np
from whole_files import SAMPLES

LIMITS = (0, 1, 2, 3, 5, 127, 255, 256, 4097, 65535, 2**20, 2**31 - 1, 2**31, 2**32 - 1)


def cases(kind, seed, numbers):
    """Yield (number, name, content) of damaged files of a kind of `SAMPLES`.

    Each depends on its number and the seed alone.
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


def pick(rng, choices):
    return choices[int(rng.integers(len(choices)))]


def place_in(content, rng):
    """Return a place, half of them near the start or the end, where headers are."""
    if rng.random() < 0.5:
        place = int(rng.integers(min(len(content), 400)))
        return place if rng.random() < 0.7 else len(content) - 1 - place
    return int(rng.integers(len(content)))


def put(content, place, new):
    """Overwrite bytes at a place; what would leave the file is cut off."""
    content[place : place + len(new)] = new[: max(len(content) - place, 0)]
    return content


# ---------------------------------------------------------------- any file


def flip_bits(content, _, rng):
    for _ in range(int(rng.integers(1, 12))):
        content[place_in(content, rng)] ^= 1 << int(rng.integers(8))
    return content


def overwrite(content, _, rng):
    length = int(rng.integers(1, 17))
    fill = pick(rng, (rng.bytes(length), bytes(length), b"\xff" * length))
    return put(content, place_in(content, rng), fill)


def set_number(content, _, rng):
    code = pick(rng, "<>") + pick(rng, "BHIQ")
    value = struct.pack(code, pick(rng, LIMITS) % 2 ** (8 * struct.calcsize(code)))
    return put(content, place_in(content, rng), value)


def cut(content, _, rng):
    return content[: place_in(content, rng)]


def join(content, other, rng):
    return content[: place_in(content, rng)] + other[place_in(other, rng) :]


# ---------------------------------------------------------------- images


def change_tag(content, other, rng):
    """Change kind, count or value of a tag of a TIFF's first page, or the place of its next."""
    if content[:4] not in (b"II*\0", b"MM\0*") or len(content) < 20:
        return set_number(content, other, rng)
    order = "<" if content[:2] == b"II" else ">"
    start = struct.unpack(f"{order}I", content[4:8])[0]
    if start + 2 > len(content):
        return content
    count = struct.unpack(f"{order}H", content[start : start + 2])[0]
    if rng.random() < 0.25:
        following = pick(rng, (start, 8, int(rng.integers(len(content)))))
        return put(content, start + 2 + 12 * count, struct.pack(f"{order}I", following))
    field, code = pick(rng, ((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")))
    number = pick(rng, (*LIMITS, 4, 8, start, len(content) - 1, int(rng.integers(70))))
    value = struct.pack(order + code, number % 2 ** (8 * struct.calcsize(code)))
    return put(content, start + 2 + 12 * int(rng.integers(max(count, 1))) + field, value)


def seal_png(content, other, rng):
    """Change a number of a PNG and set the checksums right again."""
    content, place = set_number(content, other, rng), 8
    while content[:4] == b"\x89PNG" and place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(content):
            break
        put(content, end, struct.pack(">I", zlib.crc32(content[place + 4 : end])))
        place = end + 4
    return content


# ---------------------------------------------------------------- arrays and texts

SHAPES = """() (2,) (-1,4,5) (2,4,5 (2.5,4,5) (2,4,5,1) (99999999999999999999,4,5) (2**70,4,5)
    ('a',4,5) (2,4,0) (4294967296,4294967296,4) None""".split()
DTYPES = "'|O' '|u1' '<f4' '<U999999999' '<U0' '|V7' '<c16' '<M8[s]' [('a','<f4')] 'no' 7".split()


def change_header(content, _, rng):
    """Put another shape or type into the header of an array."""
    if content[:6] != b"\x93NUMPY" or len(content) < 10:
        return content
    length = struct.unpack("<H", content[8:10])[0]
    header = content[10 : 10 + length].decode("latin1")
    shape, dtype = pick(rng, [*SHAPES, "(" * 300]), pick(rng, DTYPES)
    if rng.random() < 0.5:
        header = re.sub(r"\([\d, ]*\)(?=, })", lambda _: shape, header)
    else:
        header = re.sub(r"(?<='descr': )'[^']*'", lambda _: dtype, header)
    header = header.encode("latin1")
    return content[:8] + struct.pack("<H", len(header)) + header + content[10 + length :]


def change_text(content, _, rng):
    """Change one letter of a long text: a table, or the settings in a model file or GeoJSON."""
    places = [match.start() for match in re.finditer(rb"[\w\"{}\[\]:,. \n-]{30,}", bytes(content))]
    if not places:
        return content
    letter = pick(rng, b'0123456789"{}[],:;-=eEtnN\\ \r\n\t\0\xff/')
    return put(content, pick(rng, places) + int(rng.integers(30)), bytes([letter]))


BYTES = [flip_bits, overwrite, set_number, cut, join]
TEXT = [*BYTES, *[change_text] * 4]
CHANGES = {
    "images": [*BYTES, *[change_tag] * 4, seal_png],
    "arrays": [*BYTES, *[change_header] * 4],
    "models": TEXT,
    "tables": TEXT,
    "outlines": TEXT,
}
