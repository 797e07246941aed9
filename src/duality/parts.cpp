#include "parts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace dualscape::duality {
namespace {

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

/// How far a direction's value is at least from those that were not computed and are next to it; infinite
/// where others are between them.
double distance_to_rest(const Directions& directions, std::size_t n) {
  const auto upper = static_cast<std::size_t>(directions.upper);
  if (directions.complete) return std::numeric_limits<double>::infinity();
  if (n < upper && directions.rest_below) return directions.values[n] - *directions.rest_below;
  if (n >= upper && directions.rest_above) return *directions.rest_above - directions.values[n];
  return n + 1 == upper || n == upper ? 0.0 : std::numeric_limits<double>::infinity();
}

/// Sine of the largest angle between the space of directions [first, last) and the eigenvectors'.
double space_angle(const Directions& directions, std::size_t first, std::size_t last) {
  if (last - first == 1) return std::min(1.0, directions.angle_bounds[first]);
  if (directions.residuals.empty()) return 1.0;
  double squares = 0, distance = std::numeric_limits<double>::infinity();
  for (std::size_t n = first; n < last; ++n) {
    distance = std::min(distance, distance_to_rest(directions, n));
    const double residual = directions.residuals[n] + directions.value_rounding;
    squares += residual * residual;
    for (std::size_t j = 0; j < directions.values.size(); ++j)
      if (j < first || j >= last)
        distance = std::min(distance, std::abs(directions.values[n] - directions.values[j]) -
                                          directions.residuals[j] - directions.value_rounding);
  }
  const double residual = std::sqrt(squares);
  return residual < distance ? residual / distance : 1.0;
}

void bound_directions(Decomposition& d, const Directions& directions, std::span<const double> leak) {
  for (std::size_t n = 0; n < directions.angle_bounds.size(); ++n) {
    const double sine = std::min(1.0, directions.angle_bounds[n]);
    double bound = sine * d.mean_abs_loss_gap;
    if (!leak.empty()) bound = std::min(bound, 2 * sine * leak[n] + sine * sine * d.mean_abs_loss_gap);
    d.directions.contribution_bound.push_back(bound);
  }
}

/// Of the sum over the directions that are marked. Whole clusters go with their spaces, the parts of others
/// with their single directions. The space of several has an angle whose squared sine is at most the sum of
/// theirs.
double bound_of_sum(const Decomposition& d, const Directions& directions, const std::vector<bool>& marked) {
  double squares = 0, sum = 0;
  std::size_t first = 0;
  for (std::size_t c = 0; c < d.clusters.size.size(); ++c) {
    const auto last = first + static_cast<std::size_t>(d.clusters.size[c]);
    const auto inside = std::count(marked.begin() + static_cast<std::ptrdiff_t>(first),
                                   marked.begin() + static_cast<std::ptrdiff_t>(last), true);
    if (inside == d.clusters.size[c]) {
      squares += d.clusters.angle_bound[c] * d.clusters.angle_bound[c];
      sum += d.clusters.contribution_bound[c];
    } else {
      for (std::size_t n = first; n < last; ++n) {
        if (!marked[n]) continue;
        squares += directions.angle_bounds[n] * directions.angle_bounds[n];
        sum += d.directions.contribution_bound[n];
      }
    }
    first = last;
  }
  return std::min(sum, std::min(1.0, std::sqrt(squares)) * d.mean_abs_loss_gap);
}

}  // namespace

std::vector<Index> descending_order(std::span<const double> values) {
  std::vector<Index> order(values.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](Index i) { return values[static_cast<std::size_t>(i)]; });
  return order;
}

void choose_sharp(Decomposition& d, const Directions& directions, const DecompositionOptions& options) {
  const PerDirection& per = d.directions;
  const auto asked = static_cast<std::size_t>(options.sharp);
  auto order = per.order_by_sigma_g;
  if (options.sharp_by == SharpBy::eigenvalue) std::iota(order.begin(), order.end(), Index{0});
  std::size_t count = std::min(asked, order.size());
  d.sharp_reached = directions.complete || asked <= order.size();
  if (options.sharp_by == SharpBy::share) {
    const double whole = std::pow(d.whole_determinants.sharpness, 2);
    double sum = 0;
    for (count = 0; count < order.size() && sum < options.sharp_share * whole; ++count)
      sum += std::pow(per.sigma_g[static_cast<std::size_t>(order[count])], 2);
    d.sharp_reached = directions.complete || sum >= options.sharp_share * whole;
  }
  order.resize(count);
  d.sharp_directions = std::move(order);
  d.sharp_certified = directions.complete || (options.sharp_by == SharpBy::eigenvalue &&
                                              static_cast<Index>(asked) <= directions.upper);
}

void sum_clusters(Decomposition& d, const Directions& directions) {
  d.clusters = cluster_sums(d.directions, directions);
  d.sharp_cuts_cluster = cuts_cluster(d, directions);
}

void bound_parts(Decomposition& d, const Directions& directions, std::span<const double> leak) {
  bound_directions(d, directions, leak);
  std::size_t first = 0;
  for (Index size : d.clusters.size) {
    const auto last = first + static_cast<std::size_t>(size);
    const double sine = space_angle(directions, first, last);
    d.clusters.angle_bound.push_back(sine);
    d.clusters.contribution_bound.push_back(size == 1 ? d.directions.contribution_bound[first]
                                                      : sine * d.mean_abs_loss_gap);
    first = last;
  }
  std::vector<bool> marked(directions.values.size(), true);
  // A complete basis carries the whole gap, whatever its vectors are.
  d.total_bound = directions.complete ? 0.0 : bound_of_sum(d, directions, marked);
  marked.assign(marked.size(), false);
  for (Index n : d.sharp_directions) marked[static_cast<std::size_t>(n)] = true;
  d.sharp_bound = bound_of_sum(d, directions, marked);
}

}  // namespace dualscape::duality
