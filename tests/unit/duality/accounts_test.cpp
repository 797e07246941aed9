#include "dualscape/duality/accounts.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "problem.hpp"

namespace dualscape::duality {
namespace {

using testing::Basis;
using testing::layer;
using testing::Problem;

Decomposition decomposed(const Comm& comm, const Problem& problem, std::span<const Pair> pairs,
                         const DecompositionOptions& options, Index m = 6) {
  const Basis basis(comm, problem, layer, m);
  return decompose(comm, problem.model, layer, problem.duals(comm, layer, pairs), basis.directions(),
                   options);
}

double sum(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

std::array<double, part_count> totals(const Decomposition& d) {
  return {d.matched_gap, d.total.whole, d.complement.whole, d.sharp.whole, d.flat.whole, d.unresolved};
}

int predicted(const Problem& problem, std::span<const double> x) {
  auto act = problem.model.make_activities(1);
  std::ranges::copy(x, act.input().data);
  problem.model.forward(act);
  const auto logits = act.logits().row(0);
  return static_cast<int>(std::ranges::max_element(logits) - logits.begin());
}

TEST(ClassTotals, AddUpToTheTotals) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto d = decomposed(comm, problem, problem.pairs(comm), {.sharp = 3});
  for (std::size_t p = 0; p < part_count; ++p)
    EXPECT_NEAR(sum(d.classes.parts[p]), totals(d)[p], 1e-14 * d.mean_abs_loss_gap) << part_names[p];
  EXPECT_NEAR(sum(d.classes.confusion_gap.entries()), d.matched_gap, 1e-14 * d.mean_abs_loss_gap);
}

TEST(ClassTotals, FollowTheirDefinition) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const auto d = decomposed(comm, problem, pairs, {.sharp = 3});
  std::vector<double> gap(3);
  std::vector<Index> count(3);
  Matrix<std::int64_t> confusion(3, 3);
  for (const Pair& pair : pairs) {
    const auto label = static_cast<std::size_t>(problem.test_y[static_cast<std::size_t>(pair.test)]);
    const auto test = problem.test_x.row(pair.test), train = problem.train_x.row(pair.train);
    gap[label] +=
        (problem.loss(test, static_cast<int>(label)) - problem.loss(train, static_cast<int>(label))) /
        static_cast<double>(pairs.size());
    ++count[label];
    ++confusion(predicted(problem, train), predicted(problem, test));
  }
  EXPECT_EQ(d.classes.pairs, count);
  for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(d.classes.parts[0][c], gap[c], 1e-14 * d.mean_abs_loss_gap);
  Index changed = 0;
  for (Index i = 0; i < 3; ++i)
    for (Index j = 0; j < 3; ++j) {
      EXPECT_EQ(d.classes.confusion(i, j), confusion(i, j));
      changed += i != j ? confusion(i, j) : 0;
    }
  EXPECT_GT(changed, 0);
}

TEST(Accounts, LeaveOutDroppedPairs) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem(Activation::relu, Loss::cross_entropy, false);
  for (Index f = 0; f < problem.features; ++f) problem.train_x(0, f) = 0;
  const std::vector<Pair> pairs = {
      {.test = 0, .train = 0}, {.test = 1, .train = 1}, {.test = 3, .train = 3}, {.test = 4, .train = 4}};
  const auto d = decomposed(comm, problem, pairs, {.sharp = 3, .resamples = 20});
  EXPECT_EQ(d.classes.pairs, (std::vector<Index>{1, 2, 0}));
  for (std::size_t p = 0; p < part_count; ++p)
    EXPECT_NEAR(sum(d.classes.parts[p]), totals(d)[p], 1e-14 * d.mean_abs_loss_gap) << part_names[p];

  // All of them: no total, and no NaN.
  const auto none =
      decomposed(comm, problem, std::vector<Pair>{{.test = 0, .train = 0}}, {.sharp = 3, .resamples = 20});
  for (const Interval& interval : none.intervals) {
    EXPECT_EQ(interval.low, 0.0);
    EXPECT_EQ(interval.high, 0.0);
  }
}

/// Made-up accounts with one part; the others are zero.
PairAccounts made_up(Index pairs, Index pairs_of_a_test_sample) {
  const Random random(3, Stream::probe);
  PairAccounts accounts;
  for (auto& part : accounts.parts) part.resize(static_cast<std::size_t>(pairs));
  for (Index k = 0; k < pairs; ++k) {
    accounts.test.push_back(k / pairs_of_a_test_sample);
    accounts.kept.push_back(1);
    accounts.parts[0][static_cast<std::size_t>(k)] =
        random.normal(static_cast<std::uint64_t>(k / pairs_of_a_test_sample));
  }
  return accounts;
}

TEST(Bootstrap, IntervalsHaveTheWidthOfTheNormalLaw) {
  const Comm comm(MPI_COMM_WORLD);
  const auto accounts = made_up(400, 1);
  const auto& values = accounts.parts[0];
  const double mean = sum(values) / 400;
  double variance = 0;
  for (double x : values) variance += (x - mean) * (x - mean) / 400;
  const double error = std::sqrt(variance / 400);
  const auto interval = bootstrap(comm, accounts, 4000, 1).front();
  // A quantile at 2.5 % of 4000 resamples is known to sqrt(.025 .975 / 4000) / .058 = 0.04 of `error`.
  EXPECT_NEAR(interval.low, mean - 1.96 * error, 0.16 * error);
  EXPECT_NEAR(interval.high, mean + 1.96 * error, 0.16 * error);
}

TEST(Bootstrap, DrawsATestSampleWithAllItsPairs) {
  const Comm comm(MPI_COMM_WORLD);
  const auto single = bootstrap(comm, made_up(60, 1), 100, 1).front();
  const auto triple = bootstrap(comm, made_up(180, 3), 100, 1).front();
  EXPECT_NEAR(single.low, triple.low, 1e-14);
  EXPECT_NEAR(single.high, triple.high, 1e-14);
}

TEST(Bootstrap, IsTheSameAtAnyNumberOfRanksAndFollowsTheSeed) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const auto parallel = decomposed(comm, problem, pairs, {.sharp = 3, .resamples = 101, .seed = 5});
  const auto serial = bootstrap(self, parallel.accounts, 101, 5);
  const auto other = bootstrap(self, parallel.accounts, 101, 6);
  for (std::size_t p = 0; p < part_count; ++p) {
    EXPECT_EQ(parallel.intervals[p].low, serial[p].low);
    EXPECT_EQ(parallel.intervals[p].high, serial[p].high);
    EXPECT_LE(serial[p].low, totals(parallel)[p]);
    EXPECT_GE(serial[p].high, totals(parallel)[p]);
  }
  EXPECT_NE(serial[0].low, other[0].low);
  EXPECT_TRUE(bootstrap(comm, parallel.accounts, 0, 5).empty());
}

TEST(Sharp, MayBeChosenByEigenvalue) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const auto d = decomposed(comm, problem, pairs, {.sharp = 4, .sharp_by = SharpBy::eigenvalue}, 20);
  EXPECT_EQ(d.sharp_directions, (std::vector<Index>{0, 1, 2, 3}));
  EXPECT_NEAR(d.sharp.whole, sum(std::span(d.directions.contribution).first(4)), 1e-15);

  const Basis basis(comm, problem, layer, 6);
  Directions directions = basis.directions();
  const Duals duals = problem.duals(comm, layer, pairs);
  for (Index upper : {3, 4}) {
    directions.upper = upper;
    const auto part = decompose(comm, problem.model, layer, duals, directions,
                                {.sharp = 4, .sharp_by = SharpBy::eigenvalue});
    EXPECT_EQ(part.sharp_certified, upper >= 4);
  }
}

TEST(Sharp, MayBeChosenByItsShare) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const auto d = decomposed(comm, problem, pairs, {.sharp_by = SharpBy::share, .sharp_share = 0.8}, 20);
  double whole = 0, sharp = 0, last = 0;
  for (double sigma : d.directions.sigma_g) whole += sigma * sigma;
  for (Index n : d.sharp_directions) {
    last = d.directions.sigma_g[static_cast<std::size_t>(n)];
    sharp += last * last;
  }
  EXPECT_GE(sharp, 0.8 * whole);
  EXPECT_LT(sharp - last * last, 0.8 * whole);
  EXPECT_TRUE(d.sharp_reached);
  // The share is of the whole space, not of the directions computed: one direction may not reach it.
  EXPECT_FALSE(decomposed(comm, problem, pairs, {.sharp_by = SharpBy::share, .sharp_share = 0.999999}, 1)
                   .sharp_reached);
}

TEST(Clusters, HaveSumsThatNoBasisChanges) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  Basis basis(comm, problem, layer, 5);
  const Duals duals = problem.duals(comm, layer, problem.pairs(comm));
  // Numbers may be left out: guards between the two ends of a spectrum had them.
  const std::vector<Index> clusters = {0, 1, 1, 5, 70};
  const auto of = [&] {
    Directions directions = basis.directions();
    directions.clusters = clusters;
    return decompose(comm, problem.model, layer, duals, directions, {.sharp = 1});
  };
  const auto before = of();
  for (Index i = 0; i < basis.vectors.cols(); ++i) {
    const double x = basis.vectors(1, i), y = basis.vectors(2, i);
    basis.vectors(1, i) = 0.6 * x + 0.8 * y;
    basis.vectors(2, i) = -0.8 * x + 0.6 * y;
  }
  const auto after = of();
  EXPECT_EQ(before.clusters.size, (std::vector<Index>{1, 2, 1, 1}));
  EXPECT_DOUBLE_EQ(before.clusters.eigenvalue[1], (basis.values[1] + basis.values[2]) / 2);
  const auto same = [](const std::vector<double>& x, const std::vector<double>& y) {
    for (std::size_t c = 0; c < x.size(); ++c) EXPECT_NEAR(x[c], y[c], 1e-13 * (1 + std::abs(x[c])));
  };
  same(before.clusters.contribution, after.clusters.contribution);
  same(before.clusters.sigma_w_squared, after.clusters.sigma_w_squared);
  same(before.clusters.sigma_g_squared, after.clusters.sigma_g_squared);
  same(before.clusters.mean_square_w, after.clusters.mean_square_w);
  same(before.clusters.mean_square_g, after.clusters.mean_square_g);
  EXPECT_GT(std::abs(before.directions.contribution[1] - after.directions.contribution[1]), 1e-6);
}

TEST(Clusters, ACutThroughOneIsSaid) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const Basis basis(comm, problem, layer, 5);
  const Duals duals = problem.duals(comm, layer, problem.pairs(comm));
  const std::vector<Index> clusters = {0, 7, 7, 20, 31};
  Directions directions = basis.directions();
  directions.clusters = clusters;
  for (Index sharp : {1, 2, 3})
    EXPECT_EQ(decompose(comm, problem.model, layer, duals, directions,
                        {.sharp = sharp, .sharp_by = SharpBy::eigenvalue})
                  .sharp_cuts_cluster,
              sharp == 2);
}

}  // namespace
}  // namespace dualscape::duality
