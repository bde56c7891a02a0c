"""Speed of segmentation, side by side: the command, the bare engine, and the procedure of 2018.

    python benchmarks/segmentation_speed.py ../shared/data/nerve
    python benchmarks/segmentation_speed.py FOLDER --images 1 --runs 5

Each round runs on the same images, one after the other: find_myelin.py; the procedure of 2018 as a
separate program (its steps rewritten: scikit-image's resize to 1024 x 1024, Keras at batch size 1,
resize back, PNG); both on the first image alone; and the engine alone on network inputs already in
memory (OpenVINO in the command's precision, in bfloat16 and in float32). Rounds are repeated, since
a machine's speed drifts. Prints the median seconds, their range, and the ratio to the command of
the same round. Needs requirements.txt. The environment variable
ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI with `--precisions auto float32` simulates a processor without
AMX.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from myelin.folders.naming import test_images
from myelin.images.image import read_image
from myelin.network.engine import OpenVinoEngine
from myelin.network.model_file import model_path, read_model_file
from myelin.network.preprocessing import normalize
from myelin.network.quantization import read_scales
from myelin.runtime.files import sha256
from myelin.segment.tiles import predict

PROCEDURE_2018 = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
from skimage.io import imsave
from skimage.transform import resize
sys.path.insert(0, sys.argv[1])
import unet
from myelin.network.model_file import read_model_file

images = np.load("npydata/imgs_test.npy")
ids = np.load("npydata/imgs_id_test.npy")
network = unet.get_unet(1024, 1024)
network.set_weights(read_model_file(sys.argv[2])[0])
frames = np.stack([resize(i, (1024, 1024), preserve_range=True).astype(np.uint8) for i in images])
frames = frames[..., None].astype("float32")
frames = (frames - frames.mean()) / frames.std()
found = network.predict(frames, batch_size=1, verbose=0)
np.save("npydata/imgs_mask_test.npy", found)
os.makedirs("preds", exist_ok=True)
for name, one in zip(ids, found):
    whole = resize(one[..., 0], images.shape[1:], preserve_range=True)
    imsave(f"preds/{name}_pred.png", (whole * 255).astype(np.uint8), check_contrast=False)
"""


def seconds(call):
    """Return the duration of a call, s."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def run(folder, *command):
    """Run a Python program in a folder, without its output."""
    subprocess.run([sys.executable, *command], cwd=folder, check=True, capture_output=True)


def packed(folder, images):
    """Fill a folder with images and pack them."""
    raw = Path(folder, "raw/test")
    raw.mkdir(parents=True)
    for path in images:
        shutil.copy(path, raw)
    run(folder, str(ROOT / "data.py"))


def one_round(folder, single, model, engines, frames):
    """Return the seconds of each contender, {name: s}."""
    command = (str(ROOT / "find_myelin.py"), str(model))
    procedure = ("-c", PROCEDURE_2018, str(ROOT), str(model))
    found = {}
    for name, place, call in (
        ("find_myelin.py", folder, command),
        ("procedure of 2018", folder, procedure),
        ("find_myelin.py, one image", single, command),
        ("procedure of 2018, one image", single, procedure),
    ):
        shutil.rmtree(Path(place, "preds"), ignore_errors=True)
        found[name] = seconds(lambda place=place, call=call: run(place, *call))
    for engine in engines:
        found[f"bare engine ({engine.name})"] = seconds(
            lambda engine=engine: [predict(engine, frame) for frame in frames]
        )
    return found


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="images of one size")
    parser.add_argument("--model", default="bestmyelin.h5")
    parser.add_argument("--images", type=int, default=20, help="number of images (default 20)")
    parser.add_argument("--runs", type=int, default=3, help="number of rounds (default 3)")
    parser.add_argument(
        "--precisions",
        nargs="*",
        default=["auto", "bfloat16", "float32"],
        help="of the bare engine (default auto bfloat16 float32)",
    )
    args = parser.parse_args()
    model = model_path(args.model, reading=True).resolve()
    weights, settings, _ = read_model_file(model)
    images = list(test_images(args.folder).values())[: args.images]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as single:
        packed(folder, images)
        packed(single, images[:1])
        frames = [normalize(read_image(path), settings) for path in images]
        scales = read_scales(model, sha256(model))
        engines = [OpenVinoEngine(weights, precision, scales) for precision in args.precisions]
        for engine in engines:
            predict(engine, frames[0])  # compiles
        rounds = [one_round(folder, single, model, engines, frames) for _ in range(args.runs)]
    print(f"{len(frames)} images of {frames[0].shape}, {os.cpu_count()} processors")
    for name in rounds[0]:
        times = [found[name] for found in rounds]
        ratios = [found[name] / found["find_myelin.py"] for found in rounds]
        count = 1 if name.endswith("one image") else len(frames)
        print(
            f"{name:34s} {np.median(times):7.2f} s ({min(times):.2f} to {max(times):.2f}), "
            f"{np.median(times) / count:6.2f} s an image, {np.median(ratios):5.2f} times the "
            f"command ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
