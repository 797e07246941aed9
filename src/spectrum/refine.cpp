#include "dualscape/spectrum/refine.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "dualscape/base/blas.hpp"

namespace dualscape::spectrum {
namespace {

/// X Y^T over all ranks. @note Collective
Matrix<double> inner_products(const Comm& comm, ConstMultiVector x, ConstMultiVector y) {
  Matrix<double> products(x.rows, y.rows);
  gemm(Op::none, Op::transpose, 1.0, x, y, 0.0, products.view());
  MPI_Allreduce(MPI_IN_PLACE, products.data(), static_cast<int>(products.entries().size()), MPI_DOUBLE,
                MPI_SUM, comm.get());
  return products;
}

/// vectors = coefficients vectors.
void combine(ConstMatrixView<double> coefficients, MultiVector vectors) {
  Matrix<double> combined(vectors.rows, vectors.cols);
  gemm(Op::none, Op::none, 1.0, coefficients, vectors, 0.0, combined.view());
  for (Index i = 0; i < vectors.rows; ++i) std::ranges::copy(combined.row(i), vectors.row(i).begin());
}

/// Rotates vectors and products to the Ritz vectors of their span; returns the values, descending.
std::vector<double> rotate_to_ritz(const Comm& comm, MultiVector vectors, MultiVector products) {
  Matrix<double> projected = inner_products(comm, vectors, products);
  std::vector<double> values;
  // One rank decides for all: another processor might round otherwise.
  on_root(comm, [&] {
    for (Index i = 0; i < projected.rows(); ++i)
      for (Index j = 0; j < i; ++j) projected(i, j) = (projected(i, j) + projected(j, i)) / 2;
    values = symmetric_eigen(projected.view());
  });
  comm.broadcast(values);
  comm.broadcast(projected.entries());
  std::ranges::reverse(values);
  for (Index i = 0, j = projected.rows() - 1; i < j; ++i, --j)
    std::ranges::swap_ranges(projected.row(i), projected.row(j));
  combine(projected.view(), vectors);
  combine(projected.view(), products);
  return values;
}

/// Nearly orthonormal vectors become so to the square of their defect: X <- (3/2 - X X^T / 2) X.
void orthonormalise(const Comm& comm, MultiVector vectors) {
  Matrix<double> coefficients = inner_products(comm, vectors, vectors);
  for (double& x : coefficients.entries()) x *= -0.5;
  for (Index i = 0; i < coefficients.rows(); ++i) coefficients(i, i) += 1.5;
  combine(coefficients.view(), vectors);
}

}  // namespace

void refine(const Comm& comm, MultiVector vectors, MultiVector products, double worst) {
  constexpr double small = 1e-3;
  const std::vector<double> values = rotate_to_ritz(comm, vectors, products);
  for (Index i = 0; i < vectors.rows; ++i) {
    const double theta = values[static_cast<std::size_t>(i)];
    if (worst >= small * std::abs(theta)) continue;
    axpy(-theta, vectors.row(i), products.row(i));
    axpy(1 / theta, products.row(i), vectors.row(i));
  }
  orthonormalise(comm, vectors);
}

}  // namespace dualscape::spectrum
