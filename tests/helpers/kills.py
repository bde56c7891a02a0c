"""Kill or interrupt a command at a random moment and see what is left.

`tests/test_stopping.py` does it once for each command, `benchmarks/faults.py kills` 300 times.
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
UNFINISHED = ("preds/.run.jsonl", "npydata/imgs_mask_test.unfinished.npy")


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
        said = run.communicate(timeout=PATIENCE_S)[1]
        now, wanted = self.contents(), before | self.written[command]
        kept = self.take_unfinished(now)
        if command == "data.py":  # takes away what was found in the images packed before
            wanted.pop("npydata/imgs_mask_test.npy", None)
        wrong = []
        # Before the package is imported, and when Python has closed down, signals are the system's.
        outside = run.returncode == -number and now in (before, wanted)
        if run.returncode not in (0, CODES[number]) and not outside:
            wrong.append(f"exit code {run.returncode}, {said[-300:]}")
        elif run.returncode > 0 and last_line(said).removesuffix(GO_ON) != stop_line(number):
            wrong.append(f"says {said[-300:]!r}")
        elif "Traceback" in said:
            wrong.append(said[-300:])
        if number != signal.SIGKILL:
            wrong += [f"left {name}" for name in now if hidden(name)]
        wrong += [f"{name} is lost" for name in before if name not in now and not made_anew(name)]
        wrong += [
            f"{name} is half"
            for name, found in now.items()
            if not hidden(name) and found not in (before.get(name), wanted.get(name))
        ]
        self.run(command, *COMMANDS[command], *(["--resume"] if kept and seed % 2 else []))
        if number == signal.SIGKILL:  # a run of the next day removes them
            for path in self.folder.rglob(".*.tmp-*"):
                path.unlink()
        after = self.contents()
        names = sorted(set(after) | set(wanted))
        wrong += [f"{n} is not as it should be" for n in names if after.get(n) != wanted.get(n)]
        return [f"{command}, {number.name} after {late:.2f} s: {what}" for what in wrong]

    def take_unfinished(self, contents):
        """Take from contents what a stopped run may keep for --resume; return what it was."""
        path = self.folder / "preds/run.json"
        if not path.exists() or json.loads(path.read_text())["complete"]:
            return {}
        return {name: contents.pop(name) for name in UNFINISHED if name in contents}

    def try_full(self, command, free):
        """Run a command with so many bytes free on its disk; return exit code and what is wrong."""
        if command not in self.seconds:
            self.prepare(command)
        before = self.contents()
        ballast = self.folder / "ballast"
        ballast.write_bytes(bytes(max(shutil.disk_usage(self.folder).free - free, 0)))
        run = self.start(command, *COMMANDS[command])
        said = run.communicate(timeout=PATIENCE_S)[1]
        ballast.unlink()
        now, wanted = self.contents(), before | self.written[command]
        self.take_unfinished(now)
        if command == "data.py":
            wanted.pop("npydata/imgs_mask_test.npy", None)
        lines = [line for line in said.splitlines() if line.startswith("error: ")]
        wrong = [f"left {name}" for name in now if hidden(name)]
        wrong += [f"{name} is lost" for name in before if name not in now and not made_anew(name)]
        wrong += [
            f"{name} is half"
            for name, found in now.items()
            if found not in (before.get(name), wanted.get(name))
        ]
        if run.returncode not in (0, 2) or "Traceback" in said:
            wrong.append(f"exit code {run.returncode}, {said[-300:]}")
        elif run.returncode == 2 and not (len(lines) == 1 and str(self.folder) in lines[0]):
            wrong.append(f"says {said[-300:]!r}")
        elif run.returncode == 0 and now != wanted:
            wrong.append("not all is written")
        return run.returncode, [f"{command}, {free} bytes free: {what}" for what in wrong]


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


def last_line(said):
    return (said.strip().splitlines() or [""])[-1]


def stop_line(number):
    name = {signal.SIGINT: "Ctrl-C"}.get(number, number.name)
    return f"stopped by {name}; what was finished is kept"
