"""Small data sets and decks for them, made by the tests."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Table = dict[str, Any]

FEATURES = 12
CLASSES = 3

#: A network of 84 + 42 + 18 weights that has not quite learned its data.
BASE: dict[str, Any] = {
    "title": "a small run",
    "seed": 6,
    "data": {"source": "hdf5", "path": "data.h5"},
    "network": {"layers": [{"units": 7}, {"units": 6}, {"units": CLASSES}]},
    "training": {"max_epochs": 30},
    "spectrum": {"block": "dense2", "count": 8},
    "duality": {"layer": "dense2", "sharp": 4},
    "output": {"directory": "out"},
}


def samples(count: int, seed: int, features: int = FEATURES) -> tuple[Array, Array]:
    """Return inputs (bytes) of three overlapping classes and their labels, in turn."""
    centres = np.random.default_rng(0).normal(128, 40, (CLASSES, features))
    labels = np.arange(count) % CLASSES
    noise = np.random.default_rng(seed).normal(0, 45, (count, features))
    return np.clip(centres[labels] + noise, 0, 255).astype(np.uint8), labels.astype(np.int64)


def write_data(path: Path, train: int = 240, test: int = 90, features: int = FEATURES) -> Path:
    """Write a data set as HDF5."""
    with h5py.File(path, "w") as file:
        for part, count, seed in (("train", train, 1), ("test", test, 2)):
            file[f"data/{part}/x"], file[f"data/{part}/y"] = samples(count, seed, features)
    return path


def idx(values: Array) -> bytes:
    """Return bytes as an IDX file holds them."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(
        np.uint8).tobytes()


def write_idx(folder: Path, train: int = 240, test: int = 90, packed: bool = False) -> Path:
    """Write the same data as the four files of MNIST, images of 3 x 4 pixels."""
    folder.mkdir()
    for part, count, seed in (("train", train, 1), ("t10k", test, 2)):
        inputs, labels = samples(count, seed)
        for name, values in (("images-idx3-ubyte", inputs.reshape(count, 3, 4)),
                             ("labels-idx1-ubyte", labels)):
            path = folder / f"{part}-{name}"
            if packed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(idx(values)))
            else:
                path.write_bytes(idx(values))
    return folder


def changed(**changes: Any) -> Table:
    """Return the base deck with changes: a table is merged, None takes one out, other keys are set."""
    return {**BASE, **{key: {**BASE.get(key, {}), **value} if isinstance(value, dict) else value
                       for key, value in changes.items()}}


def write_deck(path: Path, **changes: Any) -> Path:
    """Write the base deck with changes."""
    deck = changed(**changes)
    lines = [f"{key} = {_value(value)}" for key, value in deck.items()
             if value is not None and not isinstance(value, dict)]
    for section, table in deck.items():
        if isinstance(table, dict):
            lines += [f"[{section}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value)
