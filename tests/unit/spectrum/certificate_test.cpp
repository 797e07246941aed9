#include "dualscape/spectrum/certificate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "support/collective.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::spectrum {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using testing::KnownSpectrum;
using testing::with_tail;

constexpr double eps = std::numeric_limits<double>::epsilon();

double sum_over_ranks(const Comm& comm, double value) {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_SUM, comm.get());
  return value;
}

/// The first `count` eigenvectors, each turned by about `angle` into a random direction.
Matrix<double> turned_eigenvectors(const KnownSpectrum& op, Index count, double angle) {
  const Index size = op.range().size();
  const Index first = op.range().begin(op.comm().rank());
  Matrix<double> vectors(count, op.range().count(op.comm().rank()));
  for (Index n = 0; n < count; ++n) {
    const auto exact = op.eigenvector(n);
    const Random random(3, Stream::probe, static_cast<std::uint32_t>(n));
    for (Index i = 0; i < vectors.cols(); ++i)
      vectors(n, i) =
          exact[static_cast<std::size_t>(i)] +
          angle * random.normal(static_cast<std::uint64_t>(first + i)) / std::sqrt(static_cast<double>(size));
  }
  return vectors;
}

/// Sine of the angle between a vector and eigenvector n, from the part across it: no digits cancel.
double sine(const KnownSpectrum& op, Index n, std::span<const double> vector) {
  const Comm& comm = op.comm();
  const auto exact = op.eigenvector(n);
  const double along = sum_over_ranks(comm, dot(exact, vector));
  std::vector<double> across(vector.begin(), vector.end());
  axpy(-along, exact, across);
  return std::sqrt(sum_over_ranks(comm, dot(across, across)) / sum_over_ranks(comm, dot(vector, vector)));
}

TEST(ErrorBounds, HoldForPerturbedEigenvectors) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({10, 9, 8, 7, 6, 5, 4}, 200, 1.0));
  const Index count = 6;
  for (const double angle : {3e-2, 1e-3, 1e-5, 1e-8, 0.0}) {
    const auto vectors = turned_eigenvectors(op, count, angle);
    const auto [values, residuals] = fresh_residuals(op, vectors.view());
    const auto bounds = error_bounds(values, residuals, count, 200, 10.0, eps);
    for (Index n = 0; n < count; ++n) {
      const auto at = static_cast<std::size_t>(n);
      const double error = std::abs(values[at] - op.eigenvalues()[at]);
      const double true_sine = sine(op, n, vectors.row(n));
      EXPECT_LE(error, bounds.value_bounds[at]) << angle << " " << n;
      EXPECT_LE(true_sine, bounds.angle_bounds[at]) << angle << " " << n;
      if (n == count - 1) {
        EXPECT_EQ(bounds.angle_bounds[at], 1.0) << "next to what was not computed";
        EXPECT_GE(bounds.value_bounds[at], residuals[at]);
      } else if (angle > 0 && angle <= 1e-3) {
        // The distances are 1 and the operator spreads over 10: no bound is more than about tenfold, or,
        // being of second order, hundredfold too wide; the floor is 50 |H| eps.
        EXPECT_LE(bounds.angle_bounds[at], 12 * true_sine + 1e-12);
        EXPECT_LE(bounds.value_bounds[at], 120 * true_sine * true_sine + 1e-12);
      }
    }
  }
}

TEST(ErrorBounds, FollowFromValuesAndResiduals) {
  // Three pairs of the upper end, two of the lower, of 9; norm 10 without rounding.
  const std::vector<double> values = {10, 6, 5, -1, -3};
  const std::vector<double> residuals = {0.1, 0.2, 0.1, 0.5, 2.5};
  const auto bounds = error_bounds(values, residuals, 3, 9, 10.0, 0.0);
  const double tiny = 1e-15;
  // d = 4 - 0.2; 1 - 0.1; none; none; r = 2.5 >= d = 2 - 0.5.
  EXPECT_THAT(bounds.value_bounds,
              ElementsAre(DoubleNear(0.01 / 3.8, tiny), DoubleNear(0.04 / 0.9, tiny), 0.1, 0.5, 2.5));
  EXPECT_THAT(bounds.angle_bounds,
              ElementsAre(DoubleNear(0.1 / 3.8, tiny), DoubleNear(0.2 / 0.9, tiny), 1, 1, 1));
  // The last two: 2 apart, residuals of 3.
  EXPECT_THAT(bounds.clusters, ElementsAre(0, 1, 2, 3, 3));
}

TEST(ErrorBounds, KnowNoUnknownPartInACompleteBasis) {
  const auto bounds = error_bounds({3, 1}, {0.1, 0.2}, 2, 2, 3.0, 0.0);
  EXPECT_THAT(bounds.angle_bounds, ElementsAre(DoubleNear(0.1 / 1.8, 1e-15), DoubleNear(0.2 / 1.9, 1e-15)));
  const auto single = error_bounds({3}, {0.1}, 1, 1, 3.0, 0.0);
  EXPECT_THAT(single.angle_bounds, ElementsAre(0.0)) << "a space of one dimension has no other direction";
}

TEST(ErrorBounds, HaveAFloorOfRounding) {
  const auto bounds = error_bounds({3, 1}, {0, 0}, 2, 2, 4.0, 1e-6);
  // r and d carry the floor 50 * 1e-6 * 4 = 2e-4.
  const double floor = 2e-4;
  const double d = 2 - floor;
  EXPECT_NEAR(bounds.value_bounds[0], floor * floor / d + floor, 1e-15);
  EXPECT_NEAR(bounds.angle_bounds[0], floor / d + 5e-5, 1e-15);
}

TEST(ErrorBounds, AllowForValuesThatAreNoRayleighQuotients) {
  const auto bounds = error_bounds({3, 1, 0.99}, {0.1, 0.1, 0.1}, 3, 3, 0.0, 0.0, 0.0, 0.01);
  const double d = 1.9;
  EXPECT_NEAR(bounds.value_bounds[0], 0.01 / (d - 0.01) + 0.01, 1e-15);
  EXPECT_NEAR(bounds.angle_bounds[0], 0.1 / d, 1e-15) << "of any value";
  EXPECT_EQ(bounds.value_bounds[1], 0.1) << "not apart";
  // Residuals say more than quotients that may be as far off.
  EXPECT_EQ(error_bounds({3, 1}, {0.1, 0.1}, 2, 2, 0.0, 0.0, 0.0, 0.099).value_bounds[0], 0.1);
}

TEST(ErrorBounds, JoinClusters) {
  // 1e-7 relative; unresolved by residuals; separated.
  const auto bounds = error_bounds({5 + 5e-7, 5, 3, 2.9, 1}, {0, 0, 0.06, 0.06, 0}, 5, 9, 5.0, 0.0);
  EXPECT_THAT(bounds.clusters, ElementsAre(0, 0, 1, 1, 2));
  EXPECT_EQ(bounds.angle_bounds[2], 1.0);
}

TEST(Orthogonality, IsTheLargestDefect) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({}, 300, 1.0));
  auto vectors = turned_eigenvectors(op, 260, 0.0);
  EXPECT_LT(orthogonality_defect(comm, vectors.view()), 20 * eps);
  // The last row, beyond the first block of the Gram matrix, leans by 1e-3 to the first.
  axpy(1e-3, vectors.row(0), vectors.row(259));
  EXPECT_NEAR(orthogonality_defect(comm, vectors.view()), 1e-3, 20 * eps);
  // Two rows beyond it.
  axpy(1e-2, vectors.row(257), vectors.row(258));
  EXPECT_NEAR(orthogonality_defect(comm, vectors.view()), 1e-2, 20 * eps);
}

TEST(Symmetry, DefectShowsAnOperatorThatIsNotSymmetric) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum symmetric(comm, with_tail({2, -2}, 300, 1.0));
  EXPECT_LT(symmetry_defect(symmetric, 2.0, 1), 10 * eps);
  // The same, one result entry left out: its row is zero, its column is not.
  KnownSpectrum broken(comm, with_tail({2, -2}, 300, 1.0));
  broken.after_product = [&](MultiVector out) {
    if (comm.is_root())
      for (Index j = 0; j < out.rows; ++j) out(j, 0) = 0;
  };
  EXPECT_GT(symmetry_defect(broken, 2.0, 1), 1e-6);
}

TEST(Signs, MakeTheFirstOfTheLargestEntriesPositive) {
  const Comm comm(MPI_COMM_WORLD);
  const Partition partition(5, comm.size());
  const double whole[3][5] = {
      {0.1, -0.2, 0.5, -0.5, 0.5}, {0.1, -0.7, 0.1, 0.7 * (1 + 1e-12), 0}, {0, 0, 0, 0, 0}};
  const double fixed[3][5] = {
      {0.1, -0.2, 0.5, -0.5, 0.5}, {-0.1, 0.7, -0.1, -0.7 * (1 + 1e-12), 0}, {0, 0, 0, 0, 0}};
  const Index first = partition.begin(comm.rank());
  Matrix<double> vectors(3, partition.count(comm.rank()));
  for (Index j = 0; j < 3; ++j)
    for (Index i = 0; i < vectors.cols(); ++i) vectors(j, i) = whole[j][first + i];
  fix_signs(comm, partition, vectors.view());
  for (Index j = 0; j < 3; ++j)
    for (Index i = 0; i < vectors.cols(); ++i) EXPECT_EQ(vectors(j, i), fixed[j][first + i]) << j << " " << i;
}

}  // namespace
}  // namespace dualscape::spectrum
