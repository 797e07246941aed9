#pragma once

#include <vector>

#include "dualscape/duality/decomposition.hpp"

/// Means over the pairs, none of which depends on the directions.
namespace dualscape::duality {

struct PairMeans {
  Index kept = 0, zero = 0, dropped = 0;
  double gap = 0, abs_gap = 0, partner_loss = 0, unresolved = 0, gradient_term = 0, curvature_term = 0;
  double norm_squared = 0, secant_squared = 0;

  /// Pairs the means are over.
  Index pairs() const { return kept + zero; }
};

/// @note Collective
PairMeans pair_means(const Comm& comm, const Duals& duals);

/// tr W D W^T with D = mean Da Da^T |b|^2 / (b.a)^2. @note Collective
double weighted_norm_squared(const Comm& comm, const nn::Model<double>& model, Index layer,
                             const Duals& duals, Index pairs);

/// Mean dual weight and mean secant gradient, as matrices.
struct MeanDuals {
  std::vector<double> dual, secant;
};
/// @note Collective
MeanDuals mean_duals(const Comm& comm, const Duals& duals, Index pairs);

}  // namespace dualscape::duality
