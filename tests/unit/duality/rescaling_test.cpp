#include <gtest/gtest.h>

#include <cmath>

#include "dualscape/duality/decomposition.hpp"
#include "problem.hpp"

namespace dualscape::duality {
namespace {

using testing::Basis;
using testing::layer;
using testing::Problem;

/// The decomposition at layer `at` of a ReLU network without bias, its second layer's weight times s and the
/// third's divided by s: the same function of the inputs.
Decomposition rescaled(const Comm& comm, Index at, double s, std::span<const Index> clusters = {}) {
  Problem problem(Activation::relu, Loss::cross_entropy, false);
  for (Index l : {1, 2}) {
    const nn::Layer& layer_l = problem.network.layer(l);
    for (double& w : std::span(problem.parameters)
                         .subspan(static_cast<std::size_t>(layer_l.weight_offset),
                                  static_cast<std::size_t>(layer_l.weight_size)))
      w *= l == 1 ? s : 1 / s;
  }
  problem.model.set_parameters(problem.parameters);
  const Index size = problem.network.layer(at).weight_size;
  const Basis basis(comm, problem, at, size);
  Directions directions = basis.directions();
  directions.clusters = clusters;
  return decompose(comm, problem.model, at, problem.duals(comm, at, problem.pairs(comm)), directions, {});
}

TEST(Rescaling, APairOfLayersByTwoKeepsEveryContributionToTheBit) {
  const Comm comm(MPI_COMM_WORLD);
  for (Index at : {1, 2}) {
    const auto before = rescaled(comm, at, 1), after = rescaled(comm, at, 2);
    const double s = at == 1 ? 2 : 0.5;
    EXPECT_EQ(before.directions.contribution, after.directions.contribution);
    EXPECT_EQ(before.matched_gap, after.matched_gap);
    EXPECT_EQ(before.sharp.whole, after.sharp.whole);
    for (std::size_t n = 0; n < before.directions.sigma_w.size(); ++n) {
      EXPECT_EQ(s * before.directions.sigma_w[n], after.directions.sigma_w[n]);
      EXPECT_EQ(before.directions.sigma_g[n] / s, after.directions.sigma_g[n]);
    }
  }
}

/// Numbers of clusters of eigenvalues: neighbours closer than `distance` share one.
std::vector<Index> clusters_of(const std::vector<double>& values, double distance) {
  std::vector<Index> clusters(values.size());
  for (std::size_t n = 1; n < values.size(); ++n)
    clusters[n] = clusters[n - 1] + (values[n - 1] - values[n] < distance ? 0 : 1);
  return clusters;
}

TEST(Rescaling, APairOfLayersKeepsSeparatedContributionsAndTheSumsOfClusters) {
  const Comm comm(MPI_COMM_WORLD);
  bool clustered = false;
  for (double factor : {3.0, 0.7})
    for (Index at : {1, 2}) {
      const auto eigenvalues = rescaled(comm, at, 1).clusters.eigenvalue;
      const auto clusters = clusters_of(eigenvalues, 1e-5 * eigenvalues.front());
      const auto before = rescaled(comm, at, 1, clusters).clusters;
      const auto d = rescaled(comm, at, factor, clusters);
      const auto& after = d.clusters;
      const double s = at == 1 ? factor : 1 / factor;
      EXPECT_GE(std::ranges::count(before.size, 1), 5);
      clustered = clustered || std::ranges::max(before.size) > 1;
      // Rounding of |H| over a distance of at least 1e-5 |H|.
      for (std::size_t c = 0; c < before.size.size(); ++c) {
        EXPECT_NEAR(before.contribution[c], after.contribution[c], 1e-9 * d.mean_abs_loss_gap);
        EXPECT_NEAR(s * s * before.mean_square_w[c], after.mean_square_w[c],
                    1e-9 * std::pow(d.activity_weighted_norm, 2));
        EXPECT_NEAR(before.eigenvalue[c], s * s * after.eigenvalue[c], 1e-13 * eigenvalues.front());
      }
    }
  EXPECT_TRUE(clustered);
}

}  // namespace
}  // namespace dualscape::duality
