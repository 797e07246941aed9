#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/linear_operator.hpp"
#include "dualscape/base/random.hpp"

namespace dualscape::testing {

/// A = Q D Q^T with a diagonal D of our choice and Q a product of two Householder reflections: every
/// eigenpair is known to rounding. Counts its products.
class KnownSpectrum : public LinearOperator {
 public:
  KnownSpectrum(const Comm& comm, std::vector<double> eigenvalues)
      : comm_(comm), partition_(std::ssize(eigenvalues), comm.size()), eigenvalues_(std::move(eigenvalues)) {
    reflectors_ = Matrix<double>(2, local());
    for (Index j = 0; j < 2; ++j) {
      const Random random(42, Stream::probe, static_cast<std::uint32_t>(100 + j));
      double square = 0;
      for (Index i = 0; i < size(); ++i) {
        const double x = random.normal(static_cast<std::uint64_t>(i));
        square += x * x;
        if (i >= begin() && i < begin() + local()) reflectors_(j, i - begin()) = x;
      }
      for (double& x : reflectors_.row(j)) x /= std::sqrt(square);
    }
  }

  const Comm& comm() const override { return comm_; }
  Partition range() const override { return partition_; }

  void apply(ConstMultiVector in, MultiVector out) const override {
    if (before_product) before_product(in);
    for (Index j = 0; j < in.rows; ++j) std::ranges::copy(in.row(j), out.row(j).begin());
    reflect(0, out);
    reflect(1, out);
    for (Index j = 0; j < out.rows; ++j)
      for (Index i = 0; i < local(); ++i) out(j, i) *= eigenvalues_[static_cast<std::size_t>(begin() + i)];
    reflect(1, out);
    reflect(0, out);
    products += in.rows;
    ++(in.rows > 1 ? block_products : single_products);
    if (after_product) after_product(out);
  }

  /// This rank's part of the eigenvector of eigenvalues()[position].
  std::vector<double> eigenvector(Index position) const {
    Matrix<double> vector(1, local());
    if (position >= begin() && position < begin() + local()) vector(0, position - begin()) = 1.0;
    reflect(1, vector.view());
    reflect(0, vector.view());
    return {vector.entries().begin(), vector.entries().end()};
  }
  const std::vector<double>& eigenvalues() const { return eigenvalues_; }

  /// Called with the arguments of each product.
  std::function<void(ConstMultiVector)> before_product;
  /// Called with the result of each product, e.g. to spoil it.
  std::function<void(MultiVector)> after_product;
  mutable Index products = 0;         ///< vectors multiplied
  mutable Index block_products = 0;   ///< calls with several vectors
  mutable Index single_products = 0;  ///< calls with one

 private:
  Index size() const { return partition_.size(); }
  Index begin() const { return partition_.begin(comm_.rank()); }
  Index local() const { return partition_.count(comm_.rank()); }

  void reflect(Index which, MultiVector vectors) const {
    std::vector<double> sums;
    for (Index j = 0; j < vectors.rows; ++j) sums.push_back(dot(reflectors_.row(which), vectors.row(j)));
    MPI_Allreduce(MPI_IN_PLACE, sums.data(), static_cast<int>(sums.size()), MPI_DOUBLE, MPI_SUM, comm_.get());
    for (Index j = 0; j < vectors.rows; ++j)
      axpy(-2 * sums[static_cast<std::size_t>(j)], reflectors_.row(which), vectors.row(j));
  }

  const Comm& comm_;
  Partition partition_;
  std::vector<double> eigenvalues_;
  Matrix<double> reflectors_;
};

/// `leading` followed by a decaying tail scale/1, scale/2, ... up to `size` values.
inline std::vector<double> with_tail(std::vector<double> leading, Index size, double scale) {
  for (Index k = 1; std::ssize(leading) < size; ++k) leading.push_back(scale / static_cast<double>(k));
  return leading;
}

/// Copies of 10, 5 and -4, and a tail: what a single Krylov space cannot see in full.
inline std::vector<double> fourfold(Index size) {
  return with_tail({10, 10, 10, 10, 5, 5, 5, 5, -4, -4, -4, -4, -3, -2, -1}, size, 1.0);
}

}  // namespace dualscape::testing
