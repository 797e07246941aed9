#include "dualscape/base/blas.hpp"

#include <cblas.h>

#include <algorithm>
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

/// A result with at most this many columns is narrow: a large product packs its left factor for few columns'
/// use.
constexpr Index narrow = 64;
/// Multiplications up to which OpenBLAS takes its kernels for small matrices, which pack nothing.
constexpr Index small_product = 1'000'000;
/// Rows or columns of a result that are few: less than a vector or two.
constexpr Index few = 16;
/// The small kernels are slow with a transposed right factor that has few inner entries, and refuse one for a
/// result of few columns: then a turned copy of it pays, and up to this many entries.
constexpr Index small_factor = 4096;

/// Rows of a product to be computed at once. A narrow result in pieces that the small kernels take comes at
/// the rate of a square product instead of 0.5 to 0.7 of it (784-30-30-10, double and single). The pieces
/// depend on the shape alone.
template <class Real>
Index rows_at_once(const MatrixView<Real>& c, Index inner) {
  constexpr Index fewest = 16, most = 512;
  if (c.cols > narrow || inner == 0) return c.rows;
  const Index height = small_product / (c.cols * inner) / fewest * fewest;
  return height >= fewest ? std::min({height, most, c.rows}) : c.rows;
}

/// Inner entries of a product to be added at once: few rows of a result (the gradient of a top layer's
/// weights) gain by a half from the small kernels, which do not pack the right factor for them.
template <class Real>
Index inner_at_once(Op op_a, Op op_b, const MatrixView<Real>& c, Index inner) {
  constexpr Index depth = 32;
  const bool gains = op_a == Op::transpose && op_b == Op::none && c.rows <= few && c.cols > narrow &&
                     c.rows * c.cols * inner > small_product && c.rows * c.cols * depth <= small_product;
  return gains ? depth : inner;
}

template <class Real>
std::vector<Real> transposed(ConstMatrixView<Real> b) {
  std::vector<Real> result(static_cast<std::size_t>(b.rows * b.cols));
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

template <class Real>
void gemm_by_rows(Op op_a, Op op_b, Real alpha, ConstMatrixView<Real> a, ConstMatrixView<Real> b, Real beta,
                  MatrixView<Real> c) {
  std::vector<Real> turned;
  if (op_b == Op::transpose && (b.rows <= few || b.rows * b.cols <= small_factor)) {
    turned = transposed<Real>(b);
    b = {turned.data(), b.cols, b.rows};
    op_b = Op::none;
  }
  const Index height = rows_at_once(c, op_a == Op::none ? a.cols : a.rows);
  for (Index first = 0; first < c.rows; first += height) {
    const Index count = std::min(height, c.rows - first);
    const auto part = op_a == Op::none ? a.rows_from(first, count) : a.cols_from(first, count);
    call_blas<Real>(op_a, op_b, alpha, part, b, beta, c.rows_from(first, count));
  }
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
  if (rows_at_once(c, inner) < c.rows) return gemm_by_rows<Real>(op_a, op_b, alpha, a, b, beta, c);
  const Index depth = inner_at_once(op_a, op_b, c, inner);
  if (depth == inner) return call_blas<Real>(op_a, op_b, alpha, a, b, beta, c);
  for (Index first = 0; first < inner; first += depth) {
    const Index count = std::min(depth, inner - first);
    call_blas<Real>(op_a, op_b, alpha, a.rows_from(first, count), b.rows_from(first, count),
                    first == 0 ? beta : Real(1), c);
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
