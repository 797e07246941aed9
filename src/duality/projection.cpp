#include "projection.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "dualscape/base/blas.hpp"

namespace dualscape::duality {
namespace {

/// Directions projected on at once: large enough for a GEMM, small enough that K x block stays small beside
/// the pairs.
constexpr Index block_size = 64;

/// Position of the moments of direction j in a vector of sums.
struct Slots {
  Index block;
  std::size_t at(Index which, Index j) const { return static_cast<std::size_t>(which * block + j); }
};

class BlockOfDirections {
 public:
  BlockOfDirections(const Comm& comm, const nn::Layer& layer, const Duals& duals,
                    const Directions& directions)
      : comm_(comm),
        layer_(layer),
        duals_(duals),
        directions_(directions),
        whole_(block_size, directions.partition.size()),
        weights_(block_size * layer.out, layer.in),
        projections_(duals.count(), block_size) {}

  /// w_kn of this rank's pairs for directions [first, first + count).
  ConstMatrixView<double> project(Index first, Index count) {
    gather_all(comm_, directions_.partition, directions_.vectors.rows_from(first, count), whole_.top(count));
    for (Index j = 0; j < count; ++j)
      std::copy_n(whole_.row(j).begin() + directions_.weight_offset, layer_.weight_size,
                  weights_.row(j * layer_.out).data());
    return projections_.view().cols_from(0, count);
  }

  /// Fills w_kn for the pairs [first, first + count).
  void fill(Index first, Index count, Index block) {
    project_tile(duals_, first, weights_.top(block * layer_.out),
                 projections_.view().rows_from(first, count).cols_from(0, block));
  }

 private:
  const Comm& comm_;
  const nn::Layer& layer_;
  const Duals& duals_;
  const Directions& directions_;
  Matrix<double> whole_;
  Matrix<double> weights_;
  Matrix<double> projections_;
};

/// Factor from w_kn to g_kn: Dl_k / |DW_k|^2; zero without a dual.
double secant(const Duals& duals, Index k) {
  const auto at = static_cast<std::size_t>(k);
  return duals.state[at] == DualState::kept ? duals.loss_gap[at] / (duals.norm[at] * duals.norm[at]) : 0.0;
}

void append(std::vector<double>& to, std::span<const double> sums, const Slots& slots, Index which,
            Index count, double weight) {
  for (Index j = 0; j < count; ++j) to.push_back(weight * sums[slots.at(which, j)]);
}

}  // namespace

void project_tile(const Duals& duals, Index first, ConstMatrixView<double> weights,
                  MatrixView<double> projections) {
  // w_kj = r_k^T V_j a_k / |a_k|^2
  const Index count = projections.rows, out = duals.response.cols();
  Matrix<double> images(count, weights.rows);
  gemm<double>(Op::none, Op::transpose, 1.0, duals.activity.view().rows_from(first, count), weights, 0.0,
               images.view());
  for (Index i = 0; i < count; ++i) {
    const auto r = duals.response.row(first + i);
    const double inverse = duals.inverse[static_cast<std::size_t>(first + i)];
    for (Index j = 0; j < projections.cols; ++j)
      projections(i, j) =
          inverse * std::inner_product(r.begin(), r.end(), images.row(i).data() + j * out, 0.0);
  }
}

void spread_tile(const Duals& duals, Index first, ConstMatrixView<double> coefficients,
                 MatrixView<double> weights) {
  const Index count = coefficients.rows, out = duals.response.cols();
  Matrix<double> scaled(count, weights.rows);
  for (Index i = 0; i < count; ++i) {
    const auto r = duals.response.row(first + i);
    const double inverse = duals.inverse[static_cast<std::size_t>(first + i)];
    for (Index j = 0; j < coefficients.cols; ++j)
      std::ranges::transform(r, scaled.row(i).data() + j * out,
                             [c = inverse * coefficients(i, j)](double x) { return c * x; });
  }
  gemm<double>(Op::transpose, Op::none, 1.0, scaled.view(), duals.activity.view().rows_from(first, count),
               0.0, weights);
}

std::vector<double> captured_by(const Comm& comm, const nn::Layer& layer, const Duals& duals,
                                const Directions& directions, std::span<const Index> chosen) {
  Matrix<double> vectors(std::ssize(chosen), directions.vectors.cols);
  for (Index j = 0; j < vectors.rows(); ++j)
    std::ranges::copy(directions.vectors.row(chosen[static_cast<std::size_t>(j)]), vectors.row(j).begin());
  Directions subset = directions;
  subset.vectors = vectors.view();
  BlockOfDirections block(comm, layer, duals, subset);
  std::vector<double> captured(duals.state.size());
  for (Index begin = 0; begin < vectors.rows(); begin += block_size) {
    const Index count = std::min(block_size, vectors.rows() - begin);
    const auto w = block.project(begin, count);
    LaneSum nothing(comm, duals.lanes, 1, 1);
    add_over_pairs(comm, duals, nothing, [&](Index first, Index n, MatrixView<double>) {
      block.fill(first, n, count);
      for (Index k = first; k < first + n; ++k) {
        const auto at = static_cast<std::size_t>(k);
        if (duals.state[at] != DualState::kept) continue;
        for (double x : w.row(k)) captured[at] += x * x / (duals.norm[at] * duals.norm[at]);
      }
    });
    double status = 0;
    nothing.all_reduce({&status, 1, 1});
  }
  return captured;
}

Projected project(const Comm& comm, const nn::Layer& layer, const Duals& duals, const Directions& directions,
                  Index pairs) {
  Projected result;
  result.captured.resize(static_cast<std::size_t>(duals.count()));
  result.curved.resize(static_cast<std::size_t>(duals.count()));
  const double weight = pairs > 0 ? 1.0 / static_cast<double>(pairs) : 0.0;
  BlockOfDirections block(comm, layer, duals, directions);
  PerDirection& per = result.directions;

  for (Index begin = 0; begin < std::ssize(directions.values); begin += block_size) {
    const Index count = std::min(block_size, std::ssize(directions.values) - begin);
    const auto w = block.project(begin, count);
    const Slots slots{count};
    // Two passes: deviations from a mean known beforehand do not cancel.
    const auto means =
        sum_over_pairs(comm, duals, 2 * count, [&](Index first, Index n, std::span<double> sums) {
          block.fill(first, n, count);
          for (Index k = first; k < first + n; ++k) {
            const double factor = secant(duals, k);
            for (Index j = 0; j < count; ++j) {
              sums[slots.at(0, j)] += w(k, j);
              sums[slots.at(1, j)] += factor * w(k, j);
            }
          }
        });
    const auto moments =
        sum_over_pairs(comm, duals, 4 * count, [&](Index first, Index n, std::span<double> sums) {
          for (Index k = first; k < first + n; ++k) {
            const auto at = static_cast<std::size_t>(k);
            if (duals.state[at] == DualState::dropped) continue;
            const double factor = secant(duals, k);
            const double norm_squared = duals.norm[at] * duals.norm[at];
            for (Index j = 0; j < count; ++j) {
              const double dw = w(k, j) - weight * means[slots.at(0, j)];
              const double dg = factor * w(k, j) - weight * means[slots.at(1, j)];
              const double square = w(k, j) * w(k, j);
              sums[slots.at(0, j)] += dw * dw;
              sums[slots.at(1, j)] += dg * dg;
              sums[slots.at(2, j)] += dw * dg;
              sums[slots.at(3, j)] += factor * square;
              if (norm_squared > 0) result.captured[at] += square / norm_squared;
              result.curved[at] += directions.values[static_cast<std::size_t>(begin + j)] * square;
            }
          }
        });
    append(per.mean_w, means, slots, 0, count, weight);
    append(per.mean_g, means, slots, 1, count, weight);
    append(per.sigma_w, moments, slots, 0, count, weight);
    append(per.sigma_g, moments, slots, 1, count, weight);
    append(result.covariance, moments, slots, 2, count, weight);
    append(per.contribution, moments, slots, 3, count, weight);
  }
  for (double& x : per.sigma_w) x = std::sqrt(x);
  for (double& x : per.sigma_g) x = std::sqrt(x);
  return result;
}

}  // namespace dualscape::duality
