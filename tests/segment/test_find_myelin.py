"""find_myelin.py: tiles, polarity, pixel size, outputs and messages."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from measuring import fails, read_table
from stand_ins import (
    NATIVE,
    RINGS,
    enlarged,
    random_network,
    rings,
    stand_in_for_the_engine,
)

import data
import find_myelin
import morphometry
import unet
from myelin.images import image as images
from myelin.images import overlay
from myelin.network import model_file, preprocessing
from myelin.runtime import files
from myelin.segment import bands, run_plan, scale_groups

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture(scope="module")
def random_model(tmp_path_factory, small_network):
    path = tmp_path_factory.mktemp("models") / "random.h5"
    model_file.save_model(path, random_network(), NATIVE)
    return path


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A working folder with two test images of different sizes, packed."""
    monkeypatch.chdir(tmp_path)
    images.write_image("raw/test/a.tif", rings(70, 83), pixel_size_um=0.2)
    images.write_image("raw/test/b.png", rings(100, 80))
    data.main([])
    return tmp_path


def test_outputs_have_the_size_of_the_image_and_agree(lab, random_model):
    find_myelin.main([str(random_model), "--threshold", "0.6"])
    for name, shape in (("a", (70, 83)), ("b", (100, 80))):
        found = cv2.imread(f"preds/{name}_pred.png", cv2.IMREAD_UNCHANGED)
        mask = tifffile.imread(f"preds/{name}_mask.tif")
        overlay = cv2.imread(f"preds/{name}_overlay.png", cv2.IMREAD_UNCHANGED)
        assert found.shape == mask.shape == shape and overlay.shape == (*shape, 3)
        assert set(np.unique(mask)) <= {0, 255}
        clear = np.abs(found - 0.6 * 255) > 1  # away from the rounding of the image
        assert ((mask > 0) == (found > 0.6 * 255))[clear].all()
    stack = np.load("npydata/imgs_mask_test.npy")
    assert stack.dtype == np.float32 and stack.shape == (2, 100, 83)
    np.testing.assert_allclose(stack[1, :100, :80] * 255, found, atol=0.51)
    assert not stack[0, 70:].any() and not stack[1, :, 80:].any()


def test_run_json_says_what_made_the_folder(lab, random_model):
    find_myelin.main([str(random_model), "--myelin", "dark"])
    run = json.loads((lab / "preds/run.json").read_text(encoding="utf-8"))
    assert run["command"].startswith("python find_myelin.py") and "--myelin dark" in run["command"]
    assert run["model_sha256"] == files.sha256(random_model)
    assert run["threshold"] == 0.5 and run["engine"].startswith("openvino, ")
    assert run["images"]["a"]["pixel_size_um"] == pytest.approx(0.2, rel=1e-4)
    assert run["images"]["a"]["pixel_size_source"] == "the image's metadata"
    assert run["images"]["b"]["pixel_size_source"] == "unknown"
    assert run["images"]["b"]["myelin"] == "dark"
    assert run["versions"]["keras"]
    assert run["complete"] is True
    size, source = images.read_record("preds/a_mask.tif").pixel_size()
    assert size == pytest.approx(0.2, rel=1e-4) and source == "ImageJ tags"
    assert images.read_record("preds/b_mask.tif").pixel_size() == (None, "unknown")
    stored = tifffile.imread("preds/a_mask.tif")
    assert run["images"]["a"]["mask_sha256"] == hashlib.sha256(stored.tobytes()).hexdigest()


def segment_with(monkeypatch, settings, *arguments):
    """Run the script with a stand-in for the engine; return the frames it was shown."""
    engine = stand_in_for_the_engine(monkeypatch, settings)
    find_myelin.main(arguments)
    return engine.seen


def test_a_2018_file_is_normalised_by_the_test_set(lab, monkeypatch):
    """Its file says no statistics, so the packed images give them, at network size."""
    old = preprocessing.Preprocessing(frame="resize", rows=32, cols=32, normalize="test set")
    seen = segment_with(monkeypatch, old)
    assert [frame.shape for frame in seen] == [(32, 32)] * 2
    assert np.mean(seen) == pytest.approx(0, abs=1e-3)
    assert np.std(seen) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_network_sees_images_at_the_scale_given(lab, monkeypatch, scale):
    arguments = ("--myelin", "bright", "--scale", str(scale))
    seen = segment_with(monkeypatch, RINGS, *arguments)
    # In whatever order: several are on their way at once.
    assert any(0 <= frame.shape[0] - 70 * scale < unet.STRIDE for frame in seen)
    assert images.read_mask("preds/a_mask.tif").shape == (70, 83)


def test_a_pixel_size_changes_no_mask(lab, monkeypatch, capsys):
    segment_with(monkeypatch, RINGS)
    found = (lab / "preds/b_pred.png").read_bytes()
    segment_with(monkeypatch, RINGS, "--pixel-size", "0.004")
    assert "warning: a: records 0.2 µm per pixel, 0.004 was given\n" in capsys.readouterr().out
    assert (lab / "preds/b_pred.png").read_bytes() == found
    assert images.read_record("preds/b_mask.tif").pixel_size()[0] == pytest.approx(0.004)


def test_the_call_in_run_json_repeats_an_image(lab, monkeypatch, capsys):
    image = 255 - enlarged(rings(200, 200), 3)
    images.write_image("raw/test/a.tif", image)
    data.main([])
    segment_with(monkeypatch, RINGS, "--threshold", "0.7")
    said = capsys.readouterr().out
    run = json.loads((lab / "preds/run.json").read_text(encoding="utf-8"))
    fact = run["images"]["a"]
    assert fact["myelin"] == "dark" and fact["network_scale"] == pytest.approx(1 / 3, rel=0.2)
    assert f"at scale {fact['network_scale']:g} (myelin dark)" in said
    found = (lab / "preds/a_pred.png").read_bytes()
    (lab / "raw/test/b.png").unlink()
    data.main([])
    assert "--threshold 0.7" in fact["repeat"]
    segment_with(monkeypatch, RINGS, *fact["repeat"].split()[3:])
    assert (lab / "preds/a_pred.png").read_bytes() == found


def test_a_doubtful_image_is_named(lab, monkeypatch, capsys):
    monkeypatch.setattr(scale_groups, "MIN_RELIABLE_SCORE", 1.1)
    segment_with(monkeypatch, RINGS)
    said = capsys.readouterr().out
    assert "warning: a (bright, scale " in said and "--myelin dark --scale 2" in said
    morphometry.main(["--pixel-size", "0.2", "--no-pictures"])
    assert "warning: a: find_myelin.py is unsure" in capsys.readouterr().out
    rows = read_table("morphometry/summary.csv")
    assert all("polarity or scale" in row["warnings"] for row in rows)
    assert "uncertain in 2 images" in Path("morphometry/methods.txt").read_text(encoding="utf-8")
    segment_with(monkeypatch, RINGS, "--myelin", "bright", "--scale", "1")
    assert "warning: " not in capsys.readouterr().out


def test_an_image_without_fibers_is_named_and_left_empty(lab, monkeypatch, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (160, 160), dtype=np.uint8)
    images.write_image("raw/test/b.png", noise)
    data.main([])
    segment_with(monkeypatch, RINGS)
    assert "no fibers found at any scale in b;" in capsys.readouterr().out
    assert not images.read_mask("preds/b_mask.tif").any()
    assert images.read_mask("preds/a_mask.tif").any()
    segment_with(monkeypatch, RINGS, "--myelin", "bright", "--scale", "1")
    assert images.read_mask("preds/b_mask.tif").any()


def test_overlay_tints_myelin_and_leaves_the_rest():
    image = rings(60, 60)
    mask = image == 220
    sample = overlay.overlay(image, mask)
    assert (sample[~mask] == image[~mask][:, None]).all()
    assert (sample[mask] != image[mask][:, None]).any(axis=1).all()


def test_a_changed_folder_is_packed_again(lab, random_model, capsys):
    images.write_image("raw/test/a.tif", 255 - rings(60, 60))
    (lab / "raw/test/b.png").unlink()
    find_myelin.main([str(random_model)])
    assert "test has changed (a, b): packed again" in capsys.readouterr().out
    assert tifffile.imread("preds/a_mask.tif").shape == (60, 60)
    assert not (lab / "preds/b_mask.tif").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.h5"], "error: absent.h5: no such model"),
        (["model.txt"], "error: model.txt: not the name of a model file"),
        (["--threshold", "2"], "'2' is not a number of 0.001 to 0.999"),
        (["--pixel-size", "-1"], "'-1' is not a pixel size"),
        (["--pixel-size", "two"], "'two' is not a pixel size"),
        (["--myelin", "pink"], "invalid choice"),
        (["--scale", "0"], "'0' is not a number of 0.01 to 16"),
        (["--engine", "steam"], "invalid choice"),
    ],
)
def test_mistakes_end_with_a_message_and_code_2(lab, capsys, arguments, message):
    assert message in fails(find_myelin.main, capsys, *arguments)


def test_a_run_keeps_the_masks_of_earlier_images_and_names_them(lab, random_model, capsys):
    find_myelin.main([str(random_model)])
    (lab / "preds/b_mask.tif").write_bytes(b"corrected by hand")
    (lab / "raw/test/b.png").unlink()
    data.main([])
    capsys.readouterr()
    find_myelin.main([str(random_model)])
    said = capsys.readouterr().out
    assert "preds/ also holds older files: b_mask.tif, b_overlay.png, b_pred.png\n" in said
    assert (lab / "preds/b_mask.tif").read_bytes() == b"corrected by hand"
    assert list(json.loads((lab / "preds/run.json").read_bytes())["images"]) == ["a"]


def test_scales_that_no_image_fits_are_named_before_anything_is_written(
    lab, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(run_plan, "MAX_PIXELS", 70 * 83 * 4)
    model_file.save_model(tmp_path / "m.h5", random_network(), RINGS)
    call = [str(tmp_path / "m.h5"), "--myelin", "bright", "--scale", "3"]
    errors = fails(find_myelin.main, capsys, *call).splitlines()
    assert [line[:9] for line in errors] == ["error: a:", "error: b:"]
    assert not (lab / "preds").exists()


def test_models_of_whole_frames_take_no_scale(lab, tmp_path, capsys):
    settings = preprocessing.Preprocessing(rows=32, cols=32, mean=100.0, std=40.0)
    model_file.save_model(tmp_path / "m.h5", random_network(32, 32), settings)
    said = fails(find_myelin.main, capsys, str(tmp_path / "m.h5"), "--scale", "0.5")
    assert "error: --scale: " in said


def test_scans_in_bands_give_the_files_of_one_piece(lab, random_model, monkeypatch):
    def results():
        find_myelin.main([str(random_model), "--scale", "0.8", "--myelin", "dark"])
        names = ("_mask.tif", "_overlay.png", "_pred.png")
        stored = [cv2.imread(f"preds/a{name}", cv2.IMREAD_UNCHANGED) for name in names]
        return *stored, np.load("npydata/imgs_mask_test.npy")

    whole = results()
    monkeypatch.setattr(bands, "MAX_WHOLE_PX", 0)
    for one, other in zip(whole[:2], results()[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other, least in zip(whole[2:], results()[2:], (1, 1e-3), strict=True):
        np.testing.assert_allclose(one.astype(float), other, atol=least)
