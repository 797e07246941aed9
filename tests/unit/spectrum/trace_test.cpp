#include "dualscape/spectrum/trace.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "layer_oracle.hpp"
#include "order.hpp"
#include "rough_pairs.hpp"
#include "support/dense_operator.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::spectrum {
namespace {

using testing::Coverage;
using testing::KnownSpectrum;
using testing::order;
using testing::products_with_units;
using testing::RoughPairs;
using testing::sum_of;
using testing::with_tail;

double norm_of(const std::vector<double>& values) {
  return norm(values);
}

TEST(Trace, IsExactForALowRank) {
  const Comm comm(MPI_COMM_WORLD);
  std::vector<double> values = {7, -3, 2, 1e-3};
  values.resize(order);
  const KnownSpectrum op(comm, values);
  for (Index products : {12, 30}) {
    const auto found = estimate_trace(op, {.products = products, .seed = 4});
    EXPECT_EQ(found.matvecs, products);
    EXPECT_EQ(op.products, products);
    EXPECT_NEAR(found.trace.value, sum_of(values), 1e-12);
    EXPECT_LT(found.trace.error, 1e-12);
    EXPECT_NEAR(found.frobenius.value, norm_of(values), 1e-12);
    EXPECT_LT(found.frobenius.error, 1e-12);
    op.products = 0;
  }
}

TEST(Trace, IsWithinItsErrorBarsAndBetterThanPlainProbes) {
  const Comm comm(MPI_COMM_WORLD);
  const auto values = with_tail({50, 40, 30, 20, -25, 10}, order, 1.0);
  const KnownSpectrum op(comm, values);
  for (std::uint64_t seed : {1, 2, 3}) {
    const auto found = estimate_trace(op, {.products = 60, .seed = seed});
    EXPECT_LE(std::abs(found.trace.value - sum_of(values)), 3 * found.trace.error);
    EXPECT_LE(std::abs(found.frobenius.value - norm_of(values)), 3 * found.frobenius.error);
    // Sixty plain probes leave sqrt(2/60) |H|_F; what is outside of 20 directions is below a tenth of that.
    EXPECT_LT(found.trace.error, 0.1 * std::sqrt(2.0 / 60) * norm_of(values));
    EXPECT_GT(found.trace.error, 0);
  }
}

TEST(Trace, IsThatOfALayersHessian) {
  const Comm comm(MPI_COMM_WORLD);
  const testing::LayerOracle oracle;
  const auto linearisation = oracle.problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(Curvature::hessian, linearisation, oracle.block());
  const auto exact = estimate_trace(*hessian, {.products = 120});
  EXPECT_EQ(exact.matvecs, 120);
  EXPECT_NEAR(exact.trace.value, oracle.trace, 1e-13 * oracle.frobenius);
  EXPECT_NEAR(exact.frobenius.value, oracle.frobenius, 1e-13 * oracle.frobenius);
  EXPECT_EQ(exact.trace.error, 0);
  EXPECT_EQ(exact.frobenius.error, 0);
  const auto found = estimate_trace(*hessian, {.products = 60});
  EXPECT_LE(std::abs(found.trace.value - oracle.trace), 3 * found.trace.error);
  EXPECT_LE(std::abs(found.frobenius.value - oracle.frobenius), 3 * found.frobenius.error);
  // What twenty plain probes would leave.
  EXPECT_LT(found.trace.error, std::sqrt(2.0 / 20) * oracle.frobenius);
}

TEST(Trace, CountsKnownPairsApart) {
  const Comm comm(MPI_COMM_WORLD);
  // Exact where the pairs and a third of the products hold the rank, however rough the pairs are.
  std::vector<double> few = {7, -3, 2, 1, -0.5, 0.1};
  few.resize(order);
  const KnownSpectrum low(comm, few);
  const RoughPairs three(low, 3, 0.05);
  const auto exact = estimate_trace(low, {.products = 27, .known = three.known()});
  EXPECT_EQ(low.products, 27);
  EXPECT_NEAR(exact.trace.value, sum_of(few), 1e-12);
  EXPECT_LT(exact.trace.error, 1e-12);
  EXPECT_NEAR(exact.frobenius.value, norm_of(few), 1e-12);
  EXPECT_LT(exact.frobenius.error, 1e-12);
  // All pairs: no product is needed.
  const RoughPairs all(low, order, 0.05);
  const auto complete = estimate_trace(low, {.products = 6, .known = all.known()});
  EXPECT_EQ(complete.matvecs, 0);
  EXPECT_EQ(low.products, 0);
  EXPECT_NEAR(complete.trace.value, sum_of(few), 1e-12);
  EXPECT_NEAR(complete.frobenius.value, norm_of(few), 1e-12);
}

TEST(Trace, HoldsTheTruthInItsErrorBars) {
  const Comm comm(MPI_COMM_WORLD);
  const auto values = with_tail({50, 40, 30, 20, -25, 10}, order, 1.0);
  const KnownSpectrum op(comm, values);
  const RoughPairs pairs(op, 6, 0.01);
  double without = 0;
  for (const KnownPairs& known : {KnownPairs{}, pairs.known()}) {
    const Coverage coverage(sum_of(values), norm_of(values), [&](std::uint64_t seed) {
      return estimate_trace(op, {.products = 30, .seed = seed, .known = known});
    });
    EXPECT_GE(coverage.trace, 95);
    EXPECT_GE(coverage.frobenius, 95);
    if (known.vectors.rows > 0) {
      EXPECT_LT(coverage.trace_error, 0.8 * without);
    }
    without = coverage.trace_error;
  }
}

TEST(Trace, IsTheSameAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const auto values = with_tail({50, -40, 30}, order, 1.0);
  for (Index products : {6, 45, 240}) {
    const auto here = estimate_trace(KnownSpectrum(comm, values), {.products = products, .seed = 2});
    const auto there = estimate_trace(KnownSpectrum(self, values), {.products = products, .seed = 2});
    EXPECT_NEAR(here.trace.value, there.trace.value, 1e-11);
    EXPECT_NEAR(here.trace.error, there.trace.error, 1e-11);
    EXPECT_NEAR(here.frobenius.value, there.frobenius.value, 1e-11);
    EXPECT_NEAR(here.frobenius.error, there.frobenius.error, 1e-11);
  }
}

TEST(Diagonal, IsExactByUnitVectors) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({5, -4}, order, 1.0));
  const auto dense = products_with_units(op, 64);
  op.products = 0;
  const auto diagonal = estimate_diagonal(op, {.products = order});
  EXPECT_TRUE(diagonal.exact);
  EXPECT_EQ(op.products, order);
  EXPECT_EQ(diagonal.matvecs, order);
  const Index begin = op.range().begin(comm.rank());
  for (std::size_t i = 0; i < diagonal.values.size(); ++i) {
    const Index at = begin + static_cast<Index>(i);
    EXPECT_NEAR(diagonal.values[i], dense(at, at), 1e-14 * 5);
    EXPECT_EQ(diagonal.errors[i], 0);
  }
}

TEST(Diagonal, IsWithinItsErrorBarsOtherwise) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const KnownSpectrum op(comm, with_tail({5, -4}, order, 1.0));
  const auto dense = products_with_units(op, 64);
  const auto diagonal = estimate_diagonal(op, {.products = 100, .seed = 5});
  const auto alone =
      estimate_diagonal(KnownSpectrum(self, with_tail({5, -4}, order, 1.0)), {.products = 100, .seed = 5});
  EXPECT_FALSE(diagonal.exact);
  EXPECT_EQ(diagonal.matvecs, 100);
  const Index begin = op.range().begin(comm.rank());
  Index within = 0;
  for (std::size_t i = 0; i < diagonal.values.size(); ++i) {
    const Index at = begin + static_cast<Index>(i);
    double off = 0;
    for (Index j = 0; j < order; ++j) off += j == at ? 0 : dense(at, j) * dense(at, j);
    const double expected = std::sqrt(off / 100);
    // A standard deviation from 100 samples is good to 7 %.
    EXPECT_GT(diagonal.errors[i], 0.7 * expected);
    EXPECT_LT(diagonal.errors[i], 1.4 * expected);
    within += std::abs(diagonal.values[i] - dense(at, at)) <= 2 * diagonal.errors[i] ? 1 : 0;
    EXPECT_NEAR(diagonal.values[i], alone.values[static_cast<std::size_t>(at)], 1e-13);
    EXPECT_NEAR(diagonal.errors[i], alone.errors[static_cast<std::size_t>(at)], 1e-13);
  }
  // 95 % of them in the mean, give or take 3 % over 240 entries that hardly depend on each other.
  const auto share = static_cast<double>(comm.sum(within)) / static_cast<double>(order);
  EXPECT_GT(share, 0.85);
  EXPECT_LT(share, 0.999);
}

}  // namespace
}  // namespace dualscape::spectrum
