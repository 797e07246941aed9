#pragma once

#include <vector>

#include "dualscape/base/linear_operator.hpp"

/// Operators made of operators, none of which is ever formed. What they are made of must outlive them.
namespace dualscape::operators {

/// A^T.
class Transposed final : public LinearOperator {
 public:
  explicit Transposed(const LinearOperator& inner) : inner_(inner) {}

  const Comm& comm() const override { return inner_.comm(); }
  Partition range() const override { return inner_.domain(); }
  Partition domain() const override { return inner_.range(); }
  bool symmetric() const override { return inner_.symmetric(); }
  void apply(ConstMultiVector in, MultiVector out) const override { inner_.apply_transpose(in, out); }
  void apply_transpose(ConstMultiVector in, MultiVector out) const override { inner_.apply(in, out); }

 private:
  const LinearOperator& inner_;
};

/// A B. Throws std::logic_error when the results of B are not the arguments of A.
class Product final : public LinearOperator {
 public:
  /// `symmetric`: the caller knows the product to equal its transpose, as in J^T (S J) with a symmetric S.
  Product(const LinearOperator& a, const LinearOperator& b, bool symmetric = false);

  const Comm& comm() const override { return a_.comm(); }
  Partition range() const override { return a_.range(); }
  Partition domain() const override { return b_.domain(); }
  bool symmetric() const override { return symmetric_; }
  void apply(ConstMultiVector in, MultiVector out) const override;
  void apply_transpose(ConstMultiVector in, MultiVector out) const override;

 private:
  const LinearOperator& a_;
  const LinearOperator& b_;
  bool symmetric_;
};

/// c_1 A_1 + c_2 A_2 + ... + shift 1: sums, scalings and shifts; symmetric when all terms are.
class Combination final : public LinearOperator {
 public:
  struct Term {
    double factor = 1.0;
    const LinearOperator& op;
  };
  /// Throws std::logic_error when there is no term, the terms differ in their distributions, or an operator
  /// that is not square is to be shifted.
  explicit Combination(std::vector<Term> terms, double shift = 0.0);

  const Comm& comm() const override { return terms_.front().op.comm(); }
  Partition range() const override { return terms_.front().op.range(); }
  Partition domain() const override { return terms_.front().op.domain(); }
  bool symmetric() const override;
  void apply(ConstMultiVector in, MultiVector out) const override { combine(in, out, false); }
  void apply_transpose(ConstMultiVector in, MultiVector out) const override { combine(in, out, true); }

 private:
  void combine(ConstMultiVector in, MultiVector out, bool transpose) const;

  std::vector<Term> terms_;
  double shift_;
};

}  // namespace dualscape::operators
