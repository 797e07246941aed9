#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dualscape/base/matrix.hpp"
#include "dualscape/nn/bilinear.hpp"

/// A dense first layer on inputs most of which are zero, as the pixels of handwritten digits are: its
/// products with the others alone. The terms left out are exact zeros; only the order of the sums differs
/// from a GEMM's.
namespace dualscape::nn {

template <class Real>
struct SparseBatch;

/// Samples as lists of their inputs that are not zero.
template <class Real>
class SparseRows {
 public:
  struct Entry {
    std::uint32_t feature;
    Real value;
  };

  /// Adds the rows of a matrix (n x features) as the next samples.
  void append(ConstMatrixView<Real> rows);

  Index count() const { return std::ssize(starts_) - 1; }
  /// The entries of sample i by ascending feature.
  std::span<const Entry> row(Index i) const {
    const auto at = static_cast<std::size_t>(i);
    return {entries_.data() + starts_[at], entries_.data() + starts_[at + 1]};
  }
  /// For the kernels of panel_kernels.hpp.
  SparseBatch<Real> batch(std::span<const Index> samples) const;

 private:
  std::vector<Entry> entries_;
  std::vector<std::size_t> starts_ = {0};
};

/// z = W a, W out x in, and the gradient in W. Both hold W's numbers in *panels*: up to 32 outputs' weights
/// stand together for each feature, so that an entry of a sample meets one contiguous piece that stays in
/// registers, or in the cache. Outputs are filled up with zeros to whole vector registers.
template <class Real>
class SparseLayer {
 public:
  SparseLayer(Index in, Index out);

  /// Numbers in panels; more than in x out where outputs are filled up.
  Index size() const { return in_ * padded_; }
  /// Between W's own order (out x in) and panels; what stands behind W's numbers in both is copied. Double
  /// for a velocity whatever Real is.
  template <class T>
  void to_panels(std::span<const T> weight, std::span<T> panels) const;
  template <class T>
  void from_panels(std::span<const T> panels, std::span<T> weight) const;

  /// Row i of z (n x out) becomes W a of sample samples[i].
  void apply(std::span<const Real> panels, const SparseRows<Real>& rows, std::span<const Index> samples,
             MatrixView<Real> z) const;
  /// The sum over i of d_i a_i^T into panels; d is n x out.
  void adjoint_weight(ConstMatrixView<Real> d, const SparseRows<Real>& rows, std::span<const Index> samples,
                      Write write, std::span<Real> panels) const;

 private:
  struct Panel {
    Index first;    ///< output
    Index outputs;  ///< whose weights it holds
    Index width;    ///< of these with those that fill it up
    Index place;    ///< of its first number
  };
  template <class Visit>
  void for_each_panel(const Visit& visit) const;

  Index in_;
  Index out_;
  Index padded_;
};

}  // namespace dualscape::nn
