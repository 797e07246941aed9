#include "pair_means.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "dualscape/base/blas.hpp"
#include "projection.hpp"

namespace dualscape::duality {
namespace {

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

}  // namespace

PairMeans pair_means(const Comm& comm, const Duals& duals) {
  enum {
    kept,
    zero,
    dropped,
    gap,
    abs_gap,
    partner,
    unresolved,
    gradient,
    curvature,
    norm_squared,
    secant_squared,
    size
  };
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
      s[gradient] += duals.gradient_term[k];
      s[curvature] += duals.curvature_term[k];
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
  if (means.pairs() == 0) return means;
  const double weight = 1.0 / static_cast<double>(means.pairs());
  means.gap = weight * sums[gap];
  means.abs_gap = weight * sums[abs_gap];
  means.partner_loss = weight * sums[partner];
  means.unresolved = weight * sums[unresolved];
  means.gradient_term = weight * sums[gradient];
  means.curvature_term = weight * sums[curvature];
  means.norm_squared = weight * sums[norm_squared];
  means.secant_squared = weight * sums[secant_squared];
  return means;
}

double weighted_norm_squared(const Comm& comm, const nn::Model<double>& model, Index layer,
                             const Duals& duals, Index pairs) {
  const nn::Layer& at = model.network().layer(layer);
  const auto d = mean_outer(comm, duals, duals.difference, duals.difference, pairs, [&](std::size_t k) {
    const auto b = duals.covector.row(static_cast<Index>(k));
    return dot(b, b) * duals.inverse[k] * duals.inverse[k];
  });
  Matrix<double> product(at.out, at.in);
  const ConstMatrixView<double> weight(model.weight(layer).data(), at.out, at.in);
  gemm<double>(Op::none, Op::none, 1.0, weight, {d.data(), at.in, at.in}, 0.0, product.view());
  return dot(model.weight(layer), product.entries());
}

MeanDuals mean_duals(const Comm& comm, const Duals& duals, Index pairs) {
  return {.dual = mean_outer(comm, duals, duals.response, duals.covector, pairs,
                             [&](std::size_t k) { return duals.inverse[k]; }),
          .secant = mean_outer(comm, duals, duals.response, duals.covector, pairs, [&](std::size_t k) {
            return duals.norm[k] > 0 ? duals.inverse[k] * duals.loss_gap[k] / (duals.norm[k] * duals.norm[k])
                                     : 0.0;
          })};
}

}  // namespace dualscape::duality
