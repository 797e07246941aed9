#include "dualscape/duality/weight_space.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "problem.hpp"

namespace dualscape::duality {
namespace {

using testing::Basis;
using testing::layer;
using testing::Problem;

constexpr Index size = 20;

/// v_n^T A v_n for the rows of a basis, on every rank.
std::vector<double> forms(const LinearOperator& op, ConstMultiVector vectors) {
  Matrix<double> products(vectors.rows, vectors.cols);
  op.apply(vectors, products.view());
  std::vector<double> values;
  for (Index n = 0; n < vectors.rows; ++n) values.push_back(dot(vectors.row(n), products.row(n)));
  MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_DOUBLE, MPI_SUM,
                op.comm().get());
  return values;
}

struct Case {
  Problem problem;
  std::vector<Pair> pairs;
  Duals duals;
  Basis basis;
  Decomposition d;

  explicit Case(const Comm& comm)
      : pairs(problem.pairs(comm)),
        duals(problem.duals(comm, layer, pairs)),
        basis(comm, problem, layer, size),
        d(decompose(comm, problem.model, layer, duals, basis.directions(), {})) {}

  WeightOperator op(const Comm& comm, DualOperator kind) const {
    return {comm, duals, kind, basis.partition, {}};
  }
};

TEST(WeightSpace, FormsAreContributionsAndVariances) {
  const Comm comm(MPI_COMM_WORLD);
  const Case c(comm);
  const auto vectors = c.basis.vectors.view();
  const auto gap = forms(c.op(comm, DualOperator::gap), vectors);
  const auto size_variance = forms(c.op(comm, DualOperator::dual_covariance), vectors);
  const auto sharp_variance = forms(c.op(comm, DualOperator::secant_covariance), vectors);
  const auto size_moment = forms(c.op(comm, DualOperator::dual_moment), vectors);
  const auto sharp_moment = forms(c.op(comm, DualOperator::secant_moment), vectors);
  const auto& per = c.d.directions;
  const auto scale = [](const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
  };
  // Sums of 17 products, each good to rounding of the largest.
  for (std::size_t n = 0; n < gap.size(); ++n) {
    EXPECT_NEAR(gap[n], per.contribution[n], 1e-13 * c.d.mean_abs_loss_gap);
    EXPECT_NEAR(size_variance[n], per.sigma_w[n] * per.sigma_w[n], 1e-13 * scale(size_moment));
    EXPECT_NEAR(sharp_variance[n], per.sigma_g[n] * per.sigma_g[n], 1e-13 * scale(sharp_moment));
    EXPECT_NEAR(size_moment[n], per.sigma_w[n] * per.sigma_w[n] + per.mean_w[n] * per.mean_w[n],
                1e-13 * scale(size_moment));
    EXPECT_NEAR(sharp_moment[n], per.sigma_g[n] * per.sigma_g[n] + per.mean_g[n] * per.mean_g[n],
                1e-13 * scale(sharp_moment));
  }
  EXPECT_NEAR(scale(gap), c.d.matched_gap - c.d.unresolved, 1e-13 * c.d.mean_abs_loss_gap);
}

TEST(WeightSpace, AreSymmetricAndZeroOutsideTheLayer) {
  const Comm comm(MPI_COMM_WORLD);
  const Case c(comm);
  const Partition block(size + 7, comm.size());
  for (const auto& choice : choices<DualOperator>()) {
    const auto inner = Basis::dense(c.op(comm, choice.value));
    const auto whole = Basis::dense(WeightOperator(comm, c.duals, choice.value, block, {.weight = 3}));
    for (Index i = 0; i < block.size(); ++i)
      for (Index j = 0; j < block.size(); ++j) {
        const bool inside = i >= 3 && i < 3 + size && j >= 3 && j < 3 + size;
        // A sum of the same terms, in an order of GEMM's own.
        EXPECT_NEAR(whole(i, j), inside ? inner(i - 3, j - 3) : 0.0, 1e-14) << choice.name;
        EXPECT_NEAR(whole(i, j), whole(j, i), 1e-14) << choice.name;
      }
  }
}

TEST(WeightSpace, ProductsAreTheSameBitsAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const Case parallel(comm), serial(self);
  for (const auto& choice : choices<DualOperator>()) {
    const auto one = Basis::dense(parallel.op(comm, choice.value));
    const auto other = Basis::dense(serial.op(self, choice.value));
    EXPECT_TRUE(std::ranges::equal(one.entries(), other.entries())) << choice.name;
  }
}

TEST(WeightSpace, ALargeLayerFollowsTheDefinition) {
  const Comm comm(MPI_COMM_WORLD);
  // More entries than a tile of duals is formed for.
  constexpr Index out = 70, in = 60, pairs = 5;
  const Random random(9, Stream::probe);
  Matrix<double> r(pairs, out), b(pairs, in), v(1, out * in);
  std::uint64_t draw = 0;
  for (auto* matrix : {&r, &b, &v})
    for (double& x : matrix->entries()) x = random.normal(draw++);
  const Lanes lanes(pairs, 8);
  Duals duals;
  duals.lanes = lanes;
  duals.first = lanes.first_sample(comm.rank(), comm.size());
  const Index own = lanes.first_sample(comm.rank() + 1, comm.size()) - duals.first;
  duals.response = Matrix<double>(own, out);
  duals.covector = Matrix<double>(own, in);
  duals.state.assign(static_cast<std::size_t>(own), DualState::kept);
  double expected = 0;
  for (Index k = 0; k < pairs; ++k) {
    const double inverse = 1.0 / static_cast<double>(k + 2), gap = static_cast<double>(k) - 1.5;
    const double length = norm(r.row(k)) * norm(b.row(k)) * inverse;
    double w = 0;
    for (Index o = 0; o < out; ++o)
      for (Index i = 0; i < in; ++i) w += inverse * r(k, o) * b(k, i) * v(0, o * in + i);
    expected += gap * (w / length) * (w / length) / static_cast<double>(pairs);
    if (k < duals.first || k >= duals.first + own) continue;
    std::ranges::copy(r.row(k), duals.response.row(k - duals.first).begin());
    std::ranges::copy(b.row(k), duals.covector.row(k - duals.first).begin());
    duals.inverse.push_back(inverse);
    duals.norm.push_back(length);
    duals.loss_gap.push_back(gap);
  }
  const Partition split(out * in, comm.size());
  Matrix<double> part(1, split.count(comm.rank()));
  std::copy_n(v.row(0).begin() + split.begin(comm.rank()), part.cols(), part.row(0).begin());
  const WeightOperator gap(comm, duals, DualOperator::gap, split, {});
  // Five terms of about |v|^2 times a direction's share: rounding of sums of 4200 products.
  EXPECT_NEAR(forms(gap, part.view()).front(), expected, 1e-12 * std::max(1.0, std::abs(expected)));
}

TEST(OffSubspace, LeavesWhatTheSubspaceDoesNotSee) {
  const Comm comm(MPI_COMM_WORLD);
  const Case c(comm);
  const auto op = c.op(comm, DualOperator::secant_covariance);
  const OffSubspace off(op, c.basis.vectors.view().rows_from(0, 6));
  const auto inner = forms(op, c.basis.vectors.view());
  const auto rest = forms(off, c.basis.vectors.view());
  const double scale = std::accumulate(inner.begin(), inner.end(), 0.0);
  for (std::size_t n = 0; n < inner.size(); ++n) EXPECT_NEAR(rest[n], n < 6 ? 0.0 : inner[n], 1e-13 * scale);
}

TEST(Align, MeasuresTheCommutatorAndTheDiagonal) {
  const Comm comm(MPI_COMM_WORLD);
  const Case c(comm);
  // Against dense products, over the whole space.
  const auto linearisation = c.problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(
      Curvature::hessian, linearisation, operators::select_block(c.problem.network, {"dense2"}));
  const auto h = Basis::dense(*hessian);
  const auto op = c.op(comm, DualOperator::gap);
  const auto q = Basis::dense(op);
  Matrix<double> commutator(size, size);
  gemm<double>(Op::none, Op::none, 1.0, h.view(), q.view(), 0.0, commutator.view());
  gemm<double>(Op::none, Op::none, -1.0, q.view(), h.view(), 1.0, commutator.view());
  const auto alignment = align(c.basis.values, c.basis.vectors.view(), op);
  EXPECT_NEAR(alignment.commutator, norm(commutator.entries()) / (norm(h.entries()) * norm(q.entries())),
              1e-13);
  double diagonal = 0;
  for (double contribution : c.d.directions.contribution) diagonal += contribution * contribution;
  EXPECT_NEAR(alignment.diagonal, diagonal / dot(q.entries(), q.entries()), 1e-13);
  EXPECT_GT(alignment.commutator, 1e-3);

  const auto itself = align(c.basis.values, c.basis.vectors.view(), *hessian);
  EXPECT_NEAR(itself.commutator, 0.0, 1e-13);
  EXPECT_NEAR(itself.diagonal, 1.0, 1e-13);
}

TEST(CoSpectrum, IsTheSpectrumOfCurvatureTimesDualCovariance) {
  const Comm comm(MPI_COMM_WORLD);
  const Case c(comm);
  const auto linearisation = c.problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(
      Curvature::hessian, linearisation, operators::select_block(c.problem.network, {"dense2"}));
  const auto values = co_spectrum(*hessian, c.duals, {});
  ASSERT_EQ(values.size(), c.pairs.size());
  // Traces of H S_w and (H S_w)^2, from dense matrices.
  const auto h = Basis::dense(*hessian);
  const auto s = Basis::dense(c.op(comm, DualOperator::dual_covariance));
  Matrix<double> product(size, size);
  gemm<double>(Op::none, Op::none, 1.0, h.view(), s.view(), 0.0, product.view());
  double trace = 0, square = 0, sum = 0, squares = 0;
  for (Index i = 0; i < size; ++i) {
    trace += product(i, i);
    for (Index j = 0; j < size; ++j) square += product(i, j) * product(j, i);
  }
  for (double value : values) {
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum, trace, 1e-12 * std::sqrt(squares));
  EXPECT_NEAR(squares, square, 1e-12 * squares);
  EXPECT_TRUE(std::ranges::is_sorted(values, std::greater<>()));
  // Centred: one of the K is zero.
  EXPECT_LT(std::ranges::min(values, {}, [](double x) { return std::abs(x); }), 1e-14);
  // Half the sum is the mean field without the means' part.
  double mean_field = 0;
  for (std::size_t n = 0; n < c.basis.values.size(); ++n)
    mean_field += 0.5 * c.basis.values[n] * c.d.directions.sigma_w[n] * c.d.directions.sigma_w[n];
  EXPECT_NEAR(sum / 2, mean_field, 1e-12 * std::sqrt(squares));
  const auto from_pairs =
      co_spectrum(comm, c.basis.values, c.basis.vectors.view(), c.basis.partition, c.duals, {});
  ASSERT_EQ(from_pairs.size(), values.size());
  for (std::size_t k = 0; k < values.size(); ++k)
    EXPECT_NEAR(from_pairs[k], values[k], 1e-12 * std::sqrt(squares));
}

TEST(CoSpectrum, OfMorePairsThanAreMultipliedAtOnce) {
  const Comm comm(MPI_COMM_WORLD);
  const Case c(comm);
  // Each test sample with every training sample of its class: more than 200 pairs.
  std::vector<Pair> pairs;
  for (Index test = 0; test < c.problem.test_count; ++test)
    for (Index train = test % 3; train < c.problem.train_count; train += 3)
      pairs.push_back({.test = test, .train = train});
  const Duals duals = c.problem.duals(comm, layer, pairs);
  const auto linearisation = c.problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(
      Curvature::hessian, linearisation, operators::select_block(c.problem.network, {"dense2"}));
  const WeightOperator covariance(comm, duals, DualOperator::dual_covariance, c.basis.partition, {});
  const auto h = Basis::dense(*hessian), s = Basis::dense(covariance);
  Matrix<double> product(size, size);
  gemm<double>(Op::none, Op::none, 1.0, h.view(), s.view(), 0.0, product.view());
  double trace = 0, square = 0;
  for (Index i = 0; i < size; ++i) {
    trace += product(i, i);
    for (Index j = 0; j < size; ++j) square += product(i, j) * product(j, i);
  }
  for (const auto& values :
       {co_spectrum(*hessian, duals, {}),
        co_spectrum(comm, c.basis.values, c.basis.vectors.view(), c.basis.partition, duals, {})}) {
    ASSERT_EQ(values.size(), pairs.size());
    double sum = 0, squares = 0;
    for (double value : values) {
      sum += value;
      squares += value * value;
    }
    EXPECT_NEAR(sum, trace, 1e-12 * std::sqrt(squares));
    EXPECT_NEAR(squares, square, 1e-12 * squares);
  }
}

/// x -> B H B^T x for a dense B.
class Transformed final : public LinearOperator {
 public:
  Transformed(const LinearOperator& inner, ConstMatrixView<double> b) : inner_(inner), b_(b) {}
  const Comm& comm() const override { return inner_.comm(); }
  Partition range() const override { return inner_.range(); }
  void apply(ConstMultiVector in, MultiVector out) const override {
    Matrix<double> whole(in.rows, b_.cols), moved(in.rows, b_.cols);
    gather_all(comm(), range(), in, whole.view());
    gemm<double>(Op::none, Op::none, 1.0, whole.view(), b_, 0.0, moved.view());
    const Index begin = range().begin(comm().rank()), count = range().count(comm().rank());
    Matrix<double> part(in.rows, count), product(in.rows, count);
    for (Index j = 0; j < in.rows; ++j) std::copy_n(moved.row(j).begin() + begin, count, part.row(j).begin());
    inner_.apply(part.view(), product.view());
    gather_all(comm(), range(), product.view(), whole.view());
    gemm<double>(Op::none, Op::transpose, 1.0, whole.view(), b_, 0.0, moved.view());
    for (Index j = 0; j < in.rows; ++j) std::copy_n(moved.row(j).begin() + begin, count, out.row(j).begin());
  }

 private:
  const LinearOperator& inner_;
  ConstMatrixView<double> b_;
};

TEST(CoSpectrum, IsUnchangedByALinearReparametrisation) {
  const Comm comm(MPI_COMM_WORLD);
  Case c(comm);
  const auto linearisation = c.problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(
      Curvature::hessian, linearisation, operators::select_block(c.problem.network, {"dense2"}));
  const auto before = co_spectrum(*hessian, c.duals, {});
  // W' = L W R, that is w' = A w with A = L (x) R^T: the duals become (L r)(R^T a)^T, the Hessian A^-T H
  // A^-1. L and R are upper triangular with ones, so that their inverses are as exact.
  const Random random(4, Stream::probe);
  const auto unit = [&](Index n, std::uint64_t first) {
    Matrix<double> upper(n, n);
    for (Index i = 0; i < n; ++i)
      for (Index j = i; j < n; ++j)
        upper(i, j) = i == j ? 1.0 : random.normal(first + static_cast<std::uint64_t>(i * n + j));
    return upper;
  };
  const auto inverse = [](const Matrix<double>& upper) {
    const Index n = upper.rows();
    Matrix<double> result(n, n);
    for (Index j = 0; j < n; ++j)
      for (Index i = j; i >= 0; --i) {
        double value = i == j ? 1.0 : 0.0;
        for (Index k = i + 1; k <= j; ++k) value -= upper(i, k) * result(k, j);
        result(i, j) = value;
      }
    return result;
  };
  const auto left = unit(4, 0), right = unit(5, 100);
  const auto left_inverse = inverse(left), right_inverse = inverse(right);
  // (A^-1)^T as a matrix on row-major weights: entry ((o, i), (p, j)) = L^-1(p, o) R^-1(i, j).
  Matrix<double> back(size, size);
  for (Index o = 0; o < 4; ++o)
    for (Index i = 0; i < 5; ++i)
      for (Index p = 0; p < 4; ++p)
        for (Index j = 0; j < 5; ++j) back(o * 5 + i, p * 5 + j) = left_inverse(p, o) * right_inverse(i, j);
  const Transformed moved(*hessian, back.view());
  Matrix<double> response(c.duals.response.rows(), 4), activity(c.duals.covector.rows(), 5);
  gemm<double>(Op::none, Op::transpose, 1.0, c.duals.response.view(), left.view(), 0.0, response.view());
  gemm<double>(Op::none, Op::none, 1.0, c.duals.covector.view(), right.view(), 0.0, activity.view());
  c.duals.response = std::move(response);
  c.duals.covector = std::move(activity);
  const auto after = co_spectrum(moved, c.duals, {});
  const double largest = std::max(std::abs(before.front()), std::abs(before.back()));
  for (std::size_t k = 0; k < before.size(); ++k)
    // The condition of A, a few hundred, times rounding.
    EXPECT_NEAR(after[k], before[k], 1e-11 * largest);
}

}  // namespace
}  // namespace dualscape::duality
