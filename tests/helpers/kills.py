"""Kill or interrupt a command at a random moment and check what is left.

`tests/runtime/test_stopping.py` does it once a command, `benchmarks/faults.py kills` 300 times.
"""

import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tifffile

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 300
COMMANDS = {
    "data.py": [],
    "find_myelin.py": ["--engine", "openvino", "--precision", "float32"],
    "morphometry.py": ["--masks", "raw/test", "--pixel-size", "0.15"],
    "evaluate.py": ["--preds", "other"],
    "synthetic.py": ["--train", "2", "--test", "2", "--size", "96", "96"],
    "rois.py": ["export", "--masks", "raw/test", "--pixel-size", "0.15"],
    "train.py": ["new.h5", "1", "--size", "32"],
    "extra_training.py": ["small.h5", "newer.h5", "1"],
}
QUICK = [name for name in COMMANDS if "train" not in name]  # training takes ten times as long
ORDER = [*QUICK * 6, "train.py", "extra_training.py"]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
SMALL = """
import runpy, sys
sys.path.insert(0, {root!r})
sys.argv = {call!r}
sys.modules["__main__"].__file__ = sys.argv[0]
import myelin, unet
unet.FILTERS, unet.BOTTOM_FILTERS = (4, 8, 8, 8), 16
runpy.run_path(sys.argv[0], run_name="__main__")
"""
RECORDS = ("run.json", "methods.txt", "report.html")  # with date and call
# What find_myelin.py keeps of a run that is not complete, for --resume.
GO_ON = ", --resume goes on"
UNFINISHED = "npydata/imgs_mask_test.unfinished.npy"


class Workplace:
    """A folder with images, masks and a model, in which every command has run once.

    Parameters
    ----------
    folder : Path
        An empty one.
    """

    def __init__(self, folder):
        self.folder, self.seconds, self.written = folder, {}, {}
        self.run("synthetic.py", *COMMANDS["synthetic.py"])
        shutil.copytree(folder / "raw/test", folder / "other")

    def prepare(self, command):
        """Run a command once to its end; note how long it takes and what it writes."""
        if command == "extra_training.py":
            self.run("train.py", "small.h5", *COMMANDS["train.py"][1:])
        before, start = self.contents(), time.monotonic()
        self.run(command, *COMMANDS[command])
        self.seconds[command] = time.monotonic() - start
        self.written[command] = dict(self.contents().items() - before.items())

    def run(self, script, *arguments):
        """Run a command to its end."""
        done = self.start(script, *arguments).communicate(timeout=PATIENCE_S)
        assert "error" not in done[1].lower(), done
        return done

    def start(self, script, *arguments):
        """Start a command; one that trains, with a small network."""
        path = ROOT / script
        call = [sys.executable, str(path), *arguments]
        if script not in QUICK:
            call = [sys.executable, "-c", SMALL.format(root=str(ROOT), call=call[1:])]
        return subprocess.Popen(
            call,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def contents(self):
        """Return {path: hash} of the files that are the same after every run."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(content(path)).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.name not in RECORDS and not path.name.endswith("_curve.png")
        }

    def try_kill(self, command, seed):
        """Stop a command at a random moment, then run it to its end; return what is wrong."""
        if command not in self.seconds:
            self.prepare(command)
        rng = np.random.default_rng(seed)
        number = list(CODES)[int(rng.integers(len(CODES)))]
        before, late = self.contents(), rng.uniform(0, 1.05) * self.seconds[command]
        run = self.start(command, *COMMANDS[command])
        time.sleep(late)
        run.send_signal(number)
        stderr = run.communicate(timeout=PATIENCE_S)[1]
        now, wanted, kept = self.contents_after(command, before)
        wrong = lost_or_half(before, now, wanted)
        # Before the package is imported, and when Python has closed down, signals are the system's.
        outside = run.returncode == -number and now in (before, wanted)
        if run.returncode not in (0, CODES[number]) and not outside:
            wrong.append(f"exit code {run.returncode}, {stderr[-300:]}")
        elif run.returncode > 0 and last_line(stderr).removesuffix(GO_ON) != stop_line(number):
            wrong.append(f"prints {stderr[-300:]!r}")
        elif "Traceback" in stderr:
            wrong.append(stderr[-300:])
        if number != signal.SIGKILL:
            wrong += [f"left {name}" for name in now if hidden(name)]
        self.run(
            command,
            *COMMANDS[command],
            *(["--resume"] if kept is not None and rng.random() < 0.5 else []),
        )
        if number == signal.SIGKILL:  # a run of the next day removes them
            for path in self.folder.rglob(".*.tmp-*"):
                path.unlink()
        after = self.contents()
        names = sorted(set(after) | set(wanted))
        wrong += [f"{n} is not as it should be" for n in names if after.get(n) != wanted.get(n)]
        return [f"{command}, {number.name} after {late:.2f} s: {what}" for what in wrong]

    def try_full(self, command, free):
        """Run a command with so many bytes free on its disk; return exit code and what is wrong."""
        if command not in self.seconds:
            self.prepare(command)
        before = self.contents()
        ballast = self.folder / "ballast"
        ballast.write_bytes(bytes(max(shutil.disk_usage(self.folder).free - free, 0)))
        run = self.start(command, *COMMANDS[command])
        stderr = run.communicate(timeout=PATIENCE_S)[1]
        ballast.unlink()
        now, wanted, _ = self.contents_after(command, before)
        lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
        wrong = lost_or_half(before, now, wanted) + [f"left {name}" for name in now if hidden(name)]
        if run.returncode not in (0, 2) or "Traceback" in stderr:
            wrong.append(f"exit code {run.returncode}, {stderr[-300:]}")
        elif run.returncode == 2 and not (len(lines) == 1 and str(self.folder) in lines[0]):
            wrong.append(f"prints {stderr[-300:]!r}")
        elif run.returncode == 0 and now != wanted:
            wrong.append("not all is written")
        return run.returncode, [f"{command}, {free} bytes free: {what}" for what in wrong]

    def contents_after(self, command, before):
        """Return the contents now and after a whole run, and what a stopped run keeps to go on."""
        now, wanted, kept = self.contents(), before | self.written[command], None
        if command == "data.py":  # removes what was found in the images packed before
            wanted.pop("npydata/imgs_mask_test.npy", None)
        path = self.folder / "preds/run.json"
        if path.exists() and not json.loads(path.read_text()).get("complete"):
            kept = now.pop(UNFINISHED, None)
        return now, wanted, kept


def lost_or_half(before, now, wanted):
    """Return which files are lost, or are neither as before nor as a whole run writes them."""
    lost = [name for name in before if name not in now and not made_anew(name)]
    half = [
        name
        for name, found in now.items()
        if not hidden(name) and found not in (before.get(name), wanted.get(name))
    ]
    return [f"{name} is lost" for name in lost] + [f"{name} is half" for name in half]


@contextlib.contextmanager
def mounted(folder, size):
    """Mount a file system in memory on a new folder; yield the folder, None where not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    allowed = sys.platform.startswith("linux") and shutil.which("mount")
    if not allowed or subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def hidden(name):
    return "/." in f"/{name}"


def made_anew(name):
    """Whether a run takes a file away before it writes it again: then none speaks for others."""
    return name.startswith("npydata/imgs_") or name.endswith("_resume.h5")


def content(path):
    """Return the bytes of a file; of a whole TIFF the pixels: OME-XML has a number of its own."""
    if path.suffix == ".tif":
        with contextlib.suppress(Exception):
            return tifffile.imread(path).tobytes()
    return path.read_bytes()


def last_line(text):
    return (text.strip().splitlines() or [""])[-1]


def stop_line(number):
    name = {signal.SIGINT: "Ctrl-C"}.get(number, number.name)
    return f"stopped by {name}; what was finished is kept"
