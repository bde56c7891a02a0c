"""Pack folders into `npydata/`, all or nothing; tell whether a folder is still what was packed."""

import contextlib
import math

import numpy as np

from myelin.folders.naming import NPYDATA, RAW_TEST, RAW_TRAIN, test_images, training_pairs
from myelin.folders.packed import Stack, load_ids, load_texts, packed_take
from myelin.images.image import read_image, read_mask, read_record
from myelin.images.mask_checks import check_way_round
from myelin.images.plane_selection import take_text
from myelin.runtime.cli import UserError, progress, shortened_list
from myelin.runtime.disk import check_room
from myelin.runtime.files import replacing, sha256
from myelin.runtime.lock import holding

FOLDERS = {"train": RAW_TRAIN, "test": RAW_TEST}


def find_sources(name, errors):
    """Return the files of each frame of a set: [(image, mask)] or [(image,)]; none of no folder.

    Parameters
    ----------
    name : "train" or "test"
    errors : list
        Takes the texts of mistakes.
    """
    folder = FOLDERS[name]
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            errors.append(f"{folder}: not a folder, remove it, make it and put images into it")
        return []
    if name == "test":
        return [(path,) for path in test_images(folder, errors)]
    pairs, mistakes = training_pairs(folder)
    errors.extend(mistakes)
    return pairs


# ---------------------------------------------------------------- is it what was packed


def keep_up(name):
    """Pack a set anew where its folder has changed since, and say so.

    A folder that is empty or not there leaves what was packed as it is.

    Parameters
    ----------
    name : "train" or "test"

    Raises
    ------
    UserError
        The folder has a mistake, or another run reads what was packed.
    """
    with holding(NPYDATA, f"imgs_{name}.npy", shared=True):
        change = changes(name)
        if not find_sources(name, []) and (NPYDATA / f"imgs_{name}.npy").exists():
            print(f"note: no images in {FOLDERS[name]}, what was packed from it earlier is used")
    if change:
        with holding(NPYDATA, f"imgs_{name}.npy"):
            lines = pack([name], packed_take(name))
        print(f"{FOLDERS[name]} {change}: packed anew", *lines, sep="\n")


def keep_up_to_train():
    """Pack anew, as `keep_up`, what a training and the segmenting that follows it will read."""
    keep_up("train")
    if (NPYDATA / "imgs_test.npy").exists():  # now, for a mistake to end the run before it starts
        keep_up("test")


def changes(name):
    """Return what has changed in a folder since it was packed, as a text; None where nothing."""
    errors = []
    now = {files[0].stem: files for files in find_sources(name, errors)}
    if errors:
        raise UserError(*errors)
    if not now:
        return None
    images = NPYDATA / f"imgs_{name}.npy"
    if not images.exists():
        return "was not packed"
    try:
        packed = dict(zip(load_ids(name, Stack(images)), load_hashes(name), strict=True))
    except (UserError, ValueError):
        return "was packed by an older version, or not to the end"
    kinds = {
        "new": [stem for stem in now if stem not in packed],
        "changed": [
            stem
            for stem, files in now.items()
            if stem in packed and packed[stem] != list(map(sha256, files))
        ],
        "gone": [stem for stem in packed if stem not in now],
    }
    found = [f"{kind}: {shortened_list(stems)}" for kind, stems in kinds.items() if stems]
    return f"has changed since it was packed ({'; '.join(found)})" if found else None


def load_hashes(name):
    """Return [[SHA-256 of each file]] of the frames of a set."""
    return load_texts(NPYDATA / f"imgs_sha256_{name}.npy")


# ---------------------------------------------------------------- pack


def pack(names, take=None):
    """Pack sets of images, or nothing where there is a mistake.

    Parameters
    ----------
    names : list of "train" and "test"
    take : dict of str to int, optional
        Which image of files that hold several, as from `take.parse_take`; masks must hold one.

    Returns
    -------
    list of str
        Lines that say what was packed.

    Raises
    ------
    UserError
        All mistakes at once.
    """
    errors = []
    sources = {name: find_sources(name, errors) for name in names}
    if not any(sources.values()) and not errors:
        folders = [folder for name in names if (folder := FOLDERS[name]).is_dir()]
        if not folders:
            missing = " and ".join(str(FOLDERS[name]) for name in names)
            raise UserError(f"{missing}: no such folders, make them, put images in")
        raise UserError(f"{' and '.join(map(str, folders))}: no images, put TIFF or PNG files in")
    takes = {
        path: {} if place else take
        for some in sources.values()
        for files in some
        for place, path in enumerate(files)
    }
    records = read_records(takes, errors)
    check_pairs(sources.get("train", ()), records, errors)
    sets = {
        name: [[records.get(path) for path in files] for files in some]
        for name, some in sources.items()
    }
    lines = write_sets(sets, errors)
    return [
        *lines,
        *(remove_stale(name) for name in names if not sets[name]),
        *doubles(),
    ]


def doubles():
    """Return notes about images that were packed under several names."""
    places = {}
    for name, folder in FOLDERS.items():
        with contextlib.suppress(UserError, ValueError):  # of an older version, or damaged
            ids = load_ids(name, Stack(NPYDATA / f"imgs_{name}.npy"))
            for stem, files in zip(ids, load_hashes(name), strict=True):
                places.setdefault(files[0], {}).setdefault(folder, []).append(str(folder / stem))
    notes = []
    for folders in places.values():
        for paths in folders.values():
            if len(paths) > 1:
                notes.append(f"note: the same image {len(paths)} times: {shortened_list(paths)}")
        if len(folders) > 1:
            one, other = (paths[0] for paths in folders.values())
            notes.append(
                f"note: {other} is {one} too: how well a model does on what it has learned from "
                "says little"
            )
    return notes


def read_records(takes, errors):
    """Return {path: record} of the readable images of {path: take}."""
    records = {}
    for path, take in progress(takes.items(), "reading headers"):
        try:
            records[path] = read_record(path, take)
        except UserError as mistake:
            errors.extend(mistake.args)
    return records


def check_pairs(pairs, records, errors):
    """Name each mask that is not of its image's size."""
    for image, mask in pairs:
        if image in records and mask in records and records[image].shape != records[mask].shape:
            (rows, cols), (mask_rows, mask_cols) = records[image].shape, records[mask].shape
            errors.append(
                f"{mask}: {mask_rows} x {mask_cols} pixels, but {image.name} is {rows} x {cols}, "
                "draw the mask on the image itself"
            )


def check_room_for(sets, errors):
    """Raise where the frames of some sets of records will not fit on the disk."""
    shapes = [[record.shape for record in records] for records in sets if records]
    frames = sum(len(s) * math.prod(map(max, zip(*s, strict=True))) for s in shapes)
    try:
        check_room({NPYDATA: frames}, "make room on it or pack fewer images")
    except UserError as mistake:
        raise UserError(*errors, *mistake.args) from None


def new_array(name, files):
    """Return a temporary path that becomes `npydata/<name>.npy` when `files` closes."""
    return files.enter_context(replacing(NPYDATA / f"{name}.npy"))


def pack_facts(name, frames, files):
    """Pack ids and true sizes of a set of images, hashes of their files, what was taken from these.

    Files are renamed in reverse order: the ids come first here to be renamed last.
    """
    ids = np.array([records[0].path.stem for records in frames], np.str_)
    np.save(new_array(f"imgs_id_{name}", files), ids)
    shapes = np.array([records[0].shape for records in frames], np.int64)
    np.save(new_array(f"imgs_shape_{name}", files), shapes)
    if take := frames[0][0].take:
        np.save(new_array(f"imgs_take_{name}", files), np.array([take_text(take)], np.str_))
    hashes = np.array([[sha256(record.path) for record in records] for records in frames], np.str_)
    np.save(new_array(f"imgs_sha256_{name}", files), hashes)


def pack_pixel_sizes(records, files):
    """Pack the pixel sizes of the test images; name images whose pixels are not square."""
    sizes = np.full(len(records), np.nan)
    for index, record in enumerate(records):
        try:
            sizes[index] = record.pixel_size()[0] or np.nan
        except UserError as mistake:
            print(f"note: {mistake}; packed without a pixel size")
    np.save(new_array("imgs_pixel_size_test", files), sizes)


def pack_frames(name, description, records, read, files, errors):
    """Pack one padded frame per image; return the line that says what was packed."""
    rows, cols = (max(lengths) for lengths in zip(*(r.shape for r in records), strict=True))
    stack = Stack(new_array(name, files), (len(records), rows, cols), np.uint8)
    low, high, shares = 255, 0, []
    for index, record in enumerate(progress(records, description)):
        try:
            image = read(record)
        except UserError as mistake:
            errors.extend(mistake.args)
            continue
        stack[index] = image
        low, high = min(low, image.min()), max(high, image.max())
        shares.append(np.count_nonzero(image) / image.size)
        if read is read_mask_frame and shares[-1] in (0, 1):
            print(f"note: {record.path}: {'all' if shares[-1] else 'no'} myelin")
    values = f"values {low} to {high}"
    if read is read_mask_frame and shares:  # a mask saved the wrong way round stands out
        values = f"myelin on {min(shares):.0%} to {max(shares):.0%} of the area"
    sizes = len({record.shape for record in records})
    scaled = sum(record.bits > 8 for record in records)
    return (
        f"{len(records)} {description}: frames of {rows} x {cols}"
        + (f" ({sizes} sizes, zero-padded)" if sizes > 1 else "")
        + f", {values}"
        + (f", {scaled} scaled to 8-bit by their own range" if scaled else "")
    )


def read_mask_frame(record):
    """Return a mask as 0/255 uint8 (rows, cols)."""
    mask = read_mask(record)
    check_way_round(record.path, mask)
    return mask.astype(np.uint8) * np.uint8(255)


def write_sets(sets, errors):
    """Write all arrays, or none where there is a mistake.

    Parameters
    ----------
    sets : dict of str to list of list of ImageRecord
        Those of each frame, for "train" and "test"; None for what cannot be read.
    errors : list of str
        Those found so far; what can be read is looked at all the same.

    Returns
    -------
    list of str
        Lines that say what was packed.
    """
    lines = []
    images, masks, tests = (
        [frame[k] for frame in sets.get(name, ()) if frame[k]]
        for name, k in (("train", 0), ("train", 1), ("test", 0))
    )
    check_room_for([images, masks, tests], errors)
    # Files are renamed when this block ends without an error; until then npydata stays as it was.
    with contextlib.ExitStack() as files:
        for name, frames in sets.items():
            if frames and not errors:
                pack_facts(name, frames, files)
        if tests:
            pack_pixel_sizes(tests, files)
        for name, description, records, read in (
            ("imgs_train", "training images", images, read_image),
            ("imgs_mask_train", "training masks", masks, read_mask_frame),
            ("imgs_test", "test images", tests, read_image),
        ):
            if records:
                lines.append(pack_frames(name, description, records, read, files, errors))
        if errors:
            raise UserError(*errors)
        # The old ids go before anything is renamed: were the renaming cut off, new and old arrays
        # could not pass for one set. What was found in the old test images goes with them.
        if tests:
            remove("imgs_mask_test.unfinished")
        if tests and remove("imgs_mask_test"):
            lines.append("removed imgs_mask_test.npy, which was of the test images packed before")
        for name, frames in sets.items():
            if frames:
                remove(f"imgs_id_{name}", f"imgs_take_{name}")
    return lines


def remove(*names):
    """Remove arrays from `npydata/`; return the file names of those that were there."""
    stale = [path for name in names if (path := NPYDATA / f"{name}.npy").exists()]
    for path in stale:
        path.unlink()
    return [path.name for path in stale]


def remove_stale(name):
    """Remove the arrays of a set without images; return the line that says so."""
    folder = FOLDERS[name]
    kinds = ("shape_", "sha256_", "take_", "id_", "", "mask_", "pixel_size_")
    stale = remove(*(f"imgs_{kind}{name}" for kind in kinds))
    return f"{folder}: no images" + (f", removed the older {', '.join(stale)}" if stale else "")
