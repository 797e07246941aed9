#include "dualscape/spectrum/density.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "dualscape/base/error.hpp"
#include "dualscape/spectrum/spectrum.hpp"
#include "layer_oracle.hpp"
#include "order.hpp"
#include "rough_pairs.hpp"
#include "support/dense_operator.hpp"
#include "support/error_of.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::spectrum {
namespace {

using testing::Coverage;
using testing::error_of;
using testing::KnownSpectrum;
using testing::order;
using testing::products_with_units;
using testing::RoughPairs;
using testing::sum_of;
using testing::with_tail;

std::vector<double> plain_landscape() {
  return with_tail({10, 9, 5, 4, 3, 2, -3, -2, -1.5}, order, 1.0);
}

/// Integral of f times the density, by the rule that is exact for a grid even in asinh(lambda / s).
template <class Function>
double integral(const Density& density, const Function& f) {
  const double s = density.linear_scale;
  const double spacing = (std::asinh(density.grid.back() / s) - std::asinh(density.grid.front() / s)) /
                         static_cast<double>(density.grid.size() - 1);
  double sum = 0;
  for (std::size_t i = 0; i < density.grid.size(); ++i)
    sum += density.density[i] * f(density.grid[i]) * std::hypot(density.grid[i], s) * spacing;
  return sum;
}

/// sum_i w_i theta_i^power of a probe.
double moment(const Density& density, Index probe, int power) {
  double sum = 0;
  for (Index i = 0; i < density.quadratures.nodes.cols(); ++i)
    sum += density.quadratures.weights(probe, i) * std::pow(density.quadratures.nodes(probe, i), power);
  return sum;
}

/// An operator that keeps the first vectors it multiplies, i.e. the probes.
class Listening : public LinearOperator {
 public:
  explicit Listening(const LinearOperator& inner) : inner_(inner) {}
  const Comm& comm() const override { return inner_.comm(); }
  Partition range() const override { return inner_.range(); }
  void apply(ConstMultiVector in, MultiVector out) const override {
    if (probes.rows() == 0) {
      probes = Matrix<double>(in.rows, range().size());
      gather_all(comm(), range(), in, probes.view());
    }
    calls.push_back(in.rows);
    inner_.apply(in, out);
  }
  mutable Matrix<double> probes;
  mutable std::vector<Index> calls;

 private:
  const LinearOperator& inner_;
};

TEST(Density, EachProbesQuadratureHasTheMomentsOfItsProbe) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum known(comm, plain_landscape());
  const Listening op(known);
  for (Index steps : {2, 12}) {
    op.probes = {};
    op.calls.clear();
    const auto density = estimate_density(op, {.probes = 5, .steps = steps, .seed = 3});
    // A step is one product with all probes.
    EXPECT_EQ(op.calls, std::vector<Index>(static_cast<std::size_t>(steps), 5));
    EXPECT_EQ(density.quadratures.matvecs, 5 * steps);
    const auto hv = testing::product(known, op.probes);
    const auto hhv = testing::product(known, hv);
    for (Index p = 0; p < 5; ++p) {
      EXPECT_NEAR(dot(op.probes.row(p), op.probes.row(p)), 1, 1e-14);
      EXPECT_NEAR(moment(density, p, 0), 1, 1e-13);
      EXPECT_NEAR(moment(density, p, 1), dot(op.probes.row(p), hv.row(p)), 1e-13 * 10);
      EXPECT_NEAR(moment(density, p, 2), dot(hv.row(p), hv.row(p)), 1e-13 * 100);
      EXPECT_NEAR(moment(density, p, 3), dot(hv.row(p), hhv.row(p)), 1e-13 * 1000);
    }
  }
}

/// The integrals over the grid are the quadrature's, those its own error bars off the truth at most, and the
/// bars what the variance of random directions makes them.
void expect_density_of(const Density& density, double trace, double frobenius, double width) {
  const auto count = static_cast<double>(density.size);
  const double s = density.linear_scale;
  EXPECT_NEAR(integral(density, [](double) { return 1.0; }), 1, 1e-12);
  EXPECT_NEAR(count * integral(density, [](double x) { return x; }), density.trace.value, 1e-11 * frobenius);
  // A Gaussian of deviation d adds d^2 to the square of its centre.
  const double second = std::pow(density.frobenius.value, 2);
  EXPECT_NEAR(count * integral(density, [](double x) { return x * x; }),
              second + width * width * (second + count * s * s), 1e-11 * second);
  for (double error : density.error) EXPECT_GE(error, 0);

  EXPECT_LE(std::abs(density.trace.value - trace), 3 * density.trace.error);
  EXPECT_LE(std::abs(density.frobenius.value - frobenius), 3 * density.frobenius.error);
  const double variance = 2 * count / (count + 2) * (frobenius * frobenius - trace * trace / count);
  const double expected = std::sqrt(variance / static_cast<double>(density.quadratures.probes));
  // A standard deviation from 30 samples is good to some 13 %.
  EXPECT_GT(density.trace.error, 0.6 * expected);
  EXPECT_LT(density.trace.error, 1.5 * expected);
}

TEST(Density, IntegratesToTheKnownTraceAndNorm) {
  const Comm comm(MPI_COMM_WORLD);
  const auto values = plain_landscape();
  const KnownSpectrum op(comm, values);
  for (double width : {0.05, 0.2}) {
    const auto density = estimate_density(op, {.probes = 30, .steps = 40, .width = width});
    expect_density_of(density, sum_of(values), norm(values), width);
  }
}

TEST(Density, IntegratesToTheTraceAndNormOfALayersHessian) {
  const Comm comm(MPI_COMM_WORLD);
  const testing::LayerOracle oracle;
  const auto linearisation = oracle.problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(Curvature::hessian, linearisation, oracle.block());
  const auto density = estimate_density(*hessian, {.probes = 30, .steps = 30});
  expect_density_of(density, oracle.trace, oracle.frobenius, 0.05);
}

TEST(Density, CountsTheEigenvaluesWhereTheyAre) {
  // Half of the eigenvalues at 4, a quarter at 0, a quarter at -1: every probe sees three.
  const Comm comm(MPI_COMM_WORLD);
  std::vector<double> values(order, 4.0);
  std::fill_n(values.begin(), order / 4, 0.0);
  std::fill_n(values.begin() + order / 4, order / 4, -1.0);
  const KnownSpectrum op(comm, values);
  Index heard = 0;
  const auto density =
      estimate_density(op, {.probes = 30, .steps = 20, .monitor = [&](Index made) { heard = made; }});
  EXPECT_EQ(density.quadratures.matvecs, 30 * 3);
  EXPECT_EQ(op.products, 30 * 3);
  EXPECT_EQ(heard, 30 * 3);
  for (Index p = 0; p < 30; ++p) {
    EXPECT_NEAR(moment(density, p, 0), 1, 1e-13);
    for (Index i = 3; i < 20; ++i) EXPECT_EQ(density.quadratures.weights(p, i), 0);
  }
  const auto share = [&](double from, double to) {
    return integral(density, [&](double x) { return from < x && x < to ? 1.0 : 0.0; });
  };
  // |v|^2 on a space of dimension d scatters by sqrt(2 d (n - d)) / n^(3/2): 0.046 and 0.04 over 30 probes.
  EXPECT_NEAR(share(2, 6), 0.5, 4 * 0.046 / std::sqrt(30));
  EXPECT_NEAR(share(-0.3, 0.3), 0.25, 4 * 0.04 / std::sqrt(30));
  EXPECT_NEAR(share(-2, -0.5), 0.25, 4 * 0.04 / std::sqrt(30));
  EXPECT_NEAR(share(-2, -0.5) + share(-0.3, 0.3) + share(2, 6), 1, 1e-6);
}

TEST(Density, HoldsTheTruthInItsErrorBars) {
  const Comm comm(MPI_COMM_WORLD);
  // One eigenvalue that a few probes are likely to miss; a landscape; and one less its rough pairs.
  std::vector<double> single(order, 1e-3);
  single[0] = 10;
  const auto whole = plain_landscape();
  const KnownSpectrum lone(comm, single), op(comm, whole);
  const RoughPairs pairs(op, 9, 0.05);
  // Rough: residuals of some percent, which the sums have to take into account.
  EXPECT_GT(std::ranges::max(pairs.numbers.residuals), 0.1);
  for (Index probes : {4, 8, 32}) {
    const auto coverage = [&](const KnownSpectrum& of, const KnownPairs& known) {
      return Coverage(sum_of(of.eigenvalues()), norm(of.eigenvalues()), [&](std::uint64_t seed) {
        return estimate_density(of, {.probes = probes, .steps = 3, .seed = seed, .known = known});
      });
    };
    const Coverage hard = coverage(lone, {}), plain = coverage(op, {}),
                   deflated = coverage(op, pairs.known());
    for (const Coverage& found : {hard, plain, deflated}) {
      EXPECT_GE(found.trace, 95) << probes << " probes";
      EXPECT_GE(found.frobenius, 95) << probes << " probes";
    }
    EXPECT_LT(deflated.trace_error, 0.15 * plain.trace_error);
  }
}

TEST(Density, OfALayersHessianLessRoughPairs) {
  const Comm comm(MPI_COMM_WORLD);
  const testing::LayerOracle oracle;
  const auto linearisation = oracle.problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(Curvature::hessian, linearisation, oracle.block());
  const auto found = compute(*hessian, {.which = Which::both, .count = 4, .tolerance = 1e-2});
  const KnownPairs known{
      .vectors = found.vectors.view(), .values = found.values, .residuals = found.residuals};
  for (Index probes : {4, 8, 32}) {
    const Coverage coverage(oracle.trace, oracle.frobenius, [&](std::uint64_t seed) {
      return estimate_density(*hessian, {.probes = probes, .steps = 3, .seed = seed, .known = known});
    });
    EXPECT_GE(coverage.trace, 95) << probes << " probes";
    EXPECT_GE(coverage.frobenius, 95) << probes << " probes";
  }
}

TEST(Density, HoldsTheCurveInItsErrorBars) {
  const Comm comm(MPI_COMM_WORLD);
  const auto values = plain_landscape();
  const KnownSpectrum op(comm, values);
  const RoughPairs pairs(op, 9, 1e-7);
  const double width = 0.1;
  const auto within = [&](const KnownPairs& known) {
    double points = 0, held = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      const auto density =
          estimate_density(op, {.probes = 4, .steps = 60, .width = width, .seed = seed, .known = known});
      for (std::size_t at = 0; at < density.grid.size(); ++at) {
        double truth = 0;
        for (double value : values) {
          const double deviation = width * std::hypot(value, density.linear_scale);
          const double x = (density.grid[at] - value) / deviation;
          truth += std::exp(-x * x / 2) / (deviation * std::sqrt(2 * std::numbers::pi)) / order;
        }
        ++points;
        // A single eigenvalue's peak is worth 1/order.
        held += std::abs(density.density[at] - truth) <= 3 * density.error[at] + 1e-6 / order ? 1 : 0;
      }
    }
    return held / points;
  };
  EXPECT_GE(within({}), 0.95);
  EXPECT_GE(within(pairs.known()), 0.95);
}

TEST(Density, CountsKnownPairsExactlyAndTheRestOnItsOwn) {
  const Comm comm(MPI_COMM_WORLD);
  const auto values = plain_landscape();
  const KnownSpectrum op(comm, values);
  const RoughPairs pairs(op, 9, 0.05);
  const Listening listening(op);
  const auto density =
      estimate_density(listening, {.probes = 3, .steps = 400, .seed = 5, .known = pairs.known()});
  EXPECT_EQ(density.pairs, 9);
  // A Krylov space ends with the complement.
  EXPECT_LE(density.quadratures.matvecs, 3 * (order - 9));
  Matrix<double> vectors(9, order);
  gather_all(comm, op.range(), pairs.known().vectors, vectors.view());
  auto products = testing::product(op, listening.probes);
  for (Index p = 0; p < 3; ++p) {
    for (Index n = 0; n < 9; ++n) EXPECT_NEAR(dot(vectors.row(n), listening.probes.row(p)), 0, 1e-14);
    // The moments are those of the projected operator.
    auto left = products.view().rows_from(p, 1);
    for (Index n = 0; n < 9; ++n) axpy(-dot(vectors.row(n), left.row(0)), vectors.row(n), left.row(0));
    Matrix<double> again(1, order);
    std::ranges::copy(left.row(0), again.data());
    again = testing::product(op, again);
    const double share = (order - 9.0) / order;
    EXPECT_NEAR(moment(density, p, 0), share, 1e-13);
    EXPECT_NEAR(moment(density, p, 2), share * dot(left.row(0), left.row(0)), 1e-12);
    EXPECT_NEAR(moment(density, p, 3), share * dot(left.row(0), std::as_const(again).row(0)), 1e-12);
  }
  EXPECT_NEAR(integral(density, [](double) { return 1.0; }), 1, 1e-12);
  EXPECT_NEAR(order * integral(density, [](double x) { return x; }), density.trace.value, 1e-10);

  // All pairs: nothing is left to chance, nor to be multiplied.
  const RoughPairs all(op, order, 0.05);
  const auto complete = estimate_density(op, {.probes = 3, .steps = 10, .known = all.known()});
  EXPECT_EQ(complete.quadratures.matvecs, 0);
  EXPECT_EQ(op.products, 0);
  EXPECT_NEAR(complete.trace.value, sum_of(values), 1e-11);
  EXPECT_EQ(complete.trace.error, 0);
  EXPECT_NEAR(complete.frobenius.value, norm(values), 1e-11);
  EXPECT_EQ(complete.frobenius.error, 0);
  EXPECT_NEAR(integral(complete, [](double) { return 1.0; }), 1, 1e-12);
  for (double error : complete.error) EXPECT_EQ(error, 0);
}

TEST(Density, GoesOnFromProbesThatWereMade) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, plain_landscape());
  const RoughPairs pairs(op, 3, 1e-3);
  DensityOptions options{.probes = 5, .steps = 20, .seed = 2, .known = pairs.known()};
  options.together = 2;
  std::vector<Quadratures> states;
  options.on_probes = [&](const Quadratures& so_far) { states.push_back(so_far); };
  const auto whole = estimate_density(op, options);
  ASSERT_EQ(states.size(), 3U);
  EXPECT_EQ(states[1].probes, 4);
  EXPECT_EQ(states[1].matvecs, 4 * 20);
  options.together = 5;
  for (const Quadratures& state : std::vector(states)) {
    op.products = 0;
    options.from = state;
    const auto resumed = estimate_density(op, options);
    EXPECT_EQ(op.products, (5 - state.probes) * 20);
    EXPECT_EQ(resumed.quadratures.matvecs, 5 * 20);
    EXPECT_EQ(resumed.grid.size(), whole.grid.size());
    EXPECT_NEAR(resumed.trace.value, whole.trace.value, 1e-12);
    EXPECT_NEAR(resumed.frobenius.error, whole.frobenius.error, 1e-12);
  }
}

TEST(Density, IsTheSameAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const testing::LayerOracle oracle;
  const auto parallel = oracle.problem.linearisation(comm);
  const auto serial = oracle.problem.linearisation(self);
  const DensityOptions options{.probes = 4, .steps = 25, .seed = 9};
  const auto here = estimate_density(
      *operators::make_curvature<double>(Curvature::hessian, parallel, oracle.block()), options);
  const auto there = estimate_density(
      *operators::make_curvature<double>(Curvature::hessian, serial, oracle.block()), options);
  ASSERT_EQ(here.grid.size(), there.grid.size());
  const double highest = std::ranges::max(there.density);
  const double norm = std::ranges::max(there.grid);
  for (std::size_t i = 0; i < here.grid.size(); ++i) {
    EXPECT_NEAR(here.grid[i], there.grid[i], 1e-11 * norm);
    EXPECT_NEAR(here.density[i], there.density[i], 1e-8 * highest);
    EXPECT_NEAR(here.error[i], there.error[i], 1e-8 * highest);
  }
  EXPECT_NEAR(here.trace.value, there.trace.value, 1e-12 * oracle.frobenius);
  EXPECT_NEAR(here.trace.error, there.trace.error, 1e-12 * oracle.frobenius);
  EXPECT_NEAR(here.frobenius.value, there.frobenius.value, 1e-12 * oracle.frobenius);
}

TEST(Density, OfNothingAndOfASingleNumber) {
  const Comm comm(MPI_COMM_WORLD);
  const auto zero = estimate_density(KnownSpectrum(comm, std::vector<double>(order)), {.probes = 2});
  EXPECT_EQ(zero.trace.value, 0);
  EXPECT_NEAR(integral(zero, [](double) { return 1.0; }), 1, 1e-12);
  const auto one = estimate_density(KnownSpectrum(comm, {-3.0}), {.probes = 2});
  EXPECT_NEAR(one.trace.value, -3, 1e-14);
  EXPECT_NEAR(one.trace.error, 0, 1e-14);
  EXPECT_NEAR(one.frobenius.value, 3, 1e-14);
  EXPECT_NEAR(integral(one, [](double) { return 1.0; }), 1, 1e-12);
}

TEST(Density, RefusesProductsThatAreNotFinite) {
  const Comm comm(MPI_COMM_WORLD);
  KnownSpectrum op(comm, plain_landscape());
  op.after_product = [&](MultiVector out) {
    if (comm.is_root()) out(0, 0) = std::numeric_limits<double>::infinity();
  };
  EXPECT_THAT(error_of<ComputationError>([&] { estimate_density(op, {.probes = 2}); }),
              ::testing::HasSubstr("a product for the density holds numbers that are not finite"));
}

}  // namespace
}  // namespace dualscape::spectrum
