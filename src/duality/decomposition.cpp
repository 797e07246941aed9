#include "dualscape/duality/decomposition.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "dualscape/base/blas.hpp"
#include "pair_means.hpp"
#include "parts.hpp"
#include "projection.hpp"

namespace dualscape::duality {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();

double relative(double difference, double scale) {
  return scale > 0 ? std::abs(difference) / scale : 0.0;
}

/// c_n = covariance / (sigma_w sigma_g), 0 where a sigma is rounding of the projections it comes from.
std::vector<double> correlations(const PerDirection& per, std::span<const double> covariance,
                                 double dual_norm, double secant_norm) {
  std::vector<double> result;
  for (std::size_t n = 0; n < covariance.size(); ++n) {
    const bool spread =
        per.sigma_w[n] > 32 * epsilon * dual_norm && per.sigma_g[n] > 32 * epsilon * secant_norm;
    result.push_back(spread ? std::clamp(covariance[n] / (per.sigma_w[n] * per.sigma_g[n]), -1.0, 1.0) : 0.0);
  }
  return result;
}

double sum_of_squares(std::span<const double> x, std::span<const double> y) {
  return dot(x, x) + dot(y, y);
}

double largest_over(const Comm& comm, const std::vector<double>& values) {
  return comm.max(values.empty() ? 0.0 : *std::ranges::max_element(values));
}

void copy_means(Decomposition& d, const PairMeans& means) {
  d.matched_gap = means.gap;
  d.mean_abs_loss_gap = means.abs_gap;
  d.partner_loss = means.partner_loss;
  d.unresolved = means.unresolved;
  d.gradient_term = means.gradient_term;
  d.curvature_term = means.curvature_term;
  d.kept_pairs = means.kept;
  d.zero_duals = means.zero;
  d.dropped_pairs = means.dropped;
}

void find_worst_exactness(const Comm& comm, const Duals& duals, Decomposition& d) {
  const auto all = gather_pairs(comm, duals, duals.exactness);
  if (all.empty()) return;
  const auto worst = std::ranges::max_element(all);
  d.exactness = *worst;
  d.exactness_pair = worst - all.begin();
}

/// Sums over the computed directions and over all others, the latter on their own.
void fill_totals(const Comm& comm, const Duals& duals, const PairMeans& means, const Projected& projected,
                 const MeanDuals& mean, Decomposition& d) {
  const auto complement =
      sum_over_pairs(comm, duals, 1, [&](Index first, Index count, std::span<double> sums) {
        for (auto k = static_cast<std::size_t>(first); k < static_cast<std::size_t>(first + count); ++k)
          if (duals.state[k] == DualState::kept) sums[0] += duals.loss_gap[k] * (1 - projected.captured[k]);
      });
  const auto& contribution = d.directions.contribution;
  d.complement.whole = means.pairs() > 0 ? complement[0] / static_cast<double>(means.pairs()) : 0.0;
  d.total.whole = std::accumulate(contribution.begin(), contribution.end(), 0.0);
  d.total.without_means = std::accumulate(projected.covariance.begin(), projected.covariance.end(), 0.0);
  d.complement.without_means =
      means.gap - means.unresolved - dot(mean.dual, mean.secant) - d.total.without_means;
}

void fill_sharp(const Projected& projected, Decomposition& d) {
  const PerDirection& per = d.directions;
  double sharpness = 0, size = 0;
  for (Index n : d.sharp_directions) {
    const auto at = static_cast<std::size_t>(n);
    d.sharp.whole += per.contribution[at];
    d.sharp.without_means += projected.covariance[at];
    sharpness += per.sigma_g[at] * per.sigma_g[at];
    size += per.sigma_w[at] * per.sigma_w[at];
  }
  d.sharp_determinants = {.sharpness = std::sqrt(sharpness), .size = std::sqrt(size)};
  d.flat.whole = d.total.whole - d.sharp.whole + d.complement.whole;
  d.flat.without_means = d.total.without_means - d.sharp.without_means + d.complement.without_means;
}

void test_identities(const Comm& comm, const Duals& duals, const Directions& directions,
                     const PairMeans& means, const Projected& projected, double weighted,
                     const LinearOperator* curvature, Decomposition& d) {
  const PerDirection& per = d.directions;
  auto& identities = d.identities;
  identities.accounts =
      relative(d.total.whole + d.complement.whole + d.unresolved - d.matched_gap, d.mean_abs_loss_gap);
  std::vector<double> share_defect;
  for (std::size_t k = 0; k < projected.captured.size(); ++k)
    if (duals.state[k] == DualState::kept)
      share_defect.push_back(directions.complete ? std::abs(projected.captured[k] - 1)
                                                 : projected.captured[k] - 1);
  identities.basis_share = std::max(0.0, largest_over(comm, share_defect));
  for (std::size_t n = 0; n < per.contribution.size(); ++n)
    identities.products =
        std::max(identities.products,
                 relative(per.contribution[n] - projected.covariance[n] - per.mean_w[n] * per.mean_g[n],
                          means.abs_gap));
  identities.activity_norm = relative(weighted - means.norm_squared, means.norm_squared);
  if (!directions.complete) return;
  identities.size =
      relative(sum_of_squares(per.sigma_w, per.mean_w) - means.norm_squared, means.norm_squared);
  identities.sharpness =
      relative(sum_of_squares(per.sigma_g, per.mean_g) - means.secant_squared, means.secant_squared);
  if (curvature != nullptr)
    identities.curvature = curvature_defect(comm, duals, directions, projected.curved, *curvature);
}

}  // namespace

Decomposition decompose(const Comm& comm, const nn::Model<double>& model, Index layer, const Duals& duals,
                        const Directions& directions, const DecompositionOptions& options) {
  const PairMeans means = pair_means(comm, duals);
  Pass own;
  Projected projected =
      project(comm, duals, directions, means.pairs(), options.pass != nullptr ? *options.pass : own);

  Decomposition d;
  copy_means(d, means);
  find_worst_exactness(comm, duals, d);
  d.weight_norm = norm(model.weight(layer));
  const double weighted = weighted_norm_squared(comm, model, layer, duals, means.pairs());
  d.activity_weighted_norm = std::sqrt(std::max(0.0, weighted));

  d.directions = std::move(projected.directions);
  PerDirection& per = d.directions;
  per.correlation =
      correlations(per, projected.covariance, std::sqrt(means.norm_squared), std::sqrt(means.secant_squared));
  per.order_by_sigma_g = descending_order(per.sigma_g);
  for (std::size_t n = 0; n < directions.values.size(); ++n)
    d.mean_field +=
        0.5 * directions.values[n] * (per.sigma_w[n] * per.sigma_w[n] + per.mean_w[n] * per.mean_w[n]);

  const MeanDuals mean = mean_duals(comm, duals, means.pairs());
  const auto deviation = [](double mean_square, std::span<const double> x) {
    return std::sqrt(std::max(0.0, mean_square - dot(x, x)));
  };
  d.whole_determinants = {.sharpness = deviation(means.secant_squared, mean.secant),
                          .size = deviation(means.norm_squared, mean.dual)};
  fill_totals(comm, duals, means, projected, mean, d);
  choose_sharp(d, directions, options);
  sum_clusters(d, directions);
  bound_parts(d, directions, projected.leak);
  fill_sharp(projected, d);
  d.accounts = make_accounts(comm, duals, projected.captured,
                             captured_by(comm, duals, directions, d.sharp_directions));
  d.classes = class_totals(d.accounts, static_cast<int>(model.network().layers().back().out));
  d.intervals = bootstrap(comm, d.accounts, options.resamples, options.seed);
  test_identities(comm, duals, directions, means, projected, weighted, options.curvature, d);
  return d;
}

}  // namespace dualscape::duality
