#include "dualscape/nn/loss.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "dualscape/base/elementary.hpp"

namespace dualscape::nn {
namespace {

/// Numbers of a few samples side by side, class by class: loops over the samples vectorise, and each
/// sample's sums run over its classes in their order.
template <class Real>
class SideBySide {
 public:
  static constexpr Index most = 64;
  /// One number a sample.
  using Row = std::array<Real, most>;

  explicit SideBySide(Index classes) : rows_(static_cast<std::size_t>(classes)) {}

  std::size_t classes() const { return rows_.size(); }
  /// Samples in use, filled up with others to whole vectors.
  std::size_t width() const { return width_; }
  Row& of(std::size_t c) { return rows_[c]; }
  const Row& of(std::size_t c) const { return rows_[c]; }

  template <class From>
  void load(ConstMatrixView<From> f) {
    constexpr std::size_t vector = 8;
    width_ = (static_cast<std::size_t>(f.rows) + vector - 1) / vector * vector;
    for (std::size_t c = 0; c < classes(); ++c) {
      const From* from = f.data + c;
      for (Index i = 0; i < f.rows; ++i, from += f.stride)
        rows_[c][static_cast<std::size_t>(i)] = static_cast<Real>(*from);
    }
  }
  void store(MatrixView<Real> f) const {
    for (std::size_t c = 0; c < classes(); ++c) {
      Real* to = f.data + c;
      for (Index i = 0; i < f.rows; ++i, to += f.stride) *to = rows_[c][static_cast<std::size_t>(i)];
    }
  }

 private:
  std::vector<Row> rows_;
  std::size_t width_ = 0;
};

std::span<const int> part_of(std::span<const int> labels, Index first, Index count) {
  return labels.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

/// Calls visit(first, count) for samples a few at a time.
template <class Visit>
void for_few(Index samples, const Visit& visit) {
  constexpr Index most = SideBySide<double>::most;
  for (Index first = 0; first < samples; first += most) visit(first, std::min(most, samples - first));
}

/// The largest number of each sample. NaN where the first is NaN; another NaN is skipped here and comes back
/// through exp.
template <class Real>
typename SideBySide<Real>::Row largest(const SideBySide<Real>& f) {
  auto top = f.of(0);
  for (std::size_t c = 1; c < f.classes(); ++c)
    for (std::size_t i = 0; i < f.width(); ++i) top[i] = top[i] < f.of(c)[i] ? f.of(c)[i] : top[i];
  return top;
}

template <class Real>
void cross_entropies(ConstMatrixView<Real> logits, std::span<const int> labels, std::span<double> out) {
  SideBySide<double> f(logits.cols);
  for_few(logits.rows, [&](Index first, Index count) {
    f.load(logits.rows_from(first, count));
    // Around the largest logit: where that is the label's, log1p keeps losses far below the precision of f.
    const auto top = largest(f);
    SideBySide<double>::Row rest;
    rest.fill(-1);  // one of the largest is left out of the sum
    for (std::size_t c = 0; c < f.classes(); ++c)
      for (std::size_t i = 0; i < f.width(); ++i) rest[i] += f.of(c)[i] == top[i] ? 1.0 : 0.0;
    for (std::size_t c = 0; c < f.classes(); ++c)
      for (std::size_t i = 0; i < f.width(); ++i) {
        const double e = exp_nonpositive(f.of(c)[i] - top[i]);
        rest[i] += f.of(c)[i] == top[i] ? 0.0 : e;
      }
    for (std::size_t i = 0; i < f.width(); ++i) rest[i] = log1p_nonnegative(rest[i]);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const std::size_t at = static_cast<std::size_t>(first) + i;
      out[at] = top[i] - f.of(static_cast<std::size_t>(labels[at]))[i] + rest[i];
    }
  });
}

/// f becomes softmax(f).
template <class Real>
void softmax_in_place(SideBySide<Real>& f) {
  const auto top = largest(f);
  typename SideBySide<Real>::Row sum;
  sum.fill(0);
  for (std::size_t c = 0; c < f.classes(); ++c)
    for (std::size_t i = 0; i < f.width(); ++i) sum[i] += f.of(c)[i] = exp_nonpositive(f.of(c)[i] - top[i]);
  for (std::size_t c = 0; c < f.classes(); ++c)
    for (std::size_t i = 0; i < f.width(); ++i) f.of(c)[i] /= sum[i];
}

/// p becomes p - onehot, without cancellation: 1 - p_y is the sum of the others.
template <class Real>
void subtract_onehot(SideBySide<Real>& p, std::span<const int> labels) {
  // Labels as numbers of the same size as those they choose: the loop vectorises.
  typename SideBySide<Real>::Row label, others;
  label.fill(0);
  others.fill(0);
  std::ranges::transform(labels, label.begin(), [](int y) { return static_cast<Real>(y); });
  for (std::size_t c = 0; c < p.classes(); ++c)
    for (std::size_t i = 0; i < p.width(); ++i)
      others[i] += label[i] == static_cast<Real>(c) ? Real(0) : p.of(c)[i];
  for (std::size_t i = 0; i < labels.size(); ++i) p.of(static_cast<std::size_t>(labels[i]))[i] = -others[i];
}

/// errors = p - onehot.
template <class Real>
void onehot_errors(std::type_identity_t<ConstMatrixView<Real>> p, std::span<const int> labels,
                   MatrixView<Real> errors) {
  SideBySide<Real> few(p.cols);
  for_few(p.rows, [&](Index first, Index count) {
    few.load(p.rows_from(first, count));
    subtract_onehot(few, part_of(labels, first, count));
    few.store(errors.rows_from(first, count));
  });
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

/// u = S v of softmax-mse: (2/C) [s s + diag(g) - g p^T - p g^T] v with g = s error, error = p - onehot. That
/// is asked for only where the part is full.
template <class Real>
void softmax_mse_product(LossCurvature part, std::span<const Real> p, std::span<const Real> error,
                         std::span<const Real> v, std::span<Real> u, std::span<Real> scratch) {
  const std::size_t n = p.size();
  const Real factor = Real(2) / static_cast<Real>(n);
  const auto sv = scratch.first(n);
  const auto g = scratch.subspan(n, n);
  const auto original = scratch.subspan(2 * n, n);
  std::ranges::copy(v, original.begin());
  softmax_jacobian<Real>(p, v, sv);
  if (part == LossCurvature::full) softmax_jacobian<Real>(p, error, g);
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

/// The mean of each sample's squared errors.
template <class Real>
void mean_squares(std::type_identity_t<ConstMatrixView<Real>> errors, std::span<double> out) {
  for (Index i = 0; i < errors.rows; ++i) {
    double sum = 0;
    for (const double e : errors.row(i)) sum += e * e;
    out[static_cast<std::size_t>(i)] = sum / static_cast<double>(errors.cols);
  }
}

template <class Real>
void mse_losses(ConstMatrixView<Real> logits, std::span<const int> labels, std::span<double> out) {
  Matrix<double> errors(logits.rows, logits.cols);
  for (Index i = 0; i < logits.rows; ++i) {
    std::ranges::copy(logits.row(i), errors.row(i).begin());
    errors(i, labels[static_cast<std::size_t>(i)]) -= 1;
  }
  mean_squares<double>(errors.view(), out);
}

template <class Real>
void softmax_mse_losses(ConstMatrixView<Real> logits, std::span<const int> labels, std::span<double> out) {
  Matrix<Real> errors(logits.rows, logits.cols);
  softmax<Real>(logits, errors.view());
  onehot_errors<Real>(errors.view(), labels, errors.view());
  mean_squares<Real>(errors.view(), out);
}

}  // namespace

template <class Real>
void sample_losses(Loss loss, std::type_identity_t<ConstMatrixView<Real>> logits, std::span<const int> labels,
                   std::span<double> out) {
  switch (loss) {
    case Loss::cross_entropy:
      return cross_entropies<Real>(logits, labels, out);
    case Loss::mse:
      return mse_losses<Real>(logits, labels, out);
    case Loss::softmax_mse:
      return softmax_mse_losses<Real>(logits, labels, out);
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
  SideBySide<Real> few(logits.cols);
  for_few(logits.rows, [&](Index first, Index count) {
    few.load(logits.rows_from(first, count));
    softmax_in_place(few);
    few.store(p.rows_from(first, count));
  });
}

template <class Real>
void loss_gradient(Loss loss, std::type_identity_t<ConstMatrixView<Real>> logits, std::span<const int> labels,
                   MatrixView<Real> gradient) {
  const Real factor = Real(2) / static_cast<Real>(logits.cols);
  if (loss == Loss::mse) {
    for (Index i = 0; i < logits.rows; ++i)
      for (Index c = 0; c < logits.cols; ++c)
        gradient(i, c) =
            factor * (logits(i, c) - (c == labels[static_cast<std::size_t>(i)] ? Real(1) : Real(0)));
    return;
  }
  const bool squared = loss == Loss::softmax_mse;
  SideBySide<Real> few(logits.cols);
  Matrix<Real> p(squared ? SideBySide<Real>::most : 0, logits.cols);
  for_few(logits.rows, [&](Index first, Index count) {
    const auto g = gradient.rows_from(first, count);
    few.load(logits.rows_from(first, count));
    softmax_in_place(few);
    if (squared) few.store(p.top(count));
    subtract_onehot(few, part_of(labels, first, count));
    few.store(g);
    for (Index i = 0; squared && i < count; ++i) {
      softmax_jacobian<Real>(p.row(i), g.row(i), g.row(i));
      for (Real& x : g.row(i)) x *= factor;
    }
  });
}

template <class Real>
void loss_curvature_product(Loss loss, LossCurvature part, std::type_identity_t<ConstMatrixView<Real>> p,
                            std::span<const int> labels, std::type_identity_t<ConstMatrixView<Real>> v,
                            MatrixView<Real> u) {
  const Index classes = p.cols;
  const auto width = static_cast<std::size_t>(classes);
  const Real factor = Real(2) / static_cast<Real>(classes);
  std::vector<Real> scratch(3 * width);
  const bool with_errors = loss == Loss::softmax_mse && part == LossCurvature::full;
  Matrix<Real> errors(with_errors ? v.rows : 0, classes);
  if (with_errors) onehot_errors<Real>(p.rows_from(0, v.rows), labels, errors.view());
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
          softmax_mse_product<Real>(part, p.row(i), with_errors ? errors.row(i) : std::span<Real>(), from, to,
                                    scratch);
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
