"""Read damaged files and kill runs in large numbers; the tests try a few of each.

    python benchmarks/faults.py
    python benchmarks/faults.py images --count 500 --seed 7

Reads 10,000 damaged images, 2,000 arrays, 1,000 model files, 500 tables and 2,000 files of
outlines, in processes that may hang or die; kills 300 runs of all commands at random moments; has
20 run on a disk that is almost full (on Linux, as root). Prints the outcomes, and goes on where it
was stopped: faults_<kind>_<seed>.jsonl has a line for each, with its number, from which
`tests/helpers/mutations.py` makes the file again, and `kills.py` the moment.
"""

import argparse
import collections
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]
import fuzzing
import kills

COUNTS = {"images": 10_000, "arrays": 2_000, "models": 1_000, "tables": 500, "outlines": 2_000}
COUNTS |= {"kills": 300, "disks": 20}


def main():
    """Read the damaged files that a log does not have yet, then count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", help=f"some of {', '.join(COUNTS)} (default: all)")
    parser.add_argument("--count", type=int, help="of each kind (default: see above)")
    parser.add_argument("--seed", type=int, default=0, help="other damage (default: 0)")
    parser.add_argument("--root", default=str(ROOT), help="suite to read with (default: this one)")
    parser.add_argument("--logs", type=Path, default=Path(), help="folder (default: this one)")
    args = parser.parse_args()
    for kind in args.kinds or COUNTS:
        log = args.logs / f"faults_{kind}_{args.seed}.jsonl"
        found = read_log(log)
        wanted = [k for k in range(args.count or COUNTS[kind]) if k not in found]
        with open(log, "a", encoding="utf-8") as file:
            tried = {"kills": kill, "disks": fill}.get(kind, fuzzing.run)
            for facts in tried(kind, args.seed, wanted, args.root):
                print(json.dumps(facts), file=file, flush=True)
                found[facts["number"]] = facts
        report(kind, found.values())


def kill(_, seed, numbers, _root):
    """Yield what became of each killed run, dicts of number, name and outcome."""
    with tempfile.TemporaryDirectory() as folder:
        place = kills.Workplace(Path(folder))
        for number in numbers:
            command = kills.ORDER[number % len(kills.ORDER)]
            wrong = place.try_kill(command, [seed, number])
            yield {"number": number, "name": command, "outcome": "; ".join(wrong) or "held"}


def fill(_, seed, numbers, _root):
    """Yield what became of each run on a disk that is almost full, as `kill`; needs root."""
    with (
        tempfile.TemporaryDirectory() as folder,
        kills.mounted(Path(folder) / "disk", "40m") as disk,
    ):
        if disk is None:
            sys.exit("disks: needs the right to mount a file system")
        place = kills.Workplace(disk)
        for number in numbers:
            free = int(10 ** np.random.default_rng([seed, number]).uniform(3.5, 6.5))
            command = kills.QUICK[number % len(kills.QUICK)]
            code, wrong = place.try_full(command, free)
            outcome = "; ".join(wrong) or f"held, exit code {code}"
            yield {"number": number, "name": command, "free": free, "outcome": outcome}


def read_log(path):
    """Return {number: facts} of the files that were read already."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {facts["number"]: facts for facts in map(json.loads, lines)}


def report(kind, found):
    """Print how many had each outcome, the longest and the largest."""
    counts = collections.Counter(facts["outcome"] for facts in found)
    print(f"{kind}: {len(found)}; " + ", ".join(f"{v} {k}" for k, v in counts.most_common()))
    seconds = max(facts.get("seconds", 0) for facts in found)
    if seconds:
        print(f"  at most {seconds} s and {max(f.get('bytes', 0) for f in found) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
