#pragma once

#include "dualscape/duality/decomposition.hpp"

/// What the directions' statistics are gathered into: the sharp part, clusters, and the bounds of each.
namespace dualscape::duality {

std::vector<Index> descending_order(std::span<const double> values);

/// Fills which directions are sharp, and whether the computed ones suffice to tell.
void choose_sharp(Decomposition& d, const Directions& directions, const DecompositionOptions& options);

/// Fills the clusters' sums, and whether the sharp part cuts one. Bounds are left out.
void sum_clusters(Decomposition& d, const Directions& directions);

/// Fills every bound that the directions' angles leave. `leak`: |Q v - (v^T Q v) v| of each direction, or
/// empty.
void bound_parts(Decomposition& d, const Directions& directions, std::span<const double> leak);

/// Largest |sum_n value_n w_kn^2 - DW_k^T H DW_k| / (|H| |DW_k|^2) over some pairs. `curved`: of each pair of
/// this rank, the sum. @note Collective
double curvature_defect(const Comm& comm, const Duals& duals, const Directions& directions,
                        std::span<const double> curved, const LinearOperator& curvature);

}  // namespace dualscape::duality
