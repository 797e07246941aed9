#pragma once

#include "dualscape/base/linear_operator.hpp"
#include "dualscape/petsc/handle.hpp"

namespace dualscape::petsc {

/// A LinearOperator as PETSc sees it: products with one vector, with the columns of a dense matrix
/// (MatMatMult, BVMatMult), the same of its transpose (MatTransposeMatMult), and the symmetry flag. Sizes and
/// distribution are the operator's.
class ShellMatrix {
 public:
  /// `op` must outlive the matrix. Throws ComputationError when PETSc's integers are too short for its size.
  /// @note Collective
  explicit ShellMatrix(const LinearOperator& op);
  ShellMatrix(const ShellMatrix&) = delete;
  ShellMatrix& operator=(const ShellMatrix&) = delete;

  Mat get() const { return mat_.get(); }
  const LinearOperator& op() const { return op_; }

  /// Products as those that PETSc asks for, counted and watched. @note Collective
  void apply(ConstMultiVector in, MultiVector out);

  /// Vectors multiplied so far, singly or in blocks.
  Index products() const { return products_; }

  /// Throws ComputationError on every rank when some product held a number that is not finite. The products
  /// themselves do not ask, which would cost each of them a message. @note Collective
  void require_finite() const;

 private:
  void apply_transpose(ConstMultiVector in, MultiVector out);
  void note(ConstMultiVector out);

  static ShellMatrix& of(Mat mat);
  static PetscErrorCode multiply(Mat mat, Vec in, Vec out);
  static PetscErrorCode multiply_transpose(Mat mat, Vec in, Vec out);
  static PetscErrorCode multiply_block(Mat mat, Mat in, Mat out, void*);
  static PetscErrorCode multiply_block_transpose(Mat mat, Mat in, Mat out, void*);

  const LinearOperator& op_;
  MatHandle mat_;
  Index products_ = 0;
  Index first_bad_product_ = 0;  ///< from 1; 0: all were finite on this rank
};

}  // namespace dualscape::petsc
