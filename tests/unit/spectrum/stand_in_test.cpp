#include "dualscape/spectrum/stand_in.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "bounds.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/spectrum/spectrum.hpp"
#include "order.hpp"
#include "support/collective.hpp"
#include "support/dense_operator.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::spectrum {
namespace {

using testing::expect_values_within_bounds;
using testing::KnownSpectrum;
using testing::order;
using testing::product;
using testing::with_tail;

/// A less `strength` u u^T for each of three random unit vectors u: at most 3 `strength` from A in norm.
/// Counts its products.
class Perturbed final : public LinearOperator {
 public:
  Perturbed(const KnownSpectrum& whole, double strength)
      : eigenvalues_(whole.eigenvalues()), inner_(whole.comm(), eigenvalues_), strength_(strength) {
    const Index first = range().begin(comm().rank());
    vectors_ = Matrix<double>(3, range().count(comm().rank()));
    for (Index j = 0; j < 3; ++j) {
      const Random random(5, Stream::probe, static_cast<std::uint32_t>(j));
      double square = 0;
      for (Index i = 0; i < order; ++i) {
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
    for (Index j = 0; single_ && j < in.rows; ++j)
      for (double& x : out.row(j)) x = static_cast<float>(x);
  }
  Index products() const { return inner_.products; }
  void round_to_single() { single_ = true; }

 private:
  std::vector<double> eigenvalues_;
  KnownSpectrum inner_;
  double strength_;
  bool single_ = false;
  Matrix<double> vectors_;
};

/// Diagonal, from 0 to 20: nothing that it tells is of use.
class Unrelated final : public LinearOperator {
 public:
  explicit Unrelated(const Comm& comm) : comm_(comm), partition_(order, comm.size()) {}
  const Comm& comm() const override { return comm_; }
  Partition range() const override { return partition_; }
  void apply(ConstMultiVector in, MultiVector out) const override {
    const Index first = partition_.begin(comm_.rank());
    for (Index j = 0; j < in.rows; ++j)
      for (Index i = 0; i < in.cols; ++i)
        out(j, i) = 20.0 * static_cast<double>(first + i) / static_cast<double>(order) * in(j, i);
  }

 private:
  const Comm& comm_;
  Partition partition_;
};

std::vector<double> tall_landscape() {
  return with_tail({10, 9, 7, 6, 5, 4, 3, -3, -2, -1.5}, order, 0.5);
}

TEST(Corrected, AgreesWithTheOperatorOnTheVectors) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, tall_landscape());
  const Perturbed cheap(op, 0.3);
  Matrix<double> v(2, op.range().count(comm.rank()));
  for (Index j = 0; j < 2; ++j) std::ranges::copy(op.eigenvector(3 * j), v.row(j).begin());
  Matrix<double> av(2, v.cols());
  op.apply(v.view(), av.view());
  const Corrected corrected(cheap, v, av);

  Matrix<double> units(order, order);
  for (Index i = 0; i < order; ++i) units(i, i) = 1;
  const Matrix<double> a = product(op, units);
  const Matrix<double> b = product(cheap, units);
  const Matrix<double> both = product(corrected, units);
  Matrix<double> whole(2, order);
  gather_all(comm, op.range(), v.view(), whole.view());
  // 1 - P, E = A - B, and A - (1 - P) E (1 - P) in full.
  Matrix<double> off = units;
  gemm<double>(Op::transpose, Op::none, -1.0, whole.view(), whole.view(), 1.0, off.view());
  Matrix<double> e = a;
  for (std::size_t i = 0; i < e.entries().size(); ++i) e.entries()[i] -= b.entries()[i];
  Matrix<double> half(order, order);
  Matrix<double> expected = a;
  gemm<double>(Op::none, Op::none, 1.0, off.view(), e.view(), 0.0, half.view());
  gemm<double>(Op::none, Op::none, -1.0, half.view(), off.view(), 1.0, expected.view());
  double difference = 0;
  double correction = 0;
  for (Index i = 0; i < order; ++i)
    for (Index j = 0; j < order; ++j) {
      difference = std::max(difference, std::abs(both(i, j) - expected(i, j)));
      correction = std::max(correction, std::abs(both(i, j) - b(i, j)));
    }
  EXPECT_LT(difference, 1e-13);
  EXPECT_GT(correction, 1e-4) << "or there was nothing to see";
}

TEST(StandIn, LeavesFewProductsToTheOperator) {
  const Comm comm(MPI_COMM_WORLD);
  for (const Which which : {Which::largest, Which::smallest, Which::both}) {
    const KnownSpectrum op(comm, tall_landscape());
    // Off by 3e-4 of |A|, two rounds of products with the vectors or more.
    const Perturbed cheap(op, 1e-3);
    const auto spectrum =
        compute(op, {.which = which,
                     .count = 2,
                     .tolerance = 1e-9,
                     .stand_ins = {{.op = &cheap, .distance = 3e-3, .of_fewer_samples = true}}});
    EXPECT_TRUE(spectrum.as_asked());
    EXPECT_LE(std::ranges::max(spectrum.residuals), 1e-9 * spectrum.norm_estimate);
    expect_values_within_bounds(spectrum, op.eigenvalues());
    EXPECT_EQ(spectrum.matvecs, op.products);
    EXPECT_EQ(spectrum.pruned_matvecs, cheap.products());
    const Index vectors = which == Which::both ? 6 : 3;
    EXPECT_LE(spectrum.matvecs, 5 * vectors) << "each round gains |E| over a gap: 1e3 and more";
    EXPECT_GE(spectrum.matvecs, 2 * vectors) << "too good a stand-in to test anything";
  }
}

TEST(StandIn, ThatIsGoodEnoughTakesTheCertificateAlone) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({10, 9, 7, 7, 5, 4}, order, 0.5));
  const Perturbed cheap(op, 1e-6);
  const auto spectrum =
      compute(op, {.count = 4,
                   .tolerance = 1e-5,
                   .stand_ins = {{.op = &cheap, .distance = 3e-6, .of_fewer_samples = true}}});
  EXPECT_EQ(spectrum.matvecs, 5) << "four pairs and their guard";
  EXPECT_TRUE(spectrum.as_asked());
  expect_values_within_bounds(spectrum, op.eigenvalues());
}

/// A little of one entry in another: not symmetric, and all that is wrong.
std::function<void(MultiVector)> skewed(const Comm& comm, double by) {
  return [&comm, by](MultiVector out) {
    for (Index j = 0; comm.is_root() && j < out.rows; ++j) out(j, 0) += by * out(j, 1);
  };
}

TEST(StandIn, IsDoubtedWhereEitherOperatorIsNotSymmetric) {
  const Comm comm(MPI_COMM_WORLD);
  for (const bool stand_in : {false, true}) {
    KnownSpectrum op(comm, tall_landscape());
    KnownSpectrum cheap(comm, tall_landscape());
    (stand_in ? cheap : op).after_product = skewed(comm, 1e-8);
    const auto spectrum =
        compute(op, {.count = 4, .tolerance = 1e-5, .stand_ins = {{.op = &cheap, .of_fewer_samples = true}}});
    EXPECT_TRUE(spectrum.doubtful);
    EXPECT_EQ(spectrum.converged(), 4) << "nothing is lost";
    EXPECT_EQ(spectrum.matvecs, 5) << "no product of its own";
    EXPECT_EQ(spectrum.symmetry_defect > 1e-12, !stand_in);
    EXPECT_EQ(spectrum.reason.find("the operator that stood in for it is not symmetric to rounding: ") !=
                  std::string::npos,
              stand_in)
        << spectrum.reason;
  }
}

TEST(StandIn, ThatDoesNotGetBetterIsLeftForTheOperator) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, tall_landscape());
  const Unrelated cheap(comm);
  const auto spectrum =
      compute(op, {.count = 2,
                   .tolerance = 1e-9,
                   .stand_ins = {{.op = &cheap, .distance = 30, .of_fewer_samples = true}}});
  EXPECT_TRUE(spectrum.as_asked());
  EXPECT_GT(spectrum.check_matvecs, 0) << "settled by the stand-in: nothing was tested";
  EXPECT_LE(std::ranges::max(spectrum.residuals), 1e-9 * spectrum.norm_estimate);
  EXPECT_EQ(spectrum.matvecs, op.products);
  expect_values_within_bounds(spectrum, op.eigenvalues());
}

/// What a lower precision makes of an operator: products rounded to single precision.
void round_to_single(KnownSpectrum& op) {
  op.after_product = [](MultiVector out) {
    for (Index j = 0; j < out.rows; ++j)
      for (double& x : out.row(j)) x = static_cast<float>(x);
  };
}

constexpr double single = std::numeric_limits<float>::epsilon();

TEST(LowerPrecision, IsCertifiedInTheHigherOneAndRefinedWhereThatIsAsked) {
  const Comm comm(MPI_COMM_WORLD);
  // Two ends of four that stand out, guards included.
  const auto ends = with_tail({10, 9, 8, 7, -6, -5, -4, -3}, order, 0.05);
  for (const bool as_they_are : {false, true}) {
    KnownSpectrum rough(comm, ends);
    round_to_single(rough);
    const KnownSpectrum exact(comm, ends);
    const auto spectrum = compute(exact, {.which = Which::both,
                                          .count = 3,
                                          .tolerance = as_they_are ? 1e-6 : 1e-11,
                                          .stand_ins = {{.op = &rough, .rounding = single}},
                                          .take_last_stand_in = as_they_are});
    ASSERT_ALL(spectrum.as_asked());
    EXPECT_EQ(spectrum.matvecs, exact.products + rough.products);
    EXPECT_EQ(spectrum.single_matvecs, rough.products);
    EXPECT_EQ(spectrum.pruned_matvecs, 0);
    EXPECT_GT(spectrum.check_matvecs, 0);
    const double worst = std::ranges::max(spectrum.residuals);
    EXPECT_LE(worst, as_they_are ? 1e-5 : 1e-10);
    if (as_they_are) {
      EXPECT_GT(worst, 1e-10) << "the certificate sees what single precision left";
    }
    EXPECT_LE(exact.products, as_they_are ? 8 : 3 * 8) << "rounds of all pairs";
    expect_values_within_bounds(spectrum, exact.eigenvalues());
  }
}

TEST(LowerPrecision, IsLeftForTheHigherOneWhereRefinementDoesNotGetThere) {
  const Comm comm(MPI_COMM_WORLD);
  // Each pair's correction would have to know the values close to it, which are not small beside it.
  std::vector<double> close;
  for (int i = 0; i < order; ++i) close.push_back(1.0 - 0.002 * i);
  KnownSpectrum rough(comm, close);
  round_to_single(rough);
  const KnownSpectrum exact(comm, close);
  const auto spectrum =
      compute(exact, {.count = 4, .tolerance = 1e-11, .stand_ins = {{.op = &rough, .rounding = single}}});
  EXPECT_TRUE(spectrum.as_asked()) << spectrum.reason;
  ASSERT_ALL(spectrum.converged() == 4);
  EXPECT_LE(std::ranges::max(spectrum.residuals), 1.1e-11);
  EXPECT_GT(exact.products, 3 * 5) << "settled by refinement: nothing was tested";
  EXPECT_EQ(spectrum.matvecs - spectrum.single_matvecs, exact.products);
  expect_values_within_bounds(spectrum, exact.eigenvalues());
}

/// A stand-in of fewer samples in single precision, then one of all in single, then the operator.
TEST(LowerPrecision, OfFewerSamplesIsMendedDownToADoubleTolerance) {
  const Comm comm(MPI_COMM_WORLD);
  const auto outliers = with_tail({10, 9, 8, 7}, order, 0.05);
  const KnownSpectrum op(comm, outliers);
  Perturbed fewer(op, 1e-3);
  fewer.round_to_single();
  KnownSpectrum rough(comm, outliers);
  round_to_single(rough);
  const auto spectrum = compute(
      op, {.count = 3,
           .tolerance = 1e-10,
           .stand_ins = {{.op = &fewer, .distance = 3e-3, .rounding = single, .of_fewer_samples = true},
                         {.op = &rough, .rounding = single}}});
  EXPECT_TRUE(spectrum.as_asked());
  EXPECT_LE(std::ranges::max(spectrum.residuals), 1e-10 * spectrum.norm_estimate);
  EXPECT_EQ(rough.products, 0) << "the first one got there";
  EXPECT_EQ(spectrum.matvecs, op.products);
  EXPECT_EQ(spectrum.single_matvecs, 0);
  EXPECT_EQ(spectrum.pruned_matvecs, fewer.products());
  EXPECT_GT(op.products, 2 * 4) << "too good a stand-in to test anything";
  EXPECT_LE(op.products, 6 * 4);
  expect_values_within_bounds(spectrum, op.eigenvalues());
}

TEST(StandIn, IsGoneOnWithWhereverItWasStopped) {
  const Comm comm(MPI_COMM_WORLD);
  const auto ends = with_tail({10, 9, 8, 7, -6, -5, -4, -3}, order, 0.05);
  const auto options_with = [&](const KnownSpectrum& rough) {
    return Options{.which = Which::both,
                   .count = 3,
                   .tolerance = 1e-11,
                   .stand_ins = {{.op = &rough, .rounding = single}}};
  };
  KnownSpectrum rough(comm, ends);
  round_to_single(rough);
  const KnownSpectrum exact(comm, ends);
  const Spectrum undisturbed = compute(exact, options_with(rough));
  for (const bool in_rounds : {false, true}) {
    KnownSpectrum first(comm, ends), first_exact(comm, ends);
    round_to_single(first);
    auto& stopped = in_rounds ? first_exact : first;
    // After the first block of the certificate, or amid the solve.
    const Index limit = in_rounds ? 8 : rough.products / 2;
    stopped.before_product = [&](ConstMultiVector) {
      if (stopped.products >= limit) throw Interrupted("stopped");
    };
    std::optional<SolvePoint> point;
    Matrix<double> kept;
    Options options = options_with(first);
    options.on_restart = [&](const Stage& stage, const petsc::EigenState& state, bool) {
      point = {stage, state};
      const ConstMultiVector vectors = state.restart.vectors;
      kept = Matrix<double>(vectors.rows, vectors.cols);
      for (Index row = 0; row < kept.rows(); ++row)
        std::ranges::copy(vectors.row(row), kept.row(row).begin());
    };
    EXPECT_THROW(compute(first_exact, options), Interrupted);
    ASSERT_ALL(point.has_value());
    point->state.restart.vectors = std::as_const(kept).view();

    KnownSpectrum second(comm, ends);
    round_to_single(second);
    const KnownSpectrum second_exact(comm, ends);
    Options rest = options_with(second);
    rest.from = *point;
    const Spectrum found = compute(second_exact, rest);
    EXPECT_TRUE(found.as_asked());
    EXPECT_EQ(found.single_matvecs, undisturbed.single_matvecs) << "as if nothing had stopped it";
    EXPECT_EQ(found.check_matvecs, undisturbed.check_matvecs);
    EXPECT_EQ(second.products == 0, in_rounds) << "the solve is over once the rounds have begun";
    EXPECT_LE(second.products, rough.products - (in_rounds ? 0 : 10));
    EXPECT_LE(std::ranges::max(found.residuals), 1e-11 * found.norm_estimate);
    expect_values_within_bounds(found, exact.eigenvalues());
  }
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
