"""`run.json` of a run, its report on the terminal, and what earlier runs left in its folder."""

from pathlib import Path

import numpy as np

from myelin.folders.fields import FIELDS
from myelin.folders.image_source import ImageSource, SourceImage
from myelin.folders.mask_record import MODELS_OWN, fact_of, mask_record, written_by_program
from myelin.folders.ownership import files_of, models_own, set_aside, users_masks
from myelin.folders.stack import Stack
from myelin.images.image import read_image, read_mask, write_image
from myelin.runtime.cli import UserError, count_of, progress, shortened_list
from myelin.runtime.files import name_leftovers, run_facts, sha256, write_json
from myelin.segment.image_job import Outcome, RunContext

MAX_NAMES = 20  # images named of those with one scale; run.json has all
ROWS = 1024  # rows of a probability compared at a time


class Summary:
    """The summary of a run, which is rebuilt from the masks' records if the run is killed.

    Parameters
    ----------
    folder : Path
        Folder of the outputs.
    images : dict of str to dict
        By id, the records of the images that are known so far.
    **facts
        Entries about all images.

    Attributes
    ----------
    kept, replaced : list of Path
        The user's masks that were kept; copies of those that were replaced; relative to the folder.
    """

    def __init__(self, folder: Path, images: dict[str, dict], **facts: object) -> None:
        self.folder, self.facts = folder, run_facts(complete=False, **facts)
        self.images = images
        self.kept, self.replaced = [], []

    def add(self, outcome: Outcome) -> None:
        """Add the outcome of an image."""
        corrected = {"corrected_by_hand": bool(outcome.kept)}
        self.images[outcome.name] = fact_of(outcome.record) | corrected
        self.kept += outcome.kept
        self.replaced += outcome.replaced

    def save(self, complete: bool) -> str:
        """Write `run.json` and return its SHA-256."""
        path = self.folder / "run.json"
        self.facts["complete"] = complete
        self.images = dict(sorted(self.images.items()))
        write_json(path, self.facts | {"images": self.images})
        return sha256(path)

    def report(self, source: ImageSource, before: dict[Path, int], finished: int) -> None:
        """Print how the images were segmented, which are doubtful, and what became of other files.

        Parameters
        ----------
        source : ImageSource
        before : dict of path to int
            `times_written` of the folder before the run.
        finished : int
            Number of images that an earlier run had segmented.
        """
        parts = ("mask", "pred", "overlay", "axon")
        own = {f"{name}_{part}" for name in [*source.names, *self.images] for part in parts}
        own.add(FIELDS)
        name_leftovers(self.folder, {p: time for p, time in before.items() if p.stem not in own})
        ways, doubtful, empty = {}, [], []
        for name, fact in self.images.items():
            if fact["has_fibers"]:
                way = f"at scale {fact['network_scale']:g} (myelin {fact['myelin']})"
                ways.setdefault(way, []).append(name)
            else:
                empty.append(name)
            if fact["doubtful"]:
                doubtful.append(f"{name} ({fact['myelin']}, scale {fact['network_scale']:g})")
        found = ", ".join(f"{len(own)} {way}" for way, own in ways.items())
        images = count_of(len(self.images) - finished, "image")
        images += f" ({finished} finished before)" if finished else ""
        found = f": {found}" if found else ""
        print(f"segmented {images} with {self.facts['model']}{found}; see {self.folder}/")
        if len(ways) > 1:
            for way, own in ways.items():
                print(f"  {way}: {shortened_list(own, MAX_NAMES)}")
        if doubtful:
            print(
                f"warning: {', '.join(doubtful)}: parts of the image disagree on polarity or "
                "scale, or show few fibers; check the overlay, and if it is wrong, set both, "
                "such as --myelin dark --scale 2"
            )
        if empty:
            print(
                f"note: no fibers found at any scale in {', '.join(empty)}; to segment anyway, set "
                "--myelin and --scale"
            )
        if self.kept:
            kept = ", ".join(path.as_posix() for path in sorted(self.kept))
            folders = {f"{self.folder / path.parent / MODELS_OWN}/" for path in self.kept}
            print(
                f"note: kept, corrected by hand: {kept}; the model's are in "
                f"{shortened_list(sorted(folders))}, --force replaces yours after a copy"
            )
        report_copies("--force", [self.folder / path for path in sorted(self.replaced)])


def report_copies(why: str, paths: list[Path]) -> None:
    """Print where the user's files are that were replaced."""
    for folder in dict.fromkeys(path.parent for path in paths):
        names = ", ".join(path.name for path in paths if path.parent == folder)
        print(f"note: replaced, corrected by hand ({why}): yours are in {folder}/: {names}")


# ---------------------------------------------------------------- what earlier runs left


def begin_summary(run: RunContext, source: ImageSource, earlier: dict, facts: dict) -> Summary:
    """Return the summary of a run that begins, after the user's files of other images are moved."""
    folder = run.options.out
    add_missing_records(folder, earlier)
    report_copies("the image has changed", set_aside_outdated(folder, source, earlier))
    images = earlier["images"].items()
    users = {n: fact for n, fact in images if n in source.names and users_masks(folder, n)}
    return Summary(folder, users, **facts)


def differences(run: dict, settings: dict) -> list[str]:
    """Return what differs between the run in a folder and one with other settings, as texts."""
    before, now = run.get("options") or {}, settings["options"]
    pairs = [("--threshold", run.get("threshold"), settings["threshold"])]
    for name in sorted(before.keys() | now.keys()):
        option = "--" + name.removesuffix("_um").replace("_", "-")
        pairs.append((option, before.get(name, "not given"), now.get(name, "not given")))
    found = [f"{what} ({had} there, {new} now)" for what, had, new in pairs if had != new]
    if run.get("model_sha256") != settings["model_sha256"]:
        found.append(f"model ({run.get('model')} there)")
    elif run.get("test_set") != settings.get("test_set"):
        found.append("the statistics of the test images, by which this model normalizes")
    return found


def add_missing_records(folder: Path, run: dict) -> None:
    """Write records into masks that an editor saved unchanged, but without their record."""
    for name, fact in run["images"].items():
        path = folder / f"{name}_mask.tif"
        if path.exists() and not mask_record(path) and written_by_program(path, run, name):
            pixels = read_mask(path).view(np.uint8) * np.uint8(255)
            write_image(path, pixels, fact.get("pixel_size_um"), fsync=True, record=fact)


def set_aside_outdated(folder: Path, source: ImageSource, run: dict) -> list[Path]:
    """Move the user's files of images that have changed since; return their new paths."""
    moved = []
    for image in source.images:
        known = mask_record(folder / f"{image.name}_mask.tif") or run["images"].get(image.name, {})
        if known.get("image_sha256", image.sha256) != image.sha256:
            users = users_masks(folder, image.name)
            drawn = (files_of(folder, image.name, part) for part in ("_axon", "_nerve"))
            moved += [set_aside(path) for path in sum(drawn, users)]
    return moved


def finished_images(
    run: RunContext, source: ImageSource, earlier: dict, stack: Stack | None
) -> dict[str, Outcome]:
    """Return the outcomes of the images that need not be segmented again, with `--resume`.

    Parameters
    ----------
    run : RunContext
    source : ImageSource
    earlier : dict
        The run in the folder, from `read_run`.
    stack : Stack or None
        The array of probabilities, which must hold those of a finished image.

    Raises
    ------
    UserError
        The run in the folder has other settings.
    """
    folder, force = run.options.out, run.options.force
    if not run.options.resume or "threshold" not in earlier:
        return {}
    differs = differences(earlier, run.record)
    place = Path(earlier.get("source", source.origin["source"]))
    if place.resolve() != Path(source.origin["source"]).resolve():
        differs.append(f"images (those of {place} there)")
    if differs:
        if force:
            return {}
        raise UserError(
            f"{folder}: --resume, but the run there differs in {', '.join(differs)}; repeat its "
            "call, or leave out --resume to start over"
        )
    found = {}
    for image in progress(source.images, "checking"):
        users = users_masks(folder, image.name)
        path = models_own(folder, image.name) if users else folder / f"{image.name}_mask.tif"
        record = mask_record(path)
        wanted = run.record | {"image_sha256": image.sha256}
        if (
            record is not None
            and not (users and force)
            and record.items() >= wanted.items()
            and written_by_program(path)
            and (folder / f"{image.name}_overlay.png").exists()
            and holds_probability(stack, image, folder / f"{image.name}_pred.png")
        ):
            kept = [user.relative_to(folder) for user in users]
            found[image.name] = Outcome(image.name, record, kept=kept)
    if found:
        print(f"continuing: {len(found)} of {count_of(len(source), 'image')} are finished")
    return found


def holds_probability(stack: Stack | None, image: SourceImage, path: Path) -> bool:
    """Return whether an image's probability is there, and the same in the array, if there is one.

    The array of a run that began anew holds zeros for images whose files an earlier run wrote.
    """
    if image.frame is None:
        return path.exists()
    try:
        greys = read_image(path)
    except (UserError, OSError):
        return False
    if stack is None:
        return False
    probability = stack.mapped(image.frame)[: image.shape[0], : image.shape[1]]
    return greys.shape == image.shape and all(
        np.array_equal(np.rint(probability[row : row + ROWS] * 255), greys[row : row + ROWS])
        for row in range(0, len(greys), ROWS)
    )
