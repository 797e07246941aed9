"""Times two studies: the batch-size sweep of the demonstration, and very many trivial runs.

Usage: studies.py [--program build/dualscape] [--ranks 2] [sweep] [trivial]

The sweep is inputs/studies/batch_size, 4 values x 10 repeats. Beside it, one run of the same method in plain PyTorch is
timed at each value (demonstration.py, on as many threads as there are ranks), and ten of these are set against the ten
repeats here; both in single precision, unless --precision says double. --theirs names the JSON file of PyTorch's times:
values that are in it already are not timed again. The trivial runs (an untrained network of 36 weights on 330 samples)
show what the queue, the folders and the collection cost.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
#: What the authors' own program took for a run of 25 samples a batch.
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


def theirs(value: int, options: argparse.Namespace) -> dict[str, float]:
    """Return what one run of the method in PyTorch took, timed now unless the file has it."""
    known = json.loads(options.theirs.read_text(encoding="utf-8")) if options.theirs.exists() else {}
    if str(value) not in known:
        timed([sys.executable, str(ROOT / "scripts/benchmark/demonstration.py"), "--data", str(options.data),
               "--batch-size", str(value), "--threads", str(options.ranks), "--json", str(options.theirs)])
        known = json.loads(options.theirs.read_text(encoding="utf-8"))
    return known[str(value)]


def sweep(launch: list[str], options: argparse.Namespace, folder: Path) -> None:
    """Time the batch-size sweep, and one run of each value in PyTorch."""
    seconds, said = timed([*launch, "study", "inputs/studies/batch_size/deck.toml", "--set", "data.source=mnist",
                           "--set", f"data.path={options.data}", "--set", f"numerics.precision={options.precision}",
                           "--set", f"study.repeats={options.repeats}", "--output", str(folder / "sweep")])
    with h5py.File(folder / "sweep/study.h5") as file:
        runs, batch = file["runs/seconds"][()], file["runs/parameters/training.batch_size"][()]
        epochs = file["scalars/training/epochs"][()]
        assert set(file["runs/status"].asstr()[()]) == {"done"}
    print(f"batch-size sweep, {options.precision} precision: {len(runs)} runs on {options.ranks} ranks in {seconds:.1f} s; "
          f"ranks busy {busy(said):.1%} of the time until the queue was empty")
    whole = 0.0
    for value in np.unique(batch):
        own, here = theirs(int(value), options), runs[batch == value]
        whole += options.repeats * own["seconds"]
        print(f"  {value:4d} samples a batch: {here.mean():5.2f} s a run and {epochs[batch == value].mean():4.0f} epochs, "
              f"PyTorch {own['seconds']:6.2f} s and {own['epochs']:4.0f} epochs on {own['threads']} threads: "
              f"{options.repeats} of these take {own['seconds'] * len(here) / (here.sum() / options.ranks):.1f} times as long")
    print(f"  all {len(runs)} runs in PyTorch, one after the other: {whole:.0f} s, {whole / seconds:.1f} times as long; "
          f"{len(runs)} times the run of {batch.min()} samples a batch: "
          f"{len(runs) * theirs(int(batch.min()), options)['seconds'] / seconds:.1f} times, by the authors' program "
          f"({AUTHORS_SECONDS:.0f} s, measured earlier) {len(runs) * AUTHORS_SECONDS / seconds:.1f} times")


def trivial(launch: list[str], options: argparse.Namespace, folder: Path) -> None:
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
    print(f"trivial runs: {runs} on {options.ranks} ranks in {seconds:.1f} s with collection, "
          f"{1000 * seconds / runs:.2f} ms a run, {1000 * seconds * options.ranks / runs:.2f} ms a run and rank")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=str(ROOT / "build/dualscape"))
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--data", type=Path, default=ROOT / "data/mnist", help="the sweep's data: four IDX files")
    parser.add_argument("--precision", default="single", choices=["single", "double"])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--theirs", type=Path, help="JSON file of PyTorch's times, read and added to")
    parser.add_argument("which", nargs="*", default=["sweep", "trivial"], help="sweep, trivial")
    arguments = parser.parse_args()
    launch = ["mpirun", "-np", str(arguments.ranks), arguments.program]
    if unknown := set(arguments.which) - {"sweep", "trivial"}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; expected sweep, trivial")
    with tempfile.TemporaryDirectory() as folder:
        arguments.theirs = arguments.theirs or Path(folder, "theirs.json")
        for name in arguments.which:
            {"sweep": sweep, "trivial": trivial}[name](launch, arguments, Path(folder))


if __name__ == "__main__":
    main()
