"""Measure again only the fibers near an edit of a mask, with the results of measuring all of it.

The fibers of a window around the edit are found twice, in the masks before and after it; those that
differ are replaced. The window grows until these fibers, and those beside the edit, lie within it,
and the masks before give the very fibers that are known.
"""

from collections import Counter

import numpy as np

from myelin.measure.doubt import add_rating, fiber_measures
from myelin.measure.fibers import Fibers, Outlines, find_fibers, in_frame, in_tissue, measure
from myelin.measure.frame import Frame
from myelin.pixels.labels import LabelImage, shared_pixels
from myelin.pixels.regions import Window, crop

MARGINS_PX = (64, 256, 1024)  # of the window around an edit; if none suffices, all is measured
BESIDE_PX = 16  # fibers this near the edit have to lie within the window
DOUBT = "doubt "  # columns of measures of doubt begin so

Masks = tuple[np.ndarray, np.ndarray]  # myelin and axon, bool (rows, cols)


class EditedFibers:
    """The fibers of an image while its masks are edited.

    Parameters
    ----------
    frame : Frame
    pixel_size_um : float
    image, probability : uint8 array, (rows, cols), or None
        As for `measure_fibers`.
    earlier : LabelImage or None
        Fibers of an earlier run, see `numbering.Numbers`.

    Attributes
    ----------
    found : Outlines
        All fibers, also those outside the nerve.
    rows : dict of str to array, (n,)
        Their columns and measures of doubt, whether they are counted, and their order.
    shared : tuple of int array
        Their `shared_pixels` with `earlier`.
    """

    def __init__(
        self,
        frame: Frame,
        pixel_size_um: float,
        image: np.ndarray | None,
        probability: np.ndarray | None,
        earlier: LabelImage | None = None,
    ) -> None:
        self.frame, self.size, self.image = frame, pixel_size_um, image
        self.probability, self.earlier = probability, earlier

    def measure_all(self, myelin: np.ndarray, axon: np.ndarray | None) -> None:
        """Find and measure all fibers of the masks, which are as for `measure_fibers`."""
        myelin, axon = in_tissue(myelin, axon, self.frame.tissue)
        self.found = find_fibers(myelin, axon, self.image, self.frame.tissue)
        whole = tuple(slice(0, length) for length in self.frame.shape)
        self.rows, self.shared = self.measured(self.found, whole)
        self.myelin_px = self.frame.pixels(myelin)

    def change_frame(self, frame: Frame, myelin: np.ndarray, axon: np.ndarray) -> None:
        """Set a frame with another nerve in the same tissue; the masks are those now."""
        self.frame = frame
        self.myelin_px = frame.pixels(in_tissue(myelin, axon, frame.tissue)[0])

    def measure_change(
        self, myelin: np.ndarray, axon: np.ndarray, edit: Window, before: Masks
    ) -> None:
        """Measure what an edit has changed.

        Parameters
        ----------
        myelin, axon : bool arrays, (rows, cols)
            The masks after the edit.
        edit : (slice, slice)
            Window in which they differ from those before.
        before : (bool array, bool array)
            Both masks before the edit, in that window.
        """
        y, x = (part.start for part in edit)
        box = np.array([x, y, edit[1].stop - x, edit[0].stop - y])
        for margin in MARGINS_PX:
            window = crop(box, margin, self.frame.shape)
            y, x = (part.start for part in window)
            inner = slice(box[1] - y, box[1] - y + box[3]), slice(box[0] - x, box[0] - x + box[2])
            after = myelin[window], axon[window]
            masks = tuple(mask.copy() for mask in after)
            for mask, part in zip(masks, before, strict=True):
                mask[inner] = part
            if self.replace(window, inner, masks, after):
                return
        self.measure_all(myelin, axon)

    def replace(self, window: Window, inner: Window, before: Masks, after: Masks) -> bool:
        """Replace the fibers that differ between masks of a window; return whether it suffices."""
        tissue = None if self.frame.tissue is None else self.frame.tissue[window]
        before, after = (in_tissue(*masks, tissue) for masks in (before, after))
        old, new = (find_fibers(*masks, None, tissue) for masks in (before, after))
        gone, come = differing(old, new)
        y, x = (part.start for part in inner)
        box = np.array([x, y, inner[1].stop - x, inner[0].stop - y])
        beside = crop(box, BESIDE_PX, old.labels.shape)
        for found, chosen in ((old, gone), (new, come)):
            near = np.union1d(found.labels[beside], np.flatnonzero(chosen))
            if not self.is_within(found.labels.boxes()[near[near > 0]], window):
                return False
        offset = np.array([window[1].start, window[0].start, 0, 0, 0])
        counts = [Counter(map(tuple, found.pieces.tolist())) for found in (old, new)]
        less, more = (
            np.array([*(one - other).elements()], np.int64).reshape(-1, 5)
            for one, other in (counts, counts[::-1])
        )
        pieces = [np.flatnonzero((self.found.pieces == box + offset).all(axis=1)) for box in less]
        known = self.as_known(old, gone, window)
        if known is None or not all(map(len, pieces)):
            return False
        if not self.is_within(np.vstack([less, more]), window):
            return False
        inside = True if self.frame.inside is None else self.frame.inside[window]
        self.myelin_px += np.count_nonzero(after[0] & inside) - np.count_nonzero(before[0] & inside)
        self.splice(known, new, come, window)
        pieces = np.delete(self.found.pieces, [index[0] for index in pieces], axis=0)
        self.found.pieces = np.vstack([pieces, more + offset])
        return True

    def is_within(self, boxes: np.ndarray, window: Window) -> bool:
        """Return whether boxes lie within a window, except at the edge of the image."""
        x, y, width, height = boxes[:, :4].T
        ends = []
        for part, first, size, length in zip(
            window, (y, x), (height, width), self.frame.shape, strict=True
        ):
            ends.append((first > 1) | (part.start == 0))
            ends.append((first + size < part.stop - part.start - 1) | (part.stop == length))
        return bool(np.all(ends))

    def as_known(self, old: Outlines, gone: np.ndarray, window: Window) -> np.ndarray | None:
        """Return which known fibers are those `gone` of a window, bool (n + 1,); or else None."""
        shape, known = self.frame.shape, np.zeros(len(self.found.axon_px) + 1, bool)
        axons = old.axons.keep(gone).moved(window, shape)
        numbers = np.zeros(len(gone), np.int64)
        numbers[axons.number] = self.found.axons.at(axons.row, axons.first)
        known[numbers[gone]] = True
        known[0] = False
        for part, whole in ((old.axons, self.found.axons), (old.labels, self.found.labels)):
            runs, others = part.keep(gone).moved(window, shape).runs, whole.keep(known).runs
            runs = (numbers[runs[0]], *runs[1:])
            if not all(map(np.array_equal, runs, others)):
                return None
        return known

    def splice(self, known: np.ndarray, new: Outlines, come: np.ndarray, window: Window) -> None:
        """Replace known fibers by those of a window that have come."""
        numbers = np.cumsum(come) * come
        parts = [labels.renumbered(numbers) for labels in (new.axons, new.labels)]
        areas = (px[come[1:]] for px in (new.axon_px, new.fiber_px))
        part = Outlines(*parts, *areas, new.pieces[:0], new.spaces_px[come[1:]])
        rows, shared = self.measured(part, window)
        kept, found = ~known[1:], self.found

        def joined(before: np.ndarray, added: np.ndarray) -> np.ndarray:
            return np.concatenate([before[kept], added])

        order = np.argsort(joined(self.rows["order"], rows["order"]))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(1, len(order) + 1)
        stay, added = np.zeros(len(known), np.int64), np.append(0, place[kept.sum() :])
        stay[1:][kept] = place[: kept.sum()]
        axons, labels = (
            before.spliced(stay, now.renumbered(added).moved(window, before.shape), window[0])
            for before, now in ((found.axons, part.axons), (found.labels, part.labels))
        )
        self.found = Outlines(
            axons,
            labels,
            joined(found.axon_px, part.axon_px)[order],
            joined(found.fiber_px, part.fiber_px)[order],
            found.pieces,
            joined(found.spaces_px, part.spaces_px)[order],
        )
        self.rows = {name: joined(self.rows[name], rows[name])[order] for name in rows}
        if shared is not None:
            pairs = (stay[self.shared[0]], *self.shared[1:])
            pairs = [column[pairs[0] > 0] for column in pairs]
            shared = (added[shared[0]], *shared[1:])
            self.shared = tuple(map(np.append, pairs, shared))

    def measured(self, found: Outlines, window: Window) -> tuple[dict, tuple | None]:
        """Return rows and shared pixels of the fibers of a window."""
        shape, count = self.frame.shape, len(found.axon_px)
        probability = None if self.probability is None else self.probability[window]
        columns = measure(found, self.size, self.frame, probability, window)
        y, x = (part.start for part in window)
        local = columns | {"x_px": columns["x_px"] - x, "y_px": columns["y_px"] - y}
        counted = self.frame.counts(found.axons, count, window)
        fibers = Fibers(local, found.labels, found.axons, counted, 0, 0, self.size, 0)
        measures = fiber_measures(fibers, probability)
        columns |= {f"{DOUBT}{name}": values for name, values in measures.items()}
        # Axons are numbered by their first square of 2 x 2 pixels, see `label_regions`.
        axons, order = found.axons.moved(window, shape), np.full(count + 1, np.iinfo(np.int64).max)
        squares = (axons.row // 2).astype(np.int64) * shape[1] + axons.first // 2
        np.minimum.at(order, axons.number, squares)
        shared = None
        if self.earlier is not None:
            shared = shared_pixels(found.labels, self.earlier.cropped(*window))
        return columns | {"counted": counted, "order": order[1:]}, shared

    def fibers(self) -> tuple[Fibers, tuple | None]:
        """Return the fibers as `measure_fibers` and `add_doubt` do, and their shared pixels."""
        count = len(self.found.axon_px)
        columns = self.rows | {"fiber": np.arange(1, count + 1), "row": np.arange(1, count + 1)}
        counted = columns.pop("counted")
        fibers = in_frame(self.found, columns, counted, self.myelin_px, self.size, self.frame)
        columns = fibers.columns
        measures = {
            name.removeprefix(DOUBT): columns.pop(name)
            for name in list(columns)
            if name.startswith(DOUBT)
        }
        row, _ = columns.pop("row"), columns.pop("order")
        add_rating(fibers, measures)
        if self.shared is None:
            return fibers, None
        numbers = np.zeros(count + 1, np.int64)
        numbers[row] = np.arange(1, len(row) + 1)
        number = numbers[self.shared[0]]
        return fibers, tuple(column[number > 0] for column in (number, *self.shared[1:]))


def differing(old: Outlines, new: Outlines) -> tuple[np.ndarray, np.ndarray]:
    """Return which fibers of one window the other has not, bool (n + 1,) each."""
    keys = [fiber_keys(found) for found in (old, new)]
    return tuple(
        np.array([False, *(key not in others for key in own)])
        for own, others in ((keys[0], set(keys[1])), (keys[1], set(keys[0])))
    )


def fiber_keys(found: Outlines) -> list[tuple[bytes, ...]]:
    """Return the runs of the axon and of the whole of each fiber and its spaces, as bytes."""
    parts = [[spaces.tobytes() for spaces in found.spaces_px]]
    for labels in (found.axons, found.labels):
        order = np.argsort(labels.number, kind="stable")
        runs = np.stack(labels.runs[1:], axis=1)[order]
        ends = np.cumsum(np.bincount(labels.number, minlength=len(found.axon_px) + 1))
        parts.append([part.tobytes() for part in np.split(runs, ends[:-1])[1:]])
    return list(zip(*parts, strict=True))
