#include "dualscape/petsc/shell_matrix.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "dualscape/petsc/views.hpp"
#include "support/collective.hpp"
#include "support/error_of.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::petsc {
namespace {

using testing::error_of;
using testing::KnownSpectrum;
using testing::with_tail;

constexpr Index order = 53;

/// Row i of the result is entry i + 1 of the argument times i + 1: not symmetric, and not square.
class Shift : public LinearOperator {
 public:
  explicit Shift(const Comm& comm) : comm_(comm) {}
  const Comm& comm() const override { return comm_; }
  Partition range() const override { return {order, comm_.size()}; }
  Partition domain() const override { return {order + 1, comm_.size()}; }
  bool symmetric() const override { return false; }

  void apply(ConstMultiVector in, MultiVector out) const override {
    blocks += in.rows > 1 ? 1 : 0;
    const Matrix<double> whole = gather(domain(), in);
    const Index first = range().begin(comm_.rank());
    for (Index j = 0; j < out.rows; ++j)
      for (Index i = 0; i < out.cols; ++i)
        out(j, i) = static_cast<double>(first + i + 1) * whole(j, first + i + 1);
  }
  void apply_transpose(ConstMultiVector in, MultiVector out) const override {
    blocks += in.rows > 1 ? 1 : 0;
    const Matrix<double> whole = gather(range(), in);
    const Index first = domain().begin(comm_.rank());
    for (Index j = 0; j < out.rows; ++j)
      for (Index i = 0; i < out.cols; ++i)
        out(j, i) = first + i == 0 ? 0.0 : static_cast<double>(first + i) * whole(j, first + i - 1);
  }

  mutable int blocks = 0;  ///< products with several vectors

 private:
  Matrix<double> gather(const Partition& partition, ConstMultiVector parts) const {
    Matrix<double> whole(parts.rows, partition.size());
    for (Index j = 0; j < parts.rows; ++j) {
      std::ranges::copy(parts.row(j), whole.row(j).begin() + partition.begin(comm_.rank()));
      MPI_Allreduce(MPI_IN_PLACE, whole.row(j).data(), static_cast<int>(whole.cols()), MPI_DOUBLE, MPI_SUM,
                    comm_.get());
    }
    return whole;
  }
  const Comm& comm_;
};

MatHandle random_dense(const Comm& comm, Index rows, Index columns) {
  const Partition partition(rows, comm.size());
  auto mat = MatHandle::create("MatCreateDense", [&](Mat* out) {
    return MatCreateDense(comm.get(), static_cast<PetscInt>(partition.count(comm.rank())), PETSC_DECIDE,
                          static_cast<PetscInt>(rows), static_cast<PetscInt>(columns), nullptr, out);
  });
  {
    const DenseWriteView view(mat.get());
    const auto block = view.block();
    for (Index j = 0; j < block.rows; ++j)
      for (Index i = 0; i < block.cols; ++i)
        block(j, i) = std::sin(static_cast<double>(17 * j + partition.begin(comm.rank()) + i));
  }
  check(MatAssemblyBegin(mat.get(), MAT_FINAL_ASSEMBLY), "MatAssemblyBegin");
  check(MatAssemblyEnd(mat.get(), MAT_FINAL_ASSEMBLY), "MatAssemblyEnd");
  return mat;
}

TEST(ShellMatrix, MultipliesTheColumnsOfADenseMatrixInOneBlock) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({3, -2}, order, 1.0));
  const ShellMatrix shell(op);
  const MatHandle in = random_dense(comm, order, 5);
  const auto out = MatHandle::create("MatMatMult", [&](Mat* result) {
    return MatMatMult(shell.get(), in.get(), MAT_INITIAL_MATRIX, PETSC_DEFAULT, result);
  });
  EXPECT_EQ(op.block_products, 1);
  EXPECT_EQ(op.products, 5);
  EXPECT_EQ(shell.products(), 5);

  const DenseReadView x(in.get());
  const DenseReadView y(out.get());
  Matrix<double> expected(5, x.block().cols);
  op.apply(x.block(), expected.view());
  for (Index j = 0; j < 5; ++j)
    for (Index i = 0; i < expected.cols(); ++i) EXPECT_EQ(y.block()(j, i), expected(j, i));
}

TEST(ShellMatrix, MultipliesABasisInOneBlock) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({3, -2}, order, 1.0));
  const ShellMatrix shell(op);
  const auto length = static_cast<PetscInt>(op.range().count(comm.rank()));
  const auto basis = [&] {
    auto bv = BVHandle::create("BVCreate", [&](BV* out) { return BVCreate(comm.get(), out); });
    check(BVSetSizes(bv.get(), length, PETSC_DECIDE, 6), "BVSetSizes");
    check(BVSetFromOptions(bv.get()), "BVSetFromOptions");
    check(BVSetRandom(bv.get()), "BVSetRandom");
    return bv;
  };
  const BVHandle in = basis();
  const BVHandle out = basis();
  check(BVMatMult(in.get(), shell.get(), out.get()), "BVMatMult");
  EXPECT_EQ(op.block_products, 1);
  EXPECT_EQ(op.products, 6);
}

TEST(ShellMatrix, KnowsItsTransposeAndShape) {
  const Comm comm(MPI_COMM_WORLD);
  const Shift op(comm);
  const ShellMatrix shell(op);
  Vec raw_x = nullptr;
  Vec raw_y = nullptr;
  check(MatCreateVecs(shell.get(), &raw_x, &raw_y), "MatCreateVecs");
  const VecHandle x(raw_x);
  const VecHandle y(raw_y);
  const VecHandle back =
      VecHandle::create("VecDuplicate", [&](Vec* out) { return VecDuplicate(raw_x, out); });
  check(VecSet(x.get(), 1.0), "VecSet");
  check(MatMult(shell.get(), x.get(), y.get()), "MatMult");
  check(MatMultTranspose(shell.get(), y.get(), back.get()), "MatMultTranspose");
  // y_i = i + 1, and the transpose brings (i)^2 to entry i.
  const VecReadView view(back.get());
  const Index first = op.domain().begin(comm.rank());
  ASSERT_ALL(view.block().cols == op.domain().count(comm.rank()));
  for (Index i = 0; i < view.block().cols; ++i)
    EXPECT_EQ(view.block()(0, i), static_cast<double>((first + i) * (first + i)));

  PetscBool known = PETSC_FALSE;
  PetscBool symmetric = PETSC_FALSE;
  check(MatIsSymmetricKnown(shell.get(), &known, &symmetric), "MatIsSymmetricKnown");
  EXPECT_FALSE(known && symmetric);
  const KnownSpectrum other(comm, with_tail({}, order, 1.0));
  const ShellMatrix symmetric_shell(other);
  check(MatIsSymmetricKnown(symmetric_shell.get(), &known, &symmetric), "MatIsSymmetricKnown");
  EXPECT_TRUE(known && symmetric);
}

TEST(ShellMatrix, MultipliesItsTransposeAndItselfByRectangularBlocks) {
  const Comm comm(MPI_COMM_WORLD);
  const Shift op(comm);
  const ShellMatrix shell(op);
  const auto expect_product = [&](Index rows, bool transpose) {
    const MatHandle in = random_dense(comm, rows, 4);
    const Index before = shell.products();
    const auto out = MatHandle::create("MatMatMult", [&](Mat* result) {
      return transpose ? MatTransposeMatMult(shell.get(), in.get(), MAT_INITIAL_MATRIX, PETSC_DEFAULT, result)
                       : MatMatMult(shell.get(), in.get(), MAT_INITIAL_MATRIX, PETSC_DEFAULT, result);
    });
    EXPECT_EQ(shell.products(), before + 4);
    EXPECT_EQ(op.blocks, transpose ? 2 : 1);
    const DenseReadView x(in.get());
    const DenseReadView y(out.get());
    Matrix<double> expected(4, y.block().cols);
    ASSERT_ALL(expected.cols() == (transpose ? op.domain() : op.range()).count(comm.rank()));
    transpose ? op.apply_transpose(x.block(), expected.view()) : op.apply(x.block(), expected.view());
    op.blocks = transpose ? 2 : 1;
    for (Index j = 0; j < 4; ++j)
      for (Index i = 0; i < expected.cols(); ++i) EXPECT_EQ(y.block()(j, i), expected(j, i));
  };
  expect_product(order + 1, false);
  expect_product(order, true);
}

TEST(ShellMatrix, TellsOfProductsThatAreNotFinite) {
  const Comm comm(MPI_COMM_WORLD);
  KnownSpectrum op(comm, with_tail({3, -2}, order, 1.0));
  const ShellMatrix shell(op);
  const MatHandle in = random_dense(comm, order, 5);
  const auto multiply = [&] {
    MatHandle::create("MatMatMult", [&](Mat* result) {
      return MatMatMult(shell.get(), in.get(), MAT_INITIAL_MATRIX, PETSC_DEFAULT, result);
    });
  };
  multiply();
  EXPECT_NO_THROW(shell.require_finite());
  op.after_product = [&](MultiVector out) {
    if (comm.rank() == comm.size() - 1) out(2, 0) = std::numeric_limits<double>::quiet_NaN();
  };
  multiply();
  EXPECT_THAT(error_of<ComputationError>([&] { shell.require_finite(); }),
              ::testing::HasSubstr("product 10 with the operator holds numbers that are not finite"));
}

TEST(ShellMatrix, RefusesSizesPetscCannotCount) {
  const Comm comm(MPI_COMM_WORLD);
  class Huge : public LinearOperator {
   public:
    explicit Huge(const Comm& c) : comm_(c) {}
    const Comm& comm() const override { return comm_; }
    Partition range() const override { return {Index{3'000'000'000}, comm_.size()}; }
    void apply(ConstMultiVector, MultiVector) const override {}

   private:
    const Comm& comm_;
  };
  const Huge op(comm);
  if (sizeof(PetscInt) == 8) return;  // such a PETSc counts further than any memory
  EXPECT_THAT(error_of<ComputationError>([&] { const ShellMatrix shell(op); }),
              ::testing::HasSubstr("vectors of 3000000000 entries are longer than this PETSc can count"));
}

}  // namespace
}  // namespace dualscape::petsc
