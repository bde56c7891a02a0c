"""Read HDF5 without following or running anything in the file."""

import math
import mmap
from pathlib import Path

import numpy as np

# Attributes of a model file are a few kB; more is refused before it is read.
MAX_ATTRIBUTE_BYTES = 2**20
MAX_NAMES = 128  # Adam's state has the most, 94
MAX_FILE_BYTES = 2**28  # with Adam's state it is 93 MB


class ModelFileError(Exception):
    """What is wrong with a model file; `load_model` adds its name and what to do."""


def member(group, name):
    """Return a member of an HDF5 group by its path, over hard links only."""
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise ModelFileError(f"{name} is missing")
        if not isinstance(link, h5py.HardLink):
            raise ModelFileError(f"{name} is a {type(link).__name__}, which is never followed")
        group = group[part]
    return group


def check_texts(path):
    """Refuse a file that holds a text above the limit, before any is read.

    Texts of free length lie in collections "GCOL" (HDF5 file format specification, III.E), whose
    size follows eight bytes later. Attributes only refer to them: a hundred names can be one text,
    and reading them would fill memory from a small file.
    """
    if Path(path).stat().st_size > MAX_FILE_BYTES:
        raise ModelFileError(f"above {MAX_FILE_BYTES} bytes")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(b"GCOL")
        while place >= 0:
            size = int.from_bytes(content[place + 8 : place + 16], "little")
            # Weights may spell GCOL too, but not with its version and three zeros behind.
            if content[place + 4 : place + 8] == b"\1\0\0\0" and size > MAX_ATTRIBUTE_BYTES:
                raise ModelFileError(f"has texts above {MAX_ATTRIBUTE_BYTES} bytes")
            place = content.find(b"GCOL", place + 4)


def read_attribute(group, name):
    """Return an attribute (text, or list of text), or None; size is checked before reading."""
    if name not in group.attrs:
        return None
    attribute = group.attrs.get_id(name)
    count = math.prod(attribute.shape or (1,))
    # Texts of free length lie elsewhere, see `check_texts`, and can all be one: number counts.
    if count > MAX_NAMES:
        raise ModelFileError(f"attribute {name} has {count} values")
    if count * attribute.dtype.itemsize > MAX_ATTRIBUTE_BYTES:
        raise ModelFileError(f"attribute {name} is above {MAX_ATTRIBUTE_BYTES} bytes")
    value = group.attrs[name]
    if isinstance(value, np.ndarray):
        return [item.decode() if isinstance(item, bytes) else str(item) for item in value.ravel()]
    return value.decode() if isinstance(value, bytes) else str(value)


def read_array(group, name, shape, kind="f"):
    """Return one array of a model file after checking how it is stored and what it claims to be."""
    import h5py

    dataset = member(group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise ModelFileError(f"{name} is no array")
    storage = dataset.id.get_create_plist()
    # Keras writes arrays in one piece. Chunks can be bombs, virtual layouts name other files.
    plain = storage.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
    if not plain or storage.get_external_count():
        raise ModelFileError(f"{name} is in pieces or in another file, which is never opened")
    known = dataset.dtype.kind == kind and dataset.dtype.itemsize in (2, 4, 8)
    if dataset.shape != shape or not known:
        raise ModelFileError(f"{name} is {dataset.dtype} {dataset.shape}, expected {shape}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        array = np.asarray(dataset[()], np.float32 if kind == "f" else None)
    if not np.isfinite(array).all():
        raise ModelFileError(f"{name} has NaN or infinite values")
    return array
