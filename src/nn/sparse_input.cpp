#include "dualscape/nn/sparse_input.hpp"

#include <algorithm>
#include <cassert>

#include "dualscape/nn/panel_kernels.hpp"

namespace dualscape::nn {
namespace {

constexpr Index widest = 32;
/// Panels are of whole vectors: of 8 floats, of twice 4 doubles.
constexpr Index unit = 8;

/// Calls a kernel with the largest registers there are.
template <class Real>
void with_kernels(const auto& call) {
  if (has_wide_registers())
    call(PanelKernels<Real, wide_register_bytes>());
  else
    call(PanelKernels<Real, common_register_bytes>());
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
SparseBatch<Real> SparseRows<Real>::batch(std::span<const Index> samples) const {
  return {entries_.data(), starts_.data(), samples.data(), std::ssize(samples)};
}

template <class Real>
SparseLayer<Real>::SparseLayer(Index in, Index out)
    : in_(in), out_(out), padded_((out + unit - 1) / unit * unit) {}

template <class Real>
template <class Visit>
void SparseLayer<Real>::for_each_panel(const Visit& visit) const {
  for (Index first = 0; first < padded_; first += widest)
    visit({.first = first,
           .outputs = std::min(widest, out_ - first),
           .width = std::min(widest, padded_ - first),
           .place = first * in_});
}

template <class Real>
template <class T>
void SparseLayer<Real>::to_panels(std::span<const T> weight, std::span<T> panels) const {
  std::ranges::fill(panels, T(0));
  for_each_panel([&](const Panel& panel) {
    for (Index o = 0; o < panel.outputs; ++o)
      for (Index j = 0; j < in_; ++j)
        panels[static_cast<std::size_t>(panel.place + j * panel.width + o)] =
            weight[static_cast<std::size_t>((panel.first + o) * in_ + j)];
  });
  std::copy(weight.begin() + in_ * out_, weight.end(), panels.begin() + size());
}

template <class Real>
template <class T>
void SparseLayer<Real>::from_panels(std::span<const T> panels, std::span<T> weight) const {
  for_each_panel([&](const Panel& panel) {
    for (Index o = 0; o < panel.outputs; ++o)
      for (Index j = 0; j < in_; ++j)
        weight[static_cast<std::size_t>((panel.first + o) * in_ + j)] =
            panels[static_cast<std::size_t>(panel.place + j * panel.width + o)];
  });
  std::copy(panels.begin() + size(), panels.end(), weight.begin() + in_ * out_);
}

template <class Real>
void SparseLayer<Real>::apply(std::span<const Real> panels, const SparseRows<Real>& rows,
                              std::span<const Index> samples, MatrixView<Real> z) const {
  assert(std::ssize(panels) == size() && z.cols == out_ && z.rows == std::ssize(samples));
  const SparseBatch<Real> batch = rows.batch(samples);
  with_kernels<Real>([&](auto kernels) {
    for_each_panel([&](const Panel& panel) {
      kernels.apply(panel.width, panels.data() + panel.place, batch, z.cols_from(panel.first, panel.outputs));
    });
  });
}

template <class Real>
void SparseLayer<Real>::adjoint_weight(ConstMatrixView<Real> d, const SparseRows<Real>& rows,
                                       std::span<const Index> samples, Write write,
                                       std::span<Real> panels) const {
  assert(std::ssize(panels) == size() && d.cols == out_ && d.rows == std::ssize(samples));
  if (write == Write::replace) std::ranges::fill(panels, Real(0));
  const SparseBatch<Real> batch = rows.batch(samples);
  with_kernels<Real>([&](auto kernels) {
    for_each_panel([&](const Panel& panel) {
      kernels.add_adjoint(panel.width, d.cols_from(panel.first, panel.outputs), batch,
                          panels.data() + panel.place);
    });
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
