#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "dualscape/base/lanes.hpp"
#include "dualscape/base/linear_operator.hpp"
#include "dualscape/base/random.hpp"

namespace dualscape::testing {

/// A x for whole vectors, the same on every rank; the results are whole on every rank too. @note Collective
inline Matrix<double> product(const LinearOperator& op, const Matrix<double>& x, bool transpose = false) {
  const Partition domain = transpose ? op.range() : op.domain();
  const Partition range = transpose ? op.domain() : op.range();
  const int me = op.comm().rank();
  Matrix<double> in(x.rows(), domain.count(me));
  Matrix<double> out(x.rows(), range.count(me));
  Matrix<double> whole(x.rows(), range.size());
  for (Index j = 0; j < x.rows(); ++j)
    std::copy_n(x.row(j).begin() + domain.begin(me), domain.count(me), in.row(j).begin());
  // Numbers an operator would have to overwrite.
  std::ranges::fill(out.entries(), std::nan(""));
  if (transpose)
    op.apply_transpose(in.view(), out.view());
  else
    op.apply(in.view(), out.view());
  gather_all(op.comm(), range, out.view(), whole.view());
  return whole;
}

/// Largest magnitude of an entry; not a number if any entry is none.
inline double largest(ConstMatrixView<double> matrix) {
  double most = 0;
  for (Index i = 0; i < matrix.rows; ++i)
    for (double x : matrix.row(i))
      if (!(std::abs(x) <= most)) most = std::isnan(most) ? most : std::abs(x);
  return most;
}

inline Matrix<double> transposed(ConstMatrixView<double> matrix) {
  Matrix<double> mirrored(matrix.cols, matrix.rows);
  for (Index i = 0; i < matrix.rows; ++i)
    for (Index j = 0; j < matrix.cols; ++j) mirrored(j, i) = matrix(i, j);
  return mirrored;
}

/// Every entry of `got` within `tolerance` of `expected`; tells the worst one. False for what is no number.
inline void expect_close(ConstMatrixView<double> got, ConstMatrixView<double> expected, double tolerance) {
  ASSERT_EQ(got.rows, expected.rows);
  ASSERT_EQ(got.cols, expected.cols);
  double worst = 0;
  Index at_row = 0, at_col = 0;
  for (Index i = 0; i < got.rows; ++i)
    for (Index j = 0; j < got.cols; ++j) {
      const double error = std::abs(got(i, j) - expected(i, j));
      if (error <= worst || std::isnan(worst)) continue;
      worst = error;
      at_row = i;
      at_col = j;
    }
  EXPECT_LE(worst, tolerance) << "entry (" << at_row << ", " << at_col << ") is " << got(at_row, at_col)
                              << ", expected " << expected(at_row, at_col);
}

/// The transpose of the operator's matrix: row i is its product with unit vector i, `vectors` at a time.
/// @note Collective
inline Matrix<double> products_with_units(const LinearOperator& op, Index vectors, bool transpose = false) {
  const Index size = transpose ? op.range().size() : op.domain().size();
  Matrix<double> all(size, transpose ? op.domain().size() : op.range().size());
  for (Index first = 0; first < size; first += vectors) {
    Matrix<double> units(std::min(vectors, size - first), size);
    for (Index j = 0; j < units.rows(); ++j) units(j, first + j) = 1;
    const auto some = product(op, units, transpose);
    std::ranges::copy(some.entries(), all.row(first).data());
  }
  return all;
}

/// Compares an operator with a dense matrix, to `tolerance` relative to the matrix' largest entry: shapes,
/// products with all unit vectors, transposed products. To the finer `rounding`, whatever the precision of
/// `dense`: blocks of vectors give what single products give, and a symmetric operator's products are
/// symmetric. @note Collective
inline void expect_matches_dense(const LinearOperator& op, ConstMatrixView<double> dense, double tolerance,
                                 double rounding = 1e-13) {
  ASSERT_EQ(op.range().size(), dense.rows);
  ASSERT_EQ(op.domain().size(), dense.cols);
  const double scale = largest(dense);
  const auto columns = products_with_units(op, 24);
  expect_close(columns.view(), transposed(dense).view(), tolerance * scale);

  Matrix<double> few(3, op.domain().size());
  const Random random(19, Stream::probe);
  for (Index i = 0; i < few.rows() * few.cols(); ++i)
    few.data()[i] = random.normal(static_cast<std::uint64_t>(i));
  const auto together = product(op, few);
  for (Index j = 0; j < few.rows(); ++j) {
    Matrix<double> one(1, few.cols());
    std::ranges::copy(few.row(j), one.data());
    expect_close(product(op, one).view(), together.view().rows_from(j, 1),
                 rounding * std::max(scale, largest(together.view())));
  }

  if (op.symmetric())
    expect_close(transposed(columns.view()).view(), columns.view(), rounding * scale);
  else
    expect_close(products_with_units(op, 24, true).view(), dense, tolerance * scale);
}

}  // namespace dualscape::testing
