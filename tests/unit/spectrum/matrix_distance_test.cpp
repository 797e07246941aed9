#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/rounding.hpp"
#include "dualscape/spectrum/complete.hpp"
#include "dualscape/spectrum/spectrum.hpp"
#include "support/collective.hpp"
#include "support/error_of.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::spectrum {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::KnownSpectrum;
using testing::with_tail;

/// A symmetric operator and the same plus `norm` a a^T, with a unit vector a that no eigenvector is.
class OffByRankOne {
 public:
  OffByRankOne(const Comm& comm, Index size, double norm)
      : op(comm, with_tail({2, -1}, size, 1.0)), matrix(assemble(op)), direction_(op.eigenvector(0)) {
    if (size > 1) {
      axpy(0.75, op.eigenvector(1), direction_);
      for (double& x : direction_) x /= 1.25;
    }
    op.before_product = [this](ConstMultiVector in) {
      shares_.clear();
      for (Index j = 0; j < in.rows; ++j) shares_.push_back(dot(direction_, in.row(j)));
      MPI_Allreduce(MPI_IN_PLACE, shares_.data(), static_cast<int>(shares_.size()), MPI_DOUBLE, MPI_SUM,
                    op.comm().get());
    };
    op.after_product = [this, norm](MultiVector out) {
      for (Index j = 0; j < out.rows; ++j)
        axpy(norm * shares_[static_cast<std::size_t>(j)], direction_, out.row(j));
    };
  }

  KnownSpectrum op;
  Matrix<double> matrix;  ///< without the rank one

 private:
  std::vector<double> direction_;
  std::vector<double> shares_;
};

TEST(BoundFactor, HasTheChanceOfFailureAskedFor) {
  for (const auto& [probes, failure] : {std::pair<Index, double>{16, 1e-9}, {1, 0.5}, {4, 1e-3}}) {
    const double missed = std::erf(1 / (bound_factor(probes, failure) * std::sqrt(2.0)));
    EXPECT_NEAR(std::pow(missed, probes) / failure, 1.0, 1e-10);
  }
  EXPECT_NEAR(bound_factor(16, chance_of_failure), 2.8552, 1e-4);
  EXPECT_NEAR(bound_factor(1, 1 - 0.31731), 1.0, 1e-4) << "one standard deviation";
}

TEST(MatrixDistance, CoversADifferenceOfRankOneAndFailsAsOftenAsSaid) {
  const Comm comm(MPI_COMM_WORLD);
  constexpr double norm = 1e-3;
  constexpr int seeds = 200;
  // A factor that fails half of the time.
  const double uncertain = bound_factor(16, 0.5) / bound_factor(16, chance_of_failure);
  for (const Index size : {1, 2, 30}) {
    const OffByRankOne off(comm, size, norm);
    int covered = 0;
    for (int seed = 0; seed < seeds; ++seed) {
      const auto probed = probe_matrix(off.op, off.matrix.view(), static_cast<std::uint64_t>(seed));
      EXPECT_EQ(probed.distance.probes, 16);
      EXPECT_GE(probed.distance.bound, norm * (1 - 1e-9));
      // The largest of 3200 standard normals is above 6 with a chance of 6e-6.
      EXPECT_LE(probed.distance.bound, 6 * bound_factor(16, chance_of_failure) * norm);
      covered += uncertain * probed.distance.bound >= norm ? 1 : 0;
    }
    // Four and a half standard deviations of 200 coins.
    EXPECT_NEAR(covered, seeds / 2, 4.5 * std::sqrt(seeds) / 2) << size;
  }
}

TEST(MatrixDistance, IsTheSameAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self = comm.split(comm.rank());
  const OffByRankOne distributed(comm, 30, 0.5);
  const OffByRankOne alone(self, 30, 0.5);
  EXPECT_NEAR(probe_matrix(distributed.op, distributed.matrix.view(), 3).distance.bound /
                  probe_matrix(alone.op, alone.matrix.view(), 3).distance.bound,
              1.0, 1e-12);
}

TEST(MatrixDistance, SeesAnOperatorThatIsNotSymmetric) {
  const Comm comm(MPI_COMM_WORLD);
  KnownSpectrum op(comm, with_tail({2, -1}, 30, 1.0));
  const auto matrix = assemble(op);
  EXPECT_LT(probe_matrix(op, matrix.view(), 1).asymmetry, 1e-14);
  op.after_product = [&](MultiVector out) {
    for (Index j = 0; j < out.rows; ++j)
      if (comm.is_root()) out(j, 0) *= 1 + 1e-6;
  };
  EXPECT_GT(probe_matrix(op, matrix.view(), 1).asymmetry, 1e-8);
  const auto spectrum =
      compute(op, {.which = Which::all, .tolerance = 1e-4, .assemble = [&] { return matrix; }});
  EXPECT_FALSE(spectrum.as_asked());
  EXPECT_THAT(spectrum.reason, HasSubstr("the operator is not symmetric to rounding: "));
}

TEST(MatrixDistance, RefusesProductsThatAreNotFinite) {
  const Comm comm(MPI_COMM_WORLD);
  KnownSpectrum op(comm, with_tail({4, -4}, 70, 1.0));
  const auto matrix = assemble(op);
  op.after_product = [&](MultiVector out) {
    if (comm.rank() == comm.size() - 1) out(7, 0) = std::numeric_limits<double>::quiet_NaN();
  };
  EXPECT_THAT(error_of<ComputationError>([&] { probe_matrix(op, matrix.view(), 1); }),
              HasSubstr("random vectors hold numbers that are not finite"));
}

/// |H v - theta v| of each pair, by products.
std::vector<double> true_residuals(const LinearOperator& op, const Spectrum& spectrum) {
  Matrix<double> products(spectrum.vectors.rows(), spectrum.vectors.cols());
  op.apply(spectrum.vectors.view(), products.view());
  std::vector<double> squares;
  for (Index n = 0; n < products.rows(); ++n) {
    axpy(-spectrum.values[static_cast<std::size_t>(n)], spectrum.vectors.row(n), products.row(n));
    squares.push_back(dot(products.row(n), products.row(n)));
  }
  MPI_Allreduce(MPI_IN_PLACE, squares.data(), static_cast<int>(squares.size()), MPI_DOUBLE, MPI_SUM,
                op.comm().get());
  for (double& square : squares) square = std::sqrt(square);
  return squares;
}

TEST(CompleteCertificate, ResidualsOfAnHonestMatrixAreBoundsAtTheLevelOfRounding) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({10, 9, 5, 5, 5, 4, -3, -2}, 120, 1.0));
  const auto spectrum = compute(op, {.which = Which::all});
  EXPECT_EQ(op.products, 120 + 16);
  ASSERT_ALL(spectrum.as_asked() && spectrum.matrix_distance.has_value());
  const auto truth = true_residuals(op, spectrum);
  for (std::size_t n = 0; n < truth.size(); ++n) {
    EXPECT_GE(spectrum.residuals[n], truth[n]) << "the probes are longer than the pairs by a factor of ten";
    EXPECT_LE(spectrum.residuals[n], 10 * residual_floor(10));
  }
  EXPECT_GT(spectrum.matrix_distance->bound, 0) << "rounding";
}

TEST(CompleteCertificate, BoundsValuesThatAreOffAsMuchAsTheMatrix) {
  const Comm comm(MPI_COMM_WORLD);
  // Far above what the squares of the residuals come to, and below the tolerance.
  constexpr double norm = 1e-6;
  const OffByRankOne off(comm, 30, norm);
  const auto spectrum =
      compute(off.op, {.which = Which::all, .tolerance = 1e-4, .assemble = [&] { return off.matrix; }});
  ASSERT_ALL(spectrum.as_asked());
  const auto truth = compute(off.op, {.which = Which::all});
  double largest = 0;
  for (std::size_t n = 0; n < truth.values.size(); ++n) {
    const double error = std::abs(spectrum.values[n] - truth.values[n]);
    largest = std::max(largest, error);
    EXPECT_LE(error, spectrum.value_bounds[n]) << n;
  }
  EXPECT_GT(largest, 0.3 * norm);
}

TEST(CompleteCertificate, ShowsAMatrixThatIsWrongInOneEntry) {
  const Comm comm(MPI_COMM_WORLD);
  const auto eigenvalues = with_tail({10, 9, 5, 5, 5, 4, -3, -2}, 60, 1.0);
  for (const auto& [row, column] : {std::pair<Index, Index>{7, 7}, {31, 4}}) {
    const KnownSpectrum op(comm, eigenvalues);
    constexpr double error = 1e-5;
    const auto spectrum = compute(op, {.which = Which::all, .assemble = [&, row = row, column = column] {
                                         auto matrix = assemble(op);
                                         if (comm.is_root()) matrix(row, column) += error;
                                         if (comm.is_root() && row != column) matrix(column, row) += error;
                                         return matrix;
                                       }});
    const auto truth = true_residuals(op, spectrum);
    EXPECT_GT(std::ranges::max(truth), 0.1 * error);
    for (std::size_t n = 0; n < truth.size(); ++n) EXPECT_GE(spectrum.residuals[n], truth[n]);
    EXPECT_GE(spectrum.matrix_distance->bound, error);
    EXPECT_LE(spectrum.matrix_distance->bound, 25 * error);
    EXPECT_FALSE(spectrum.as_asked());
    EXPECT_THAT(spectrum.reason, HasSubstr("the matrix may differ from the operator by "));
  }
}

}  // namespace
}  // namespace dualscape::spectrum
