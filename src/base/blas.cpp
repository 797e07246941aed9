#include "dualscape/base/blas.hpp"

#include <cblas.h>

#include <stdexcept>

#include "dualscape/base/error.hpp"

extern "C" {
// LAPACK's symmetric divide and conquer, from the same library as the BLAS.
void dsyevd_(const char* jobz, const char* uplo, const int* n, double* a, const int* lda, double* w,
             double* work, const int* lwork, int* iwork, const int* liwork, int* info);
}

namespace dualscape {
namespace {

CBLAS_TRANSPOSE blas_op(Op op) {
  return op == Op::none ? CblasNoTrans : CblasTrans;
}
blasint blas_int(Index n) {
  return static_cast<blasint>(n);
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
  const auto call = [&](auto* function) {
    function(CblasRowMajor, blas_op(op_a), blas_op(op_b), blas_int(c.rows), blas_int(c.cols), blas_int(inner),
             alpha, a.data, blas_int(a.stride), b.data, blas_int(b.stride), beta, c.data, blas_int(c.stride));
  };
  if constexpr (std::is_same_v<Real, double>)
    call(&cblas_dgemm);
  else
    call(&cblas_sgemm);
}

template void gemm<double>(Op, Op, double, ConstMatrixView<double>, ConstMatrixView<double>, double,
                           MatrixView<double>);
template void gemm<float>(Op, Op, float, ConstMatrixView<float>, ConstMatrixView<float>, float,
                          MatrixView<float>);

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
