"""Files of every kind that is read, as they should be: what `mutations.py` damages."""

import functools
import io
import re
import zipfile

import cv2
import numpy as np
import tifffile
from PIL import Image


def drawing(rows=48, cols=60, channels=None, dtype=np.uint8):
    """Return a smooth image with a little noise, which every packing shortens."""
    y, x = np.mgrid[:rows, :cols]
    grey = 100 + 60 * np.sin(x / 7) * np.cos(y / 9) + np.random.default_rng(0).normal(0, 3, x.shape)
    grey = (grey * (1 if dtype == np.uint8 else 200)).astype(dtype)
    return grey if channels is None else np.stack([grey >> k for k in range(channels)], axis=-1)


def encoded(image, suffix, *options):
    return cv2.imencode(suffix, image, options)[1].tobytes()


def saved(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def with_pillow(image, format, **options):
    return saved(Image.fromarray(image), format, **options)


def with_tifffile(image, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, image, **options)
    return file.getvalue()


@functools.cache
def image_samples():
    grey, deep, colour = drawing(), drawing(dtype=np.uint16), drawing(channels=3)
    large = drawing(200, 300)
    microscope = {"imagej": True, "resolution": (5, 5), "metadata": {"unit": "um"}}
    ome = {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.1}}
    return {
        "big.tif": with_tifffile(grey, bigtiff=True, byteorder=">"),
        "deflate.tif": with_tifffile(large, compression="zlib", rowsperstrip=16),
        "predictor.tif": with_tifffile(deep, compression="zlib", predictor=True),
        "tiles.tif": with_tifffile(colour, tile=(32, 32), photometric="rgb", compression="zlib"),
        "imagej.tif": with_tifffile(grey, **microscope),
        "ome.tif": with_tifffile(grey, **ome),
        "float.tif": with_tifffile(grey.astype(np.float32)),
        "pages.tif": with_tifffile(np.stack([grey] * 3), photometric="minisblack"),
        "lzw8.tif": with_pillow(large, "TIFF", compression="tiff_lzw"),
        "lzw16.tif": encoded(deep, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 5),
        "jpeg.tif": with_pillow(large, "TIFF", compression="jpeg"),
        "fax.tif": with_pillow(grey > 100, "TIFF", compression="group4"),
        "palette.tif": saved(Image.fromarray(grey).quantize(64), "TIFF"),
        "grey.png": encoded(grey, ".png"),
        "deep.png": encoded(deep, ".png"),
        "bits.png": with_pillow(grey > 100, "PNG"),
        "colour.jpg": encoded(drawing(200, 300, 3), ".jpg"),
        "progressive.jpg": encoded(large, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "restart.jpg": encoded(large, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
        "colour.bmp": encoded(colour, ".bmp"),
    }


def array_samples():
    """Return the arrays of npydata, as `data.py` packs them."""
    arrays = {"imgs_id_train": np.array(["a", "b"]), "imgs_id_test": np.array(["c", "d"])}
    for name in ("imgs_train", "imgs_mask_train", "imgs_test"):
        arrays[name] = np.zeros((2, 4, 5), np.uint8)
    for name in ("train", "test"):
        arrays[f"imgs_shape_{name}"] = np.array([[4, 5], [3, 2]])
    arrays["imgs_pixel_size_test"] = np.array([0.1, np.nan])
    files = {}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array)
        files[f"{name}.npy"] = file.getvalue()
    return files


@functools.cache
def model_samples():
    """Return a model file of a small network, whole and without Adam's state."""
    import tempfile
    from pathlib import Path

    import unet
    from myelin.network import engine, model_file
    from myelin.network.preprocessing import Preprocessing

    engine.start_keras()
    network = unet.get_unet(32, 32)
    network.compile(optimizer="adam", loss=unet.dice_coef_loss)
    network.optimizer.build(network.trainable_variables)
    with tempfile.TemporaryDirectory() as folder:
        for name, optimizer in (("whole.h5", True), ("weights.h5", False)):
            settings = Preprocessing(rows=32, cols=32, mean=120.0, std=40.0)
            model_file.save_model(Path(folder) / name, network, settings, optimizer)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def table_samples():
    lines = [f"n{k},{'wild' if k < 4 else 'ko'},m{k // 2}" for k in range(8)]
    text = "\n".join(["image,group,animal", *lines, ""])
    return {
        "comma.csv": text.encode(),
        "semicolon.csv": text.replace(",", ";").encode("utf-8-sig"),
        "quoted.csv": re.sub(r"(\w+)", r'"\1"', text).encode(),
    }


@functools.cache
def outline_samples():
    """Return outlines as ImageJ and QuPath save them, of every kind that is read."""
    import tempfile
    from pathlib import Path

    from roifile import ROI_OPTIONS, ROI_TYPE

    from myelin.exchange.drawing import Drawing
    from myelin.exchange.geojson import write_geojson
    from myelin.exchange.imagej_rois import to_roi, write_zip

    fibers = np.zeros((48, 60), int)
    fibers[4:20, 4:20], fibers[10:40, 30:55] = 1, 2
    axons = np.where(np.roll(fibers, 6, (0, 1)) == fibers, fibers, 0)
    mask = (fibers > 0) & (axons == 0)
    mask[12:14, 32:34], mask[44:47, 2:9] = False, True
    outlines = Drawing.of(fibers, axons, mask).outlines()
    with tempfile.TemporaryDirectory() as folder:
        write_zip(Path(folder) / "packed.zip", outlines)
        write_geojson(Path(folder) / "cells.geojson", outlines, {1: {"g_ratio": 0.6}}, "one")
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for outline in outlines:
            archive.writestr(f"{outline.name}.roi", to_roi(outline).tobytes())
    roi = to_roi(outlines[0])
    files |= {"stored.zip": file.getvalue(), "traced.roi": roi.tobytes()}
    roi.subpixel_coordinates = roi.integer_coordinates = None
    roi.roitype, roi.n_coordinates, roi.options = ROI_TYPE.OVAL, 0, ROI_OPTIONS.NONE
    files["oval.roi"] = roi.tobytes()
    return files


# New kinds go last: the damage of each depends on its place.
SAMPLES = {
    "arrays": array_samples,
    "images": image_samples,
    "models": model_samples,
    "tables": table_samples,
    "outlines": outline_samples,
}
