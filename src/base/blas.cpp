#include "dualscape/base/blas.hpp"

#include <cblas.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "dualscape/base/error.hpp"

extern "C" {
// LAPACK's symmetric divide and conquer, from the same library as the BLAS.
void dsyevd_(const char* jobz, const char* uplo, const int* n, double* a, const int* lda, double* w,
             double* work, const int* lwork, int* iwork, const int* liwork, int* info);
// Its Cholesky factorisation and the solution with it.
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
void dpotrs_(const char* uplo, const int* n, const int* nrhs, const double* a, const int* lda, double* b,
             const int* ldb, int* info);
}

namespace dualscape {
namespace {

CBLAS_TRANSPOSE blas_op(Op op) {
  return op == Op::none ? CblasNoTrans : CblasTrans;
}
blasint blas_int(Index n) {
  return static_cast<blasint>(n);
}

double multiply_adds = 0;

/// Multiplications up to which OpenBLAS takes its kernels for small matrices, which pack nothing: up to a
/// fifth faster than those that do, and up to twice where rows or columns are few. Larger products get there
/// in pieces. All limits here were measured with OpenBLAS 0.3.21 (SkylakeX) on 1 to 784 inputs and outputs
/// and 8 to 1024 samples, in both precisions.
constexpr Index small_product = 1'000'000;
/// With a transposed right factor they compute dot products, and take at most so many entries of a result,
constexpr Index most_dots = 1200;
/// ... and not less than so many inner ones.
constexpr Index shortest_dot = 32;
/// Rows or columns that are few: less than a vector or two.
constexpr Index few = 16;

/// How a product is computed. Depends on its shape alone, so that its bits do.
struct Plan {
  Index rows;           ///< of the result at once
  Index inner;          ///< entries added at once
  bool turned = false;  ///< with a turned copy of the right factor
};

/// Rows of a result that a small kernel takes at once, all of them where those would be too few.
Index rows_at_once(Index rows, Index cols, Index inner, Index fewest) {
  constexpr Index most = 512;
  if (rows * cols * inner <= small_product) return rows;
  const Index height = small_product / (cols * inner) / few * few;
  return height >= fewest ? std::min({height, most, rows}) : rows;
}

/// a b^T: by dot products where the small kernels take it so, else, where that pays, with a copy of b.
template <class Real>
Plan plan_transposed_right(Index rows, Index cols, Index inner) {
  const Index product = rows * cols * inner;
  const Plan whole = {.rows = rows, .inner = inner};
  if (inner >= shortest_dot && rows * cols <= most_dots && product <= small_product) return whole;
  const auto by_dots = [&](Index step) -> Plan {
    const Index height = std::min(most_dots / cols, small_product / (cols * inner)) / step * step;
    return {.rows = height > 0 && inner >= shortest_dot ? std::min(height, rows) : rows, .inner = inner};
  };
  // Vectors lie along a long dot product, but along the columns of a result with a turned right factor: those
  // of one column hardly fill one.
  constexpr Index vector = 64 / sizeof(Real), long_dot = 64;
  if (cols <= vector && inner >= long_dot) return by_dots(8);
  // Copying an entry takes as long as what it saves in some fifty rows' multiplications with it.
  const bool pays = rows >= few && 64 * rows >= cols * inner && 4 * cols >= vector;
  if (pays) return {.rows = rows_at_once(rows, cols, inner, few), .inner = inner, .turned = true};
  return product > small_product ? by_dots(few) : whole;
}

/// a^T b: in pieces of rows where those are no few, else of inner entries.
template <class Real>
Plan plan_transposed_left(Index rows, Index cols, Index inner) {
  const Plan whole = {.rows = rows, .inner = inner};
  // The rows of b would meet in the same few places of the cache.
  constexpr Index page = 4096 / sizeof(Real);
  if (rows * cols * inner <= small_product || cols % page == 0) return whole;
  constexpr Index fewest = 2 * few, most_inner = 48, step = 8;
  const Index height = rows_at_once(rows, cols, inner, fewest);
  if (height < rows) return {.rows = height, .inner = inner};
  const Index depth = std::min(most_inner, small_product / (rows * cols) / step * step);
  return depth >= 2 * few ? Plan{.rows = rows, .inner = depth} : whole;
}

template <class Real>
Plan plan(Op op_a, Op op_b, Index rows, Index cols, Index inner) {
  const Plan whole = {.rows = rows, .inner = inner};
  if (inner == 0 || (op_a == Op::transpose && op_b == Op::transpose)) return whole;
  if (op_b == Op::transpose) return plan_transposed_right<Real>(rows, cols, inner);
  if (op_a == Op::transpose) return plan_transposed_left<Real>(rows, cols, inner);
  return {.rows = rows_at_once(rows, cols, inner, few), .inner = inner};
}

template <class Real>
std::unique_ptr<Real[]> turned(ConstMatrixView<Real> b) {
  auto result = std::make_unique_for_overwrite<Real[]>(static_cast<std::size_t>(b.rows * b.cols));
  for (Index j = 0; j < b.cols; ++j)
    for (Index i = 0; i < b.rows; ++i) result[static_cast<std::size_t>(j * b.rows + i)] = b(i, j);
  return result;
}

template <class Real>
void call_blas(Op op_a, Op op_b, Real alpha, ConstMatrixView<Real> a, ConstMatrixView<Real> b, Real beta,
               MatrixView<Real> c) {
  const auto call = [&](auto* function) {
    function(CblasRowMajor, blas_op(op_a), blas_op(op_b), blas_int(c.rows), blas_int(c.cols),
             blas_int(op_a == Op::none ? a.cols : a.rows), alpha, a.data, blas_int(a.stride), b.data,
             blas_int(b.stride), beta, c.data, blas_int(c.stride));
  };
  if constexpr (std::is_same_v<Real, double>)
    call(&cblas_dgemm);
  else
    call(&cblas_sgemm);
}

}  // namespace

template <class Real>
void gemm(Op op_a, Op op_b, Real alpha, std::type_identity_t<ConstMatrixView<Real>> a,
          std::type_identity_t<ConstMatrixView<Real>> b, Real beta,
          std::type_identity_t<MatrixView<Real>> c) {
  const Index inner = op_a == Op::none ? a.cols : a.rows;
  const bool fits = (op_a == Op::none ? a.rows : a.cols) == c.rows &&
                    (op_b == Op::none ? b.cols : b.rows) == c.cols &&
                    (op_b == Op::none ? b.rows : b.cols) == inner;
  if (!fits) throw std::logic_error("gemm: the shapes of the factors do not fit");
  if (c.rows == 0 || c.cols == 0) return;
  multiply_adds += static_cast<double>(c.rows) * static_cast<double>(c.cols) * static_cast<double>(inner);
  const Plan how = plan<Real>(op_a, op_b, c.rows, c.cols, inner);
  std::unique_ptr<Real[]> copy;
  if (how.turned) {
    copy = turned<Real>(b);
    b = {copy.get(), b.cols, b.rows};
    op_b = Op::none;
  }
  for (Index row = 0; row < c.rows; row += how.rows) {
    const Index count = std::min(how.rows, c.rows - row);
    const auto rows_a = op_a == Op::none ? a.rows_from(row, count) : a.cols_from(row, count);
    if (how.inner == inner) {
      call_blas<Real>(op_a, op_b, alpha, rows_a, b, beta, c.rows_from(row, count));
      continue;
    }
    for (Index k = 0; k < inner; k += how.inner) {
      const Index depth = std::min(how.inner, inner - k);
      call_blas<Real>(op_a, op_b, alpha, rows_a.rows_from(k, depth), b.rows_from(k, depth),
                      k == 0 ? beta : Real(1), c.rows_from(row, count));
    }
  }
}

template void gemm<double>(Op, Op, double, ConstMatrixView<double>, ConstMatrixView<double>, double,
                           MatrixView<double>);
template void gemm<float>(Op, Op, float, ConstMatrixView<float>, ConstMatrixView<float>, float,
                          MatrixView<float>);

double gemm_multiply_adds() {
  return multiply_adds;
}

double dot(std::span<const double> x, std::span<const double> y) {
  return cblas_ddot(blas_int(std::ssize(x)), x.data(), 1, y.data(), 1);
}

double norm(std::span<const double> x) {
  return cblas_dnrm2(blas_int(std::ssize(x)), x.data(), 1);
}

void axpy(double alpha, std::span<const double> x, std::span<double> y) {
  cblas_daxpy(blas_int(std::ssize(x)), alpha, x.data(), 1, y.data(), 1);
}

std::vector<double> symmetric_eigen(MatrixView<double> a) {
  const int n = static_cast<int>(a.rows);
  if (a.cols != a.rows || a.stride != a.cols)
    throw std::logic_error("symmetric_eigen: not square and contiguous");
  std::vector<double> values(static_cast<std::size_t>(n));
  if (n == 0) return values;
  // Row-major storage is the transpose of LAPACK's: its upper triangle is our lower one, and its columns, the
  // eigenvectors, are our rows.
  int info = 0;
  int work_size = -1;
  int iwork_size = -1;
  double work_query = 0;
  int iwork_query = 0;
  dsyevd_("V", "U", &n, a.data, &n, values.data(), &work_query, &work_size, &iwork_query, &iwork_size, &info);
  work_size = static_cast<int>(work_query);
  iwork_size = iwork_query;
  std::vector<double> work(static_cast<std::size_t>(work_size));
  std::vector<int> iwork(static_cast<std::size_t>(iwork_size));
  dsyevd_("V", "U", &n, a.data, &n, values.data(), work.data(), &work_size, iwork.data(), &iwork_size, &info);
  if (info != 0)
    throw ComputationError("the symmetric eigensolver of LAPACK (dsyevd) failed on a matrix of size " +
                           std::to_string(n) + " (info = " + std::to_string(info) + ")");
  return values;
}

bool cholesky(MatrixView<double> a) {
  const int n = static_cast<int>(a.rows);
  if (a.cols != a.rows || a.stride != a.cols) throw std::logic_error("cholesky: not square and contiguous");
  // Row-major storage is the transpose of LAPACK's: our lower triangle is its upper one.
  int info = 0;
  if (n > 0) dpotrf_("U", &n, a.data, &n, &info);
  return info == 0;
}

void cholesky_solve(ConstMatrixView<double> factor, MatrixView<double> rows) {
  const int n = static_cast<int>(factor.rows);
  const int count = static_cast<int>(rows.rows);
  if (rows.cols != factor.rows || rows.stride != rows.cols)
    throw std::logic_error("cholesky_solve: rows that do not fit the factor");
  int info = 0;
  if (n > 0 && count > 0) dpotrs_("U", &n, &count, factor.data, &n, rows.data, &n, &info);
}

void set_blas_threads(int threads) {
  openblas_set_num_threads(threads);
}

std::string blas_description() {
  // "OpenBLAS 0.3.21 NO_AFFINITY ..." : the first two words name the version.
  const std::string config = openblas_get_config();
  const auto second = config.find(' ', config.find(' ') + 1);
  return config.substr(0, second) + ", kernel " + openblas_get_corename();
}

}  // namespace dualscape
