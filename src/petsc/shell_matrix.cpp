#include "dualscape/petsc/shell_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dualscape/petsc/views.hpp"

namespace dualscape::petsc {
namespace {

using AnyFunction = void (*)();

PetscInt petsc_size(Index size) {
  if (size > std::numeric_limits<PetscInt>::max())
    throw ComputationError("vectors of " + std::to_string(size) + " entries are longer than this PETSc can " +
                           "count; use a PETSc built with 64-bit integers");
  return static_cast<PetscInt>(size);
}

}  // namespace

ShellMatrix::ShellMatrix(const LinearOperator& op) : op_(op) {
  const int me = op.comm().rank();
  const PetscInt rows = petsc_size(op.range().size());
  const PetscInt columns = petsc_size(op.domain().size());
  const auto local_rows = static_cast<PetscInt>(op.range().count(me));
  const auto local_columns = static_cast<PetscInt>(op.domain().count(me));
  mat_ = MatHandle::create("MatCreateShell", [&](Mat* mat) {
    return MatCreateShell(op.comm().get(), local_rows, local_columns, rows, columns, this, mat);
  });
  check(MatShellSetOperation(get(), MATOP_MULT, reinterpret_cast<AnyFunction>(&multiply)),
        "MatShellSetOperation");
  check(MatShellSetOperation(get(), MATOP_MULT_TRANSPOSE, reinterpret_cast<AnyFunction>(&multiply_transpose)),
        "MatShellSetOperation");
  check(MatShellSetMatProductOperation(get(), MATPRODUCT_AB, nullptr, &multiply_block, nullptr, MATDENSE,
                                       MATDENSE),
        "MatShellSetMatProductOperation");
  check(MatShellSetMatProductOperation(get(), MATPRODUCT_AtB, nullptr, &multiply_block_transpose, nullptr,
                                       MATDENSE, MATDENSE),
        "MatShellSetMatProductOperation");
  if (op.symmetric()) check(MatSetOption(get(), MAT_SYMMETRIC, PETSC_TRUE), "MatSetOption");
}

void ShellMatrix::require_finite() const {
  // The smallest number of a product gone wrong on any rank, "none" written as the largest number there is.
  constexpr Index none = std::numeric_limits<Index>::max();
  const Index first = -op_.comm().max(-(first_bad_product_ > 0 ? first_bad_product_ : none));
  if (first == none) return;
  throw ComputationError(
      "product " + std::to_string(first) +
      " with the operator holds numbers that are not finite (NaN or infinity): the weights " +
      "or the data it is made from may be too large");
}

void ShellMatrix::apply(ConstMultiVector in, MultiVector out) {
  op_.apply(in, out);
  note(out);
}

void ShellMatrix::apply_transpose(ConstMultiVector in, MultiVector out) {
  op_.apply_transpose(in, out);
  note(out);
}

void ShellMatrix::note(ConstMultiVector out) {
  products_ += out.rows;
  if (first_bad_product_ > 0) return;
  for (Index j = 0; j < out.rows; ++j)
    if (!std::ranges::all_of(out.row(j), [](double x) { return std::isfinite(x); }))
      first_bad_product_ = products_;
}

ShellMatrix& ShellMatrix::of(Mat mat) {
  void* context = nullptr;
  check(MatShellGetContext(mat, &context), "MatShellGetContext");
  return *static_cast<ShellMatrix*>(context);
}

PetscErrorCode ShellMatrix::multiply(Mat mat, Vec in, Vec out) {
  return guarded([&] {
    const VecReadView x(in);
    const VecWriteView y(out);
    of(mat).apply(x.block(), y.block());
  });
}

PetscErrorCode ShellMatrix::multiply_transpose(Mat mat, Vec in, Vec out) {
  return guarded([&] {
    const VecReadView x(in);
    const VecWriteView y(out);
    of(mat).apply_transpose(x.block(), y.block());
  });
}

PetscErrorCode ShellMatrix::multiply_block(Mat mat, Mat in, Mat out, void*) {
  return guarded([&] {
    const DenseReadView x(in);
    const DenseWriteView y(out);
    of(mat).apply(x.block(), y.block());
  });
}

PetscErrorCode ShellMatrix::multiply_block_transpose(Mat mat, Mat in, Mat out, void*) {
  return guarded([&] {
    const DenseReadView x(in);
    const DenseWriteView y(out);
    of(mat).apply_transpose(x.block(), y.block());
  });
}

}  // namespace dualscape::petsc
