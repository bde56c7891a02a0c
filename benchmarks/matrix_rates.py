"""Measure the operations per second of a processor, and how many of them the network reaches.

    python benchmarks/matrix_rates.py
    ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI python benchmarks/matrix_rates.py

For int8, bfloat16 and float32: a chain of 3 x 3 convolutions of 256 channels, whose data stay in
the cache, then the network on an image of 1040 x 1392 pixels. An operation is a multiplication or
an addition. Times are CPU seconds of one core (lowest of five), so that other load matters little.
The second call simulates a processor without AMX; its bfloat16 is emulated and means nothing.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import unet
from myelin.network.engine import OpenVinoEngine, multiplies_int8, start_openvino
from myelin.network.model_file import model_path, read_model_file
from myelin.network.quantization import read_scales
from myelin.runtime.files import sha256

CHANNELS, SIDE, LENGTH = 256, 64, 8
FRAME = (1040, 1392)
HINTS = {"int8": "f32", "bfloat16": "bf16", "float32": "f32"}


def processor_seconds(call, rounds=5):
    """Return the lowest CPU time of a call, after a first one to warm up, s."""
    call()
    found = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def chain(core, precision):
    """Return a call that runs the chain of convolutions, and its number of operations."""
    from openvino import Model
    from openvino import opset13 as ops

    from myelin.network.openvino_graph import quantized

    rng = np.random.default_rng(0)
    source = node = ops.parameter([1, CHANNELS, SIDE, SIDE], np.float32)
    for _ in range(LENGTH):
        kernel = ops.constant(rng.normal(0, 0.01, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32))
        if precision == "int8":
            node = quantized(node, 0.0, 1.0, 255)
            kernel = quantized(kernel, -0.05, 0.05, 254)
        node = ops.relu(ops.convolution(node, kernel, [1, 1], [1, 1], [1, 1], [1, 1]))
    hints = {"INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(Model([node], [source]), "CPU", hints)
    frame = rng.random((1, CHANNELS, SIDE, SIDE), np.float32)
    operations = 2 * LENGTH * CHANNELS**2 * 9 * SIDE**2
    return lambda: compiled(frame), operations


def network_operations(rows, cols):
    """Return the operations of the network on one input."""
    pixels = []
    total = 0
    for layer in unet.layers():
        count = pixels[layer.sources[0]] if layer.sources else rows * cols
        count = count // 4 if layer.kind == "MaxPooling2D" else count
        taps = layer.kernel**2 * count
        pixels.append(4 * count if layer.kind == "Conv2DTranspose" else count)
        total += 2 * taps * layer.inputs * layer.channels
    return total


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="bestmyelin.h5")
    args = parser.parse_args()
    model = model_path(args.model, reading=True)
    weights, _, _ = read_model_file(model)
    scales = read_scales(model, sha256(model))
    core = start_openvino().Core()
    has_bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    wanted = {"int8": scales and multiplies_int8(core), "bfloat16": has_bfloat16, "float32": True}
    frame = np.random.default_rng(0).normal(size=FRAME).astype(np.float32)
    operations = network_operations(*FRAME)
    print(f"network: {operations / 1e12:.2f} tera-operations for an image of {FRAME}")
    print("precision   convolutions     network      ratio   time of the network")
    for precision in (name for name, there in wanted.items() if there):
        call, count = chain(core, precision)
        best = count / processor_seconds(call) / 1e12
        engine = OpenVinoEngine(weights, precision, scales)
        taken = processor_seconds(lambda engine=engine: engine.predict(frame))
        rate = operations / taken / 1e12
        print(
            f"{precision:9s}   {best:7.2f} TOPS   {rate:5.2f} TOPS   {rate / best:4.0%}   "
            f"{taken:8.2f} CPU seconds"
        )


if __name__ == "__main__":
    main()
