"""The `run.json` of a run of `find_myelin.py`, right at every moment; see `ownership.py`."""

import contextlib
import datetime
import time
import uuid

import numpy as np

from myelin.folders.journal import Journal
from myelin.folders.ownership import (
    MODELS_OWN,
    earlier_runs,
    hash_of_mask,
    masks_in,
    pixel_hash,
    set_aside,
)
from myelin.images.formats import SUFFIXES
from myelin.images.image import write_image
from myelin.runtime.files import run_facts, write_json
from myelin.runtime.stopping import State

# Time between two writings of `run.json`, in those it takes: between them there is the journal.
SELDOM = 20


class RunRecord:
    """The record of a run, and the masks that it speaks of.

    Parameters
    ----------
    folder : Path
        `preds/`.
    decided : dict of str to dict
        By image id, what is known of it before it is segmented.
    force : bool
        Whether the user's masks are replaced, after a copy.
    resumed : dict or None
        The `run.json` of a run to go on with, see `resume.run_to_resume`.
    **facts
        What holds for all images.

    Attributes
    ----------
    images, pending : dict of str to dict
        Facts of the images done; what is decided of those to do.
    kept : list of Path
        The user's masks that were kept.
    replaced, outdated : list of Path
        Where those now are that `force` has replaced, and those of another image.
    """

    def __init__(self, folder, decided, force, resumed=None, **facts):
        self.folder, self.force = folder, force
        self.images, self.kept, self.replaced, self.outdated = {}, [], [], []
        self.found, self.earlier = masks_in(folder, decided), earlier_runs(folder, decided)
        self.decided, self.pending = decided, dict(decided)
        self.facts = run_facts(run=uuid.uuid4().hex, complete=False, **facts)
        if resumed:
            self.go_on(resumed)
        self.save()
        self.journal = Journal(folder, self.facts["run"])

    def go_on(self, run):
        """Take over from an earlier part of the run what it has finished and what is still so."""
        for key in ("command", "date", "run"):
            self.facts[key] = run[key]
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.facts["resumed"] = [*run.get("resumed", []), now]
        for name, fact in run["images"].items():
            if name in self.pending and self.is_done(name, fact):
                self.images[name] = fact
                del self.pending[name]

    def is_done(self, name, fact):
        """Whether all files of an image are there as a run has written them."""
        own, wanted = self.folder / f"{name}_mask.tif", fact.get("mask_sha256")
        others = [self.folder / f"{name}_{part}.png" for part in ("pred", "overlay")]
        if not wanted or not all(path.exists() for path in others):
            return False
        if fact.get("corrected_by_hand"):
            beside = own.parent / MODELS_OWN / own.name
            return bool(self.found.get(name)) and hash_of_mask(beside) == wanted
        return self.earlier.get(name, {}).get("mask_sha256") == wanted

    def save(self):
        """Write `run.json`."""
        start = time.monotonic()
        facts = dict(self.facts)
        if self.pending:
            facts |= {"pending": list(self.pending), "decided": self.decided}
        facts["images"] = self.images
        if self.earlier:
            facts["earlier"] = self.earlier
        write_json(self.folder / "run.json", facts)
        now = time.monotonic()
        self.due = now + SELDOM * (now - start)

    def finish(self):
        """Say that the run is complete."""
        self.facts["complete"] = True
        self.images = dict(sorted(self.images.items()))  # several were written at a time
        self.earlier = {k: v for k, v in self.earlier.items() if k not in self.images}
        self.save()
        self.journal.remove()

    @contextlib.contextmanager
    def closing(self):
        """Write what is known where a block is stopped; if that fails, the journal has it."""
        State.go_on = ", --resume goes on"
        try:
            yield
            State.go_on = ""
        except BaseException:
            with contextlib.suppress(OSError):
                self.save()
            raise

    def users_masks(self, name, image_sha256):
        """Return the paths of an image's masks that the user wants kept.

        Those of another image, or that `force` replaces, are moved away.
        """
        earlier = self.earlier.get(name, {})
        own = self.folder / f"{name}_mask.tif"
        users = [path for path in self.found.get(name, ()) if path != own and path.exists()]
        # Looked at now, not at the start: an hour may lie between.
        if own.exists() and hash_of_mask(own) != earlier.get("mask_sha256", ""):
            users.append(own)
        if earlier.get("image_sha256", image_sha256) != image_sha256:
            outdated = users + self.drawn(name, "_axon") + self.drawn(name, "_nerve")
            self.outdated += [set_aside(path) for path in outdated]
            return []
        if self.force:
            users += self.drawn(name, "_axon") if users else []  # drawn on the mask that goes
            self.replaced += [set_aside(path) for path in users]
            return []
        return users

    def drawn(self, name, part):
        """Return the paths of an image's files of a kind, such as "_axon", in whatever format."""
        paths = (self.folder / f"{name}{part}{suffix}" for suffix in sorted(SUFFIXES))
        return [path for path in paths if path.exists()]

    def put_mask(self, name, mask, users, **fact):
        """Write an image's mask: in the place of its earlier one, or beside the user's.

        Parameters
        ----------
        name : str
        mask : bool array, (rows, cols)
        users : list of Path
            As returned by `users_masks`.
        **fact
            What `run.json` is to say of the image, its `pixel_size_um` among it.
        """
        fact |= {"mask_sha256": pixel_hash(mask), "corrected_by_hand": bool(users)}
        self.journal.add(name, fact)
        self.images[name] = fact
        del self.pending[name]
        if time.monotonic() > self.due:
            self.save()
        own = self.folder / f"{name}_mask.tif"
        beside = own.parent / MODELS_OWN / own.name
        pixels = mask.view(np.uint8) * np.uint8(255)
        write_image(beside if users else own, pixels, fact["pixel_size_um"], fsync=True)
        if not users:
            beside.unlink(missing_ok=True)
        elif own not in users:  # one in another format counts; two of a name would not be measured
            own.unlink(missing_ok=True)
        self.kept += users
