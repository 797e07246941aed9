#include "dualscape/spectrum/spectrum.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "bounds.hpp"
#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/petsc/session.hpp"
#include "dualscape/spectrum/complete.hpp"
#include "order.hpp"
#include "support/collective.hpp"
#include "support/error_of.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::spectrum {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using testing::expect_values_within_bounds;
using ::testing::HasSubstr;
using testing::KnownSpectrum;
using testing::order;
using testing::with_tail;

/// Outliers, a cluster, and a negative tail, all distinct: {10, 9, 5, 5 - 1e-8, 4, 3, 2.., .., -2, -3}.
std::vector<double> landscape() {
  return with_tail({10, 9, 5, 5 - 1e-8, 4, 3, 2, -3, -2, -1.5}, order, 1.0);
}

/// Values are within their bounds and in order, vectors orthonormal, the operator symmetric.
void expect_bounds_hold(const Spectrum& spectrum, const std::vector<double>& truth) {
  expect_values_within_bounds(spectrum, truth);
  EXPECT_TRUE(std::ranges::is_sorted(spectrum.values, std::greater<>()));
  EXPECT_LT(spectrum.orthogonality_defect, 1e-12);
  EXPECT_LT(spectrum.symmetry_defect, 1e-14);
}

TEST(Spectrum, FindsTheLargestAndDropsTheGuard) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, landscape());
  const auto spectrum = compute(op, {.which = Which::largest, .count = 6, .tolerance = 1e-9});
  EXPECT_EQ(spectrum.requested, 6);
  EXPECT_TRUE(spectrum.as_asked());
  EXPECT_FALSE(spectrum.complete());
  EXPECT_EQ(spectrum.reason, "converged");
  EXPECT_EQ(spectrum.upper, 6);
  EXPECT_EQ(spectrum.matvecs, op.products);
  EXPECT_NEAR(spectrum.norm_estimate, 10.0, 1e-12);
  EXPECT_THAT(spectrum.clusters, ElementsAre(0, 1, 2, 2, 3, 4));
  EXPECT_FALSE(spectrum.cluster_cut);
  for (double residual : spectrum.residuals) EXPECT_LE(residual, 1e-9 * 10);
  EXPECT_LT(spectrum.angle_bounds[5], 1e-7) << "the guard certifies the last pair";
  ASSERT_ALL(spectrum.rest_below.has_value());
  EXPECT_NEAR(*spectrum.rest_below, op.eigenvalues()[6], 3e-8);
  EXPECT_GE(*spectrum.rest_below, op.eigenvalues()[6]);
  EXPECT_FALSE(spectrum.rest_above.has_value());
  expect_bounds_hold(spectrum, op.eigenvalues());
}

TEST(Spectrum, ASecondStartTellsWhetherAPairWasMissed) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, landscape());
  const auto sound = compute(op, {.which = Which::both, .count = 3, .second_start = true});
  EXPECT_TRUE(sound.as_asked()) << sound.reason;
  EXPECT_GT(sound.second_matvecs, 0);
  EXPECT_EQ(sound.matvecs, op.products);

  // An operator that grows a new largest eigenvalue behind the first solve's back.
  KnownSpectrum first(comm, landscape());
  const auto plain = compute(first, {.which = Which::largest, .count = 3});
  KnownSpectrum changing(comm, landscape());
  const auto missed = changing.eigenvector(60);
  Matrix<double> in(1, std::ssize(missed));
  changing.before_product = [&](ConstMultiVector vectors) {
    in = Matrix<double>(vectors.rows, vectors.cols);
    for (Index j = 0; j < vectors.rows; ++j) std::ranges::copy(vectors.row(j), in.row(j).begin());
  };
  changing.after_product = [&](MultiVector out) {
    if (changing.products <= plain.matvecs) return;
    for (Index j = 0; j < out.rows; ++j) {
      double share = dot(missed, in.row(j));
      MPI_Allreduce(MPI_IN_PLACE, &share, 1, MPI_DOUBLE, MPI_SUM, comm.get());
      axpy(9.5 * share, missed, out.row(j));
    }
  };
  const auto doubtful = compute(changing, {.which = Which::largest, .count = 3, .second_start = true});
  EXPECT_FALSE(doubtful.as_asked());
  EXPECT_THAT(doubtful.reason, HasSubstr("a second start found 9.5"));
  EXPECT_EQ(doubtful.converged(), 3) << "nothing is lost";
}

TEST(Spectrum, DoubtsAnOperatorThatIsNotSymmetric) {
  const Comm comm(MPI_COMM_WORLD);
  KnownSpectrum op(comm, landscape());
  op.after_product = [&](MultiVector out) {
    for (Index j = 0; j < out.rows; ++j)
      if (comm.is_root()) out(j, 0) *= 1 + 1e-6;
  };
  const auto spectrum = compute(op, {.count = 3, .tolerance = 1e-4});
  EXPECT_FALSE(spectrum.as_asked());
  EXPECT_THAT(spectrum.reason, HasSubstr("the operator is not symmetric to rounding: "));
}

TEST(Spectrum, FindsBothEnds) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, landscape());
  const auto spectrum = compute(op, {.which = Which::both, .count = 2});
  EXPECT_EQ(spectrum.requested, 4);
  EXPECT_EQ(spectrum.upper, 2);
  ASSERT_ALL(spectrum.as_asked());
  EXPECT_NEAR(spectrum.values[2], -2, 1e-12);
  EXPECT_NEAR(spectrum.values[3], -3, 1e-12);
  for (double angle : spectrum.angle_bounds) EXPECT_LT(angle, 1e-6);
  ASSERT_ALL(spectrum.rest_below.has_value() && spectrum.rest_above.has_value());
  EXPECT_LT(std::abs(*spectrum.rest_below - 5), 1e-6);
  EXPECT_LT(std::abs(*spectrum.rest_above + 1.5), 1e-6);
  EXPECT_LE(*spectrum.rest_above, -1.5);
  expect_bounds_hold(spectrum, op.eigenvalues());
}

TEST(Spectrum, FindsTheSmallest) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, landscape());
  const auto spectrum = compute(op, {.which = Which::smallest, .count = 2});
  EXPECT_EQ(spectrum.upper, 0);
  ASSERT_ALL(spectrum.as_asked());
  EXPECT_FALSE(spectrum.cluster_cut);
  EXPECT_NEAR(spectrum.values[0], -2, 1e-12);
  for (double angle : spectrum.angle_bounds) EXPECT_LT(angle, 1e-6);
  expect_bounds_hold(spectrum, op.eigenvalues());
}

TEST(Spectrum, SaysThatAClusterIsCut) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, landscape());
  const auto spectrum = compute(op, {.which = Which::largest, .count = 3});
  EXPECT_TRUE(spectrum.cluster_cut);
  const KnownSpectrum mirrored(comm, [] {
    auto values = landscape();
    for (double& value : values) value = -value;
    return values;
  }());
  EXPECT_TRUE(compute(mirrored, {.which = Which::smallest, .count = 3}).cluster_cut);
}

TEST(Spectrum, EndsOfTheCompleteSpectrumAreTheSame) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, landscape());
  const auto all = compute(op, {.which = Which::all});
  EXPECT_TRUE(all.complete() && all.as_asked());
  EXPECT_EQ(all.reason, "dense");
  EXPECT_EQ(all.matvecs, order + 16);
  EXPECT_EQ(all.upper, order);
  expect_bounds_hold(all, op.eigenvalues());

  const auto largest = compute(op, {.which = Which::largest, .count = 7});
  for (std::size_t n = 0; n < 7; ++n) {
    EXPECT_LE(std::abs(all.values[n] - largest.values[n]), all.value_bounds[n] + largest.value_bounds[n]);
    if (n == 2 || n == 3) continue;  // within a cluster vectors are any
    double difference = 0;
    for (Index i = 0; i < all.vectors.cols(); ++i)
      difference = std::max(difference, std::abs(all.vectors(static_cast<Index>(n), i) -
                                                 largest.vectors(static_cast<Index>(n), i)));
    EXPECT_LE(difference, 2 * (all.angle_bounds[n] + largest.angle_bounds[n])) << "same sign, same direction";
  }
}

TEST(Spectrum, TakesAFasterWayToTheDenseMatrix) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, {3, 2, -1});
  int calls = 0;
  const auto spectrum = compute(op, {.which = Which::all, .assemble = [&] {
                                       ++calls;
                                       return assemble(op);
                                     }});
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(spectrum.matvecs, 16) << "the certificate's only";
  expect_bounds_hold(spectrum, op.eigenvalues());
}

TEST(Spectrum, IsTheSameAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self = comm.split(comm.rank());
  const KnownSpectrum distributed(comm, landscape());
  const KnownSpectrum alone(self, landscape());
  const Options options = {.which = Which::both, .count = 2, .tolerance = 1e-10};
  const auto a = compute(distributed, options);
  const auto b = compute(alone, options);
  const Index first = distributed.range().begin(comm.rank());
  ASSERT_ALL(a.as_asked() && b.as_asked());
  for (Index n = 0; n < 4; ++n) {
    const auto at = static_cast<std::size_t>(n);
    EXPECT_LE(std::abs(a.values[at] - b.values[at]), a.value_bounds[at] + b.value_bounds[at]);
    // Unit vectors at an angle of sine s are less than 2 s apart, if their signs agree.
    for (Index i = 0; i < a.vectors.cols(); ++i)
      EXPECT_NEAR(a.vectors(n, i), b.vectors(n, first + i), 2 * (a.angle_bounds[at] + b.angle_bounds[at]));
  }
}

TEST(Spectrum, ReportsFewerPairsThanAsked) {
  const Comm comm(MPI_COMM_WORLD);
  std::vector<double> dense_end;
  for (int i = 0; i < 2000; ++i) dense_end.push_back(1.0 - 1e-6 * i);
  const KnownSpectrum op(comm, dense_end);
  const auto spectrum = compute(op, {.count = 5, .tolerance = 1e-12, .max_products = 40});
  EXPECT_FALSE(spectrum.as_asked());
  EXPECT_EQ(spectrum.requested, 5);
  EXPECT_THAT(spectrum.reason, HasSubstr("stopped after"));
  EXPECT_EQ(spectrum.vectors.rows(), spectrum.converged());
}

TEST(Spectrum, RefusesMorePairsThanThereAre) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({}, 30, 1.0));
  EXPECT_EQ(error_of<UsageError>([&] { compute(op, {.count = 50}); }),
            "spectrum.count = 50 is larger than the block (30 parameters)");
  EXPECT_EQ(error_of<UsageError>([&] { compute(op, {.which = Which::both, .count = 20}); }),
            "spectrum.count = 20 at both ends is more than the block has (30 parameters)");
  EXPECT_THAT(error_of<UsageError>([&] { compute(op, {.which = Which::all, .dense_limit = 29}); }),
              HasSubstr("numerics.dense_limit = 29"));
}

TEST(Spectrum, WorksOnAHandfulOfParameters) {
  const Comm comm(MPI_COMM_WORLD);
  for (const Which which : {Which::largest, Which::smallest, Which::both, Which::all}) {
    const KnownSpectrum op(comm, {2, 2, -1});
    const auto spectrum = compute(op, {.which = which, .count = which == Which::both ? 1 : 3});
    EXPECT_TRUE(spectrum.as_asked());
    EXPECT_EQ(spectrum.complete(), which != Which::both);
    expect_bounds_hold(spectrum, op.eigenvalues());
  }
}

TEST(Spectrum, LeavesNothingBehindAFailedProduct) {
  const Comm comm(MPI_COMM_WORLD);
  for (const Which which : {Which::both, Which::all}) {
    KnownSpectrum op(comm, landscape());
    op.after_product = [&](MultiVector) {
      if (op.products >= 20) throw ComputationError("a product failed");
    };
    EXPECT_EQ(error_of<ComputationError>([&] { compute(op, {.which = which, .count = 3}); }),
              "a product failed");
    op.after_product = [&](MultiVector out) {
      if (comm.is_root()) out(0, 0) = std::numeric_limits<double>::quiet_NaN();
    };
    EXPECT_THAT(error_of<ComputationError>([&] { compute(op, {.which = which, .count = 3}); }),
                HasSubstr("not finite"));
  }
  EXPECT_EQ(petsc::handles_alive(), 0);
}

}  // namespace
}  // namespace dualscape::spectrum
