#include "dualscape/duality/decomposition.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "problem.hpp"

namespace dualscape::duality {
namespace {

using testing::Basis;
using testing::layer;
using testing::Problem;

Decomposition decomposed(const Comm& comm, const Problem& problem, std::span<const Pair> pairs, Index m,
                         Index sharp = 3) {
  const Basis basis(comm, problem, layer, m);
  const auto linearisation = problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(
      Curvature::hessian, linearisation, operators::select_block(problem.network, {"dense2"}));
  return decompose(comm, problem.model, layer, problem.duals(comm, layer, pairs), basis.directions(),
                   {.sharp = sharp, .curvature = hessian.get()});
}

/// The definitions of mean and population standard deviation over dense duals, in loops on one rank.
struct Expected {
  double mean_w = 0, mean_g = 0, sigma_w = 0, sigma_g = 0, correlation = 0, contribution = 0;

  Expected(const Duals& duals, std::span<const double> direction) {
    const Index in = duals.covector.cols();
    std::vector<double> w, g;
    for (Index k = 0; k < duals.count(); ++k) {
      const auto at = static_cast<std::size_t>(k);
      double projection = 0, squares = 0;
      for (Index o = 0; o < duals.response.cols(); ++o)
        for (Index i = 0; i < in; ++i) {
          const double entry = duals.response(k, o) * duals.covector(k, i) * duals.inverse[at];
          projection += entry * direction[static_cast<std::size_t>(o * in + i)];
          squares += entry * entry;
        }
      w.push_back(projection);
      g.push_back(squares > 0 ? duals.loss_gap[at] / squares * projection : 0.0);
    }
    const double n = static_cast<double>(w.size());
    mean_w = std::accumulate(w.begin(), w.end(), 0.0) / n;
    mean_g = std::accumulate(g.begin(), g.end(), 0.0) / n;
    double covariance = 0;
    for (std::size_t k = 0; k < w.size(); ++k) {
      sigma_w += (w[k] - mean_w) * (w[k] - mean_w) / n;
      sigma_g += (g[k] - mean_g) * (g[k] - mean_g) / n;
      covariance += (w[k] - mean_w) * (g[k] - mean_g) / n;
      contribution += w[k] * g[k] / n;
    }
    sigma_w = std::sqrt(sigma_w);
    sigma_g = std::sqrt(sigma_g);
    correlation = covariance / (sigma_w * sigma_g);
  }
};

TEST(Decompose, EveryDirectionFollowsItsDefinition) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const auto d = decomposed(comm, problem, pairs, 20);
  const Basis basis(self, problem, layer, 20);
  const Duals duals = problem.duals(self, layer, pairs);
  for (Index n = 0; n < 20; ++n) {
    const auto at = static_cast<std::size_t>(n);
    const Expected expected(duals, basis.vectors.row(n));
    // A dozen roundings of a mean over 17 pairs of terms of this size.
    const double w = 1e-13 * (expected.sigma_w + std::abs(expected.mean_w));
    const double g = 1e-13 * (expected.sigma_g + std::abs(expected.mean_g));
    EXPECT_NEAR(d.directions.mean_w[at], expected.mean_w, w);
    EXPECT_NEAR(d.directions.mean_g[at], expected.mean_g, g);
    EXPECT_NEAR(d.directions.sigma_w[at], expected.sigma_w, w);
    EXPECT_NEAR(d.directions.sigma_g[at], expected.sigma_g, g);
    EXPECT_NEAR(d.directions.correlation[at], expected.correlation, 1e-12);
    EXPECT_NEAR(d.directions.contribution[at], expected.contribution, 1e-13 * d.mean_abs_loss_gap);
  }
}

TEST(Decompose, ACompleteBasisCarriesTheWholeGap) {
  const Comm comm(MPI_COMM_WORLD);
  for (Activation activation : {Activation::relu, Activation::sigmoid})
    for (Loss loss : {Loss::cross_entropy, Loss::softmax_mse}) {
      const Problem problem(activation, loss);
      const auto d = decomposed(comm, problem, problem.pairs(comm), 20);
      EXPECT_NEAR(d.total.whole, d.matched_gap, 1e-13 * d.mean_abs_loss_gap);
      EXPECT_NEAR(d.complement.whole, 0.0, 1e-13 * d.mean_abs_loss_gap);
      EXPECT_NEAR(d.complement.without_means, 0.0, 1e-13 * d.mean_abs_loss_gap);
      EXPECT_NEAR(d.sharp.whole + d.flat.whole, d.matched_gap, 1e-13 * d.mean_abs_loss_gap);
      EXPECT_TRUE(d.sharp_certified);
      for (double defect :
           {d.identities.accounts, d.identities.basis_share, d.identities.products,
            d.identities.activity_norm, d.identities.size, d.identities.sharpness, d.identities.curvature})
        EXPECT_LT(defect, 1e-12);
    }
}

TEST(Decompose, EveryKindOfDualCarriesTheWholeGapAlongTheWholeNetworksEigenvectors) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem(Activation::softplus);
  const auto pairs = problem.pairs(comm);
  const auto block = operators::select_block(problem.network, {"all"});
  const auto linearisation = problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(Curvature::hessian, linearisation, block);
  const Basis basis(comm, Basis::dense(*hessian), block.size);
  const nn::Layer& here = problem.network.layer(layer);
  for (const auto& kind : choices<DualKind>()) {
    Directions directions = basis.directions();
    directions.place = {.weight = here.weight_offset,
                        .bias = kind.value == DualKind::augmented ? here.bias_offset : Index{-1}};
    const Duals duals = problem.duals(comm, layer, pairs, kind.value);
    const auto d = decompose(comm, problem.model, layer, duals, directions, {.curvature = hessian.get()});
    EXPECT_NEAR(d.total.whole, d.matched_gap, 1e-12 * d.mean_abs_loss_gap) << kind.name;
    for (double defect :
         {d.identities.accounts, d.identities.basis_share, d.identities.products, d.identities.activity_norm,
          d.identities.size, d.identities.sharpness, d.identities.curvature})
      EXPECT_LT(defect, 1e-12) << kind.name;
    EXPECT_LT(d.exactness, 1e-12);
    // Against whole vectors, zero outside the layer, in loops.
    Matrix<double> whole(block.size, block.size);
    gather_all(comm, basis.partition, basis.vectors.view(), whole.view());
    Matrix<double> duals_whole(duals.count(), block.size), w(duals.count(), block.size);
    for (Index k = 0; k < duals.count(); ++k)
      for (Index o = 0; o < here.out; ++o)
        for (Index i = 0; i < duals.covector.cols(); ++i)
          duals_whole(k, i < here.in ? here.weight_offset + o * here.in + i : here.bias_offset + o) =
              duals.response(k, o) * duals.covector(k, i) * duals.inverse[static_cast<std::size_t>(k)];
    gemm<double>(Op::none, Op::transpose, 1.0, duals_whole.view(), whole.view(), 0.0, w.view());
    std::vector<double> mean(static_cast<std::size_t>(block.size)), contribution(mean);
    for (Index k = 0; k < duals.count(); ++k)
      for (Index n = 0; n < block.size; ++n) {
        const auto at = static_cast<std::size_t>(n);
        mean[at] += w(k, n) / static_cast<double>(pairs.size());
        contribution[at] += duals.loss_gap[static_cast<std::size_t>(k)] * w(k, n) * w(k, n) /
                            dot(duals_whole.row(k), duals_whole.row(k)) / static_cast<double>(pairs.size());
      }
    for (auto* values : {&mean, &contribution})
      MPI_Allreduce(MPI_IN_PLACE, values->data(), static_cast<int>(block.size), MPI_DOUBLE, MPI_SUM,
                    comm.get());
    for (std::size_t n = 0; n < mean.size(); ++n) {
      EXPECT_NEAR(d.directions.mean_w[n], mean[n], 1e-13 * d.activity_weighted_norm);
      EXPECT_NEAR(d.directions.contribution[n], contribution[n], 1e-13 * d.mean_abs_loss_gap);
    }
  }
}

TEST(Decompose, AFewDirectionsAndTheirComplementCarryTheWholeGap) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const auto whole = decomposed(comm, problem, pairs, 20);
  const auto part = decomposed(comm, problem, pairs, 6);
  EXPECT_NEAR(part.total.whole + part.complement.whole + part.unresolved, part.matched_gap,
              1e-13 * part.mean_abs_loss_gap);
  EXPECT_LT(part.identities.accounts, 1e-13);
  EXPECT_FALSE(part.sharp_certified);
  double others = 0;
  for (std::size_t n = 6; n < 20; ++n) others += whole.directions.contribution[n];
  EXPECT_NEAR(part.complement.whole, others, 1e-13 * part.mean_abs_loss_gap);
  EXPECT_GT(std::abs(others), 1e-6 * part.mean_abs_loss_gap);
  EXPECT_NEAR(part.total.without_means + part.complement.without_means, whole.total.without_means,
              1e-13 * part.mean_abs_loss_gap);
}

TEST(Decompose, EachLayerCarriesTheWholeGapAlongTheWholeNetworksEigenvectors) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const auto block = operators::select_block(problem.network, {"all"});
  const auto linearisation = problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(Curvature::hessian, linearisation, block);
  const Basis basis(comm, Basis::dense(*hessian), block.size);
  for (Index l : {0, 1, 2}) {
    Directions directions = basis.directions();
    directions.place.weight = block.weight_offset[static_cast<std::size_t>(l)];
    const Duals duals = problem.duals(comm, l, pairs);
    const auto d = decompose(comm, problem.model, l, duals, directions, {.curvature = hessian.get()});
    EXPECT_NEAR(d.total.whole, d.matched_gap, 1e-12 * d.mean_abs_loss_gap);
    EXPECT_LT(d.identities.basis_share, 1e-12);
    EXPECT_LT(d.identities.curvature, 1e-12);
    // Against the vector with zeros outside the layer, in loops.
    const nn::Layer& here = problem.network.layer(l);
    Matrix<double> all(1, block.size);
    gather_all(comm, basis.partition, basis.vectors.view().rows_from(0, 1), all.view());
    double sum = 0;
    for (Index k = 0; k < duals.count(); ++k)
      for (Index o = 0; o < here.out; ++o)
        for (Index i = 0; i < here.in; ++i)
          sum += duals.response(k, o) * duals.covector(k, i) * duals.inverse[static_cast<std::size_t>(k)] *
                 all(0, here.weight_offset + o * here.in + i);
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, comm.get());
    EXPECT_NEAR(d.directions.mean_w[0], sum / static_cast<double>(pairs.size()), 1e-13);
  }
}

TEST(Decompose, TheAccountsNoticeABasisThatIsNotOrthonormal) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  Basis basis(comm, problem, layer, 20);
  for (double& x : basis.vectors.row(2)) x *= 1.001;
  const auto d =
      decompose(comm, problem.model, layer, problem.duals(comm, layer, pairs), basis.directions(), {});
  EXPECT_GT(d.identities.basis_share, 1e-5);
  EXPECT_GT(d.identities.size, 1e-8);
}

TEST(Decompose, TheCurvatureIdentityNoticesEigenvaluesOutOfStep) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  Basis basis(comm, problem, layer, 20);
  std::swap(basis.values[0], basis.values[3]);
  const auto linearisation = problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(
      Curvature::hessian, linearisation, operators::select_block(problem.network, {"dense2"}));
  const auto d = decompose(comm, problem.model, layer, problem.duals(comm, layer, problem.pairs(comm)),
                           basis.directions(), {.sharp = 3, .curvature = hessian.get()});
  EXPECT_GT(d.identities.curvature, 1e-4);
}

TEST(Decompose, SharpDirectionsAreTheFirstBySigmaG) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto d = decomposed(comm, problem, problem.pairs(comm), 20, 4);
  double sharp = 0;
  for (std::size_t i = 0; i < 4; ++i)
    sharp += d.directions.contribution[static_cast<std::size_t>(d.directions.order_by_sigma_g[i])];
  EXPECT_DOUBLE_EQ(d.sharp.whole, sharp);
  for (std::size_t i = 1; i < 20; ++i)
    EXPECT_GE(d.directions.sigma_g[static_cast<std::size_t>(d.directions.order_by_sigma_g[i - 1])],
              d.directions.sigma_g[static_cast<std::size_t>(d.directions.order_by_sigma_g[i])]);
}

TEST(Decompose, ZeroDualsAreUnresolvedAndDroppedPairsAreInNoMean) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem(Activation::relu, Loss::cross_entropy, false);
  for (Index f = 0; f < problem.features; ++f) problem.train_x(0, f) = 0;
  std::ranges::copy(problem.train_x.row(1), problem.test_x.row(1).begin());
  const std::vector<Pair> pairs = {
      {.test = 0, .train = 0}, {.test = 1, .train = 1}, {.test = 3, .train = 3}, {.test = 4, .train = 4}};
  const auto d = decomposed(comm, problem, pairs, 20);
  EXPECT_EQ(d.dropped_pairs, 1);
  EXPECT_EQ(d.zero_duals, 1);
  EXPECT_EQ(d.kept_pairs, 2);
  EXPECT_LT(d.identities.accounts, 1e-13);
  EXPECT_NEAR(d.unresolved, 0.0, 1e-14);
}

/// Every number of a decomposition.
std::vector<double> numbers(const Decomposition& d) {
  std::vector<double> all = {d.matched_gap,
                             d.mean_abs_loss_gap,
                             d.partner_loss,
                             d.total.whole,
                             d.total.without_means,
                             d.complement.whole,
                             d.complement.without_means,
                             d.sharp.whole,
                             d.flat.whole,
                             d.total_bound,
                             d.sharp_bound,
                             d.unresolved,
                             d.exactness,
                             d.activity_weighted_norm,
                             d.gradient_term,
                             d.curvature_term,
                             d.mean_field,
                             d.sharp_determinants.sharpness,
                             d.whole_determinants.size,
                             d.identities.accounts,
                             d.identities.products,
                             d.identities.activity_norm,
                             d.identities.size,
                             d.identities.sharpness,
                             d.identities.basis_share,
                             d.identities.curvature};
  const PerDirection& per = d.directions;
  for (const auto* values : {&per.mean_w, &per.mean_g, &per.sigma_w, &per.sigma_g, &per.correlation,
                             &per.contribution, &per.contribution_bound, &d.clusters.contribution_bound})
    all.insert(all.end(), values->begin(), values->end());
  for (const Interval& interval : d.intervals) all.insert(all.end(), {interval.low, interval.high});
  return all;
}

TEST(Decompose, OfNothingIsZeroAndNeverNaN) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem(Activation::relu, Loss::cross_entropy, false);
  // Partners no unit answers to; then test samples that equal their partners.
  Problem dead = problem, same = problem;
  for (double& x : dead.train_x.entries()) x = 0;
  std::vector<Pair> pairs;
  for (Index t = 0; t < problem.test_count; ++t) {
    pairs.push_back({.test = t, .train = t});
    std::ranges::copy(same.train_x.row(t), same.test_x.row(t).begin());
  }
  for (Index m : {6, 20}) {
    const Basis basis(comm, problem, layer, m);
    const auto of = [&](const Problem& changed) {
      return decompose(comm, changed.model, layer, changed.duals(comm, layer, pairs), basis.directions(),
                       {.sharp = 3, .resamples = 10});
    };
    const auto dropped = of(dead), zero = of(same);
    EXPECT_EQ(dropped.dropped_pairs, problem.test_count);
    EXPECT_EQ(dropped.kept_pairs + dropped.zero_duals, 0);
    EXPECT_EQ(zero.zero_duals, problem.test_count);
    for (double x : numbers(dropped)) EXPECT_EQ(x, 0.0);
    for (double x : numbers(zero)) EXPECT_TRUE(std::isfinite(x));
    EXPECT_EQ(zero.matched_gap, zero.unresolved);
    EXPECT_LT(std::abs(zero.unresolved), 1e-14);
    for (double sigma : zero.directions.sigma_g) EXPECT_EQ(sigma, 0.0);
  }
}

TEST(Decompose, ASinglePairHasNoSpreadAndNoNaN) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto d = decomposed(comm, problem, std::vector<Pair>{{.test = 0, .train = 3}}, 20);
  for (std::size_t n = 0; n < 20; ++n) {
    EXPECT_EQ(d.directions.sigma_w[n], 0.0);
    EXPECT_EQ(d.directions.correlation[n], 0.0);
  }
  EXPECT_NEAR(d.total.whole, d.matched_gap, 1e-13 * d.mean_abs_loss_gap);
}

TEST(Decompose, SpreadsSurviveALargeCommonOffset) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  // Test inputs far out make all duals nearly alike: sigma is small beside the mean.
  Problem problem(Activation::identity);
  for (Index t = 0; t < problem.test_count; ++t)
    for (Index f = 0; f < problem.features; ++f) problem.test_x(t, f) = 1e3 + 1e-3 * problem.test_x(t, f);
  std::vector<Pair> pairs;
  for (Index t = 0; t < problem.test_count; ++t) pairs.push_back({.test = t, .train = 3});
  const auto d = decomposed(comm, problem, pairs, 20);
  const Basis basis(self, problem, layer, 20);
  const Duals duals = problem.duals(self, layer, pairs);
  for (Index n = 0; n < 5; ++n) {
    const Expected expected(duals, basis.vectors.row(n));
    // The projections themselves carry eps of the mean; the moments must add nothing of its square.
    EXPECT_NEAR(d.directions.sigma_w[static_cast<std::size_t>(n)], expected.sigma_w,
                1e-13 * std::abs(expected.mean_w));
  }
}

TEST(Decompose, IsTheSameAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const auto parallel = decomposed(comm, problem, pairs, 20);
  const auto serial = decomposed(self, problem, pairs, 20);
  EXPECT_EQ(parallel.directions.contribution, serial.directions.contribution);
  EXPECT_EQ(parallel.directions.sigma_g, serial.directions.sigma_g);
  EXPECT_EQ(parallel.matched_gap, serial.matched_gap);
  EXPECT_EQ(parallel.complement.whole, serial.complement.whole);
}

}  // namespace
}  // namespace dualscape::duality
