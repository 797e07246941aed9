#include "dualscape/spectrum/stand_in.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dualscape/spectrum/spectrum.hpp"
#include "support/collective.hpp"
#include "support/dense_operator.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::spectrum {
namespace {

using testing::KnownSpectrum;
using testing::product;
using testing::with_tail;

constexpr Index size = 240;

/// A less `size` u u^T for each of three random unit vectors u: at most 3 `size` from A in norm. Counts its
/// products.
class Perturbed final : public LinearOperator {
 public:
  Perturbed(const KnownSpectrum& whole, double strength)
      : eigenvalues_(whole.eigenvalues()), inner_(whole.comm(), eigenvalues_), strength_(strength) {
    const Index first = range().begin(comm().rank());
    vectors_ = Matrix<double>(3, range().count(comm().rank()));
    for (Index j = 0; j < 3; ++j) {
      const Random random(5, Stream::probe, static_cast<std::uint32_t>(j));
      double square = 0;
      for (Index i = 0; i < size; ++i) {
        const double x = random.normal(static_cast<std::uint64_t>(i));
        square += x * x;
        if (i >= first && i < first + vectors_.cols()) vectors_(j, i - first) = x;
      }
      for (double& x : vectors_.row(j)) x /= std::sqrt(square);
    }
  }
  const Comm& comm() const override { return inner_.comm(); }
  Partition range() const override { return inner_.range(); }
  void apply(ConstMultiVector in, MultiVector out) const override {
    inner_.apply(in, out);
    for (Index j = 0; j < in.rows; ++j)
      for (Index u = 0; u < 3; ++u) {
        double share = dot(vectors_.row(u), in.row(j));
        MPI_Allreduce(MPI_IN_PLACE, &share, 1, MPI_DOUBLE, MPI_SUM, comm().get());
        axpy(-strength_ * share, vectors_.row(u), out.row(j));
      }
  }
  Index products() const { return inner_.products; }

 private:
  std::vector<double> eigenvalues_;
  KnownSpectrum inner_;
  double strength_;
  Matrix<double> vectors_;
};

/// Diagonal, from 0 to 20: nothing that it tells is of use.
class Unrelated final : public LinearOperator {
 public:
  explicit Unrelated(const Comm& comm) : comm_(comm), partition_(size, comm.size()) {}
  const Comm& comm() const override { return comm_; }
  Partition range() const override { return partition_; }
  void apply(ConstMultiVector in, MultiVector out) const override {
    const Index first = partition_.begin(comm_.rank());
    for (Index j = 0; j < in.rows; ++j)
      for (Index i = 0; i < in.cols; ++i)
        out(j, i) = 20.0 * static_cast<double>(first + i) / static_cast<double>(size) * in(j, i);
  }

 private:
  const Comm& comm_;
  Partition partition_;
};

std::vector<double> landscape() {
  return with_tail({10, 9, 7, 6, 5, 4, 3, -3, -2, -1.5}, size, 0.5);
}

/// Each value is within its bound of the truth: the first `upper` of the top, the others of the bottom.
void expect_bounds_hold(const Spectrum& spectrum, std::vector<double> truth) {
  std::ranges::sort(truth, std::greater<>());
  const Index found = spectrum.converged();
  for (Index n = 0; n < found; ++n) {
    const Index at = n < spectrum.upper ? n : std::ssize(truth) - (found - n);
    const auto pair = static_cast<std::size_t>(n);
    EXPECT_LE(std::abs(spectrum.values[pair] - truth[static_cast<std::size_t>(at)]),
              spectrum.value_bounds[pair])
        << n;
  }
}

TEST(Corrected, AgreesWithTheOperatorOnTheVectors) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, landscape());
  const Perturbed cheap(op, 0.3);
  Matrix<double> v(2, op.range().count(comm.rank()));
  for (Index j = 0; j < 2; ++j) std::ranges::copy(op.eigenvector(3 * j), v.row(j).begin());
  Matrix<double> av(2, v.cols());
  op.apply(v.view(), av.view());
  const Corrected corrected(cheap, v, av);

  Matrix<double> units(size, size);
  for (Index i = 0; i < size; ++i) units(i, i) = 1;
  const Matrix<double> a = product(op, units);
  const Matrix<double> b = product(cheap, units);
  const Matrix<double> both = product(corrected, units);
  Matrix<double> whole(2, size);
  gather_all(comm, op.range(), v.view(), whole.view());
  // 1 - P, E = A - B, and A - (1 - P) E (1 - P) in full.
  Matrix<double> off = units;
  gemm<double>(Op::transpose, Op::none, -1.0, whole.view(), whole.view(), 1.0, off.view());
  Matrix<double> e = a;
  for (std::size_t i = 0; i < e.entries().size(); ++i) e.entries()[i] -= b.entries()[i];
  Matrix<double> half(size, size);
  Matrix<double> expected = a;
  gemm<double>(Op::none, Op::none, 1.0, off.view(), e.view(), 0.0, half.view());
  gemm<double>(Op::none, Op::none, -1.0, half.view(), off.view(), 1.0, expected.view());
  double difference = 0;
  double correction = 0;
  for (Index i = 0; i < size; ++i)
    for (Index j = 0; j < size; ++j) {
      difference = std::max(difference, std::abs(both(i, j) - expected(i, j)));
      correction = std::max(correction, std::abs(both(i, j) - b(i, j)));
    }
  EXPECT_LT(difference, 1e-13);
  EXPECT_GT(correction, 1e-4) << "or there was nothing to see";
}

TEST(StandIn, LeavesFewProductsToTheOperator) {
  const Comm comm(MPI_COMM_WORLD);
  for (const Which which : {Which::largest, Which::smallest, Which::both}) {
    const KnownSpectrum op(comm, landscape());
    // Off by 3e-4 of |A|, two rounds of products with the vectors or more.
    const Perturbed cheap(op, 1e-3);
    const auto spectrum = compute(
        op, {.which = which, .count = 2, .tolerance = 1e-9, .stand_in = &cheap, .stand_in_distance = 3e-3});
    EXPECT_TRUE(spectrum.as_asked());
    EXPECT_LE(std::ranges::max(spectrum.residuals), 1e-9 * spectrum.norm_estimate);
    expect_bounds_hold(spectrum, op.eigenvalues());
    EXPECT_EQ(spectrum.matvecs, op.products);
    EXPECT_EQ(spectrum.stand_in_matvecs, cheap.products());
    const Index vectors = which == Which::both ? 6 : 3;
    EXPECT_LE(spectrum.matvecs, 5 * vectors + 2) << "each round gains |E| over a gap: 1e3 and more";
    EXPECT_GE(spectrum.matvecs, 2 * vectors + 2) << "too good a stand-in to test anything";
  }
}

TEST(StandIn, ThatIsGoodEnoughTakesTheCertificateAlone) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({10, 9, 7, 7, 5, 4}, size, 0.5));
  const Perturbed cheap(op, 1e-6);
  const auto spectrum =
      compute(op, {.count = 4, .tolerance = 1e-5, .stand_in = &cheap, .stand_in_distance = 3e-6});
  EXPECT_EQ(spectrum.matvecs, 5 + 2);
  EXPECT_TRUE(spectrum.as_asked());
  expect_bounds_hold(spectrum, op.eigenvalues());
}

TEST(StandIn, ThatDoesNotGetBetterIsLeftForTheOperator) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, landscape());
  const Unrelated cheap(comm);
  const auto spectrum =
      compute(op, {.count = 2, .tolerance = 1e-9, .stand_in = &cheap, .stand_in_distance = 30});
  EXPECT_TRUE(spectrum.as_asked());
  EXPECT_GT(spectrum.check_matvecs, 0) << "settled by the stand-in: nothing was tested";
  EXPECT_LE(std::ranges::max(spectrum.residuals), 1e-9 * spectrum.norm_estimate);
  EXPECT_EQ(spectrum.matvecs, op.products);
  expect_bounds_hold(spectrum, op.eigenvalues());
}

TEST(Bounds, GoNoFurtherThanWhatAStandInMayHaveMissed) {
  const std::vector<double> values = {10, 9, 5, 4.9, -2, -3};
  const std::vector<double> residuals(values.size(), 1e-3);
  const auto known = error_bounds(values, residuals, 4, 100, 10, 1e-16);
  EXPECT_NEAR(known.angle_bounds[2], 1e-3 / (0.1 - 1e-3), 1e-9);

  // 4.9 + 0.001 + 2 distance stays below 5 - 0.001; what was missed may be that close.
  const auto near = error_bounds(values, residuals, 4, 100, 10, 1e-16, 0.02);
  EXPECT_NEAR(near.angle_bounds[2], 1e-3 / (5 - (4.901 + 0.04)), 1e-9);
  EXPECT_NEAR(near.angle_bounds[0], known.angle_bounds[0], 1e-9) << "next to 9, not to what was missed";

  // Up to 5 is within reach, and so is 5.001 + 2 distance, of which 9 is 3.799 away.
  const auto far = error_bounds(values, residuals, 4, 100, 10, 1e-16, 0.1);
  EXPECT_EQ(far.angle_bounds[2], 1);
  EXPECT_EQ(far.angle_bounds[3], 1);
  EXPECT_NEAR(far.angle_bounds[1], 1e-3 / (1 - 1e-3), 1e-9);
  // The lower end: -2 is next to what was missed, which reaches down to -2.001 - 2 distance.
  const auto low = error_bounds(values, residuals, 4, 100, 10, 1e-16, 0.45);
  EXPECT_NEAR(low.angle_bounds[5], 1e-3 / (3 - 2.901), 1e-9);
  EXPECT_EQ(low.angle_bounds[4], 1);
  // A complete spectrum misses nothing.
  EXPECT_EQ(error_bounds(values, residuals, 4, 6, 10, 1e-16, 0.1).angle_bounds,
            error_bounds(values, residuals, 4, 6, 10, 1e-16).angle_bounds);
}

}  // namespace
}  // namespace dualscape::spectrum
