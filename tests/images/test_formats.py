"""Microscopes' own formats: the plane that was chosen, its pixel size, and every mistake named.

The libraries are optional: without one, its format's tests are skipped.
"""

import json
import sys
import types

import numpy as np
import pytest
from format_samples import stack, write_dm, write_lif, write_mrc, write_nd2, write_zarr
from image_samples import refused
from measuring import fails

import data
from myelin.images import formats
from myelin.images import image as images
from myelin.images.plane_selection import parse_take
from myelin.runtime.cli import UserError


def write_czi(path, pixels, um):
    """Write a CZI file with Zeiss's own library."""
    czi = pytest.importorskip("pylibCZIrw.czi")
    with czi.create_czi(str(path)) as file:
        for plane, channels in enumerate(pixels):
            for channel, image in enumerate(channels):
                file.write(data=image[..., None], plane={"C": channel, "Z": plane})
        file.write_metadata("x", scale_x=um / 1e6, scale_y=um / 1e6)


WRITERS = {
    "x.lif": lambda path, pixels, um: write_lif(path, [pixels], um),
    "x.nd2": write_nd2,
    "v2.ome.zarr": lambda path, pixels, um: write_zarr(path, pixels, um, 2),
    "v3.ome.zarr": lambda path, pixels, um: write_zarr(path, pixels, um, 3),
    "x.czi": write_czi,
}


@pytest.fixture(params=WRITERS)
def sample(request, folder):
    """Write a file of 3 planes and 2 channels at 0.2 µm per pixel; return its path and pixels."""
    path, pixels = folder / "raw/test" / request.param, stack()
    library = pytest.importorskip(formats.LIBRARIES[path.suffix])
    if path.suffix == ".czi" and not hasattr(library.CziFile, "scenes"):
        pytest.skip("czifile of 2026 needs Python 3.12")
    WRITERS[request.param](path, pixels, 0.2)
    return path, pixels


def test_the_chosen_plane_is_read_with_its_pixel_size(sample):
    path, pixels = sample
    for plane, channel in ((1, 1), (3, 1), (1, 2)):
        record = images.read_record(path, {"channel": channel, "plane": plane})
        assert record.shape == (20, 30) and record.bits == 8
        assert record.pixel_size()[0] == pytest.approx(0.2)
        assert np.array_equal(images.read_image(record), pixels[plane - 1, channel - 1])


def test_without_a_choice_the_axes_are_named(sample):
    path, _ = sample
    with pytest.raises(UserError, match="3 planes") as mistake:
        images.read_record(path)
    assert "2 channels" in str(mistake.value) and "--take" in str(mistake.value)
    for take in ("channel=3,plane=1", "channel=1,plane=4"):
        with pytest.raises(UserError, match=r"no (channel 3 \(it has 2\)|plane 4 \(it has 3\))"):
            images.read_record(path, parse_take(take))


def test_a_file_cut_short_is_one_line(sample, capfd):
    path, _ = sample
    if path.is_dir():
        (path / ("0/.zarray" if path.name == "v2.ome.zarr" else "0/zarr.json")).write_text("{}")
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    (line,) = fails(data.main, capfd, "--take", "channel=1,plane=2").splitlines()
    assert line.startswith("error: raw") and "cannot be read as an image" in line


def test_a_level_of_a_pyramid_has_larger_pixels(tmp_path):
    pytest.importorskip("zarr")
    write_zarr(tmp_path / "x.zarr", stack(), 0.2, 3)
    record = images.read_record(tmp_path / "x.zarr", parse_take("channel=2,plane=3,level=2"))
    assert record.shape == (10, 15) and record.pixel_size() == (pytest.approx(0.4), "OME-Zarr")
    assert np.array_equal(images.read_image(record), stack()[2, 1, ::2, ::2])


def test_one_image_of_several_in_a_lif(tmp_path):
    pytest.importorskip("liffile")
    write_lif(tmp_path / "x.lif", [stack(1, 1), stack(1, 2) + 100], 0.2)
    with pytest.raises(UserError, match="2 series in one file"):
        images.read_record(tmp_path / "x.lif")
    take = parse_take("series=2,channel=2")
    read = images.read_image(images.read_record(tmp_path / "x.lif", take))
    assert np.array_equal(read, stack(1, 2)[0, 1] + 100)


ELECTRON = {".dm3": write_dm, ".dm4": write_dm, ".mrc": write_mrc}


@pytest.fixture(params=ELECTRON)
def electron(request, tmp_path):
    """Return the path of a file to write, and the function that writes it."""
    suffix = request.param
    pytest.importorskip(formats.MODULES.get(formats.LIBRARIES[suffix], "mrcfile"))
    return tmp_path / f"x{suffix}", ELECTRON[suffix]


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.float32])
def test_images_of_transmission_electron_microscopes(electron, kind):
    (path, write), pixels = electron, stack()[:, 0].astype(kind)
    write(path, pixels[0], 0.002)
    record = images.read_record(path)
    assert record.shape == (20, 30) and record.bits == 8 * pixels.itemsize
    assert record.pixel_size() == (0.002, path.suffix[1:].upper())
    assert np.array_equal(images.read_stored(record), pixels[0])
    path.unlink()
    write(path, pixels, 0.002)
    assert np.array_equal(images.read_stored(images.read_record(path, {"plane": 3})), pixels[2])
    with pytest.raises(UserError, match="3 planes in one file"):
        images.read_record(path)
    for length in (1100, 5, 0):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(UserError, match=r"x\.\w+: cannot be read as an image"):
            images.read_record(path)


def test_bytes_of_electron_microscopes_are_unsigned(electron):
    (path, write), pixels = electron, stack(1, 1)[0, 0] + np.uint8(55)  # up to 254
    write(path, pixels.view(np.int8), 0.002)
    if path.suffix == ".mrc":  # signed in the standard, unless IMOD's mark is in the header
        assert images.read_stored(path).dtype == np.int8
        with open(path, "r+b") as file:
            file.seek(152)
            file.write(np.array([formats.IMOD_MARK, 0], "<i4").tobytes())
    assert np.array_equal(images.read_stored(path), pixels)


def test_one_angstrom_is_what_programs_write_into_mrc_files(tmp_path):
    pytest.importorskip("mrcfile")
    write_mrc(tmp_path / "x.mrc", stack(1, 1)[0, 0].astype(np.int16), 1e-4)
    assert images.read_record(tmp_path / "x.mrc").pixel_size() == (None, "unknown")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"compressor": {"id": "pickle"}}, "pickle"),  # which would run code of the file
        ({"shape": [1, 1, 1, 2**20, 2**20]}, "claims 1048576 x 1048576 pixels"),
    ],
)
def test_zarr_metadata_run_no_code_and_fill_no_memory(tmp_path, damage, message):
    pytest.importorskip("zarr")
    write_zarr(tmp_path / "x.zarr", stack(1, 1), 0.2, 2)
    path = tmp_path / "x.zarr/0/.zarray"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    with pytest.raises(UserError, match=message):
        images.read_record(tmp_path / "x.zarr")


@pytest.mark.parametrize("suffix", formats.LIBRARIES)
def test_a_missing_library_is_named(folder, monkeypatch, capfd, suffix):
    path = folder / f"raw/test/x{suffix}"
    path.mkdir() if suffix == ".zarr" else path.touch()
    library = formats.LIBRARIES[suffix]
    monkeypatch.setitem(sys.modules, formats.MODULES.get(library, library), None)
    (line,) = refused(capfd)
    assert f"x{suffix}: needs {library}, which is not installed" in line
    assert f"run pip install {library}, or save" in line


def test_an_old_czifile_is_named(tmp_path, monkeypatch):
    old = types.SimpleNamespace(CziFile=object)
    monkeypatch.setitem(sys.modules, "czifile", old)
    with pytest.raises(UserError, match=r"needs czifile of 2026, which is for Python 3\.12"):
        images.read_record(tmp_path / "x.czi")
