"""Damaged and hostile files, the same for the same seed."""

import re
import struct
import zlib

import numpy as np
from whole_files import SAMPLES

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
