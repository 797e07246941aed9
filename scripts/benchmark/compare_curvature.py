#!/usr/bin/env python3
"""Curvature of one network by dualscape and by PyTorch and SciPy, in turn on the same cores, single precision.

Needs python3-torch and python3-scipy (Debian) and a build with its benchmarks; dualscape itself uses neither.

    python3 scripts/benchmark/compare_curvature.py products --ranks 2
    python3 scripts/benchmark/compare_curvature.py pairs --ranks 2      # needs runs/benchmark/train-512/result.h5

Each writes a JSON file (--json) and prints a table with date and machine; `products` adds its rounds to those in the
file, so that a long comparison may be made in parts.
"""
import argparse
import datetime
import gzip
import json
import math
import os
import pathlib
import platform
import subprocess
import tempfile
import time

import h5py
import numpy as np
import scipy
import scipy.sparse.linalg
import torch

FASHION = "/usr/share/datasets/fashion-mnist"


class Network:
    """A fully connected ReLU network without biases and its mean cross-entropy, with double-backward products."""

    def __init__(self, weights, x, y, chunk):
        self.weights = [torch.tensor(w, dtype=torch.float32, requires_grad=True) for w in weights]
        self.x, self.y, self.chunk = torch.tensor(x), torch.tensor(y), chunk
        self.size = sum(w.numel() for w in self.weights)
        self.products = 0

    def product(self, vector):
        """H v, summed over chunks of samples."""
        self.products += 1
        parts, at = [], 0
        for w in self.weights:
            parts.append(vector[at:at + w.numel()].view_as(w))
            at += w.numel()
        total = torch.zeros(self.size)
        for first in range(0, len(self.x), self.chunk):
            a = self.x[first:first + self.chunk]
            for w in self.weights[:-1]:
                a = torch.relu(a @ w.T)
            loss = torch.nn.functional.cross_entropy(
                a @ self.weights[-1].T, self.y[first:first + self.chunk], reduction="sum")
            gradient = torch.autograd.grad(loss, self.weights, create_graph=True)
            total += torch.cat([g.reshape(-1) for g in torch.autograd.grad(gradient, self.weights, parts)])
        return total / len(self.x)


def power_iteration(network, count, tolerance=1e-3, limit=100, cap=math.inf):
    """PyHessian's algorithm: power iteration on random signs, each pair found projected out of the iterate.

    It stops when the Rayleigh quotient changes by less than `tolerance` of itself (`limit` iterations at most),
    and before the next pair once it has taken `cap` seconds: fewer values than `count`.
    """
    values, vectors = [], []
    end = time.perf_counter() + cap
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        if time.perf_counter() > end:
            break
        v = torch.randint(0, 2, (network.size,), generator=generator).float() * 2 - 1
        v /= v.norm()
        value = None
        for _ in range(limit):
            for known in vectors:
                v -= (v @ known) * known
            v /= v.norm()
            image = network.product(v)
            now = float(image @ v)
            v = image / image.norm()
            if value is not None and abs(now - value) / (abs(value) + 1e-6) < tolerance:
                break
            value = now
        values.append(now)
        vectors.append(v)
    return values


def scipy_pairs(network, count, tolerance):
    """The largest eigenvalues by ARPACK, in single precision, as eigsh over a LinearOperator does."""
    operator = scipy.sparse.linalg.LinearOperator(
        (network.size, network.size), dtype=np.float32,
        matvec=lambda v: network.product(torch.from_numpy(np.ascontiguousarray(v, np.float32).reshape(-1))).numpy())
    values = scipy.sparse.linalg.eigsh(operator, k=count, which="LA", tol=tolerance, return_eigenvectors=False)
    return sorted(map(float, values), reverse=True)


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def mpi(ranks, *command):
    """Seconds of a command on some ranks, one BLAS thread each."""
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    seconds, done = timed(lambda: subprocess.run(["mpirun", "-np", str(ranks), *map(str, command)],
                                                 env=environment, capture_output=True, text=True))
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return seconds


def header(options):
    return {"date": datetime.datetime.now().isoformat(timespec="seconds"), "machine": platform.processor() or
            platform.machine(), "cpu": next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                                             if line.startswith("model name")), ""),
            "ranks": options.ranks, "torch": torch.__version__, "scipy": scipy.__version__}


def compare_products(options):
    """Rounds of a Hessian product on each side; a JSON file keeps those of earlier calls and each as it ends."""
    earlier = json.loads(options.json.read_text())["results"] if options.json and options.json.exists() else []
    for shape in options.shape:
        widths = [int(width) for width in shape.split("-")]
        generator = np.random.default_rng(1)
        weights = [(generator.random((o, i), dtype=np.float32) * 2 - 1) / np.sqrt(i)
                   for i, o in zip(widths, widths[1:])]
        x = generator.random((options.samples, widths[0]), dtype=np.float32)
        network = Network(weights, x, np.arange(options.samples) % widths[-1], options.chunk)
        vector = torch.randn(network.size)
        torch_seconds = [timed(lambda: network.product(vector))[0]]  # the first one warms its caches
        for _ in range(options.rounds):
            torch_seconds.append(timed(lambda: network.product(vector))[0])
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder, "bench.json")
                mpi(options.ranks, options.build / "bench_curvature", "--shape", shape, "--precision", "single",
                    "--samples", options.samples, "--vectors", 1, "--rounds", 1, "--seconds", 0,
                    "--product", "hessian", "--json", path)
                bench = json.loads(path.read_text())
            case = bench["cases"][0]
            own = case["timings"]["hessian"]
            earlier.append({**header(options), "shape": shape, "samples": options.samples, "blas": bench["blas"],
                            "torch_seconds": min(torch_seconds[-2:]), "dualscape_seconds": own["seconds"],
                            "share_of_gemm": own["share_of_gemm"], "efficiency": case.get("efficiency", 1.0)})
            save(options, {"results": earlier})
    print_products(earlier)
    return earlier


def print_products(rounds):
    """The best of each side's rounds, by network and ranks."""
    for shape, ranks in dict.fromkeys((r["shape"], r["ranks"]) for r in rounds):
        mine = [r for r in rounds if (r["shape"], r["ranks"]) == (shape, ranks)]
        ours, theirs = (min(r[key] for r in mine) for key in ("dualscape_seconds", "torch_seconds"))
        print(f"{shape}, {ranks} rank{'s' if ranks > 1 else ''}: Hessian product {ours:.3f} s here, {theirs:.3f} s "
              f"PyTorch: {theirs / ours:.2f}x (rounds {min(r['torch_seconds'] / r['dualscape_seconds'] for r in mine):.2f} "
              f"to {max(r['torch_seconds'] / r['dualscape_seconds'] for r in mine):.2f}); "
              f"{max(r['share_of_gemm'] for r in mine):.2f} of the GEMM rate, "
              f"efficiency {max(r['efficiency'] for r in mine):.2f}; {mine[-1]['blas']}", flush=True)


def save(options, report):
    if options.json:
        partial = options.json.with_suffix(".part")
        partial.write_text(json.dumps(report, indent=1) + "\n")
        partial.replace(options.json)


def read_run(path, count):
    with h5py.File(path) as file:
        group = file["spectrum/all"]
        pruned = {key: group.attrs[key].item() for key in ("samples_pruned", "matvecs_pruned") if key in group.attrs}
        values = group["eigenvalues"][:count]
        return {"seconds": float(group.attrs["seconds"]), "products": int(group.attrs["matvecs"]),
                "single": int(group.attrs["matvecs_single"]), "double": int(group.attrs["matvecs_double"]),
                "check_products": int(group.attrs["check_matvecs"]), **pruned, "values": values.tolist(),
                "worst_residual": float(group["residuals"][:count].max() / group.attrs["norm_estimate"])}


def compare_pairs(options, keep):
    """Each side in turn; `keep(results)` after each, so that a run that is cut off leaves what it measured."""
    with h5py.File(options.weights) as file:
        weights = [file[f"model/dense{layer}/weight"][()] for layer in (1, 2, 3)]
        index = file["data/train_index"][()]
    images = np.frombuffer(gzip.open(options.images).read()[16:], np.uint8).reshape(-1, 784)[index]
    labels = np.frombuffer(gzip.open(options.labels).read()[8:], np.uint8)[index].astype(np.int64)
    network = Network(weights, images.astype(np.float32) / 255, labels, options.chunk)
    network.product(torch.randn(network.size))
    result = {}

    def record(name, entry):
        result[name] = entry
        keep(result)
        ratio = entry["seconds"] / next(iter(result.values()))["seconds"]
        print(f"{name:<36}{entry['seconds']:>9.2f} s{entry['products']:>6} products{ratio:>8.2f}x", flush=True)

    def own(folder, tolerance, prune):
        name = f"dualscape {tolerance:g}, {options.precision}" + (f", prune {prune:g}" if prune else "")
        output = pathlib.Path(folder, name)
        program = mpi(options.ranks, options.build / "dualscape", "run", options.deck, "--set",
                      f"spectrum.tolerance={tolerance}", "--set", f"network.weights={options.weights}",
                      "--set", f"spectrum.prune={prune}", "--set",
                      f"numerics.precision={options.precision}", "--output", output)
        record(name, read_run(output / "result.h5", options.count) | {"program_seconds": program})

    def other(name, call):
        network.products = 0
        seconds, values = timed(call)
        record(name, {"seconds": seconds, "products": network.products, "values": values})

    with tempfile.TemporaryDirectory() as folder:
        for tolerance in options.tolerances:
            own(folder, tolerance, 0.0)
            # For less than single precision leaves, nearly all samples matter.
            if tolerance >= 1e-6:
                own(folder, tolerance, options.prune * tolerance)
                other(f"eigsh {tolerance:g}", lambda t=tolerance: scipy_pairs(network, options.count, t))
    if options.power_seconds == 0:
        return result
    other("power iteration 1e-3",
          lambda: power_iteration(network, options.count, cap=options.power_seconds))
    found = len(result["power iteration 1e-3"]["values"])
    if found < options.count:
        print(f"power iteration was stopped with {found} of {options.count} pairs (--power-seconds)")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["products", "pairs"])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--ranks", type=int, default=1, help="ranks of dualscape and threads of PyTorch")
    parser.add_argument("--shape", nargs="+", default=["784-512-512-10", "784-2048-2048-10"])
    parser.add_argument("--samples", type=int, default=10000)
    parser.add_argument("--chunk", type=int, default=2500, help="samples of a PyTorch graph")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--tolerances", type=float, nargs="+", default=[1e-4, 1e-8])
    parser.add_argument("--precision", default="mixed", help="numerics.precision of dualscape's pairs")
    parser.add_argument("--power-seconds", type=float, default=180,
                        help="when power iteration begins no other pair; 0: it is left out")
    parser.add_argument("--prune", type=float, default=30, help="spectrum.prune of a second run here, in tolerances")
    parser.add_argument("--deck", type=pathlib.Path, default=pathlib.Path("inputs/benchmark/largest-512.toml"))
    parser.add_argument("--weights", type=pathlib.Path, default=pathlib.Path("runs/benchmark/train-512/result.h5"))
    parser.add_argument("--images", type=pathlib.Path, default=pathlib.Path(FASHION, "train-images-idx3-ubyte.gz"))
    parser.add_argument("--labels", type=pathlib.Path, default=pathlib.Path(FASHION, "train-labels-idx1-ubyte.gz"))
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(options.ranks)
    torch.manual_seed(1)
    report = header(options)

    def keep(results):
        report["results"] = results
        save(options, report)

    if options.what == "products":
        keep(compare_products(options))
    else:
        compare_pairs(options, keep)
    print(f"{report['date']}, {report['cpu']}, {options.ranks} ranks against {options.ranks} threads, "
          f"PyTorch {report['torch']}, SciPy {report['scipy']}")


if __name__ == "__main__":
    main()
