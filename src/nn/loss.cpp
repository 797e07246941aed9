#include "dualscape/nn/loss.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace dualscape::nn {
namespace {

template <class Real>
double cross_entropy(std::span<const Real> f, int label) {
  const auto y = static_cast<std::size_t>(label);
  const std::size_t top = static_cast<std::size_t>(std::ranges::max_element(f) - f.begin());
  // Around the largest logit: where that is the label's, log1p keeps losses far below the precision of f.
  double rest = 0;
  for (std::size_t c = 0; c < f.size(); ++c)
    if (c != top) rest += std::exp(static_cast<double>(f[c]) - static_cast<double>(f[top]));
  return static_cast<double>(f[top]) - static_cast<double>(f[y]) + std::log1p(rest);
}

template <class Real>
void softmax_row(std::span<const Real> f, std::span<Real> p) {
  const Real top = *std::ranges::max_element(f);
  Real sum = 0;
  for (std::size_t c = 0; c < f.size(); ++c) sum += p[c] = std::exp(f[c] - top);
  for (Real& x : p) x /= sum;
}

/// p - onehot without cancellation: 1 - p_y is the sum of the others.
template <class Real>
void subtract_onehot(std::span<Real> p, int label) {
  const auto y = static_cast<std::size_t>(label);
  Real others = 0;
  for (std::size_t c = 0; c < p.size(); ++c)
    if (c != y) others += p[c];
  p[y] = -others;
}

/// u = s v with s = diag(p) - p p^T. Since s 1 = 0, the entry of v at the largest p is subtracted from all
/// first: where p is nearly one-hot, p (v - p.v) would cancel.
template <class Real>
void softmax_jacobian(std::span<const Real> p, std::span<const Real> v, std::span<Real> u) {
  const auto top = static_cast<std::size_t>(std::ranges::max_element(p) - p.begin());
  const Real shift = v[top];
  Real mean = 0;
  for (std::size_t c = 0; c < p.size(); ++c) mean += p[c] * (v[c] - shift);
  for (std::size_t c = 0; c < p.size(); ++c) u[c] = p[c] * ((v[c] - shift) - mean);
}

/// u = S v of softmax-mse: (2/C) [s s + diag(g) - g p^T - p g^T] v with g = s (p - onehot).
template <class Real>
void softmax_mse_product(LossCurvature part, std::span<const Real> p, int label, std::span<const Real> v,
                         std::span<Real> u, std::span<Real> scratch) {
  const std::size_t n = p.size();
  const Real factor = Real(2) / static_cast<Real>(n);
  const auto sv = scratch.first(n);
  const auto g = scratch.subspan(n, n);
  const auto original = scratch.subspan(2 * n, n);
  std::ranges::copy(v, original.begin());
  softmax_jacobian<Real>(p, v, sv);
  if (part == LossCurvature::full) {
    std::ranges::copy(p, g.begin());
    subtract_onehot<Real>(g, label);
    softmax_jacobian<Real>(p, g, g);
  }
  softmax_jacobian<Real>(p, sv, u);
  if (part == LossCurvature::full) {
    // Since g and p g^T + g p^T act on v through differences only up to sums of g, which are zero: shift v as
    // above.
    const auto top = static_cast<std::size_t>(std::ranges::max_element(p) - p.begin());
    const Real shift = original[top];
    Real pv = 0;
    Real gv = 0;
    for (std::size_t c = 0; c < n; ++c) {
      pv += p[c] * (original[c] - shift);
      gv += g[c] * (original[c] - shift);
    }
    for (std::size_t c = 0; c < n; ++c) u[c] += g[c] * ((original[c] - shift) - pv) - p[c] * gv;
  }
  for (Real& x : u) x *= factor;
}

}  // namespace

template <class Real>
void sample_losses(Loss loss, std::type_identity_t<ConstMatrixView<Real>> logits, std::span<const int> labels,
                   std::span<double> out) {
  const auto squared = [&](std::span<const Real> f, int label) {
    double sum = 0;
    for (std::size_t c = 0; c < f.size(); ++c) {
      const double e = static_cast<double>(f[c]) - (c == static_cast<std::size_t>(label) ? 1.0 : 0.0);
      sum += e * e;
    }
    return sum / static_cast<double>(f.size());
  };
  std::vector<Real> p(static_cast<std::size_t>(logits.cols));
  for (Index i = 0; i < logits.rows; ++i) {
    const auto at = static_cast<std::size_t>(i);
    switch (loss) {
      case Loss::cross_entropy:
        out[at] = cross_entropy<Real>(logits.row(i), labels[at]);
        break;
      case Loss::mse:
        out[at] = squared(logits.row(i), labels[at]);
        break;
      case Loss::softmax_mse: {
        softmax_row<Real>(logits.row(i), p);
        subtract_onehot<Real>(p, labels[at]);
        double sum = 0;
        for (Real e : p) sum += static_cast<double>(e) * static_cast<double>(e);
        out[at] = sum / static_cast<double>(p.size());
        break;
      }
    }
  }
}

template <class Real>
void predictions(ConstMatrixView<Real> logits, std::span<int> out) {
  for (Index i = 0; i < logits.rows; ++i) {
    const auto f = logits.row(i);
    out[static_cast<std::size_t>(i)] = static_cast<int>(std::ranges::max_element(f) - f.begin());
  }
}

template <class Real>
void softmax(std::type_identity_t<ConstMatrixView<Real>> logits, MatrixView<Real> p) {
  for (Index i = 0; i < logits.rows; ++i) softmax_row<Real>(logits.row(i), p.row(i));
}

template <class Real>
void loss_gradient(Loss loss, std::type_identity_t<ConstMatrixView<Real>> logits, std::span<const int> labels,
                   MatrixView<Real> gradient) {
  const Real factor = Real(2) / static_cast<Real>(logits.cols);
  std::vector<Real> p(static_cast<std::size_t>(logits.cols));
  for (Index i = 0; i < logits.rows; ++i) {
    const int label = labels[static_cast<std::size_t>(i)];
    const auto f = logits.row(i);
    const auto g = gradient.row(i);
    switch (loss) {
      case Loss::cross_entropy:
        softmax_row<Real>(f, g);
        subtract_onehot<Real>(g, label);
        break;
      case Loss::mse:
        for (std::size_t c = 0; c < f.size(); ++c)
          g[c] = factor * (f[c] - (c == static_cast<std::size_t>(label) ? Real(1) : Real(0)));
        break;
      case Loss::softmax_mse:
        softmax_row<Real>(f, p);
        std::ranges::copy(p, g.begin());
        subtract_onehot<Real>(g, label);
        softmax_jacobian<Real>(p, g, g);
        for (Real& x : g) x *= factor;
        break;
    }
  }
}

template <class Real>
void loss_curvature_product(Loss loss, LossCurvature part, std::type_identity_t<ConstMatrixView<Real>> p,
                            std::span<const int> labels, std::type_identity_t<ConstMatrixView<Real>> v,
                            MatrixView<Real> u) {
  const Index classes = p.cols;
  const auto width = static_cast<std::size_t>(classes);
  const Real factor = Real(2) / static_cast<Real>(classes);
  std::vector<Real> scratch(3 * width);
  for (Index i = 0; i < v.rows; ++i)
    for (Index first = 0; first < v.cols; first += classes) {
      const auto from = v.row(i).subspan(static_cast<std::size_t>(first), width);
      const auto to = u.row(i).subspan(static_cast<std::size_t>(first), width);
      switch (loss) {
        case Loss::cross_entropy:
          softmax_jacobian<Real>(p.row(i), from, to);
          break;
        case Loss::mse:
          std::ranges::transform(from, to.begin(), [factor](Real x) { return factor * x; });
          break;
        case Loss::softmax_mse:
          softmax_mse_product<Real>(part, p.row(i), labels[static_cast<std::size_t>(i)], from, to, scratch);
          break;
      }
    }
}

#define DUALSCAPE_INSTANTIATE(Real)                                                                        \
  template void sample_losses<Real>(Loss, ConstMatrixView<Real>, std::span<const int>, std::span<double>); \
  template void predictions<Real>(ConstMatrixView<Real>, std::span<int>);                                  \
  template void softmax<Real>(ConstMatrixView<Real>, MatrixView<Real>);                                    \
  template void loss_gradient<Real>(Loss, ConstMatrixView<Real>, std::span<const int>, MatrixView<Real>);  \
  template void loss_curvature_product<Real>(Loss, LossCurvature, ConstMatrixView<Real>,                   \
                                             std::span<const int>, ConstMatrixView<Real>, MatrixView<Real>);
DUALSCAPE_INSTANTIATE(double)
DUALSCAPE_INSTANTIATE(float)
#undef DUALSCAPE_INSTANTIATE

}  // namespace dualscape::nn
