#include "dualscape/nn/sparse_input.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <type_traits>

#include "dualscape/base/cache_lines.hpp"

namespace dualscape::nn {
namespace {

constexpr Index widest = 32;
/// Panels are of whole vectors, of 8 floats or twice 4 doubles.
constexpr Index unit = 8;

#ifdef __AVX__
constexpr std::size_t register_bytes = 32;
#else
constexpr std::size_t register_bytes = 16;
#endif

/// A vector register. Of a loop over an array of numbers the compiler makes vectors too, but keeps the sums
/// in memory from one entry to the next.
template <class Real>
struct Register {
  typedef Real type __attribute__((vector_size(register_bytes)));
  static constexpr Index length = register_bytes / sizeof(Real);

  static type load(const Real* from) {
    type value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  static void store(type value, Real* to) { std::memcpy(to, &value, sizeof value); }
};

template <Index width, class Real>
void apply_panel(const Real* panel, const SparseRows<Real>& rows, std::span<const Index> samples,
                 MatrixView<Real> z) {
  using R = Register<Real>;
  constexpr Index registers = width / R::length;
  Real row[width];
  for (Index i = 0; i < z.rows; ++i) {
    if (i + 1 < z.rows) prefetch(std::as_bytes(rows.row(samples[static_cast<std::size_t>(i + 1)])));
    typename R::type sum[registers] = {};
    for (const auto& entry : rows.row(samples[static_cast<std::size_t>(i)])) {
      const Real* weights = panel + entry.feature * width;
      for (Index k = 0; k < registers; ++k) sum[k] += entry.value * R::load(weights + k * R::length);
    }
    for (Index k = 0; k < registers; ++k) R::store(sum[k], row + k * R::length);
    std::copy_n(row, z.cols, z.row(i).begin());
  }
}

template <Index width, class Real>
void add_adjoint_panel(ConstMatrixView<Real> d, const SparseRows<Real>& rows, std::span<const Index> samples,
                       Real* panel) {
  using R = Register<Real>;
  constexpr Index registers = width / R::length;
  Real row[width] = {};
  for (Index i = 0; i < d.rows; ++i) {
    std::ranges::copy(d.row(i), row);
    typename R::type delta[registers];
    for (Index k = 0; k < registers; ++k) delta[k] = R::load(row + k * R::length);
    for (const auto& entry : rows.row(samples[static_cast<std::size_t>(i)])) {
      Real* sums = panel + entry.feature * width;
      for (Index k = 0; k < registers; ++k) {
        Real* place = sums + k * R::length;
        R::store(R::load(place) + entry.value * delta[k], place);
      }
    }
  }
}

}  // namespace

template <class Real>
void SparseRows<Real>::append(ConstMatrixView<Real> rows) {
  for (Index i = 0; i < rows.rows; ++i) {
    for (Index j = 0; j < rows.cols; ++j)
      if (rows(i, j) != 0) entries_.push_back({static_cast<std::uint32_t>(j), rows(i, j)});
    starts_.push_back(entries_.size());
  }
}

template <class Real>
SparseLayer<Real>::SparseLayer(Index in, Index out)
    : in_(in), out_(out), padded_((out + unit - 1) / unit * unit) {}

template <class Real>
template <class Visit>
void SparseLayer<Real>::for_each_panel(const Visit& visit) const {
  for (Index first = 0; first < padded_; first += widest) {
    const Index outputs = std::min(widest, out_ - first);
    const Index place = first * in_;
    switch (std::min(widest, padded_ - first)) {
      case 8:
        visit(first, outputs, place, std::integral_constant<Index, 8>());
        break;
      case 16:
        visit(first, outputs, place, std::integral_constant<Index, 16>());
        break;
      case 24:
        visit(first, outputs, place, std::integral_constant<Index, 24>());
        break;
      default:
        visit(first, outputs, place, std::integral_constant<Index, widest>());
    }
  }
}

template <class Real>
template <class T>
void SparseLayer<Real>::to_panels(std::span<const T> weight, std::span<T> panels) const {
  std::ranges::fill(panels, T(0));
  for_each_panel([&](Index first, Index outputs, Index place, auto width) {
    for (Index o = 0; o < outputs; ++o)
      for (Index j = 0; j < in_; ++j)
        panels[static_cast<std::size_t>(place + j * width + o)] =
            weight[static_cast<std::size_t>((first + o) * in_ + j)];
  });
  std::copy(weight.begin() + in_ * out_, weight.end(), panels.begin() + size());
}

template <class Real>
template <class T>
void SparseLayer<Real>::from_panels(std::span<const T> panels, std::span<T> weight) const {
  for_each_panel([&](Index first, Index outputs, Index place, auto width) {
    for (Index o = 0; o < outputs; ++o)
      for (Index j = 0; j < in_; ++j)
        weight[static_cast<std::size_t>((first + o) * in_ + j)] =
            panels[static_cast<std::size_t>(place + j * width + o)];
  });
  std::copy(panels.begin() + size(), panels.end(), weight.begin() + in_ * out_);
}

template <class Real>
void SparseLayer<Real>::apply(std::span<const Real> panels, const SparseRows<Real>& rows,
                              std::span<const Index> samples, MatrixView<Real> z) const {
  assert(std::ssize(panels) == size() && z.cols == out_ && z.rows == std::ssize(samples));
  for_each_panel([&](Index first, Index outputs, Index place, auto width) {
    apply_panel<width>(panels.data() + place, rows, samples, z.cols_from(first, outputs));
  });
}

template <class Real>
void SparseLayer<Real>::adjoint_weight(ConstMatrixView<Real> d, const SparseRows<Real>& rows,
                                       std::span<const Index> samples, Write write,
                                       std::span<Real> panels) const {
  assert(std::ssize(panels) == size() && d.cols == out_ && d.rows == std::ssize(samples));
  if (write == Write::replace) std::ranges::fill(panels, Real(0));
  for_each_panel([&](Index first, Index outputs, Index place, auto width) {
    add_adjoint_panel<width>(d.cols_from(first, outputs), rows, samples, panels.data() + place);
  });
}

#define DUALSCAPE_INSTANTIATE_ORDER(Real, T)                                          \
  template void SparseLayer<Real>::to_panels(std::span<const T>, std::span<T>) const; \
  template void SparseLayer<Real>::from_panels(std::span<const T>, std::span<T>) const;
template class SparseRows<double>;
template class SparseRows<float>;
template class SparseLayer<double>;
template class SparseLayer<float>;
DUALSCAPE_INSTANTIATE_ORDER(double, double)
DUALSCAPE_INSTANTIATE_ORDER(float, float)
DUALSCAPE_INSTANTIATE_ORDER(float, double)
#undef DUALSCAPE_INSTANTIATE_ORDER

}  // namespace dualscape::nn
