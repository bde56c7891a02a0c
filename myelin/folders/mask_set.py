"""Choose the masks of a folder that are measured together, and find the files of each."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from myelin.folders.image_tree import find_images, names_within, source_of, takes_of
from myelin.folders.mask_record import (
    hash_of_mask,
    is_imported,
    pixel_hash,
    read_run,
    written_by_program,
)
from myelin.folders.naming import (
    axon_for,
    images_among,
    list_folder,
    list_tree,
    misnamed,
    misnamed_texts,
    part_of,
    parts_among,
)
from myelin.folders.reader import Reader
from myelin.runtime.cli import UserError, count_of, one_line, shortened_list

Masks = dict[str, tuple[Path, Path | None]]  # by image id: myelin mask, perhaps an axon mask


@dataclass
class MaskSet:
    """The masks of a folder that are measured together.

    Attributes
    ----------
    folder : Path
    masks : dict of str to (Path, Path or None)
        Myelin mask and axon mask by image id.
    run : dict or None
        Summary of the run of `find_myelin.py` in that folder, from `read_run`.
    corrected : list of str
        Images whose mask the user has made or edited.
    missing : list of str
        Images of the run without a mask from it.
    skipped : list of str
        Masks left out because their image is not part of the run.
    images, nerves : dict of str to Path
        The images themselves, and outlines of nerves, see `measure/nerve.py`.
    """

    folder: Path
    masks: Masks
    run: dict | None = None
    corrected: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    images: dict[str, Path] = field(default_factory=dict)
    nerves: dict[str, Path] = field(default_factory=dict)

    def facts(self, key: str) -> dict:
        """Return {id: value} of one fact that the run has recorded about its images."""
        images = (self.run or {}).get("images", {})
        return {name: fact[key] for name, fact in images.items() if key in fact}

    @property
    def doubtful(self) -> list[str]:
        """Ids of the program's masks whose polarity or scale is uncertain."""
        facts = self.facts("doubtful")
        return [name for name in self.masks if facts.get(name) and name not in self.corrected]

    @property
    def of_user(self) -> list[Path]:
        """The myelin masks that the user has made or edited; all of them without a run."""
        names = self.masks if self.run is None else self.corrected
        return [self.masks[name][0] for name in names]

    @property
    def probabilities(self) -> dict[str, Path]:
        """The probability images that the run left beside its masks, by id."""
        run = (self.run or {}).get("images", ())
        paths = {name: self.folder / f"{name}_pred.png" for name in self.masks if name in run}
        return {name: path for name, path in paths.items() if path.is_file()}


# ---------------------------------------------------------------- which masks


def find_masks(
    folder: Path, remedy: str = "run python find_myelin.py", names: Iterable[str] | None = None
) -> Masks:
    """Return {id: (mask, axon mask or None)} of a folder.

    Masks are `<id>_mask.*`, or files with another ending in `naming.ENDINGS`; if there are none,
    all images that are not axon masks or outlines of nerves.

    Parameters
    ----------
    folder : path
    remedy : str
        How to get masks, for the error message.
    names : iterable of str, optional
        Ids that tell in which inner folders masks are; default: `names_within(folder)`.

    Raises
    ------
    UserError
        The folder is missing or has no mask.
    """
    folder = Path(folder)
    if not folder.exists():
        raise UserError(f"{folder}: no such folder, {remedy} or name another folder")
    found = list_tree(folder, names_within(folder) if names is None else names)
    masks, axons = parts_among(found, "mask"), parts_among(found, "axon")
    if not masks:
        plain = [
            stem for stem in found if not (part_of(stem) or stem.endswith(("_pred", "_overlay")))
        ]
        wrong = misnamed(plain, plain)
        masks = {stem: {"": stem} for stem in plain if stem not in wrong}
    for text in misnamed_texts(misnamed(found, masks), found):
        print(f"note: {text}")
    if not masks:
        raise UserError(f"{folder}: no masks in it, {remedy} or name another folder")
    chosen = {}
    for name, own in masks.items():
        (ending, stem), *others = own.items()
        axon = axon_for(ending, axons.get(name, {}))
        chosen[name] = (found[stem], found.get(axon))
        if (
            axon is None
            and ending.removesuffix("-manual").endswith("myelin")
            and ("axonmyelin" not in ending)
        ):
            print(f"note: {found[stem]}: no axon mask beside it, so axons are the holes in myelin")
        unused = [found[other].name for key, other in others if key[:4] != ending[:4]]
        if unused:
            print(f"note: {found[stem]}: used instead of {shortened_list(unused)}")
    return chosen


def open_masks(folder: Path, reader: Reader) -> MaskSet:
    """Return the masks from the last run of `find_myelin.py` and those of the user; print notes.

    If no run wrote to the folder, all its masks are the user's. Raise UserError if no mask is left.
    """
    found = MaskSet(folder, find_masks(folder), read_run(folder))
    if found.run is None:
        return found
    found = choose_masks(found, reader)
    if not found.masks:
        raise UserError(
            f"{folder}: no mask is from the run in its run.json, run python find_myelin.py, or "
            "remove run.json to measure all"
        )
    print_notes(found)
    return found


def choose_masks(all_masks: MaskSet, reader: Reader) -> MaskSet:
    """Return the masks from the run and those of the user, without those of earlier runs."""
    run, folder = all_masks.run, all_masks.folder
    stopped, hashes = run.get("complete") is False, all_masks.facts("mask_sha256")
    found = MaskSet(folder, {}, run)
    found.missing = sorted(run["images"].keys() - all_masks.masks.keys())
    for name, paths in all_masks.masks.items():
        # A run that was stopped has not listed all its images.
        planned = name in run["images"] or (stopped and paths[0].name.endswith("_mask.tif"))
        if not planned:
            found.skipped.append(name)
        elif name in hashes and hash_of_mask(paths[0], reader.mask) == hashes[name]:
            found.masks[name] = paths
        elif written_by_program(paths[0], run, name, reader.mask):
            found.missing.append(name)
        else:
            found.masks[name] = paths
            found.corrected.append(name)
    return found


def print_notes(found: MaskSet) -> None:
    """Print which masks are left out, missing, corrected or doubtful."""
    folder = found.folder
    program = [name for name in found.masks if name not in found.corrected]
    if found.skipped:
        print(f"note: {folder}: skipped, not from its last run: {shortened_list(found.skipped)}")
    if found.missing:
        total = count_of(len(found.masks) + len(found.missing), "image")
        stopped = ", which was stopped" if found.run.get("complete") is False else ""
        print(
            f"warning: {folder}: {len(found.missing)} of {total} left out, without a mask from the "
            f"last run{stopped}: {shortened_list(found.missing)}; run {segmenting_call(found.run)}"
        )
    if found.corrected:
        names = shortened_list(found.corrected)
        print(f"note: {folder}: corrected by hand, used as they are: {names}")
    axons = {name: found.masks[name][1] for name in program if found.masks[name][1]}
    drawn = [name for name, path in axons.items() if not is_imported(path)]
    if drawn:  # perhaps drawn for the mask of an earlier model
        print(
            f"note: {folder}: axons from <id>_axon.* are used for {shortened_list(drawn)}, remove "
            "these files to find axons automatically"
        )


# ---------------------------------------------------------------- what belongs to a mask


def images_of(masks: Masks, folder: Path) -> dict[str, Path]:
    """Return {id: path} of the images in a folder that have a mask and are not the mask itself.

    A folder that does not exist has none.
    """
    found = list_tree(folder, masks) if folder.is_dir() else {}
    return {name: found[name] for name in masks if found.get(name) not in (None, masks[name][0])}


def find_nerves(names: Iterable[str], *folders: Path) -> dict[str, Path]:
    """Return {id: path} of the outlines of nerves; the first folder takes precedence."""
    found = {}
    for folder in dict.fromkeys(folders):
        stems = list_tree(folder, names) if folder.is_dir() else {}
        for name, own in parts_among(stems, "nerve").items():
            first, *others = (stems[stem] for stem in own.values())
            if others and name in names:
                raise UserError(
                    f"{first}: {others[0].name} is an outline of the same nerve, remove one"
                )
            if name in names:
                found.setdefault(name, first)
    return found


def find_files(found: MaskSet, source: Path, reader: Reader) -> None:
    """Set the nerve outlines of the masks, and their images from the folder `source`."""
    # An outline lies beside the mask, the image, or the image that was segmented.
    sources = (source, source_of(found.run)) if found.run else (source,)
    found.nerves = find_nerves(found.masks, found.folder, *sources)
    found.images = images_of(found.masks, source)
    reader.takes = takes_of(found.run, found.images.values())


def match_files(found: MaskSet, folder: Path | None, reader: Reader) -> None:
    """Set the images and nerve outlines of the masks, and check the images of a run.

    Parameters
    ----------
    found : MaskSet
    folder : Path or None
        Folder of the images; None: that of the run, if it exists.
    reader : Reader
    """
    source = folder or source_of(found.run)
    find_files(found, source, reader)
    if folder and not found.images:
        list_folder(folder)  # raises an error if it is missing
        raise UserError(
            f"--images {folder}: no image of {shortened_list(list(found.masks))} in it, name the "
            "folder that has them"
        )
    if found.run is not None and source.is_dir():
        check_images(found, source, reader)


def check_images(found: MaskSet, folder: Path, reader: Reader) -> None:
    """Check that the images are those that were segmented; add new ones to `found.missing`.

    Raises
    ------
    UserError
        An image has changed since it was segmented, or others have taken its place.
    """
    hashes, call = found.facts("image_sha256"), f"run {segmenting_call(found.run)}"
    errors = [
        f"{path}: has changed since it was segmented, {call}"
        for name, path in found.images.items()
        if name in hashes and is_changed(path, hashes[name], reader)
    ]
    known = {*found.masks, *found.missing}
    new = [name for name in ids_now(folder, found) if name not in known]
    gone = [name for name in found.masks if name not in found.images]
    if new and gone:
        errors.append(
            f"{folder}: {shortened_list(gone)} were segmented, but {shortened_list(new)} are there "
            f"now, {call}"
        )
    if errors:
        raise UserError(*errors)
    if gone and found.images:
        print(f"note: {folder}: measured without their images: {shortened_list(gone)}")
    if new:
        print(f"warning: {folder}: not segmented, left out: {shortened_list(new)}; {call}")
        found.missing += new


def is_changed(path: Path, known: str, reader: Reader) -> bool:
    """Return whether an image has another hash; False if it cannot be read, an error elsewhere."""
    try:
        return pixel_hash(reader.image(path)) != known
    except UserError:
        return False


def ids_now(folder: Path, found: MaskSet) -> list[str]:
    """Return the ids of the images that are now where those of a run were."""
    same_source = source_of(found.run) == folder
    try:
        if "given" in found.run and same_source:
            return list(find_images(found.run["given"])[1])
        return list(images_among(list_tree(folder, [*found.masks, *found.missing]))[0])
    except UserError:
        return []


def segmenting_call(run: dict) -> str:
    """Return the command that segments the images missing from a run, from its `run.json`."""
    call = run.get("command")
    if not isinstance(call, str) or "find_myelin.py" not in call or "given" not in run:
        call = "python find_myelin.py"
    if run.get("complete") is False and "--resume" not in call.split():
        call += " --resume"
    return one_line(call)
