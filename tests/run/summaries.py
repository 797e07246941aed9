"""What must hold of densities, traces, diagonals and tangent kernels in a result file."""

from __future__ import annotations

import numpy as np
import pytest
from results import Contents
from results import group as group_of


def check_summary(one: Contents, other: Contents) -> None:
    """Check densities, traces, diagonals and tangent kernels: against each other and at both ranks."""
    for key in [key for key in one if key.endswith(("@trace", "@frobenius"))]:
        error = one[key + "_error"]
        assert error >= 0
        # The same random vectors: what differs is rounding, of single precision at most.
        assert abs(one[key] - other[key]) <= 1e-6 * (abs(one[key]) + error)
    group = group_of(one, "spectrum/dense2") or group_of(one, "spectrum/all")
    if "density/" in group:
        spacing = np.diff(np.arcsinh(group["density/grid"] / group["density@linear_scale"])).mean()
        shares = group["density/density"] * spacing * np.hypot(group["density/grid"],
                                                               group["density@linear_scale"])
        assert np.sum(shares) == pytest.approx(1, rel=1e-12)
        count = group["diagonal"].size
        assert count * shares @ group["density/grid"] == pytest.approx(
            group["density@trace"], abs=1e-10 * group["density@frobenius"])
        assert np.sum(group["density/weights"], axis=1) == pytest.approx(
            1 - group["density@pairs"] / count, abs=1e-12)
        assert group["density@pairs"] == group["@converged"]
        # Each within its own error bars of the other, and rounding, of single precision at most.
        for key in ("@trace", "@frobenius"):
            error = group["density" + key + "_error"] + group[key + "_error"]
            assert abs(group["density" + key] - group[key]) <= 4 * error + 1e-6 * group["@frobenius"]
            assert group["density" + key + "_error"] < 0.1 * group["@frobenius"]
        if group["@diagonal_exact"]:
            assert np.all(group["diagonal_error"] == 0)
            assert group["@trace_error"] == 0
            assert np.sum(group["diagonal"]) == pytest.approx(group["@trace"], rel=1e-12)
        ntk = group_of(group, "ntk")
        assert ntk["eigenvalues"] == pytest.approx(ntk["singular_values"]**2, rel=1e-14)
        assert np.all(np.diff(ntk["eigenvalues"]) <= 0)
        assert ntk["@converged"] == ntk["@requested"] == ntk["eigenvalues"].size
