"""Times two studies: the batch-size sweep of the demonstration, and very many trivial runs.

Usage: studies.py [--program build/dualscape] [--ranks 2] [sweep] [trivial]

The sweep is inputs/studies/batch_size, 4 values x 10 repeats. The authors' program takes about 45 s for
each of these runs. The trivial runs (an untrained network of 36 weights on 330 samples) show what the queue,
the folders and the collection cost.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
AUTHORS_SECONDS = 45.0

TRIVIAL = """
seed = 1
[data]
source = "hdf5"
path = "{folder}/data.h5"
[network]
layers = [{{ units = 3 }}]
[training]
max_epochs = 0
[study]
repeats = 1000
axes = [{{ key = "training.batch_size", from = 1, to = 10, step = 1 }}]
"""


def timed(command: list[str]) -> tuple[float, str]:
    """Run a command; return its wall-clock seconds and what it said."""
    start = time.monotonic()
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return time.monotonic() - start, said


def busy(said: str) -> float:
    """Return the smallest share of the time a rank was at work while runs waited."""
    found = re.search(r"every rank at work ([\d.]+) %", said)
    assert found, said
    return float(found[1]) / 100


def sweep(launch: list[str], ranks: int, folder: Path, source: str) -> None:
    """Time the batch-size sweep."""
    seconds, said = timed([*launch, "study", "inputs/studies/batch_size/deck.toml",
                           "--set", f"data.source={source}",
                           "--output", str(folder / "sweep")])
    with h5py.File(folder / "sweep/study.h5") as file:
        runs = file["runs/seconds"][()]
        assert set(file["runs/status"].asstr()[()]) == {"done"}
    print(f"batch-size sweep: {len(runs)} runs on {ranks} ranks in {seconds:.1f} s, "
          f"{len(runs) * AUTHORS_SECONDS / seconds:.1f} times as fast as {len(runs)} x {AUTHORS_SECONDS:.0f} s; "
          f"a run takes {runs.mean():.2f} s ({runs.min():.2f} to {runs.max():.2f}); "
          f"ranks busy {busy(said):.1%} of the time until the queue was empty")


def trivial(launch: list[str], ranks: int, folder: Path, _source: str) -> None:
    """Time very many runs that do next to nothing."""
    random = np.random.default_rng(1)
    with h5py.File(folder / "data.h5", "w") as file:
        for part, count in (("train", 240), ("test", 90)):
            file[f"data/{part}/x"] = random.integers(0, 255, (count, 12), dtype=np.uint8)
            file[f"data/{part}/y"] = np.arange(count) % 3
    (folder / "deck.toml").write_text(TRIVIAL.format(folder=folder), encoding="utf-8")
    seconds, _ = timed([*launch, "study", str(folder / "deck.toml"), "--output", str(folder / "trivial")])
    with h5py.File(folder / "trivial/study.h5") as file:
        runs = len(file["runs/number"])
    print(f"trivial runs: {runs} on {ranks} ranks in {seconds:.1f} s with collection, "
          f"{1000 * seconds / runs:.2f} ms a run, {1000 * seconds * ranks / runs:.2f} ms a run and rank")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=str(ROOT / "build/dualscape"))
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--source", default="mnist", help="data of the sweep; the authors' is mnist")
    parser.add_argument("which", nargs="*", default=["sweep", "trivial"], help="sweep, trivial")
    arguments = parser.parse_args()
    launch = ["mpirun", "-np", str(arguments.ranks), arguments.program]
    if unknown := set(arguments.which) - {"sweep", "trivial"}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; expected sweep, trivial")
    for name in arguments.which:
        with tempfile.TemporaryDirectory() as folder:
            {"sweep": sweep, "trivial": trivial}[name](
                launch, arguments.ranks, Path(folder), arguments.source)


if __name__ == "__main__":
    main()
