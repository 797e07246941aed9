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

/// What every processor that the code is compiled for can do.
#if defined(__AVX512F__)
constexpr std::size_t common_register_bytes = 64;
#elif defined(__AVX__)
constexpr std::size_t common_register_bytes = 32;
#else
constexpr std::size_t common_register_bytes = 16;
#endif

#ifdef DUALSCAPE_AVX512_KERNELS
constexpr std::size_t wide_register_bytes = 64;
/// Whether this processor can run the kernels of wide registers, too.
inline bool has_wide_registers() {
  return __builtin_cpu_supports("avx512f");
}
#else
constexpr std::size_t wide_register_bytes = common_register_bytes;
inline bool has_wide_registers() {
  return true;
}
#endif

}  // namespace dualscape::nn
