"""Compare the cost of a Dask cluster and of `--workers`, with two processes on this machine.

    python benchmarks/dask_overhead.py ../shared/data/nerve

starts a scheduler and two workers of half the processors each, then segments 20 images in turn with
`--workers 2` and with `--dask`, and compares the files. Needs dask[distributed]; on Linux or macOS.
Processor time is that of the run, with --dask also of scheduler and workers; that of the run itself
is what more machines do not shorten.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scan_cost import REPOSITORY, run

CALLS = {"--workers 2": ("--workers", "2"), "--dask": ("--dask",)}


def start_cluster(folder):
    """Start a scheduler and two workers; return a client and the processes."""
    from distributed import Client

    python, ready = [sys.executable, "-m", "dask"], folder / "scheduler.json"
    threads = str(max(1, os.cpu_count() // 2))
    workers = ["--nworkers", "2", "--nthreads", threads, "--local-directory", str(folder)]
    processes = [
        subprocess.Popen(
            [*python, *call, "--scheduler-file", str(ready), "--no-dashboard"],
            cwd=REPOSITORY,
            stderr=subprocess.DEVNULL,
        )
        for call in (["scheduler", "--host", "127.0.0.1", "--port", "0"], ["worker", *workers])
    ]
    while not ready.exists():
        time.sleep(0.1)
    client = Client(scheduler_file=str(ready))
    client.wait_for_workers(2)
    return client, processes


def used_by_cluster(client):
    """Return the processor time of scheduler and workers so far, s."""
    workers = client.run(time.process_time).values()
    return client.run_on_scheduler(time.process_time) + sum(workers)


def one_round(folder, images, client):
    """Return {call: (processor time, of which the run's own, time)} in s."""
    found = {}
    for name, call in CALLS.items():
        out = str(folder / name)
        shutil.rmtree(out, ignore_errors=True)
        call = [*call, client.scheduler.address] if name == "--dask" else call
        before = used_by_cluster(client)
        own, _, seconds = run(["find_myelin.py", "--images", *images, "--out", out, *call])
        others = used_by_cluster(client) - before if name == "--dask" else 0
        found[name] = own + others, own, seconds
    return found


def results(folder):
    """Return {name: bytes} of what a run has written but `run.json`."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="images")
    parser.add_argument("--images", type=int, default=20, help="how many (default 20)")
    parser.add_argument("--runs", type=int, default=3, help="rounds (default 3)")
    args = parser.parse_args()
    images = sorted(map(str, args.folder.resolve().iterdir()))[: args.images]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        client, processes = start_cluster(folder)
        try:
            rounds = [one_round(folder, images, client) for _ in range(args.runs)]
        finally:
            client.close()
            for process in processes:
                process.terminate()
                process.wait()
        same = results(folder / "--workers 2") == results(folder / "--dask")
    print(f"{len(images)} images, {os.cpu_count()} processors, files {'' if same else 'not '}equal")
    for name in CALLS:
        cpu, own, seconds = zip(*(found[name] for found in rounds), strict=True)
        print(
            f"{name:12s} {statistics.median(cpu):6.1f} s of processor time ({min(cpu):.1f} to "
            f"{max(cpu):.1f}), the run's own {statistics.median(own):.1f}; "
            f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
        )
    for number, what in ((0, "processor time"), (2, "time")):
        ratios = [found["--dask"][number] / found["--workers 2"][number] for found in rounds]
        print(
            f"--dask / --workers 2, {what}: {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
