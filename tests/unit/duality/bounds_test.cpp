#include <gtest/gtest.h>

#include <cmath>

#include "dualscape/duality/decomposition.hpp"
#include "dualscape/duality/weight_space.hpp"
#include "problem.hpp"

namespace dualscape::duality {
namespace {

using testing::Basis;
using testing::layer;
using testing::Problem;

/// Directions turned into a vector outside them by an angle, with bounds that just hold.
TEST(Bounds, HoldForDirectionsThatAreTurned) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const Duals duals = problem.duals(comm, layer, pairs);
  const Basis exact(comm, problem, layer, 20);
  const auto whole = decompose(comm, problem.model, layer, duals, exact.directions(), {.sharp = 2});
  EXPECT_EQ(whole.total_bound, 0.0);
  bool sharper = false;
  for (double angle : {0.3, 1e-2, 1e-4}) {
    Basis turned(comm, problem, layer, 6);
    for (Index n = 0; n < 6; ++n)
      for (Index i = 0; i < turned.vectors.cols(); ++i)
        turned.vectors(n, i) =
            std::cos(angle) * exact.vectors(n, i) + std::sin(angle) * exact.vectors(n + 7, i);
    turned.angle_bounds.assign(6, std::sin(angle));
    const auto d = decompose(comm, problem.model, layer, duals, turned.directions(), {.sharp = 2});
    const double scale = d.mean_abs_loss_gap;
    for (std::size_t n = 0; n < 6; ++n) {
      const double change = std::abs(d.directions.contribution[n] - whole.directions.contribution[n]);
      EXPECT_LE(change, d.directions.contribution_bound[n] + 1e-14 * scale);
      EXPECT_LE(d.directions.contribution_bound[n], std::sin(angle) * scale);
      sharper = sharper || d.directions.contribution_bound[n] < 0.5 * std::sin(angle) * scale;
      EXPECT_EQ(d.clusters.contribution_bound[n], d.directions.contribution_bound[n]);
    }
    double total = 0, sharp = 0;
    for (std::size_t n = 0; n < 6; ++n) total += whole.directions.contribution[n];
    for (Index n : d.sharp_directions) sharp += whole.directions.contribution[static_cast<std::size_t>(n)];
    EXPECT_LE(std::abs(d.total.whole - total), d.total_bound + 1e-14 * scale);
    EXPECT_LE(std::abs(d.sharp.whole - sharp), d.sharp_bound + 1e-14 * scale);
    EXPECT_LE(d.total_bound, (1 + 1e-14) * std::sqrt(6.0) * std::sin(angle) * scale);
  }
  EXPECT_TRUE(sharper);
}

/// The bounds of directions whose angles are at most `sine`, with rho from products of the gap operator.
void check_bounds(const Comm& comm, const Problem& problem, const Duals& duals, const Directions& directions,
                  double sine) {
  const auto d = decompose(comm, problem.model, layer, duals, directions, {});
  Matrix<double> products(directions.vectors.rows, directions.vectors.cols);
  const WeightOperator gap(comm, duals, DualOperator::gap, directions.partition, directions.place);
  gap.apply(directions.vectors, products.view());
  for (Index n = 0; n < products.rows(); ++n) {
    const auto at = static_cast<std::size_t>(n);
    axpy(-d.directions.contribution[at], directions.vectors.row(n), products.row(n));
    double square = dot(products.row(n), products.row(n));
    MPI_Allreduce(MPI_IN_PLACE, &square, 1, MPI_DOUBLE, MPI_SUM, comm.get());
    const double expected = std::min(sine * d.mean_abs_loss_gap,
                                     2 * sine * std::sqrt(square) + sine * sine * d.mean_abs_loss_gap);
    EXPECT_NEAR(d.directions.contribution_bound[at], expected, 1e-13 * d.mean_abs_loss_gap);
  }
}

TEST(Bounds, OfADirectionAreThoseOfItsDefinition) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const Duals duals = problem.duals(comm, layer, problem.pairs(comm));
  const double sine = 1e-3;
  Basis some(comm, problem, layer, 6);
  some.angle_bounds.assign(6, sine);
  check_bounds(comm, problem, duals, some.directions(), sine);
  // Directions that are partly outside the layer, where the gap operator is zero.
  const auto block = operators::select_block(problem.network, {"all"});
  const auto linearisation = problem.linearisation(comm);
  const auto hessian = operators::make_curvature<double>(Curvature::hessian, linearisation, block);
  Basis whole(comm, Basis::dense(*hessian), 6);
  whole.angle_bounds.assign(6, sine);
  Directions directions = whole.directions();
  directions.place.weight = problem.network.layer(layer).weight_offset;
  check_bounds(comm, problem, duals, directions, sine);
}

TEST(Bounds, OfAClusterFollowItsSpace) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const Duals duals = problem.duals(comm, layer, problem.pairs(comm));
  Basis basis(comm, problem, layer, 6);
  basis.values = {9, 5.00002, 5, 3, 2, 1};
  basis.angle_bounds = {1e-3, 1, 1, 2e-3, 1e-3, 0.5};
  const std::vector<Index> clusters = {0, 1, 1, 2, 3, 4};
  const std::vector<double> residuals = {1e-4, 3e-4, 4e-4, 1e-4, 1e-4, 1e-4};
  Directions directions = basis.directions();
  directions.clusters = clusters;
  directions.residuals = residuals;
  directions.upper = 6;
  const auto d =
      decompose(comm, problem.model, layer, duals, directions, {.sharp = 3, .sharp_by = SharpBy::eigenvalue});
  const double sine = 5e-4 / (2 - 1e-4);
  EXPECT_NEAR(d.clusters.angle_bound[1], sine, 1e-9);
  EXPECT_NEAR(d.clusters.contribution_bound[1], sine * d.mean_abs_loss_gap, 1e-9);
  EXPECT_LE(d.sharp_bound, std::hypot(1e-3, sine) * d.mean_abs_loss_gap + 1e-15);
  EXPECT_GT(d.sharp_bound, 0.0);
  // The space of the last two is next to what was not computed: nothing is known of it.
  const std::vector<Index> last = {0, 1, 2, 3, 4, 4};
  directions.clusters = last;
  EXPECT_EQ(decompose(comm, problem.model, layer, duals, directions, {}).clusters.angle_bound[4], 1.0);
  // Unless it is known where that begins.
  directions.rest_below = 0.25;
  EXPECT_NEAR(decompose(comm, problem.model, layer, duals, directions, {}).clusters.angle_bound[4],
              std::sqrt(2e-8) / (1 - 0.25), 1e-9);
  directions.rest_below = 1.0;
  EXPECT_EQ(decompose(comm, problem.model, layer, duals, directions, {}).clusters.angle_bound[4], 1.0);
  // The same at the lower end.
  directions.rest_below.reset();
  directions.upper = 0;
  directions.rest_above = 9.5;
  const std::vector<Index> top = {0, 0, 0, 3, 4, 5};
  directions.clusters = top;
  EXPECT_NEAR(decompose(comm, problem.model, layer, duals, directions, {}).clusters.angle_bound[0],
              std::hypot(1e-4, 3e-4, 4e-4) / (9.5 - 9), 1e-9);
}

}  // namespace
}  // namespace dualscape::duality
