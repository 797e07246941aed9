#!/usr/bin/python3
"""Compare a result file with a reference case (see make_cases.py), quantity by quantity.

    compare.py CASE.h5 RESULT.h5 [--tolerance 1e-8]

RESULT.h5 is what `dualscape run` wrote for a deck that reads CASE.h5 as data and as weights and asks for the complete
spectrum of the case's layer (run_case.py writes such a deck). Prints one line a quantity. Exit status: 0 when all agree,
1 when any does not, a number that is none included, 2 when a file lacks something or cannot be read.
"""
import argparse
import sys

import h5py
import numpy as np

# Directions are compared one by one only where their eigenvalue stands this far from its neighbours, relative to the
# largest: closer ones determine their common space alone.
APART = 1e-4
# A direction turns by rounding / APART, so that what is said of it is known less well than the rest.
DIRECTION_TOLERANCE = 1e-7
DUALITY_TOLERANCE = 1e-10


class Comparison:
    """Prints and counts."""

    def __init__(self, tolerance):
        self.tolerance = tolerance
        self.failures = 0

    def check(self, name, got, expected, tolerance=None, scale=None):
        """The largest deviation, relative to `scale` or the largest expected number."""
        tolerance = self.tolerance if tolerance is None else tolerance
        got, expected = np.asarray(got, float), np.asarray(expected, float)
        if got.shape != expected.shape:
            return self._report(name, False, f"shape {got.shape}, expected {expected.shape}")
        if scale is None:
            scale = np.abs(expected).max(initial=0) or 1.0
        error = np.abs(got - expected).max(initial=0) / scale
        agrees = bool(error <= tolerance)  # false for what is no number
        return self._report(name, agrees, f"relative error {error:.2e}, tolerance {tolerance:.0e}")

    def _report(self, name, agrees, text):
        self.failures += not agrees
        print(f"{'ok  ' if agrees else 'FAIL'} {name:36s} {text}")


def standing_apart(eigenvalues):
    """Positions of the eigenvalues that are far from both neighbours."""
    below = np.abs(np.diff(eigenvalues, append=-np.inf))
    above = np.abs(np.diff(eigenvalues, prepend=np.inf))
    return np.flatnonzero(np.minimum(below, above) > APART * np.abs(eigenvalues).max())


def compare_losses(comparison, reference, result):
    for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy"):
        comparison.check(name, result["loss"].attrs[name], reference.attrs[name])


def compare_pairs(comparison, expected, pairs):
    order = np.argsort(pairs["test_index"][:], kind="stable")
    comparison.check("pairs: test sample", pairs["test_index"][:][order], np.arange(len(expected["pair"])), tolerance=0)
    comparison.check("pairs: training partner", pairs["train_index"][:][order], expected["pair"][:], tolerance=0)
    for name in ("distance", "loss_gap", "dual_norm"):
        comparison.check(f"pairs: {name}", pairs[name][:][order], expected[name][:])


def compare_directions(comparison, expected, directions):
    apart = standing_apart(expected["eigenvalues"][:])
    total = len(expected["eigenvalues"])
    print(f"     {len(apart)} of {total} eigenvalues stand apart: their directions are compared one by one")
    tolerance = max(comparison.tolerance, DIRECTION_TOLERANCE)
    for name in ("sigma_w", "sigma_g", "correlation", "contribution"):
        comparison.check(f"directions: {name}", directions[name][:][apart], expected[name][:][apart], tolerance)
    for name in ("mean_w", "mean_g"):  # these change sign with the eigenvector
        comparison.check(f"directions: |{name}|", np.abs(directions[name][:][apart]), np.abs(expected[name][:][apart]),
                         tolerance)
    for size in ("w", "g"):  # over all directions, whatever the basis
        sums = [(d[f"sigma_{size}"][:] ** 2 + d[f"mean_{size}"][:] ** 2).sum() for d in (directions, expected)]
        comparison.check(f"sum of sigma_{size}^2 + mean_{size}^2", *sums)


def compare(comparison, case, result):
    reference = case["reference"]
    layer = f"dense{int(reference.attrs['layer'])}"
    expected, duality = reference[layer], result[f"duality/{layer}"]
    compare_losses(comparison, reference, result)
    comparison.check("eigenvalues", result[f"spectrum/{layer}/eigenvalues"][:], expected["eigenvalues"][:])
    compare_pairs(comparison, expected, duality["pairs"])
    for name in ("matched_gap", "total_contribution"):
        comparison.check(name, duality.attrs[name], reference.attrs[name])
    comparison.check("exactness of the duality", duality.attrs["exactness"], 0, DUALITY_TOLERANCE, scale=1)
    compare_directions(comparison, expected, duality["directions"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case")
    parser.add_argument("result")
    parser.add_argument("--tolerance", type=float, default=1e-8)
    options = parser.parse_args()
    comparison = Comparison(options.tolerance)
    try:
        with h5py.File(options.case) as case, h5py.File(options.result) as result:
            compare(comparison, case, result)
    except (OSError, KeyError) as error:
        print(f"{options.result} cannot be compared with {options.case}: {error}", file=sys.stderr)
        return 2
    return 1 if comparison.failures else 0


if __name__ == "__main__":
    sys.exit(main())
