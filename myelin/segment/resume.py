"""Going on with a run that was stopped, killed or lost power: `find_myelin.py --resume`.

`run.json` holds what was decided of every image before the first was segmented (`decided`), so that
what is still to do is done as it would have been. A run is gone on with only if model, options,
versions and every image are the same: results of two settings never lie together.
"""

from myelin.folders.ownership import read_run
from myelin.runtime.cli import UserError, shortened_list
from myelin.runtime.files import versions
from myelin.runtime.version import suite_version
from myelin.segment.scale_groups import Choice

# What of `run.json` two parts of a run must share, and what it is called in a message.
SHARED = {
    "version": "version of this suite",
    "model_sha256": "model",
    "threshold": "threshold",
    "engine": "engine",
    "options": "options",
    "take": "--take",
    "versions": "versions of libraries",
}


def run_to_resume(folder, facts, images):
    """Return the `run.json` of the run to go on with, None where one is to begin.

    Parameters
    ----------
    folder : Path
    facts : dict
        What `run.json` is to say of the run that was asked for.
    images : dict of str to dict
        By id, "image_sha256" and "pixel_size_um".

    Raises
    ------
    UserError
        A run of other settings or images was stopped there.
    """
    run = read_run(folder)
    if run is None or not isinstance(run.get("images"), dict):
        return None
    decided = decisions(run)
    known = {
        name: {key: fact.get(key) for key in images.get(name, ())} for name, fact in decided.items()
    }
    now = {**facts, "version": suite_version(), "versions": versions()}
    others = [text for key, text in SHARED.items() if run.get(key) != now.get(key)]
    changed = [name for name in images if known.get(name, images[name]) != images[name]]
    new, gone = sorted(images.keys() - known.keys()), sorted(known.keys() - images.keys())
    others += [
        f"{what} images ({shortened_list(names)})"
        for what, names in (("changed", changed), ("new", new), ("gone", gone))
        if names
    ]
    if not others:
        return run
    had = f"differs in {', '.join(others)}"
    if run.get("complete") is not False:
        print(f"note: {folder}: the run there is complete and {had}; a new one begins")
        return None
    raise UserError(
        f"{folder}: a run that was stopped there {had}; repeat its call, or leave out --resume to "
        "begin anew"
    )


def decisions(run):
    """Return {id: fact} of all images of a run; of one that an older version began, none."""
    decided = run.get("decided") if run.get("pending") else {}
    return {**decided, **run["images"]} if isinstance(decided, dict) else {}


def choice_of(fact):
    """Return the `sharing.Choice` that was decided for an image, by what `run.json` says of it."""
    dark = fact["myelin"] == "dark"
    return Choice(fact["network_scale"], dark, fact["fiber_score"], fact["scale_group"])
