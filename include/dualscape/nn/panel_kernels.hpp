#pragma once

#include <cstddef>

#include "dualscape/nn/sparse_input.hpp"

/// The products of one panel of a SparseLayer, for vector registers of a given size. Whatever that size is,
/// the terms of each number are added in the same order: results have the same bits.
namespace dualscape::nn {

/// Some of the samples of a SparseRows: the entries of the i-th are entries[starts[samples[i]]] to
/// entries[starts[samples[i] + 1]].
template <class Real>
struct SparseBatch {
  const typename SparseRows<Real>::Entry* entries;
  const std::size_t* starts;
  const Index* samples;
  Index count;
};

/// A panel holds `width` outputs' weights for each feature: 8, 16, 24 or 32. One that begins on a cache line
/// is read fastest.
template <class Real, std::size_t register_bytes>
struct PanelKernels {
  /// Row i of z becomes the panel's first z.cols outputs for sample i.
  static void apply(Index width, const Real* panel, const SparseBatch<Real>& batch,
                    const MatrixView<Real>& z);
  /// Adds the sum over i of d_i a_i^T to the panel.
  static void add_adjoint(Index width, const ConstMatrixView<Real>& d, const SparseBatch<Real>& batch,
                          Real* panel);
};

/// Common registers are those of every processor that the library is compiled for, wide ones those that only
/// some of them have. The sizes are the same in every file, whatever that one is compiled for.
#ifdef DUALSCAPE_AVX512_KERNELS
constexpr std::size_t common_register_bytes = 32;
constexpr std::size_t wide_register_bytes = 64;
/// Whether there are kernels of wide registers and this processor can run them.
inline bool has_wide_registers() {
  return __builtin_cpu_supports("avx512f");
}
#else
#if defined(__AVX512F__)
constexpr std::size_t common_register_bytes = 64;
#elif defined(__AVX__)
constexpr std::size_t common_register_bytes = 32;
#else
constexpr std::size_t common_register_bytes = 16;
#endif
constexpr std::size_t wide_register_bytes = common_register_bytes;
inline bool has_wide_registers() {
  return false;
}
#endif

// Each size is compiled in one file. Another one that sees the kernels' text, too, as files compiled together
// do, would else make a copy of its own, with narrow registers in place of wide ones, and the linker might
// take that.
extern template struct PanelKernels<double, common_register_bytes>;
extern template struct PanelKernels<float, common_register_bytes>;
#ifdef DUALSCAPE_AVX512_KERNELS
extern template struct PanelKernels<double, wide_register_bytes>;
extern template struct PanelKernels<float, wide_register_bytes>;
#endif

}  // namespace dualscape::nn
