"""Result files with made-up but consistent numbers.

Random dual weights and loss gaps are decomposed along random orthonormal directions by the
method's formulas, so that everything in the file adds up as in a real one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class Contents:
    """What is in a file: datasets by path, attributes by object and name."""

    datasets: dict[str, Array | str | list[str]] = field(default_factory=dict)
    attributes: dict[tuple[str, str], Any] = field(default_factory=dict)

    def set_attributes(self, group: str, **values: Any) -> None:
        """Set attributes of a group."""
        self.attributes.update({(group, name): value for name, value in values.items()})

    def remove(self, group: str) -> None:
        """Remove a group with all that is in it."""
        self.datasets = {path: value for path, value in self.datasets.items()
                         if not path.startswith(group + "/")}
        self.attributes = {key: value for key, value in self.attributes.items()
                           if not (key[0] + "/").startswith(group + "/")}

    def write(self, path: Path) -> Path:
        """Write the file, stored as the program stores it."""
        with h5py.File(path, "w") as file:
            for name, value in self.datasets.items():
                if isinstance(value, str):
                    size = max(len(value.encode()), 1)
                    file.create_dataset(name, data=value.encode(),
                                        dtype=h5py.string_dtype("utf-8", size))
                elif isinstance(value, list):
                    file.create_dataset(name, data=value, dtype=h5py.string_dtype("utf-8"))
                else:
                    file.create_dataset(name, data=value)
                file[name].attrs["units"] = "1"
                file[name].attrs["description"] = name
            for (group, name), value in self.attributes.items():
                file.require_group(group).attrs[name] = _stored(value)
        return path


def _stored(value: Any) -> Any:
    if isinstance(value, bool):
        return np.uint8(value)
    if isinstance(value, int):
        return np.int64(value)
    return value


def result(shape: tuple[int, int] = (6, 5), count: int | None = None, pairs: int = 200,
           sharp: int = 4, epochs: int = 40, seed: int = 1) -> Contents:
    """Make the contents of a whole result.

    Parameters
    ----------
    shape
        The analysed layer's, (out, in).
    count
        Eigenpairs computed; all of them by default.
    pairs
        Number of pairs.
    sharp
        Directions of the sharp part.
    epochs
        Number of evaluations of the training.
    seed
        What the random numbers start from.
    """
    random = np.random.default_rng(seed)
    size = shape[0] * shape[1]
    count = size if count is None else count
    basis = np.linalg.qr(random.normal(size=(size, size)))[0].T
    contents = Contents()
    _add_provenance(contents)
    _add_data(contents, random)
    contents.datasets["model/dense1/weight"] = random.normal(size=(shape[1], 7))
    contents.datasets["model/dense1/bias"] = random.normal(size=shape[1])
    contents.datasets["model/dense2/weight"] = random.normal(size=shape)
    _add_training(contents, epochs)
    _add_spectrum(contents, random, basis, count)
    _add_summary(contents, np.random.default_rng(2),
                 contents.datasets["spectrum/dense2/eigenvalues"])
    _add_duality(contents, random, basis, count, pairs, sharp)
    return contents


def _add_provenance(contents: Contents) -> None:
    contents.set_attributes(
        "/", filetype="dualscape-result", version=np.array([1, 0]), title="a synthetic network",
        code_version="0.1.0", git_commit="0123456789abcdef", git_dirty=True,
        library_versions=["Open MPI 4.1.4", "PETSc 3.18.5"], ranks=2, threads=1, seed=7,
        date="2024-05-01T12:00:00Z", host="workstation", command_line="dualscape run deck.toml",
        seconds=12.5)
    contents.datasets["deck/original"] = "seed = 7\n"
    contents.datasets["deck/resolved"] = 'title = "größer"\nseed = 7\n'


def _add_data(contents: Contents, random: np.random.Generator) -> None:
    contents.set_attributes("data", source="fashion-mnist", classes=np.arange(3))
    contents.datasets["data/train_index"] = np.arange(0, 120, 2)
    contents.datasets["data/test_index"] = np.arange(50)
    contents.datasets["data/label_correct"] = (random.random(60) < 0.9).astype(np.uint8)


def _add_training(contents: Contents, epochs: int) -> None:
    epoch = np.arange(epochs)
    wobble = 1 + 0.1 * np.sin(3.0 * epoch)
    loss = 2.3 * np.exp(-9.0 * epoch / epochs) * wobble
    test_loss = 0.5 + 1.8 * np.exp(-20.0 * epoch / epochs) + 0.2 * epoch / epochs
    accuracy = 1 - 0.9 * np.exp(-12.0 * epoch / epochs)
    test_accuracy = 0.83 - 0.73 * np.exp(-15.0 * epoch / epochs)
    contents.datasets.update({
        "training/epoch": epoch, "training/loss": loss, "training/accuracy": accuracy,
        "training/test_loss": test_loss, "training/test_accuracy": test_accuracy})
    contents.set_attributes("loss", train_loss=float(loss[-1]), test_loss=float(test_loss[-1]),
                            train_accuracy=float(accuracy[-1]),
                            test_accuracy=float(test_accuracy[-1]),
                            gap=float(test_loss[-1] - loss[-1]))


def _add_spectrum(contents: Contents, random: np.random.Generator, basis: Array,
                  count: int) -> None:
    size = basis.shape[0]
    values = np.geomspace(0.3, 1e-9, size)
    values[-size // 6:] *= -np.geomspace(1, 3e4, values[-size // 6:].size)
    values = np.sort(values)[::-1][:count]
    residuals = 1e-12 * (0.5 + random.random(count))
    contents.datasets.update({
        "spectrum/dense2/eigenvalues": values, "spectrum/dense2/residuals": residuals,
        "spectrum/dense2/value_bounds": np.full(count, 4e-15),
        "spectrum/dense2/angle_bounds": residuals / 1e-6,
        "spectrum/dense2/clusters": np.maximum(np.arange(count) - 2, 0),
        "spectrum/dense2/eigenvectors": basis[:count]})
    contents.set_attributes(
        "spectrum/dense2", operator="hessian", which="all" if count == size else "largest",
        requested=count, converged=count, reason="dense solver", matvecs=2 * count, seconds=1.25,
        check_matvecs=0, upper=count, cluster_cut=False, rest_below=1e-3, rest_above=-1e-3,
        samples_pruned=0, prune_bound=0.0, matvecs_pruned=0, matrix_distance=3e-16, matrix_probes=16,
        planned_bytes=1 << 20, peak_bytes=50 << 20, second_matvecs=40,
        matvecs_single=0, matvecs_double=2 * count,
        orthogonality_defect=3e-15, symmetry_defect=2e-16, norm_estimate=0.3)


def _add_summary(contents: Contents, random: np.random.Generator, values: Array) -> None:
    """Add density, trace, diagonal and tangent kernel; the eigenvalues are the density's nodes."""
    size, group = values.size, "spectrum/dense2"
    scale = 1e-4 * np.abs(values).max() or 1.0
    grid = scale * np.sinh(np.linspace(-12, 12, 400))
    nodes = np.sort(np.tile(values, (4, 1)), axis=1)
    weights = random.dirichlet(np.full(size, 3.0), 4)
    deviation = 0.3 * np.hypot(nodes, scale)[..., None]
    peaks = np.exp(-((grid - nodes[..., None]) / deviation)**2 / 2) / deviation / np.sqrt(2 * np.pi)
    each = np.einsum("vs,vsg->vg", weights, peaks)
    contents.datasets.update({
        f"{group}/density/grid": grid, f"{group}/density/density": each.mean(axis=0),
        f"{group}/density/error": each.std(axis=0) / np.sqrt(3),
        f"{group}/density/nodes": nodes, f"{group}/density/weights": weights,
        f"{group}/diagonal": random.random(size), f"{group}/diagonal_error": np.zeros(size)})
    contents.set_attributes(f"{group}/density", trace=0.41, trace_error=0.02, frobenius=0.33,
                            frobenius_error=0.01, width=0.3, linear_scale=float(scale),
                            pairs=0, matvecs=4 * size)
    contents.set_attributes(group, trace=0.405, trace_error=1e-4, frobenius=0.331,
                            frobenius_error=1e-5, trace_matvecs=24, diagonal_exact=True,
                            diagonal_matvecs=size)
    singular = np.geomspace(30, 1, 5)
    contents.datasets.update({
        f"{group}/ntk/eigenvalues": singular**2, f"{group}/ntk/value_bounds": np.full(5, 1e-7),
        f"{group}/ntk/singular_values": singular,
        f"{group}/ntk/singular_value_bounds": np.full(5, 1e-9),
        f"{group}/ntk/right_residuals": np.full(5, 1e-10),
        f"{group}/ntk/left_residuals": np.full(5, 2e-10)})
    contents.set_attributes(f"{group}/ntk", requested=5, converged=5, reason="converged",
                            matvecs=60, check_matvecs=22, seconds=0.125)


def _add_duality(contents: Contents, random: np.random.Generator, basis: Array, count: int,
                 pairs: int, sharp: int) -> None:
    size = basis.shape[0]
    stretch = np.geomspace(1, 1e-3, size)
    duals = (random.normal(size=(pairs, size)) * stretch + 0.1 * stretch) @ basis
    norms = np.linalg.norm(duals, axis=1)
    steepness = (duals @ basis.T)[:, :sharp]
    loss_gaps = 0.05 * np.sum(steepness**2, axis=1) * random.exponential(size=pairs) - 0.005
    w = duals @ basis[:count].T
    g = (loss_gaps / norms**2)[:, None] * w
    order = np.argsort(-g.std(axis=0), kind="stable")
    covariance = np.mean(w * g, axis=0) - w.mean(axis=0) * g.mean(axis=0)
    contribution = np.mean(w * g, axis=0)
    rest = np.mean(loss_gaps * (1 - np.sum(w**2, axis=1) / norms**2))
    group = "duality/dense2"
    contents.datasets.update({f"{group}/directions/{name}": values for name, values in {
        "eigenvalue": contents.datasets["spectrum/dense2/eigenvalues"],
        "mean_w": w.mean(axis=0), "mean_g": g.mean(axis=0),
        "sigma_w": w.std(axis=0), "sigma_g": g.std(axis=0),
        "correlation": covariance / (w.std(axis=0) * g.std(axis=0)),
        "contribution": contribution, "contribution_bound": np.full(count, 1e-13),
        "order_by_sigma_g": order}.items()})
    contents.datasets.update({f"{group}/pairs/{name}": values for name, values in {
        "test_index": np.arange(pairs), "train_index": random.integers(0, 60, pairs),
        "distance": 100 * random.random(pairs), "loss_gap": loss_gaps,
        "dual_norm": norms, "state": np.zeros(pairs, np.uint8),
        "exactness": np.full(pairs, 1e-15), "gradient_term": 0.04 * loss_gaps,
        "curvature_term": 0.02 * loss_gaps}.items()})
    sharp_directions = np.zeros(count, np.uint8)
    sharp_directions[order[:sharp]] = 1
    contents.datasets[f"{group}/directions/sharp"] = sharp_directions
    _add_clusters(contents, group, w, g)
    _add_classes(contents, group, random, loss_gaps)
    _add_gap_operator(contents, group, duals / norms[:, None], loss_gaps)
    sums = {"total": contribution.sum(), "complement": rest,
            "sharp": contribution[order[:sharp]].sum()}
    means = {"total": covariance.sum(), "complement": 0.9 * rest,
             "sharp": covariance[order[:sharp]].sum()}
    for parts, ending in ((sums, ""), (means, "_without_means")):
        parts["flat"] = parts["total"] + parts["complement"] - parts["sharp"]
        contents.set_attributes(group, **{f"{part}_contribution{ending}": float(value)
                                          for part, value in parts.items()})
    matched = float(loss_gaps.mean())
    contents.set_attributes(
        group, pairing="nearest-input", anchor="test", sharp=sharp, matched_gap=matched,
        neighbours=1, sharp_by="count", sharp_cuts_cluster=False,
        real_gap=matched - 1e-3, mean_abs_loss_gap=float(np.abs(loss_gaps).mean()),
        partner_loss=2e-3, sharp_certified=count == size, unresolved=0.0, zero_duals=0,
        dropped_pairs=3, kept_pairs=pairs, exactness=2e-15, weight_norm=12.5,
        activity_weighted_norm=float(np.sqrt(np.mean(norms**2))), second_order=0.02,
        gradient_term=0.013, curvature_term=0.007, exactness_pair=0, neighbour_rank=1,
        dual="metric", ridge=1e-3, total_bound=2e-13, sharp_bound=1e-13, worst_bound=1e-13,
        worst_direction_bound=1e-13, sharp_sigma_g=0.3, sharp_sigma_w=0.4, whole_sigma_g=0.31,
        whole_sigma_w=0.8, mean_field=0.007, identity_accounts=1e-16, identity_dual_norm=3e-15,
        identity_products=2e-16, identity_activity_norm=1e-15, identity_real_gap=7e-15)
    if count == size:
        contents.set_attributes(group, identity_size=4e-15, identity_sharpness=5e-15,
                                identity_curvature=6e-15)


def _add_clusters(contents: Contents, group: str, w: Array, g: Array) -> None:
    cluster = contents.datasets["spectrum/dense2/clusters"]
    values = {"size": np.ones(cluster.size),
              "eigenvalue": contents.datasets["spectrum/dense2/eigenvalues"],
              "contribution": np.mean(w * g, axis=0),
              "sigma_w_squared": w.var(axis=0), "sigma_g_squared": g.var(axis=0),
              "mean_square_w": np.mean(w**2, axis=0), "mean_square_g": np.mean(g**2, axis=0),
              "angle_bound": np.full(cluster.size, 1e-12),
              "contribution_bound": np.full(cluster.size, 1e-13)}
    sums = {name: np.bincount(cluster, weights=value) for name, value in values.items()}
    sums["eigenvalue"] /= sums["size"]
    sums["size"] = sums["size"].astype(np.int64)
    contents.datasets.update({f"{group}/clusters/{name}": value for name, value in sums.items()})


def _add_classes(contents: Contents, group: str, random: np.random.Generator,
                 loss_gaps: Array) -> None:
    """Add parts by class and intervals; all numbers but the counts and the gaps are made up."""
    pairs = loss_gaps.size
    label, before, after = random.integers(0, 3, (3, pairs))
    table = np.zeros((2, 3, 3))
    np.add.at(table[0], (before, after), 1)
    np.add.at(table[1], (before, after), loss_gaps / pairs)
    gaps = np.bincount(label, weights=loss_gaps, minlength=3) / pairs
    shares = {"matched_gap": 1.0, "total": 0.9, "complement": 0.1, "sharp": 0.7, "flat": 0.3,
              "unresolved": 0.0}
    contents.datasets.update({f"{group}/classes/{name}": share * gaps
                              for name, share in shares.items()})
    contents.datasets.update({
        f"{group}/classes/pairs": np.bincount(label, minlength=3),
        f"{group}/classes/confusion": table[0].astype(np.int64),
        f"{group}/classes/confusion_gap": table[1]})
    error = loss_gaps.std() / np.sqrt(pairs)
    contents.datasets.update({
        f"{group}/intervals/{name}": share * (loss_gaps.mean() + error * np.array([-2.0, 2.0]))
        for name, share in shares.items()})
    contents.set_attributes(f"{group}/intervals", resamples=1000)


def _add_gap_operator(contents: Contents, group: str, unit_duals: Array, loss_gaps: Array) -> None:
    matrix = unit_duals.T @ (loss_gaps[:, None] * unit_duals) / loss_gaps.size
    values, vectors = np.linalg.eigh(matrix)
    count = values.size
    path = f"{group}/operators/gap"
    contents.datasets.update({
        f"{path}/eigenvalues": values[::-1], f"{path}/residuals": np.full(count, 1e-17),
        f"{path}/value_bounds": np.full(count, 1e-16), f"{path}/angle_bounds": np.full(count, 1e-9),
        f"{path}/clusters": np.arange(count), f"{path}/eigenvectors": vectors.T[::-1],
        f"{group}/co_spectrum": np.geomspace(1e-2, 1e-12, loss_gaps.size)})
    contents.set_attributes(
        path, which="all", requested=count, converged=count, reason="dense", matvecs=2 * count,
        seconds=0.5, check_matvecs=0, upper=count, cluster_cut=False, rest_below=1e-3, rest_above=-1e-3,
        matrix_distance=3e-16, matrix_probes=16, orthogonality_defect=2e-15,
        symmetry_defect=1e-16, norm_estimate=float(values[-1]), alignment_commutator=0.4,
        alignment_diagonal=0.6)
