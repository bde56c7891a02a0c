"""Which masks of a folder go together: those of one run of `find_myelin.py`, and the user's own."""

from dataclasses import dataclass, field

from myelin.folders.image_tree import find_images, source_of
from myelin.folders.mask_record import hash_of_mask, pixel_hash, read_run, written_by_program
from myelin.folders.naming import images_among, list_tree, test_images
from myelin.images.mask_checks import check_way_round
from myelin.runtime.cli import UserError, one_line, shortened_list


@dataclass
class Segmented:
    """The masks of a folder that go together.

    Attributes
    ----------
    masks : dict
        As from `naming.find_masks`.
    run : dict or None
        The `run.json` of `find_myelin.py` in that folder.
    corrected : list of str
        Images whose mask the user has changed.
    missing : list of str
        Images that the run was to segment and that have no mask of it.
    """

    masks: dict
    run: dict | None = None
    corrected: list = field(default_factory=list)
    missing: list = field(default_factory=list)


def check_drawn(paths, reader):
    """Raise where masks that a person made are the wrong way round; name all of them.

    Parameters
    ----------
    paths : iterable of Path
    reader : masks.Reader
    """
    errors = []
    for path in paths:
        try:
            mask = reader.mask(path)
        except UserError:
            continue  # named where all files are checked
        try:
            check_way_round(path, mask)
        except UserError as mistake:
            errors.extend(mistake.args)
    if errors:
        raise UserError(*errors)


def segmented(folder, masks, reader):
    """Return the masks that are from `find_myelin.py`'s last run, or corrected by hand.

    What is left out or corrected is named on stdout.

    Parameters
    ----------
    folder : Path
    masks : dict
        As from `naming.find_masks`.
    reader : Reader

    Returns
    -------
    Segmented
        With all masks where the folder has no `run.json`.

    Raises
    ------
    UserError
        `run.json` cannot be read, no mask is from its run, or one that the user made is the wrong
        way round.
    """
    run = read_run(folder)
    if run is None:
        check_drawn([mask for mask, _ in masks.values()], reader)
        return Segmented(masks)
    planned, stopped = set(run["images"]), run.get("complete") is False
    found = Segmented({}, run, missing=[name for name in sorted(planned) if name not in masks])
    for name, paths in masks.items():
        if stopped and paths[0].name.endswith("_mask.tif"):
            planned.add(name)
        if name not in planned:
            continue
        written = run["images"].get(name, {}).get("mask_sha256")
        if written and hash_of_mask(paths[0], reader.mask) == written:
            found.masks[name] = paths
        elif written_by_program(paths[0], run, name, reader.mask):  # in an earlier run
            found.missing.append(name)
        else:
            found.masks[name] = paths
            found.corrected.append(name)
    name_others(folder, masks, planned, found)
    check_drawn([masks[name][0] for name in found.corrected], reader)
    return found


def name_others(folder, masks, planned, found):
    """Say which masks are left out, missing or corrected; raise where none is left."""
    skipped = [name for name in masks if name not in planned]
    if skipped:
        print(f"skipped, not from the last run in {folder}: {', '.join(skipped)}")
    if not found.masks:
        raise UserError(
            f"{folder}: no mask is from the run in its run.json, run python find_myelin.py, or "
            "remove run.json to measure all"
        )
    if found.missing:
        stopped = ", which was stopped" * (found.run.get("complete") is False)
        print(
            f"warning: {len(found.missing)} of {len(planned)} images left out, no mask is from the "
            f"last run in {folder}{stopped}: {', '.join(found.missing)}; "
            f"run {segmenting(found.run)}"
        )
    if found.corrected:
        print(f"corrected by hand, taken as they are: {', '.join(found.corrected)}")
    facts = found.run["images"]
    empty = [
        name
        for name in found.masks
        if name not in found.corrected and facts.get(name, {}).get("has_fibers") is False
    ]
    if empty:
        print(
            f"warning: find_myelin.py found no fibers in {shortened_list(empty)}, measured as "
            "tissue without any; remove their masks if they show some"
        )
    # The myelin there is the model's, perhaps of a later run than the axons were drawn on.
    drawn = [
        name for name, (_, axon) in found.masks.items() if axon and name not in found.corrected
    ]
    if drawn:
        print(
            f"note: axons are taken from {folder}/<id>_axon.* in {shortened_list(drawn)}, remove "
            "that to find them anew"
        )


def segmenting(run):
    """Return the call that segments what a run has not, as its `run.json` has it."""
    call = run.get("command")
    if not isinstance(call, str) or "find_myelin.py" not in call or "given" not in run:
        call = "python find_myelin.py"
    stopped = run.get("complete") is False and "--resume" not in call.split()
    return one_line(call + " --resume" * stopped)


def check_images(found, images, folder, reader):
    """Raise where the images are no longer those that were segmented; name new ones.

    Parameters
    ----------
    found : Segmented
        Takes what is missing.
    images : dict of id to path
        Those that the masks will be measured with.
    folder : Path
        That of the images.
    reader : masks.Reader

    Raises
    ------
    UserError
        An image has changed since it was segmented, or others have taken the place of those that
        were.
    """
    if found.run is None:
        return
    known = {
        name: fact["image_sha256"]
        for name, fact in found.run["images"].items()
        if "image_sha256" in fact
    }
    errors = [
        f"{path}: has changed since it was segmented, run {segmenting(found.run)}"
        for name, path in images.items()
        if name in found.masks and name in known and not is_image(path, known[name], reader)
    ]
    segmented_ids = {*found.masks, *found.missing}
    new = [name for name in ids_now(folder, found) if name not in segmented_ids]
    gone = [name for name in found.masks if name not in images]
    if new and gone:
        errors.append(
            f"{folder}: {', '.join(gone)} were segmented, but {', '.join(new)} are there now, run "
            f"{segmenting(found.run)}"
        )
    elif gone and images:
        print(f"note: no longer in {folder}, measured all the same: {', '.join(gone)}")
    elif new:
        print(f"warning: not segmented, left out: {', '.join(new)}; run {segmenting(found.run)}")
        found.missing += new
    if errors:
        raise UserError(*errors)


def ids_now(folder, found):
    """Return the ids of the images that are now where those of a run were."""
    ids = [*found.masks, *found.missing]
    if "given" in found.run and source_of(found.run) == folder:
        try:
            return list(find_images(found.run["given"])[1])
        except UserError:
            return []
    if any("/" in name for name in ids):
        return list(images_among(list_tree(folder, ids), []))
    return [path.stem for path in test_images(folder)]


def is_image(path, known, reader):
    """Whether an image has a hash; one that cannot be read is named elsewhere."""
    try:
        return pixel_hash(reader.image(path)) == known
    except UserError:
        return True


def probabilities_of(found, folder):
    """Return {id: path} of the probabilities that `find_myelin.py` left beside its masks.

    Parameters
    ----------
    found : Segmented
    folder : Path
        That of the masks.
    """
    listed = (found.run or {}).get("images", ())
    paths = {name: folder / f"{name}_pred.png" for name in found.masks if name in listed}
    return {name: path for name, path in paths.items() if path.is_file()}
