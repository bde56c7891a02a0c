"""The pages and tags that a TIFF lists, checked against its own size before a library reads them.

Layout as in the TIFF 6.0 specification, section 2, and its extension BigTIFF.
"""

import struct

# More pages are not counted: no file of more than one image is read anyway.
MAX_PAGES = 10_000
MAX_TAGS = 4096  # on one page, tifffile's limit too
# Bytes of a tag's value by its kind; tifffile passes over other kinds.
KIND_BYTES = {
    **{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8},
    **{13: 4, 16: 8, 17: 8, 18: 8},
}
WHOLE_NUMBERS = (3, 4, 6, 8, 9, 16, 17)  # without BYTE, which tifffile takes for a text
NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
# Tags that are one whole number each: what they size could not be reckoned otherwise.
SINGLE = {
    **{254: "NewSubfileType", 255: "SubfileType", 256: "ImageWidth", 257: "ImageLength"},
    **{259: "Compression", 262: "PhotometricInterpretation", 277: "SamplesPerPixel"},
    **{284: "PlanarConfiguration", 317: "Predictor", 322: "TileWidth", 323: "TileLength"},
    **{32997: "ImageDepth", 32998: "TileDepth"},
}
# Tags that are whole numbers too, one or more.
SEVERAL = {
    **{258: "BitsPerSample", 273: "StripOffsets", 278: "RowsPerStrip", 279: "StripByteCounts"},
    **{324: "TileOffsets", 325: "TileByteCounts", 338: "ExtraSamples", 339: "SampleFormat"},
}


def list_pages(file):
    """Return whether each page is a thumbnail, list of bool.

    A list that leaves the file ends there, as it does for every other reader of TIFF.

    Parameters
    ----------
    file : binary file

    Raises
    ------
    ValueError
        No TIFF; a page follows itself; the pages overlap, so that they could be more than the file
        has room for; or a tag is not as a page needs it.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    version = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) >= 8 else None
    if version not in (42, 43):
        raise ValueError("not a TIFF")
    big = version == 43
    count_format, tag_format, place_format = (
        struct.Struct(order + form)
        for form in (("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I"))
    )
    place = place_format.unpack(head[8:16] if big else head[4:8])[0]
    thumbnails, seen, used = [], set(), 0
    while 0 < place < size and len(thumbnails) <= MAX_PAGES:
        if place in seen:
            raise ValueError("its pages follow each other in a circle")
        seen.add(place)
        file.seek(place)
        (count,) = count_format.unpack(file.read(count_format.size).ljust(count_format.size, b"\0"))
        length = count * tag_format.size
        used += length
        if used > size:
            raise ValueError("its pages overlap or leave the file")
        if count > MAX_TAGS:
            raise ValueError(f"{count} tags on a page, cannot be more than {MAX_TAGS}")
        tags = file.read(length)
        if len(tags) < length:
            break
        thumbnails.append(check_tags(tag_format.iter_unpack(tags), order, place_format, size))
        place = place_format.unpack(file.read(place_format.size).ljust(place_format.size, b"\0"))[0]
    return thumbnails


def check_tags(tags, order, place_format, size):
    """Check one page's tags; return whether it is a thumbnail.

    Parameters
    ----------
    tags : iterable of (int, int, int, bytes)
        Tag, kind, count, and the value, or its place where it is longer.
    order : "<" or ">"
    place_format : struct.Struct
    size : int
        Bytes in the file.

    Raises
    ------
    ValueError
        See `list_pages`.
    """
    thumbnail, used = False, 0
    for tag, kind, count, value in tags:
        length = count * KIND_BYTES.get(kind, 0)
        if length > len(value) and place_format.unpack(value)[0] + length <= size:
            used += length
        if tag in SINGLE and (count != 1 or kind not in WHOLE_NUMBERS):
            raise ValueError(f"its tag {SINGLE[tag]} is not one whole number")
        if tag in SEVERAL and kind not in WHOLE_NUMBERS:
            raise ValueError(f"its tag {SEVERAL[tag]} is no whole number")
        if tag in (NEW_SUBFILE_TYPE, SUBFILE_TYPE):
            width = KIND_BYTES[kind]
            number = int.from_bytes(value[:width], "little" if order == "<" else "big")
            thumbnail |= number & 1 == 1 if tag == NEW_SUBFILE_TYPE else number == 2
    if used > size:
        raise ValueError("the values of its tags overlap")
    return thumbnail
