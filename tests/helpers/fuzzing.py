"""Have damaged files read in a process of its own, and report what became of each.

    python tests/helpers/fuzzing.py images 0 0,1,2 FOLDER ROOT

reads the images 0 to 2 of seed 0 in an empty folder with the suite in ROOT and prints a line of
JSON per file, before and after; `run` calls it and survives what kills it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_SECONDS, MAX_BYTES = 5, 10**9  # for what is refused, and beyond what pixels need
BYTES_PER_PIXEL = 60  # of an image that is read: colours as float, and their parts
GOOD = ("read", "refused")
STOP_SECONDS = 12  # of CPU time, then the system ends the reader where it can: signal 27
PROFILING = 27
BATCH = 250  # files read by one process
MAX_MISTAKES = 21  # lines for a table, which may have several mistakes


def run(kind, seed, numbers, root=ROOT, patience_s=600):
    """Yield what became of each damaged file, dicts of number, name, outcome, seconds, bytes.

    The outcome is one of `GOOD`, or says what is wrong: "slow", "memory", "TypeError", "exit -11",
    "2 lines", "unnamed".
    """
    numbers = list(numbers)
    while numbers:
        batch = numbers[:BATCH]
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
            command = [sys.executable, __file__, kind, str(seed), ",".join(map(str, batch))]
            command += [folder, str(root)]
            try:
                call = {"stdout": output, "stderr": subprocess.STDOUT, "timeout": patience_s}
                code = subprocess.run(command, **call).returncode
            except subprocess.TimeoutExpired:
                code = -PROFILING
            output.seek(0)
            lines = output.read().splitlines()
        facts = [json.loads(line) for line in lines if line.startswith("{")]
        done = [fact for fact in facts if "outcome" in fact]
        yield from done
        numbers = numbers[len(done) :]
        if len(done) < len(batch):
            if not facts or "outcome" in facts[-1]:
                raise RuntimeError(f"no {kind} were read: {lines[-5:]}")
            yield {**facts[-1], "outcome": "slow" if code == -PROFILING else f"exit {code}"}
            numbers = numbers[1:]


# ---------------------------------------------------------------- in the process that reads


def read_image(path):
    from myelin.images import image as images

    return images.read_image(images.read_record(path)).size


def read_arrays(path):
    from myelin.folders import packed

    images = packed.load_train().images if "train" in path.name else packed.load_test()
    return sum(images[k].size for k in range(len(images)))


def read_model(path):
    from myelin.network import model_file

    model_file.read_model_file(path)
    return 0


def read_table(path):
    from myelin.statistics import groups

    groups.read_groups(path, [f"n{k}" for k in range(8)])
    return 0


def read_outlines(path):
    from myelin.exchange import import_rois

    import_rois.read_all([path], "one")
    return 0


READERS = {
    "images": read_image,
    "arrays": read_arrays,
    "models": read_model,
    "tables": read_table,
    "outlines": read_outlines,
}


def main(kind, seed, numbers, folder, root):
    sys.path[:0] = [root, str(ROOT / "tests" / "helpers")]
    import unet

    unet.FILTERS, unet.BOTTOM_FILTERS = (4, 8, 8, 8), 16  # model files of 200 kB
    import mutations
    import whole_files

    bound_memory()
    os.chdir(folder)
    Path("npydata").mkdir()
    whole = whole_files.SAMPLES[kind]()
    if kind == "arrays":
        for name, content in whole.items():
            Path("npydata", name).write_bytes(content)
    if kind == "outlines":
        Path("raw/test").mkdir(parents=True)
        Path("raw/test/one.png").write_bytes(whole_files.encoded(whole_files.drawing(), ".png"))
    read = READERS[kind]
    for number, name, content in mutations.cases(kind, seed, numbers):
        path = Path("npydata", name) if kind == "arrays" else Path(f"{number}{Path(name).suffix}")
        path.write_bytes(content)
        print(json.dumps({"number": number, "name": name}), flush=True)
        bound_time(STOP_SECONDS)
        facts = judge(read, path, MAX_MISTAKES if kind == "tables" else 1)
        bound_time(0)
        print(json.dumps({"number": number, "name": name, **facts}), flush=True)
        path.unlink()
        if kind == "arrays":
            path.write_bytes(whole[name])


def bound_memory():
    """Let a reader that asks for far too much fail by itself, where the system can."""
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))


def bound_time(seconds):
    """Have the system end this process when it has computed so long; 0 calls that off."""
    if hasattr(signal, "ITIMER_PROF"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def judge(read, path, most_lines):
    """Read a file as a command does; return outcome, CPU seconds and bytes taken."""
    from myelin.runtime.cli import script, silent_stderr

    pixels = []

    @script
    def command(_):
        pixels.append(read(path))

    before, start = peak_bytes(reset=True), time.process_time()
    with silent_stderr() as lines:
        try:
            command([])
            outcome = "read"
        except SystemExit as stop:
            outcome = "refused" if stop.code == 2 else f"exit {stop.code}"
        except BaseException as error:
            outcome = type(error).__name__
    seconds, taken = time.process_time() - start, peak_bytes() - before
    needed = BYTES_PER_PIXEL * sum(pixels)
    named = all(line.startswith("error: ") and path.stem in line for line in lines)
    if outcome == "refused" and not 1 <= len(lines) <= most_lines:
        outcome = f"{len(lines)} lines"
    elif outcome == "refused" and not named:
        outcome = "unnamed"
    elif outcome == "read" and lines:
        outcome = "read, but says something"
    elif seconds > MAX_SECONDS + needed / 1e8:
        outcome = "slow"
    elif taken > MAX_BYTES + needed:
        outcome = "memory"
    return {
        "outcome": outcome,
        "seconds": round(seconds, 2),
        "bytes": taken,
        "said": lines[0][:200] if lines else "",
    }


def peak_bytes(reset=False):
    """Return the most memory this process held since the last reset; 0 where Linux is not."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), map(int, sys.argv[3].split(",")), *sys.argv[4:6])
