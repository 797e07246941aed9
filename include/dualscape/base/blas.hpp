#pragma once

#include <span>
#include <string>

#include "dualscape/base/matrix.hpp"

/// The BLAS and LAPACK calls the project needs, on row-major views. Precision follows the views: double or
/// float.
namespace dualscape {

enum class Op { none, transpose };

/// c = alpha op(a) op(b) + beta c. With beta = 0, c is overwritten whatever it held. Throws std::logic_error
/// when the shapes do not fit.
template <class Real>
void gemm(Op op_a, Op op_b, Real alpha, std::type_identity_t<ConstMatrixView<Real>> a,
          std::type_identity_t<ConstMatrixView<Real>> b, Real beta, std::type_identity_t<MatrixView<Real>> c);

/// Multiply-adds of all calls of gemm in this process so far.
double gemm_multiply_adds();

double dot(std::span<const double> x, std::span<const double> y);
double norm(std::span<const double> x);
/// y += alpha x
void axpy(double alpha, std::span<const double> x, std::span<double> y);

/// Eigenvalues in ascending order; on return row i of `a` holds the eigenvector of value i. Symmetric divide
/// and conquer (LAPACK dsyevd); only the lower triangle of `a` (n x n, contiguous) is read. Throws
/// ComputationError when LAPACK fails.
std::vector<double> symmetric_eigen(MatrixView<double> a);

/// Cholesky factor L of a symmetric positive definite matrix (n x n, contiguous), of which only the lower
/// triangle is read and which L replaces there. False when the matrix is not positive definite.
bool cholesky(MatrixView<double> a);
/// Each row x of `rows` (contiguous) becomes the solution of L L^T y = x.
void cholesky_solve(ConstMatrixView<double> factor, MatrixView<double> rows);

/// Threads the BLAS of this process uses from now on.
void set_blas_threads(int threads);
/// Name and version, and the kernel it chose for this processor, e.g. "OpenBLAS 0.3.21, SkylakeX".
std::string blas_description();

}  // namespace dualscape
