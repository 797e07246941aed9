#include "dualscape/duality/decomposition.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/random.hpp"
#include "projection.hpp"

namespace dualscape::duality {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();

/// Pairs the curvature identity is tested on.
constexpr Index sampled_pairs = 32;

double relative(double difference, double scale) {
  return scale > 0 ? std::abs(difference) / scale : 0.0;
}

/// Means over the pairs, none of which depends on the directions.
struct PairMeans {
  Index kept = 0, zero = 0, dropped = 0;
  double gap = 0, abs_gap = 0, partner_loss = 0, unresolved = 0, second_order = 0;
  double norm_squared = 0, secant_squared = 0;
};

PairMeans pair_means(const Comm& comm, const Duals& duals) {
  enum { kept, zero, dropped, gap, abs_gap, partner, unresolved, second, norm_squared, secant_squared, size };
  const auto sums = sum_over_pairs(comm, duals, size, [&](Index first, Index count, std::span<double> s) {
    for (auto k = static_cast<std::size_t>(first); k < static_cast<std::size_t>(first + count); ++k) {
      const DualState state = duals.state[k];
      s[dropped] += state == DualState::dropped;
      if (state == DualState::dropped) continue;
      const double loss_gap = duals.loss_gap[k];
      s[kept] += state == DualState::kept;
      s[zero] += state == DualState::zero;
      s[gap] += loss_gap;
      s[abs_gap] += std::abs(loss_gap);
      s[partner] += duals.partner_loss[k];
      s[second] += duals.second_order[k];
      if (state == DualState::zero) {
        s[unresolved] += loss_gap;
        continue;
      }
      s[norm_squared] += duals.norm[k] * duals.norm[k];
      s[secant_squared] += loss_gap * loss_gap / (duals.norm[k] * duals.norm[k]);
    }
  });
  PairMeans means;
  means.kept = std::llround(sums[kept]);
  means.zero = std::llround(sums[zero]);
  means.dropped = std::llround(sums[dropped]);
  const Index pairs = means.kept + means.zero;
  if (pairs == 0) return means;
  const double weight = 1.0 / static_cast<double>(pairs);
  means.gap = weight * sums[gap];
  means.abs_gap = weight * sums[abs_gap];
  means.partner_loss = weight * sums[partner];
  means.unresolved = weight * sums[unresolved];
  means.second_order = weight * sums[second];
  means.norm_squared = weight * sums[norm_squared];
  means.secant_squared = weight * sums[secant_squared];
  return means;
}

/// sum_k c_k x_k y_k^T over this layer's pairs, divided by `pairs`: a GEMM a tile. x: pairs x rows, y: pairs
/// x cols.
std::vector<double> mean_outer(const Comm& comm, const Duals& duals, const Matrix<double>& x,
                               const Matrix<double>& y, Index pairs,
                               const std::function<double(std::size_t)>& factor) {
  auto mean =
      sum_over_pairs(comm, duals, x.cols() * y.cols(), [&](Index first, Index count, std::span<double> sums) {
        Matrix<double> scaled(count, x.cols());
        for (Index i = 0; i < count; ++i) {
          const double c = factor(static_cast<std::size_t>(first + i));
          std::ranges::transform(x.row(first + i), scaled.row(i).begin(),
                                 [c](double value) { return c * value; });
        }
        gemm<double>(Op::transpose, Op::none, 1.0, scaled.view(), y.view().rows_from(first, count), 1.0,
                     {sums.data(), x.cols(), y.cols()});
      });
  for (double& value : mean) value /= static_cast<double>(std::max<Index>(1, pairs));
  return mean;
}

/// tr W D W^T with D = mean Da Da^T / |a|^2.
double weighted_norm_squared(const Comm& comm, const nn::Model<double>& model, Index layer,
                             const Duals& duals, Index pairs) {
  const nn::Layer& at = model.network().layer(layer);
  const auto d = mean_outer(comm, duals, duals.difference, duals.difference, pairs,
                            [&](std::size_t k) { return duals.inverse[k]; });
  Matrix<double> product(at.out, at.in);
  const ConstMatrixView<double> weight(model.weight(layer).data(), at.out, at.in);
  gemm<double>(Op::none, Op::none, 1.0, weight, {d.data(), at.in, at.in}, 0.0, product.view());
  return dot(model.weight(layer), product.entries());
}

/// Mean dual weight and mean secant gradient, as matrices.
struct MeanDuals {
  std::vector<double> dual, secant;
};

MeanDuals mean_duals(const Comm& comm, const Duals& duals, Index pairs) {
  return {.dual = mean_outer(comm, duals, duals.response, duals.activity, pairs,
                             [&](std::size_t k) { return duals.inverse[k]; }),
          .secant = mean_outer(comm, duals, duals.response, duals.activity, pairs, [&](std::size_t k) {
            return duals.norm[k] > 0 ? duals.inverse[k] * duals.loss_gap[k] / (duals.norm[k] * duals.norm[k])
                                     : 0.0;
          })};
}

std::vector<Index> descending_order(std::span<const double> values) {
  std::vector<Index> order(values.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](Index i) { return values[static_cast<std::size_t>(i)]; });
  return order;
}

/// Fills which directions are sharp, and whether the computed ones suffice to tell.
void choose_sharp(Decomposition& d, const Directions& directions, const DecompositionOptions& options) {
  const PerDirection& per = d.directions;
  const auto asked = static_cast<std::size_t>(options.sharp);
  auto order = per.order_by_sigma_g;
  if (options.sharp_by == SharpBy::eigenvalue) std::iota(order.begin(), order.end(), Index{0});
  std::size_t count = std::min(asked, order.size());
  d.sharp_reached = directions.complete || asked <= order.size();
  if (options.sharp_by == SharpBy::share) {
    double sum = 0;
    for (count = 0; count < order.size() && sum < options.sharp_share * d.secant_variance; ++count)
      sum += std::pow(per.sigma_g[static_cast<std::size_t>(order[count])], 2);
    d.sharp_reached = directions.complete || sum >= options.sharp_share * d.secant_variance;
  }
  order.resize(count);
  d.sharp_directions = std::move(order);
  d.sharp_certified = directions.complete || (options.sharp_by == SharpBy::eigenvalue &&
                                              static_cast<Index>(asked) <= directions.upper);
}

/// The place of each direction's cluster among the clusters, whatever numbers they have.
std::vector<std::size_t> cluster_places(const Directions& directions) {
  std::vector<std::size_t> places(directions.values.size());
  for (std::size_t n = 1; n < places.size(); ++n)
    places[n] = places[n - 1] +
                (directions.clusters.empty() || directions.clusters[n] != directions.clusters[n - 1] ? 1 : 0);
  return places;
}

bool cuts_cluster(const Decomposition& d, const Directions& directions) {
  const auto places = cluster_places(directions);
  std::vector<Index> sharp(d.clusters.size.size());
  for (Index n : d.sharp_directions) ++sharp[places[static_cast<std::size_t>(n)]];
  for (std::size_t c = 0; c < sharp.size(); ++c)
    if (sharp[c] > 0 && sharp[c] < d.clusters.size[c]) return true;
  return false;
}

PerCluster cluster_sums(const PerDirection& per, const Directions& directions) {
  const auto places = cluster_places(directions);
  const std::size_t count = places.empty() ? 0 : places.back() + 1;
  PerCluster sums;
  sums.size.resize(count);
  for (auto* values : {&sums.eigenvalue, &sums.contribution, &sums.sigma_w_squared, &sums.sigma_g_squared,
                       &sums.mean_square_w, &sums.mean_square_g})
    values->resize(count);
  for (std::size_t n = 0; n < places.size(); ++n) {
    const std::size_t c = places[n];
    ++sums.size[c];
    sums.eigenvalue[c] += directions.values[n];
    sums.contribution[c] += per.contribution[n];
    sums.sigma_w_squared[c] += per.sigma_w[n] * per.sigma_w[n];
    sums.sigma_g_squared[c] += per.sigma_g[n] * per.sigma_g[n];
    sums.mean_square_w[c] += per.sigma_w[n] * per.sigma_w[n] + per.mean_w[n] * per.mean_w[n];
    sums.mean_square_g[c] += per.sigma_g[n] * per.sigma_g[n] + per.mean_g[n] * per.mean_g[n];
  }
  for (std::size_t c = 0; c < count; ++c) sums.eigenvalue[c] /= static_cast<double>(sums.size[c]);
  return sums;
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

/// Largest |sum_n value_n w_kn^2 - DW_k^T H DW_k| / (|H| |DW_k|^2) over some pairs.
double curvature_defect(const Comm& comm, const nn::Layer& layer, const Duals& duals,
                        const Directions& directions, std::span<const double> curved,
                        const LinearOperator& curvature) {
  const Index pairs = duals.lanes.samples();
  const Index samples = std::min(sampled_pairs, pairs);
  const auto order = Random(0, Stream::probe).permutation(pairs);
  const Partition& partition = directions.partition;
  Matrix<double> whole(samples, partition.size());
  Matrix<double> expected(1, samples);
  std::vector<double> scale(static_cast<std::size_t>(samples));
  // Each sampled dual lives on one rank: the others add zeros, so that the sum is a copy.
  for (Index s = 0; s < samples; ++s) {
    const Index k = order[static_cast<std::size_t>(s)] - duals.first;
    if (k < 0 || k >= duals.count()) continue;
    const auto at = static_cast<std::size_t>(k);
    for (Index o = 0; o < layer.out; ++o)
      for (Index i = 0; i < layer.in; ++i)
        whole(s, directions.weight_offset + o * layer.in + i) =
            duals.inverse[at] * duals.response(k, o) * duals.activity(k, i);
    expected(0, s) = curved[at];
    scale[static_cast<std::size_t>(s)] = duals.norm[at] * duals.norm[at];
  }
  const auto share = [&](double* data, std::size_t count) {
    MPI_Allreduce(MPI_IN_PLACE, data, static_cast<int>(count), MPI_DOUBLE, MPI_SUM, comm.get());
  };
  share(whole.data(), whole.entries().size());
  share(expected.data(), static_cast<std::size_t>(samples));
  share(scale.data(), scale.size());

  const Index begin = partition.begin(comm.rank());
  const Index count = partition.count(comm.rank());
  Matrix<double> in(samples, count), out(samples, count);
  for (Index s = 0; s < samples; ++s) std::copy_n(whole.row(s).begin() + begin, count, in.row(s).begin());
  curvature.apply(in.view(), out.view());
  std::vector<double> forms(static_cast<std::size_t>(samples));
  for (Index s = 0; s < samples; ++s) forms[static_cast<std::size_t>(s)] = dot(in.row(s), out.row(s));
  share(forms.data(), forms.size());

  const double operator_norm =
      std::max(std::abs(directions.values.front()), std::abs(directions.values.back()));
  double worst = 0;
  for (std::size_t s = 0; s < forms.size(); ++s)
    worst =
        std::max(worst, relative(forms[s] - expected(0, static_cast<Index>(s)), operator_norm * scale[s]));
  return worst;
}

double sum_of_squares(std::span<const double> x, std::span<const double> y) {
  return dot(x, x) + dot(y, y);
}

double largest_over(const Comm& comm, const std::vector<double>& values) {
  return comm.max(values.empty() ? 0.0 : *std::ranges::max_element(values));
}

}  // namespace

Decomposition decompose(const Comm& comm, const nn::Model<double>& model, Index layer, const Duals& duals,
                        const Directions& directions, const DecompositionOptions& options) {
  const nn::Layer& at = model.network().layer(layer);
  const PairMeans means = pair_means(comm, duals);
  const Index pairs = means.kept + means.zero;
  Projected projected = project(comm, at, duals, directions, pairs);

  Decomposition d;
  d.directions = std::move(projected.directions);
  PerDirection& per = d.directions;
  per.correlation =
      correlations(per, projected.covariance, std::sqrt(means.norm_squared), std::sqrt(means.secant_squared));
  per.order_by_sigma_g = descending_order(per.sigma_g);
  for (double angle : directions.angle_bounds)
    per.contribution_bound.push_back(std::min(1.0, angle) * means.abs_gap);

  d.matched_gap = means.gap;
  d.mean_abs_loss_gap = means.abs_gap;
  d.partner_loss = means.partner_loss;
  d.unresolved = means.unresolved;
  d.second_order = means.second_order;
  d.kept_pairs = means.kept;
  d.zero_duals = means.zero;
  d.dropped_pairs = means.dropped;
  d.exactness = largest_over(comm, duals.exactness);
  d.weight_norm = norm(model.weight(layer));
  const double weighted = weighted_norm_squared(comm, model, layer, duals, pairs);
  d.activity_weighted_norm = std::sqrt(std::max(0.0, weighted));

  const auto complement =
      sum_over_pairs(comm, duals, 1, [&](Index first, Index count, std::span<double> sums) {
        for (auto k = static_cast<std::size_t>(first); k < static_cast<std::size_t>(first + count); ++k)
          if (duals.state[k] == DualState::kept) sums[0] += duals.loss_gap[k] * (1 - projected.captured[k]);
      });
  d.complement.whole = pairs > 0 ? complement[0] / static_cast<double>(pairs) : 0.0;
  d.total.whole = std::accumulate(per.contribution.begin(), per.contribution.end(), 0.0);
  d.total.without_means = std::accumulate(projected.covariance.begin(), projected.covariance.end(), 0.0);
  const MeanDuals mean = mean_duals(comm, duals, pairs);
  d.complement.without_means =
      means.gap - means.unresolved - dot(mean.dual, mean.secant) - d.total.without_means;
  d.secant_variance = std::max(0.0, means.secant_squared - dot(mean.secant, mean.secant));
  choose_sharp(d, directions, options);
  for (Index n : d.sharp_directions) {
    d.sharp.whole += per.contribution[static_cast<std::size_t>(n)];
    d.sharp.without_means += projected.covariance[static_cast<std::size_t>(n)];
  }
  d.clusters = cluster_sums(per, directions);
  d.sharp_cuts_cluster = cuts_cluster(d, directions);
  d.accounts = make_accounts(comm, duals, projected.captured,
                             captured_by(comm, at, duals, directions, d.sharp_directions));
  d.classes = class_totals(d.accounts, static_cast<int>(model.network().layers().back().out));
  d.intervals = bootstrap(comm, d.accounts, options.resamples, options.seed);
  d.flat.whole = d.total.whole - d.sharp.whole + d.complement.whole;
  d.flat.without_means = d.total.without_means - d.sharp.without_means + d.complement.without_means;
  for (std::size_t n = 0; n < directions.values.size(); ++n)
    d.mean_field +=
        0.5 * directions.values[n] * (per.sigma_w[n] * per.sigma_w[n] + per.mean_w[n] * per.mean_w[n]);

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
  if (directions.complete) {
    identities.size =
        relative(sum_of_squares(per.sigma_w, per.mean_w) - means.norm_squared, means.norm_squared);
    identities.sharpness =
        relative(sum_of_squares(per.sigma_g, per.mean_g) - means.secant_squared, means.secant_squared);
    if (options.curvature != nullptr)
      identities.curvature =
          curvature_defect(comm, at, duals, directions, projected.curved, *options.curvature);
  }
  return d;
}

}  // namespace dualscape::duality
