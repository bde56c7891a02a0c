"""Pack folders into `npydata/`, all or nothing, and again if a folder has changed."""

import contextlib
import math
from pathlib import Path

import numpy as np

from myelin.folders.naming import (
    NPYDATA,
    RAW_TEST,
    RAW_TRAIN,
    axon_beside,
    find_test_images,
    inner_folders_text,
    print_folder_notes,
    training_pairs,
    warn_if_drawn,
)
from myelin.folders.packed import PROBABILITIES, UNFINISHED, load_ids, load_texts, packed_take
from myelin.folders.pixel_sizes import usable_size
from myelin.folders.stack import Stack, load_array
from myelin.images.image import (
    ImageRecord,
    print_turned,
    read_kinds,
    read_mask,
    read_record,
    read_scaled,
)
from myelin.images.mask_checks import check_rings
from myelin.images.plane_selection import take_text
from myelin.runtime.cli import UserError, count_of, progress, shortened_list
from myelin.runtime.disk import check_room
from myelin.runtime.files import replacing, stem_of
from myelin.runtime.lock import holding

FOLDERS = {"train": RAW_TRAIN, "test": RAW_TEST}
DESCRIPTIONS = {
    "imgs_train": "training image",
    "imgs_mask_train": "training mask",
    "imgs_test": "test image",
}


def no_images(names: list[str]) -> UserError:
    """Return the error for sets whose folders hold no images."""
    for folder in (FOLDERS[name] for name in names):
        if folder.is_dir() and (text := inner_folders_text(folder)):
            return UserError(text)
    folders = " and ".join(str(FOLDERS[name]) for name in names)
    make = "make the folder" if len(names) == 1 else "make the folders"
    return UserError(f"{folders}: no images, {make} and put TIFF or PNG files in")


def find_sources(name: str, errors: list[str]) -> list[tuple[Path, ...]]:
    """Return the files of each frame of a set, [(image, mask)] or [(image,)]; add to `errors`."""
    folder = FOLDERS[name]
    if not folder.exists():
        return []
    if name == "test":
        images, mistakes = find_test_images(folder)
        pairs = [(path,) for path in images.values()]
    else:
        pairs, mistakes = training_pairs(folder)
    errors.extend(mistakes)
    return pairs


# ---------------------------------------------------------------- has a folder changed


def repack_if_changed(name: str) -> None:
    """Pack the set "train" or "test" again if files are new, changed or gone, and print that.

    If the folder is empty or missing, the images packed before are used.

    Raises
    ------
    UserError
        The folder has a mistake, or another run reads what was packed.
    """
    with holding(NPYDATA, f"imgs_{name}.npy", shared=True):
        errors = []
        sources = find_sources(name, errors)
        if errors:
            raise UserError(*errors)
        if not sources:
            if not (NPYDATA / f"imgs_{name}.npy").exists():
                raise no_images([name])
            print(f"note: {FOLDERS[name]}: no images, those packed before are used")
            return
        changes = changes_since_packed(name, sources)
        if not changes:
            print_folder_notes(FOLDERS[name])
    if changes:
        with holding(NPYDATA, f"imgs_{name}.npy"):
            lines = pack([name], packed_take(name))
        print(f"{FOLDERS[name]} {changes}: packed again", *lines, sep="\n")


def repack_for_training() -> None:
    """Pack both sets again if changed: a training reads them, and the segmenting after it."""
    repack_if_changed("train")
    if (NPYDATA / "imgs_test.npy").exists():  # a mistake there stops the run before it starts
        repack_if_changed("test")


def changes_since_packed(name: str, sources: list[tuple[Path, ...]]) -> str:
    """Return what has changed in a folder since it was packed, "" if nothing."""
    path = NPYDATA / f"imgs_{name}.npy"
    if not path.exists():
        return "was not packed"
    try:
        stamps = load_texts(NPYDATA / f"imgs_stamp_{name}.npy")
        load_array(NPYDATA / f"imgs_limits_{name}.npy")  # older versions scaled by the full range
        packed = dict(zip(load_ids(name, Stack(path)), stamps, strict=True))
    except (UserError, ValueError):
        return "was packed by an older version, or not to the end"
    now = {stem_of(files[0]): list(map(stamp, files)) for files in sources}
    changed = [stem for stem in now.keys() | packed.keys() if now.get(stem) != packed.get(stem)]
    return f"has changed ({shortened_list(sorted(changed))})" if changed else ""


def stamp(path: Path) -> str:
    """Return size and modification time of a file, and of the axon mask of a mask, as text."""
    facts = (file.stat() for file in (path, axon_beside(path)) if file)
    return " ".join(f"{found.st_size} {found.st_mtime_ns}" for found in facts)


# ---------------------------------------------------------------- pack


def pack(names: list[str], take: dict[str, int] | None = None) -> list[str]:
    """Pack sets of images, or nothing if there is a mistake.

    Parameters
    ----------
    names : list of "train" and "test"
    take : dict of str to int, optional
        Which image of files that hold several, as from `plane_selection.parse_take`; a mask file
        must hold one.

    Returns
    -------
    list of str
        Lines that describe what was packed.

    Raises
    ------
    UserError
        All mistakes at once.
    """
    errors, lines = [], []
    sources = {name: find_sources(name, errors) for name in names}
    if not any(sources.values()) and not errors:
        raise no_images(names)
    for name in filter(sources.get, sources):
        print_folder_notes(FOLDERS[name])
    frames = {name: read_records(found, take or {}, errors) for name, found in sources.items()}
    arrays = arrays_of(frames)
    check_room(
        {NPYDATA: sum(map(math.prod, map(frame_stack, arrays.values())))},
        "make room on it or pack fewer images",
    )
    # The inner files are renamed first and the ids last, after the old ids were removed: if the
    # renaming is cut off, new and old arrays cannot pass for one set.
    with contextlib.ExitStack() as facts, contextlib.ExitStack() as files:
        for name, records in arrays.items():
            lines.append(pack_frames(name, records, files, errors))
        if errors:
            raise UserError(*errors)
        for name, records in frames.items():
            if records:
                pack_facts(name, records, facts)
            lines += remove_old(name, emptied=not records)
    return lines


def read_records(
    sources: list[tuple[Path, ...]], take: dict[str, int], errors: list[str]
) -> list[list[ImageRecord | None]]:
    """Return the headers of the files of each frame, None if unreadable.

    A mask must have its image's size.
    """
    frames = []
    for files in progress(sources, "reading headers"):
        records = []
        for path in files:
            try:
                records.append(read_record(path, take if path == files[0] else {}))
            except UserError as mistake:
                errors.extend(mistake.args)
                records.append(None)
        sizes = [" x ".join(map(str, record.shape)) for record in records if record]
        if len(set(sizes)) > 1:
            errors.append(
                f"{records[1].path}: {sizes[1]} pixels, but {records[0].path.name} is {sizes[0]}, "
                "draw the mask on the image itself"
            )
        frames.append(records)
    print_turned(record for records in frames for record in records if record)
    return frames


def arrays_of(frames: dict[str, list[list[ImageRecord]]]) -> dict[str, list[ImageRecord]]:
    """Return the images of each array; the second file of a training frame is its mask."""
    arrays = {"imgs_train": [], "imgs_mask_train": [], "imgs_test": []}
    for name, frame in frames.items():
        arrays[f"imgs_{name}"] = [records[0] for records in frame if records[0]]
        arrays["imgs_mask_train"] += [
            record for records in frame for record in records[1:] if record
        ]
    return {name: records for name, records in arrays.items() if records}


def frame_stack(records: list[ImageRecord]) -> tuple[int, int, int]:
    """Return the number of frames, and the rows and columns that hold each image."""
    rows, cols = (max(lengths) for lengths in zip(*(r.shape for r in records), strict=True))
    return len(records), rows, cols


def new_array(name: str, files: contextlib.ExitStack) -> Path:
    """Return a temporary path that becomes `npydata/<name>.npy` when `files` closes."""
    return files.enter_context(replacing(NPYDATA / f"{name}.npy"))


def pack_facts(name: str, frames: list[list[ImageRecord]], files: contextlib.ExitStack) -> None:
    """Pack ids, true sizes and pixel sizes of images, and stamps that reveal changed files."""
    images = [records[0] for records in frames]
    arrays = {
        "id": np.array([stem_of(image.path) for image in images], np.str_),
        "shape": np.array([image.shape for image in images], np.int64),
        "stamp": np.array([[stamp(record.path) for record in records] for records in frames]),
    }
    if images[0].take:
        arrays["take"] = np.array([take_text(images[0].take)], np.str_)
    if name == "test":
        sizes = [usable_size(image, "packed") for image in images]
        arrays["pixel_size"] = np.array(sizes, float)  # None becomes NaN
    for kind, array in arrays.items():
        np.save(new_array(f"imgs_{kind}_{name}", files), array)


def pack_frames(
    name: str, records: list[ImageRecord], files: contextlib.ExitStack, errors: list[str]
) -> str:
    """Pack one padded frame per image; return a line that describes them."""
    count, rows, cols = frame_stack(records)
    what, masks = DESCRIPTIONS[name], name == "imgs_mask_train"
    stack = Stack(new_array(name, files), (count, rows, cols), np.uint8)
    fractions, limits = [], np.full((count, 2), np.nan)
    for index, record in enumerate(progress(records, f"{what}s")):
        try:
            image, scaled = (read_mask_frame(record), None) if masks else read_scaled(record)
        except UserError as mistake:
            errors.extend(mistake.args)
            continue
        stack[index], limits[index] = image, scaled or np.nan
        if name == "imgs_test":
            warn_if_drawn(record.path, image)
        fractions.append(np.count_nonzero(image) / image.size)
        if masks and fractions[-1] in (0, 1):
            print(f"note: {record.path}: {'all' if fractions[-1] else 'no'} myelin")
    if not masks:
        np.save(new_array(name.replace("imgs", "imgs_limits"), files), limits)
    line = f"{count_of(count, what)}: frames of {rows} x {cols}"
    sizes = len({record.shape for record in records})
    if sizes > 1:
        line += f" ({sizes} sizes, zero-padded)"
    if masks and fractions:  # an inverted mask stands out
        line += f", myelin on {min(fractions):.0%} to {max(fractions):.0%} of the area"
    scaled = np.count_nonzero(~np.isnan(limits[:, 0]))
    return line + (f", {scaled} scaled to 8 bits by their own limits" if scaled else "")


def read_mask_frame(record: ImageRecord) -> np.ndarray:
    """Return a mask as 0/255 uint8 (rows, cols)."""
    axon = axon_beside(record.path)
    mask, axons = read_kinds(record, filled=axon is not None)
    try:
        check_rings(record.path, mask, axons)
    except UserError:
        if axon is None:
            raise
        axons = read_mask(axon)
        if axons.shape != mask.shape:
            raise UserError(
                f"{axon}: {' x '.join(map(str, axons.shape))} pixels, but {record.path.name} is "
                f"{' x '.join(map(str, mask.shape))}, draw the axons on the image itself"
            ) from None
        mask &= ~axons
        check_rings(record.path, mask, axons)
    return mask.astype(np.uint8) * np.uint8(255)


def remove_old(name: str, emptied: bool) -> list[str]:
    """Remove outdated arrays of a set; return lines that describe this.

    The ids go, and the probabilities of test images; all arrays if the folder was emptied.
    """
    paths = [NPYDATA / f"imgs_{kind}_{name}.npy" for kind in ("id", "take")]
    if name == "test":
        paths += [UNFINISHED, PROBABILITIES]
    if emptied:
        paths += sorted(NPYDATA.glob(f"imgs_*{name}.npy"))
    lines = [f"{FOLDERS[name]}: no images, nothing packed"] if emptied else []
    if PROBABILITIES in paths and PROBABILITIES.exists():
        lines.append(f"removed {PROBABILITIES.name} of the test images packed before")
    for path in paths:
        path.unlink(missing_ok=True)
    return lines
