#pragma once

#include <cstring>
#include <numeric>

#include "dualscape/nn/panel_kernels.hpp"

/// The kernels' text, compiled for several processors. It calls no function of a library that could be
/// inlined: the linker may keep one copy of such a function for the whole program, and must not find the copy
/// that was compiled for the newest processor.
namespace dualscape::nn {

/// A vector register. Of a loop over an array of numbers the compiler makes vectors too, but keeps the sums
/// in memory from one entry to the next.
template <class Real, std::size_t bytes>
struct Register {
  typedef Real type __attribute__((vector_size(bytes)));
  static constexpr Index length = bytes / sizeof(Real);
};

template <Index width, std::size_t most_bytes, class Real>
struct PanelLoops {
  /// The largest register of which the panel's width is a multiple.
  using R = Register<Real, std::gcd(most_bytes, static_cast<std::size_t>(width) * sizeof(Real))>;
  using V = typename R::type;
  using Entry = typename SparseRows<Real>::Entry;
  static constexpr Index registers = width / R::length;

  static const Entry* first(const SparseBatch<Real>& batch, Index i) {
    return batch.entries + batch.starts[batch.samples[i]];
  }
  static const Entry* end(const SparseBatch<Real>& batch, Index i) {
    return batch.entries + batch.starts[batch.samples[i] + 1];
  }
  /// Samples come in any order, so that no prefetcher knows the next one.
  static void expect(const SparseBatch<Real>& batch, Index i) {
    if (i == batch.count) return;
    const char* to = reinterpret_cast<const char*>(end(batch, i));
    for (const char* at = reinterpret_cast<const char*>(first(batch, i)); at < to; at += 64)
      __builtin_prefetch(at);
  }
  static void add(const Real* panel, const Entry& entry, V (&sum)[registers]) {
    const Real* weights = panel + entry.feature * width;
    for (Index k = 0; k < registers; ++k) {
      V w;
      std::memcpy(&w, weights + k * R::length, sizeof w);
      sum[k] += entry.value * w;
    }
  }

  /// Copies the first `count` numbers of a row of the panel's width, or to it. Registers that overlap are
  /// several times as fast as memcpy for a number it does not know beforehand.
  static void copy(const Real* from, Index count, Real* to) {
    if (count < R::length) {
      for (Index o = 0; o < count; ++o) to[o] = from[o];
      return;
    }
    for (Index o = 0; o < count; o += R::length) {
      const Index place = o + R::length <= count ? o : count - R::length;
      std::memcpy(to + place, from + place, sizeof(V));
    }
  }

  static void apply(const Real* panel, const SparseBatch<Real>& batch, const MatrixView<Real>& z) {
    Real row[width];
    for (Index i = 0; i < batch.count; ++i) {
      expect(batch, i + 1);
      // Two sums: a term need not wait for the one before it.
      V sum[registers] = {}, odd[registers] = {};
      const Entry* entries = first(batch, i);
      const Index count = end(batch, i) - entries;
      for (Index e = 0; e + 1 < count; e += 2) {
        add(panel, entries[e], sum);
        add(panel, entries[e + 1], odd);
      }
      if (count % 2 == 1) add(panel, entries[count - 1], sum);
      for (Index k = 0; k < registers; ++k) sum[k] += odd[k];
      std::memcpy(row, sum, sizeof row);
      copy(row, z.cols, z.data + i * z.stride);
    }
  }

  static void add_adjoint(const ConstMatrixView<Real>& d, const SparseBatch<Real>& batch, Real* panel) {
    Real row[width] = {};
    for (Index i = 0; i < batch.count; ++i) {
      expect(batch, i + 1);
      copy(d.data + i * d.stride, d.cols, row);
      V delta[registers];
      std::memcpy(delta, row, sizeof row);
      const Entry* to = end(batch, i);
      for (const Entry* entry = first(batch, i); entry < to; ++entry) {
        const Real value = entry->value;  // once: what is written below might be it, for all that is known
        Real* sums = panel + entry->feature * width;
        for (Index k = 0; k < registers; ++k) {
          V sum;
          std::memcpy(&sum, sums + k * R::length, sizeof sum);
          sum += value * delta[k];
          std::memcpy(sums + k * R::length, &sum, sizeof sum);
        }
      }
    }
  }
};

/// Calls call(PanelLoops()) of a panel's width.
template <std::size_t bytes, class Real, class Call>
void with_loops(Index width, const Call& call) {
  switch (width) {
    case 8:
      return call(PanelLoops<8, bytes, Real>());
    case 16:
      return call(PanelLoops<16, bytes, Real>());
    case 24:
      return call(PanelLoops<24, bytes, Real>());
    default:
      return call(PanelLoops<32, bytes, Real>());
  }
}

template <class Real, std::size_t bytes>
void PanelKernels<Real, bytes>::apply(Index width, const Real* panel, const SparseBatch<Real>& batch,
                                      const MatrixView<Real>& z) {
  with_loops<bytes, Real>(width, [&](auto loops) { loops.apply(panel, batch, z); });
}

template <class Real, std::size_t bytes>
void PanelKernels<Real, bytes>::add_adjoint(Index width, const ConstMatrixView<Real>& d,
                                            const SparseBatch<Real>& batch, Real* panel) {
  with_loops<bytes, Real>(width, [&](auto loops) { loops.add_adjoint(d, batch, panel); });
}

}  // namespace dualscape::nn
