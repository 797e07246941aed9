#pragma once

#include <stdexcept>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/base/partition.hpp"

namespace dualscape {

/// A linear map between distributed vectors, known by its products alone.
///
/// Vectors are split over the ranks of `comm()` by `range()` (results) and `domain()` (arguments). Products
/// act on a block of k vectors at once: row j of a MultiVector is this rank's part of vector j.
class LinearOperator {
 public:
  virtual ~LinearOperator() = default;

  virtual const Comm& comm() const = 0;
  /// Distribution of the results; its size is the number of rows.
  virtual Partition range() const = 0;
  /// Distribution of the arguments; its size is the number of columns.
  virtual Partition domain() const { return range(); }
  /// Whether the operator equals its transpose.
  virtual bool symmetric() const { return true; }

  /// out = A in for k vectors (k x local columns -> k x local rows). Throws on every rank when any rank
  /// fails.
  /// @note Collective
  virtual void apply(ConstMultiVector in, MultiVector out) const = 0;

  /// out = A^T in. @note Collective
  virtual void apply_transpose(ConstMultiVector in, MultiVector out) const {
    if (!symmetric()) throw std::logic_error("this operator has no transposed product");
    apply(in, out);
  }
};

}  // namespace dualscape
