"""Pack folders into `npydata/`, all or nothing, and again if a folder has changed."""

import contextlib
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from myelin.folders.naming import (
    NPYDATA,
    RAW_TEST,
    RAW_TRAIN,
    find_test_images,
    print_folder_notes,
    training_pairs,
)
from myelin.folders.packed import PROBABILITIES, UNFINISHED, load_ids, load_texts, packed_take
from myelin.folders.stack import Stack
from myelin.images.image import ImageRecord, read_image, read_mask, read_record
from myelin.images.mask_checks import check_way_round
from myelin.images.plane_selection import take_text
from myelin.runtime.cli import UserError, count_of, progress, shortened_list
from myelin.runtime.disk import check_room
from myelin.runtime.files import replacing
from myelin.runtime.lock import holding

FOLDERS = {"train": RAW_TRAIN, "test": RAW_TEST}


def find_sources(name: str, errors: list[str]) -> list[tuple[Path, ...]]:
    """Return the files of each frame of a set: [(image, mask)] or [(image,)].

    Parameters
    ----------
    name : "train" or "test"
    errors : list of str
        Error messages are added to it.
    """
    folder = FOLDERS[name]
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            errors.append(f"{folder}: not a folder, remove it, make it and put images into it")
        return []
    if name == "test":
        images, mistakes = find_test_images(folder)
        pairs = [(path,) for path in images]
    else:
        pairs, mistakes = training_pairs(folder)
    errors.extend(mistakes)
    return pairs


# ---------------------------------------------------------------- is it what was packed


def repack_if_changed(name: str) -> None:
    """Pack a set again if files in its folder are new, changed or gone, and print that.

    If the folder is empty or missing, what was packed before is used.

    Parameters
    ----------
    name : "train" or "test"

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
            if (NPYDATA / f"imgs_{name}.npy").exists():
                print(f"note: {FOLDERS[name]}: no images, what was packed before is used")
            return
        changes = changes_since_packed(name, sources)
        if not changes:
            print_folder_notes(FOLDERS[name])
    if changes:
        with holding(NPYDATA, f"imgs_{name}.npy"):
            lines = pack([name], packed_take(name))
        print(f"{FOLDERS[name]} {changes}: packed again", *lines, sep="\n")


def repack_for_training() -> None:
    """Pack again, if changed, what a training and the segmenting after it read."""
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
        packed = dict(zip(load_ids(name, Stack(path)), stamps, strict=True))
    except (UserError, ValueError):
        return "was packed by an older version, or not to the end"
    now = {files[0].stem: list(map(stamp, files)) for files in sources}
    changed = [stem for stem in now.keys() | packed.keys() if now.get(stem) != packed.get(stem)]
    return f"has changed ({shortened_list(sorted(changed))})" if changed else ""


def stamp(path: Path) -> str:
    """Return size and modification time of a file as text."""
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


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
    errors = []
    sources = {name: find_sources(name, errors) for name in names}
    for name in filter(sources.get, sources):
        print_folder_notes(FOLDERS[name])
    if not any(sources.values()) and not errors:
        folders = [folder for name in names if (folder := FOLDERS[name]).is_dir()]
        if not folders:
            missing = " and ".join(str(FOLDERS[name]) for name in names)
            raise UserError(f"{missing}: no such folders, make them, put images in")
        raise UserError(f"{' and '.join(map(str, folders))}: no images, put TIFF or PNG files in")
    sets = {name: read_records(some, take or {}, errors) for name, some in sources.items()}
    check_pairs(sets.get("train", ()), errors)
    lines = write_sets(sets, errors)
    return [*lines, *(remove_set(name) for name in names if not sets[name])]


def read_records(
    sources: list[tuple[Path, ...]], take: dict[str, int], errors: list[str]
) -> list[list[ImageRecord | None]]:
    """Return the headers of the files of each frame, None for those that cannot be read."""
    frames = []
    for files in progress(sources, "reading headers"):
        frames.append([])
        for path in files:
            try:
                record = read_record(path, take if path == files[0] else {})
            except UserError as mistake:
                errors.extend(mistake.args)
                record = None
            frames[-1].append(record)
    return frames


def check_pairs(frames: Iterable[list[ImageRecord | None]], errors: list[str]) -> None:
    """Add an error message for each mask that does not have the size of its image."""
    for image, mask in frames:
        if image and mask and image.shape != mask.shape:
            (rows, cols), (mask_rows, mask_cols) = image.shape, mask.shape
            errors.append(
                f"{mask.path}: {mask_rows} x {mask_cols} pixels, but {image.path.name} is {rows} "
                f"x {cols}, draw the mask on the image itself"
            )


def write_sets(sets: dict[str, list[list[ImageRecord | None]]], errors: list[str]) -> list[str]:
    """Write all arrays, or none if there is a mistake.

    Parameters
    ----------
    sets : dict of str to list
        The headers of each frame of "train" and "test", as from `read_records`.
    errors : list of str
        The mistakes found so far; the pixels of readable files are checked anyway.

    Returns
    -------
    list of str
        Lines that describe what was packed.
    """
    images, masks, tests = (
        [frame[place] for frame in sets.get(name, ()) if frame[place]]
        for name, place in (("train", 0), ("train", 1), ("test", 0))
    )
    check_room_for([images, masks, tests], errors)
    lines = []
    # Files are renamed when this block ends without an error; until then npydata stays as it was.
    with contextlib.ExitStack() as files:
        for name, frames in sets.items():
            if frames and not errors:
                pack_facts(name, frames, files)
        if tests:
            pack_pixel_sizes(tests, files)
        for name, description, records, read in (
            ("imgs_train", "training image", images, read_image),
            ("imgs_mask_train", "training mask", masks, read_mask_frame),
            ("imgs_test", "test image", tests, read_image),
        ):
            if records:
                lines.append(pack_frames(name, description, records, read, files, errors))
        if errors:
            raise UserError(*errors)
        # The old ids go before anything is renamed: if the renaming is cut off, new and old arrays
        # cannot pass for one set. The probabilities of the old test images go with them.
        for name, frames in sets.items():
            if frames:
                remove(*(NPYDATA / f"imgs_{kind}_{name}.npy" for kind in ("id", "take")))
        if tests:
            remove(UNFINISHED)
            if remove(PROBABILITIES):
                lines.append(f"removed {PROBABILITIES.name} of the test images packed before")
    return lines


def check_room_for(sets: list[list[ImageRecord]], errors: list[str]) -> None:
    """Raise a UserError if the frames will not fit on the disk."""
    shapes = [[record.shape for record in records] for records in sets if records]
    frames = sum(len(s) * math.prod(map(max, zip(*s, strict=True))) for s in shapes)
    try:
        check_room({NPYDATA: frames}, "make room on it or pack fewer images")
    except UserError as mistake:
        raise UserError(*errors, *mistake.args) from None


def new_array(name: str, files: contextlib.ExitStack) -> Path:
    """Return a temporary path that becomes `npydata/<name>.npy` when `files` closes."""
    return files.enter_context(replacing(NPYDATA / f"{name}.npy"))


def pack_facts(name: str, frames: list[list[ImageRecord]], files: contextlib.ExitStack) -> None:
    """Pack the ids and true sizes of a set of images, and what tells whether a file has changed.

    Files are renamed in reverse order: the ids come first here to be renamed last.
    """
    ids = np.array([records[0].path.stem for records in frames], np.str_)
    np.save(new_array(f"imgs_id_{name}", files), ids)
    shapes = np.array([records[0].shape for records in frames], np.int64)
    np.save(new_array(f"imgs_shape_{name}", files), shapes)
    if take := frames[0][0].take:
        np.save(new_array(f"imgs_take_{name}", files), np.array([take_text(take)], np.str_))
    stamps = np.array([[stamp(record.path) for record in records] for records in frames], np.str_)
    np.save(new_array(f"imgs_stamp_{name}", files), stamps)


def pack_pixel_sizes(records: list[ImageRecord], files: contextlib.ExitStack) -> None:
    """Pack the pixel sizes of the test images; name images whose pixels are not square."""
    sizes = np.full(len(records), np.nan)
    for index, record in enumerate(records):
        try:
            sizes[index] = record.pixel_size()[0] or np.nan
        except UserError as mistake:
            print(f"note: {mistake}; packed without a pixel size")
    np.save(new_array("imgs_pixel_size_test", files), sizes)


def pack_frames(
    name: str,
    description: str,
    records: list[ImageRecord],
    read: Callable[[ImageRecord], np.ndarray],
    files: contextlib.ExitStack,
    errors: list[str],
) -> str:
    """Pack one padded frame per image; return a line that describes them."""
    rows, cols = (max(lengths) for lengths in zip(*(r.shape for r in records), strict=True))
    stack = Stack(new_array(name, files), (len(records), rows, cols), np.uint8)
    low, high, fractions = 255, 0, []
    for index, record in enumerate(progress(records, f"{description}s")):
        try:
            image = read(record)
        except UserError as mistake:
            errors.extend(mistake.args)
            continue
        stack[index] = image
        low, high = min(low, image.min()), max(high, image.max())
        fractions.append(np.count_nonzero(image) / image.size)
        if read is read_mask_frame and fractions[-1] in (0, 1):
            print(f"note: {record.path}: {'all' if fractions[-1] else 'no'} myelin")
    line = f"{count_of(len(records), description)}: frames of {rows} x {cols}"
    sizes = len({record.shape for record in records})
    if sizes > 1:
        line += f" ({sizes} sizes, zero-padded)"
    if read is read_mask_frame and fractions:  # an inverted mask stands out
        line += f", myelin on {min(fractions):.0%} to {max(fractions):.0%} of the area"
    else:
        line += f", values {low} to {high}"
    scaled = sum(record.bits > 8 for record in records)
    return line + (f", {scaled} scaled to 8-bit by their own range" if scaled else "")


def read_mask_frame(record: ImageRecord) -> np.ndarray:
    """Return a mask as 0/255 uint8 (rows, cols)."""
    mask = read_mask(record)
    check_way_round(record.path, mask)
    return mask.astype(np.uint8) * np.uint8(255)


def remove(*paths: Path) -> list[str]:
    """Remove files; return the names of those that existed."""
    found = [path for path in paths if path.exists()]
    for path in found:
        path.unlink()
    return [path.name for path in found]


def remove_set(name: str) -> str:
    """Remove the arrays of a set without images; return a line that names them."""
    kinds = ("shape_", "stamp_", "take_", "id_", "", "mask_", "pixel_size_")
    stale = remove(*(NPYDATA / f"imgs_{kind}{name}.npy" for kind in kinds))
    return f"{FOLDERS[name]}: no images" + (
        f", removed the older {', '.join(stale)}" if stale else ""
    )
