"""Masks to measure, with the image and the axon mask that belong to each."""

from myelin.cli import UserError
from myelin.images import image_shape, read_image, read_mask
from myelin.naming import RAW_TRAIN
from myelin.pixel_size import PIXEL_SIZE_TOLERANCE, read_pixel_size


def check_images(mask, masks=(), images=()):
    """Return what is wrong with a mask, others that belong to it, and images, as texts.

    All must be readable and of one size; None among them is passed over. One is read at a time.
    """
    errors, shape = [], None
    for path in filter(None, (mask, *masks, *images)):
        try:
            rows, cols = image_shape(path)
            if path == mask:
                shape = rows, cols
            elif shape and shape != (rows, cols):
                errors.append(
                    f"{path}: {rows} x {cols} pixels, but {mask.name} is {shape[0]} x {shape[1]}, "
                    "bring both to one size"
                )
            (read_image if path in images else read_mask)(path)
        except UserError as mistake:
            errors.extend(mistake.args)
    return errors


def check_out(folder, *inputs):
    """Raise where results would be written among the images or masks they are made from."""
    for other in (*inputs, RAW_TRAIN):
        if folder.resolve() == other.resolve():
            raise UserError(f"--out {folder}: is a folder of the input, name another")


class PixelSizeUnknown(UserError):
    """No image records a pixel size, and none was given."""


def pixel_size_of(paths, given):
    """Return pixel size in µm and its source; from the first of `paths` that records one.

    Raises
    ------
    PixelSizeUnknown
        No path records one.
    UserError
        Two contradict each other.
    """
    if given is not None:
        return given, "--pixel-size"
    known = [(path, *read_pixel_size(path)) for path in paths if path]
    known = [entry for entry in known if entry[1]]
    if not known:
        raise PixelSizeUnknown(
            f"{paths[-1]}: pixel size unknown (no OME-XML or ImageJ scale; dpi tags do not count), "
            "give it in µm per pixel with --pixel-size"
        )
    path, size, source = known[0]
    for other, other_size, _ in known[1:]:
        if abs(size - other_size) > PIXEL_SIZE_TOLERANCE * size:
            raise UserError(
                f"{path}: {size:g} µm per pixel, but {other} says {other_size:g}, give the right "
                "one with --pixel-size"
            )
    return size, f"{source} of {path.name}"
