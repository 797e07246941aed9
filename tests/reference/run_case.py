#!/usr/bin/python3
"""Run dualscape on a reference case and compare what it writes.

    run_case.py CASE.h5 --program DUALSCAPE [--ranks N] [--launcher "mpirun --oversubscribe"] [--directory FOLDER]
                [--tolerance 1e-8]

Writes a deck for the case to FOLDER (a temporary one by default), runs it on N ranks and hands the result to compare.py.
Exit status: that of the program when it fails, else that of compare.py.
"""
import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py

LOSSES = {"ce": "cross-entropy", "mse": "mse", "softmax-mse": "softmax-mse"}

DECK = """\
title = "reference case {name}"

[data]
source = "hdf5"
path = {path}
train_per_class = 0
test_count = 0
scale = 255.0

[network]
weights = {path}
loss = "{loss}"
activation = "{activation}"
bias = {bias}
layers = [
{layers}
]

[spectrum]
operator = "hessian"
block = "dense{layer}"
which = "all"

[duality]
layer = "dense{layer}"
pairing = "nearest-input"
anchor = "test"
"""


def deck_for(case):
    """The deck that repeats a case: its attributes say all there is to say."""
    with h5py.File(case) as file:
        about = dict(file["reference"].attrs)
    widths = about["arch"].split(",")[1:]
    return DECK.format(name=case.stem, path=json.dumps(str(case.resolve())), loss=LOSSES[about["loss"]],
                       activation=about["activation"], bias="true" if about["bias"] else "false",
                       layers="\n".join(f'  {{ type = "dense", units = {width} }},' for width in widths),
                       layer=int(about["layer"]))


def run(options, folder):
    deck, output = folder / "deck.toml", folder / "run"
    deck.write_text(deck_for(options.case))
    launch = [*shlex.split(options.launcher), "-np", str(options.ranks)]
    program = subprocess.run([*launch, options.program, "run", str(deck), "--output", str(output), "--force"])
    if program.returncode != 0:
        print(f"{options.program} left with exit status {program.returncode}", file=sys.stderr)
        return program.returncode
    compare = Path(__file__).with_name("compare.py")
    return subprocess.run([sys.executable, compare, options.case, output / "result.h5",
                           "--tolerance", str(options.tolerance)]).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("--program", required=True)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--launcher", default="mpirun --oversubscribe")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-8)
    options = parser.parse_args()
    if options.directory:
        options.directory.mkdir(parents=True, exist_ok=True)
        return run(options, options.directory)
    with tempfile.TemporaryDirectory() as folder:
        return run(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
