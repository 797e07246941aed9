#include "dualscape/spectrum/complete.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "dualscape/base/error.hpp"
#include "dualscape/spectrum/certificate.hpp"
#include "support/collective.hpp"
#include "support/error_of.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::spectrum {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::KnownSpectrum;
using testing::with_tail;

std::vector<double> descending(std::vector<double> values) {
  std::ranges::sort(values, std::greater<>());
  return values;
}

/// Values to 1e-12 of the norm, and each vector with a residual of that size.
void expect_complete(const Eigenpairs& pairs, const KnownSpectrum& op) {
  const auto truth = descending(op.eigenvalues());
  ASSERT_ALL(pairs.values.size() == truth.size() && pairs.vectors.rows() == std::ssize(truth));
  const double norm = std::max(std::abs(truth.front()), std::abs(truth.back()));
  const auto [quotients, residuals] = fresh_residuals(op, pairs.vectors.view());
  for (std::size_t n = 0; n < truth.size(); ++n) {
    EXPECT_NEAR(pairs.values[n], truth[n], 1e-12 * norm);
    EXPECT_NEAR(quotients[n], truth[n], 1e-12 * norm);
    EXPECT_NEAR(quotients[n], pairs.values[n], 1e-13 * norm);
    EXPECT_LE(residuals[n], 1e-12 * norm);
    EXPECT_NEAR(residuals[n], pairs.residuals[n], residual_floor(norm));
  }
  if (truth.size() > 3) {
    EXPECT_GT(std::ranges::max(pairs.residuals), 0) << "rounding";
  }
  EXPECT_LE(orthogonality_defect(op.comm(), pairs.vectors.view()), 1e-13);
}

TEST(CompleteSpectrum, EqualsTheTruthWithClustersAndCopies) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({10, 10, 10, 10, 3, 3 - 1e-9, 0, 0, 0, -4, -4, -4, -4}, 150, -0.1));
  const auto pairs = complete_spectrum(op, 150);
  EXPECT_EQ(op.products, 150);
  EXPECT_EQ(op.block_products, 3) << "unit vectors go in blocks of 64";
  expect_complete(pairs, op);
}

TEST(CompleteSpectrum, WorksWithMoreRanksThanParameters) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum three(comm, {3, -1, 2});
  expect_complete(complete_spectrum(three, 10), three);
  const KnownSpectrum one(comm, {-2.5});
  expect_complete(complete_spectrum(one, 10), one);
}

TEST(CompleteSpectrum, TakesAMatrixAssembledElsewhere) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({4, -4}, 70, 1.0));
  auto dense = assemble(op);
  EXPECT_EQ(dense.rows(), comm.is_root() ? 70 : 0);
  // Ranks other than the root may bring anything.
  if (!comm.is_root()) dense = Matrix<double>(2, 3);
  expect_complete(complete_spectrum(comm, op.range(), dense), op);
}

TEST(CompleteSpectrum, RefusesBlocksBeyondTheLimit) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({}, 100, 1.0));
  EXPECT_EQ(error_of<UsageError>([&] { complete_spectrum(op, 99); }),
            "the complete spectrum of a block of 100 parameters would take 0.00032 GB on one rank, and "
            "blocks up to "
            "numerics.dense_limit = 99 are solved completely: choose a smaller block, spectrum.which = "
            "\"largest\", or a larger numerics.dense_limit");
  EXPECT_EQ(op.products, 0);
}

TEST(CompleteSpectrum, RefusesAMatrixThatIsNotSymmetric) {
  const Comm comm(MPI_COMM_WORLD);
  Matrix<double> dense(comm.is_root() ? 3 : 0, comm.is_root() ? 3 : 0);
  if (comm.is_root()) {
    dense(0, 0) = dense(1, 1) = dense(2, 2) = 2;
    dense(0, 2) = 1;
    dense(2, 0) = 1 + 1e-9;
  }
  const Partition partition(3, comm.size());
  EXPECT_THAT(error_of<ComputationError>([&] { complete_spectrum(comm, partition, dense); }),
              HasSubstr("not symmetric: it differs from its transpose by 5.0e-10 of its largest entry"));
  // In single precision that is rounding.
  EXPECT_NO_THROW(complete_spectrum(comm, partition, dense, std::numeric_limits<float>::epsilon()));
  if (comm.is_root()) {
    EXPECT_EQ(dense(0, 2), dense(2, 0));
    EXPECT_NEAR(dense(0, 2), 1 + 5e-10, 1e-15);
  }
}

TEST(CompleteSpectrum, RefusesNumbersThatAreNotFinite) {
  const Comm comm(MPI_COMM_WORLD);
  KnownSpectrum op(comm, with_tail({4, -4}, 70, 1.0));
  op.after_product = [&](MultiVector out) {
    if (comm.rank() == comm.size() - 1) out(0, 0) = std::numeric_limits<double>::quiet_NaN();
  };
  EXPECT_THAT(error_of<ComputationError>([&] { complete_spectrum(op, 100); }), HasSubstr("not finite"));
}

}  // namespace
}  // namespace dualscape::spectrum
