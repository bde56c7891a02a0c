"""Peak memory of packing and segmenting 20 against 200 images of 1040 x 1392 (Linux, macOS).

    python benchmarks/memory.py

The segmenting model is an untrained one of 64 x 64 frames: what the network needs itself is then
small, so growth with the number of images would show.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import unet
from myelin.images.image import write_image
from myelin.network.engine import start_keras
from myelin.network.model_file import save_model
from myelin.network.preprocessing import Preprocessing

# ru_maxrss counts all children so far, so each command runs under a Python of its own.
WRAPPER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_mb(folder, *command):
    """Return the peak resident memory of one of the suite's scripts, run in a folder, in MB."""
    call = [sys.executable, "-c", WRAPPER, sys.executable, str(ROOT / command[0]), *command[1:]]
    found = subprocess.run(call, cwd=folder, check=True, capture_output=True, text=True).stdout
    return int(found) / (2**20 if sys.platform == "darwin" else 2**10)


def main():
    """Print the table."""
    start_keras()
    rng = np.random.default_rng(0)
    print("images   packing MB   segmenting MB")
    for count in (20, 200):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            settings = Preprocessing(rows=64, cols=64, mean=127.0, std=50.0)
            save_model(folder / "models/small.h5", unet.get_unet(64, 64), settings)
            for index in range(count):
                image = rng.integers(0, 256, (1040, 1392), dtype=np.uint8)
                write_image(folder / f"raw/test/{index:03d}.tif", image)
            packing = peak_mb(folder, "data.py")
            segmenting = peak_mb(folder, "find_myelin.py", "small.h5")
            print(f"{count:6d}   {packing:10.0f}   {segmenting:13.0f}", flush=True)


if __name__ == "__main__":
    main()
