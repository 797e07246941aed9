#include "dualscape/base/blas.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "dualscape/base/random.hpp"

namespace dualscape {
namespace {

template <class Real>
Matrix<Real> random_matrix(Index rows, Index cols, std::uint64_t seed) {
  const Random random(seed, Stream::probe);
  Matrix<Real> a(rows, cols);
  for (Index i = 0; i < rows * cols; ++i)
    a.data()[i] = static_cast<Real>(random.normal(static_cast<std::uint64_t>(i)));
  return a;
}

template <class Real>
void expect_gemm_matches_loops(Index m, Index n, Index k) {
  for (Op op_a : {Op::none, Op::transpose})
    for (Op op_b : {Op::none, Op::transpose}) {
      const auto a = op_a == Op::none ? random_matrix<Real>(m, k, 1) : random_matrix<Real>(k, m, 1);
      const auto b = op_b == Op::none ? random_matrix<Real>(k, n, 2) : random_matrix<Real>(n, k, 2);
      // A view with a stride of its own: the result is a block of a larger matrix.
      auto big = random_matrix<Real>(m, n + 4, 3);
      const auto before = big;
      const auto c = big.view().cols_from(2, n);
      gemm<Real>(op_a, op_b, Real(2), a.view(), b.view(), Real(-1), c);
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
          double sum = 0, size = std::abs(double(before(i, j + 2)));
          for (Index l = 0; l < k; ++l) {
            const double term =
                double(op_a == Op::none ? a(i, l) : a(l, i)) * double(op_b == Op::none ? b(l, j) : b(j, l));
            sum += term;
            size += 2 * std::abs(term);
          }
          // The error of a sum of k + 1 terms in any order.
          const double rounding = double(k + 2) * std::numeric_limits<Real>::epsilon() * size;
          ASSERT_NEAR(c(i, j), 2 * sum - before(i, j + 2), rounding);
        }
      EXPECT_EQ(big(0, 0), before(0, 0));
      EXPECT_EQ(big(m - 1, n + 3), before(m - 1, n + 3));
    }
}

TEST(Gemm, MatchesLoopsInDouble) {
  expect_gemm_matches_loops<double>(5, 7, 3);
}
TEST(Gemm, MatchesLoopsInSingle) {
  expect_gemm_matches_loops<float>(5, 7, 3);
}

struct Shape {
  Index rows, cols, inner;
};

class GemmInPieces : public ::testing::TestWithParam<Shape> {};

TEST_P(GemmInPieces, MatchesLoops) {
  const auto [rows, cols, inner] = GetParam();
  expect_gemm_matches_loops<double>(rows, cols, inner);
  expect_gemm_matches_loops<float>(rows, cols, inner);
}

INSTANTIATE_TEST_SUITE_P(
    AroundEachSwitch, GemmInPieces,
    ::testing::Values(Shape{600, 30, 130},  // pieces of 256 + 256 + 88 rows
                      Shape{600, 60, 30},   // 512 + 88 rows, a turned right factor in one of a b^T
                      Shape{15, 30, 30}, Shape{16, 30, 30},  // too few rows for a turned right factor, enough
                      Shape{100, 3, 20}, Shape{100, 4, 20},  // too narrow for it in single precision, not so
                      Shape{1000, 1, 20},                    // and in either
                      Shape{40, 30, 32}, Shape{41, 30, 32},  // dot products, one entry too many for them
                      Shape{41, 30, 31},                     // too short ones
                      Shape{130, 10, 100}, Shape{400, 10, 512},  // dot products in pieces of rows in single
                      Shape{50, 64, 784},                        // and in both
                      Shape{10, 300, 400},  // 48 inner entries of a^T b at once, and 16 more
                      Shape{30, 784, 60},   // 40 of them and 20 more
                      Shape{130, 30, 300},  // a^T b in 96 + 34 rows
                      Shape{5, 1024, 256},  // whole: rows a page apart
                      Shape{7, 5, 0}),      // an empty sum
    [](const auto& named) {
      const Shape& s = named.param;
      return std::to_string(s.rows) + "x" + std::to_string(s.cols) + "x" + std::to_string(s.inner);
    });

TEST(Gemm, RefusesShapesThatDoNotFit) {
  Matrix<double> a(2, 3), b(4, 5), c(2, 5);
  EXPECT_THROW(gemm<double>(Op::none, Op::none, 1.0, a.view(), b.view(), 0.0, c.view()), std::logic_error);
}

TEST(SymmetricEigen, GivesOrthonormalRowsThatDiagonalise) {
  const Index n = 20;
  auto a = random_matrix<double>(n, n, 4);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < i; ++j) a(j, i) = a(i, j);
  auto vectors = a;
  const auto values = symmetric_eigen(vectors.view());
  EXPECT_TRUE(std::ranges::is_sorted(values));
  // LAPACK's backward error: a small multiple of n eps |A|.
  const double tolerance = 10 * n * std::numeric_limits<double>::epsilon() * 10;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      double product = 0;
      for (Index k = 0; k < n; ++k) product += a(j, k) * vectors(i, k);
      EXPECT_NEAR(product, values[static_cast<std::size_t>(i)] * vectors(i, j), tolerance);
      EXPECT_NEAR(dot(vectors.row(i), vectors.row(j)), i == j ? 1.0 : 0.0, tolerance);
    }
}

TEST(Cholesky, SolvesAndSaysWhatIsNotPositiveDefinite) {
  Matrix<double> a(3, 3), rows(2, 3);
  const double entries[3][3] = {{4, 2, -1}, {2, 5, 3}, {-1, 3, 6}};
  const double solution[2][3] = {{1, -2, 3}, {0.5, 4, -1}};
  for (Index i = 0; i < 3; ++i)
    for (Index j = 0; j < 3; ++j) {
      // What stands above the diagonal is not read.
      a(i, j) = j <= i ? entries[i][j] : 1e9;
      for (Index r = 0; r < 2; ++r) rows(r, i) += entries[i][j] * solution[r][j];
    }
  ASSERT_TRUE(cholesky(a.view()));
  cholesky_solve(a.view(), rows.view());
  for (Index r = 0; r < 2; ++r)
    for (Index i = 0; i < 3; ++i) EXPECT_NEAR(rows(r, i), solution[r][i], 1e-13);
  Matrix<double> singular(2, 2);
  singular(0, 0) = 1;
  EXPECT_FALSE(cholesky(singular.view()));
}

}  // namespace
}  // namespace dualscape
