#include "dualscape/spectrum/density.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "dualscape/base/error.hpp"
#include "layer_oracle.hpp"
#include "support/dense_operator.hpp"
#include "support/error_of.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::spectrum {
namespace {

using testing::error_of;
using testing::KnownSpectrum;
using testing::products_with_units;
using testing::with_tail;

constexpr Index size = 240;

std::vector<double> landscape() {
  return with_tail({10, 9, 5, 4, 3, 2, -3, -2, -1.5}, size, 1.0);
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
  for (Index i = 0; i < density.nodes.cols(); ++i)
    sum += density.weights(probe, i) * std::pow(density.nodes(probe, i), power);
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
  const KnownSpectrum known(comm, landscape());
  const Listening op(known);
  for (Index steps : {2, 12}) {
    op.probes = {};
    op.calls.clear();
    const auto density = estimate_density(op, {.probes = 5, .steps = steps, .seed = 3});
    // A step is one product with all probes.
    EXPECT_EQ(op.calls, std::vector<Index>(static_cast<std::size_t>(steps), 5));
    EXPECT_EQ(density.matvecs, 5 * steps);
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
/// bars what the variance of random signs makes them.
void expect_density_of(const Density& density, double trace, double frobenius, const Matrix<double>& dense,
                       double width) {
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
  double off_diagonal = 0;
  for (Index i = 0; i < dense.rows(); ++i)
    for (Index j = 0; j < dense.cols(); ++j) off_diagonal += i == j ? 0 : dense(i, j) * dense(i, j);
  const double expected = std::sqrt(2 * off_diagonal / static_cast<double>(density.nodes.rows()));
  // A standard deviation from 30 samples is good to some 13 %.
  EXPECT_GT(density.trace.error, 0.6 * expected);
  EXPECT_LT(density.trace.error, 1.5 * expected);
}

TEST(Density, IntegratesToTheKnownTraceAndNorm) {
  const Comm comm(MPI_COMM_WORLD);
  const auto values = landscape();
  const KnownSpectrum op(comm, values);
  for (double width : {0.05, 0.2}) {
    const auto density = estimate_density(op, {.probes = 30, .steps = 40, .width = width});
    const double square = std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
    expect_density_of(density, std::accumulate(values.begin(), values.end(), 0.0), std::sqrt(square),
                      products_with_units(op, 64), width);
  }
}

TEST(Density, IntegratesToTheTraceAndNormOfALayersHessian) {
  const Comm comm(MPI_COMM_WORLD);
  const testing::LayerOracle oracle;
  const auto linearisation = oracle.problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(Curvature::hessian, linearisation, oracle.block());
  const auto density = estimate_density(*hessian, {.probes = 30, .steps = 30});
  expect_density_of(density, oracle.trace, oracle.frobenius, products_with_units(*hessian, 64), 0.05);
}

TEST(Density, CountsTheEigenvaluesWhereTheyAre) {
  // Half of the eigenvalues at 4, a quarter at 0, a quarter at -1: every probe sees three.
  const Comm comm(MPI_COMM_WORLD);
  std::vector<double> values(size, 4.0);
  std::fill_n(values.begin(), size / 4, 0.0);
  std::fill_n(values.begin() + size / 4, size / 4, -1.0);
  const KnownSpectrum op(comm, values);
  Index heard = 0;
  const auto density =
      estimate_density(op, {.probes = 30, .steps = 20, .monitor = [&](Index made) { heard = made; }});
  EXPECT_EQ(density.matvecs, 30 * 3);
  EXPECT_EQ(op.products, 30 * 3);
  EXPECT_EQ(heard, 30 * 3);
  for (Index p = 0; p < 30; ++p) {
    EXPECT_NEAR(moment(density, p, 0), 1, 1e-13);
    for (Index i = 3; i < 20; ++i) EXPECT_EQ(density.weights(p, i), 0);
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
  const auto zero = estimate_density(KnownSpectrum(comm, std::vector<double>(size)), {.probes = 2});
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
  KnownSpectrum op(comm, landscape());
  op.after_product = [&](MultiVector out) {
    if (comm.is_root()) out(0, 0) = std::numeric_limits<double>::infinity();
  };
  EXPECT_THAT(error_of<ComputationError>([&] { estimate_density(op, {.probes = 2}); }),
              ::testing::HasSubstr("a product for the density holds numbers that are not finite"));
}

}  // namespace
}  // namespace dualscape::spectrum
