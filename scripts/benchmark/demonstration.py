#!/usr/bin/env python3
"""One run of the published demonstration's method in plain PyTorch, for timing dualscape's studies beside it.

The method: a 784-30-30-10 ReLU network without biases is trained by SGD to a training loss below 1e-3; the Hessian of
the training loss over the 900 weights of its second layer is made row by row by double backward; and a loop over the
test samples finds each one's nearest training sample of the same class, the dual weight of the pair and its projection
on the eigenvectors. Single precision throughout. Written from the description of the method alone, in PyTorch's own
idioms: a DataLoader that shuffles, torch.optim.SGD, torch.autograd.grad.

    python3 scripts/benchmark/demonstration.py --data data/mnist --batch-size 25 --json theirs.json

The JSON file holds one entry a batch size, and a call replaces its own. Needs PyTorch and numpy.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

LAYER = 1


class Samples(NamedTuple):
    """Images as rows of numbers from 0 to 1, and their classes."""

    x: torch.Tensor
    y: torch.Tensor


def read_idx(folder: Path, name: str) -> np.ndarray:
    """Read an IDX file of bytes, compressed or not."""
    path = folder / name
    raw = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
    shape = np.frombuffer(raw, ">i4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def choose(folder: Path, part: str, count: int, seed: int) -> Samples:
    """Return the first `count` samples of a shuffled part of the data."""
    x, y = read_idx(folder, f"{part}-images-idx3-ubyte"), read_idx(folder, f"{part}-labels-idx1-ubyte")
    chosen = np.random.default_rng(seed).permutation(len(y))[:count]
    return Samples(torch.from_numpy(x[chosen].reshape(count, -1) / np.float32(255)),
                   torch.from_numpy(y[chosen].astype(np.int64)))


def make_network() -> torch.nn.Sequential:
    """Return the network; PyTorch's own initial weights are uniform in +-1/sqrt(fan-in) for a gain of 1/sqrt(3)."""
    widths = (784, 30, 30, 10)
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in zip(widths, widths[1:]):
        layers += [torch.nn.Linear(fan_in, fan_out, bias=False), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def measure(network: torch.nn.Module, samples: Samples) -> tuple[float, float]:
    """Return mean loss and accuracy."""
    with torch.no_grad():
        outputs = network(samples.x)
        return float(cross_entropy(outputs, samples.y)), float((outputs.argmax(1) == samples.y).float().mean())


def train(network: torch.nn.Module, training: Samples, test: Samples, options: argparse.Namespace) -> int:
    """Train until the stopping rule holds, looking at both losses after each epoch; return the number of epochs."""
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*training), options.batch_size, shuffle=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=options.learning_rate)
    accuracies: list[float] = []
    for epoch in range(1, options.max_epochs + 1):
        for x, y in loader:
            optimizer.zero_grad()
            cross_entropy(network(x), y).backward()
            optimizer.step()
        loss, accuracy = measure(network, training)
        measure(network, test)
        accuracies.append(accuracy)
        if loss < 1e-3 and np.mean(accuracies[-9:]) > 0.99:
            return epoch
    return options.max_epochs


def layer_hessian(network: torch.nn.Sequential, samples: Samples) -> torch.Tensor:
    """Return the Hessian of the mean loss over one layer's weights, each row by a backward pass of its own."""
    weight = network[2 * LAYER].weight
    loss = cross_entropy(network(samples.x), samples.y)
    gradient = torch.autograd.grad(loss, weight, create_graph=True)[0].flatten()
    rows = [torch.autograd.grad(entry, weight, retain_graph=True)[0].flatten() for entry in gradient]
    return torch.stack(rows)


def decompose(network: torch.nn.Sequential, training: Samples, test: Samples,
              vectors: torch.Tensor) -> dict[str, float]:
    """Return the gap over the pairs and its sum over the eigenvectors, which agree to rounding."""
    below, above = network[:2 * LAYER], network[2 * LAYER + 1:]
    weight = network[2 * LAYER].weight
    of_class = [torch.nonzero(training.y == k).flatten() for k in range(10)]
    changes, gradients, gaps = [], [], []
    with torch.no_grad():
        for x, y in zip(*test):
            candidates = of_class[int(y)]
            partner = candidates[torch.argmin(torch.norm(training.x[candidates] - x, dim=1))]
            there, here = below(x), below(training.x[partner])
            change = torch.outer(weight @ (there - here), here) / (here @ here)
            loss_there = cross_entropy(above(weight @ there)[None], y[None])
            loss_here = cross_entropy(above(weight @ here)[None], y[None])
            size = float((change * change).sum())
            gap = float(loss_there - loss_here)
            projected = vectors.T @ change.flatten()
            changes.append(projected)
            gradients.append(gap / size * projected if size > 0 else torch.zeros_like(projected))
            gaps.append(gap)
    w, g = torch.stack(changes), torch.stack(gradients)
    sharp = torch.argsort(g.std(0, unbiased=False), descending=True)[:10]
    contributions = (w * g).mean(0)
    return {"matched_gap": float(np.mean(gaps)), "total_contribution": float(contributions.sum()),
            "sharp_contribution": float(contributions[sharp].sum())}


def one_run(options: argparse.Namespace) -> dict[str, float]:
    """Do one run and return its numbers and the seconds of its stages."""
    torch.manual_seed(options.seed)
    marks = [time.perf_counter()]
    training = choose(options.data, "train", 4000, options.seed)
    test = choose(options.data, "t10k", 1000, options.seed)
    network = make_network()
    epochs = train(network, training, test, options)
    marks.append(time.perf_counter())
    _, vectors = torch.linalg.eigh(layer_hessian(network, training))
    marks.append(time.perf_counter())
    found = decompose(network, training, test, vectors)
    marks.append(time.perf_counter())
    names = ("training_seconds", "spectrum_seconds", "duality_seconds")
    return {"epochs": epochs, "threads": torch.get_num_threads(), "training_loss": measure(network, training)[0],
            "test_loss": measure(network, test)[0], **found, "seconds": marks[-1] - marks[0],
            **dict(zip(names, np.diff(marks).tolist()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the four IDX files")
    parser.add_argument("--json", type=Path, required=True, help="file the numbers go to")
    parser.add_argument("--batch-size", type=int, default=25)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--max-epochs", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    entry = one_run(options)
    known = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
    known[str(options.batch_size)] = entry
    options.json.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    print(f"batch size {options.batch_size}: {entry['epochs']} epochs; training {entry['training_seconds']:.1f} s, "
          f"spectrum {entry['spectrum_seconds']:.1f} s, duality {entry['duality_seconds']:.1f} s; "
          f"loss {entry['training_loss']:.3g}, matched gap {entry['matched_gap']:.4f} = {entry['total_contribution']:.4f}")


if __name__ == "__main__":
    main()
