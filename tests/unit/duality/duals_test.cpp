#include "dualscape/duality/duals.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "problem.hpp"

namespace dualscape::duality {
namespace {

using testing::Problem;

constexpr double epsilon = std::numeric_limits<double>::epsilon();

TEST(Duals, AreExactForEveryActivationLossAndLayer) {
  const Comm comm(MPI_COMM_WORLD);
  for (Activation activation : {Activation::relu, Activation::tanh, Activation::gelu, Activation::softplus})
    for (Loss loss : {Loss::cross_entropy, Loss::mse, Loss::softmax_mse})
      for (Index layer : {0, 1, 2}) {
        const Problem problem(activation, loss);
        const auto pairs = problem.pairs(comm);
        const Duals duals = problem.duals(comm, layer, pairs);
        for (Index k = 0; k < duals.count(); ++k) {
          const auto at = static_cast<std::size_t>(k);
          if (duals.state[at] == DualState::dropped) continue;
          // Formed here as a whole matrix, unlike in the code: W + DW in a model of its own.
          nn::Model<double> dual = problem.model;
          const nn::Layer& here = problem.network.layer(layer);
          for (Index o = 0; o < here.out; ++o)
            for (Index i = 0; i < here.in; ++i)
              dual.parameters()[static_cast<std::size_t>(here.weight_offset + o * here.in + i)] +=
                  duals.response(k, o) * duals.activity(k, i) * duals.inverse[at];
          const Pair& pair = pairs[static_cast<std::size_t>(duals.first + k)];
          const int label = problem.test_y[static_cast<std::size_t>(pair.test)];
          const double at_test = problem.loss(problem.test_x.row(pair.test), label);
          const double at_partner = problem.loss(problem.train_x.row(pair.train), label);
          EXPECT_NEAR(Problem::loss_with(dual, problem.train_x.row(pair.train), label), at_test, 1e-12);
          EXPECT_NEAR(duals.loss_gap[at], at_test - at_partner, 1e-13);
          EXPECT_NEAR(duals.partner_loss[at], at_partner, 1e-13);
          EXPECT_LT(duals.exactness[at], 1e-12);
        }
      }
}

TEST(Duals, TheNormIsThatOfTheMatrix) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const Duals duals = problem.duals(comm, 1, problem.pairs(comm));
  for (Index k = 0; k < duals.count(); ++k) {
    double squares = 0;
    for (Index o = 0; o < 4; ++o)
      for (Index i = 0; i < 5; ++i) {
        const double entry =
            duals.response(k, o) * duals.activity(k, i) * duals.inverse[static_cast<std::size_t>(k)];
        squares += entry * entry;
      }
    EXPECT_NEAR(duals.norm[static_cast<std::size_t>(k)], std::sqrt(squares), 1e-13 * std::sqrt(squares));
  }
}

TEST(Duals, TheSecondOrderIsTheTaylorExpansionOfTheGap) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem(Activation::softplus, Loss::softmax_mse);
  const auto pairs = problem.pairs(comm);
  // Test samples a small step from their partners: the remainder shrinks with its third power.
  const auto worst_remainder = [&](double step) {
    Problem near = problem;
    for (const Pair& pair : pairs)
      for (Index f = 0; f < near.features; ++f)
        near.test_x(pair.test, f) =
            near.train_x(pair.train, f) + step * (problem.test_x(pair.test, f) - near.train_x(pair.train, f));
    const Duals duals = near.duals(comm, 1, pairs);
    double worst = 0;
    for (std::size_t k = 0; k < duals.loss_gap.size(); ++k)
      worst = std::max(worst, std::abs(duals.loss_gap[k] - duals.second_order[k]));
    return comm.max(worst);
  };
  const double coarse = worst_remainder(1e-1);
  const double fine = worst_remainder(1e-2);
  EXPECT_LT(fine, coarse / 300);
  EXPECT_GT(fine, coarse / 3000);
}

TEST(Duals, EqualSamplesHaveAZeroDualAndNoNaN) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem;
  std::ranges::copy(problem.train_x.row(3), problem.test_x.row(0).begin());
  const auto pairs = problem.pairs(comm);
  ASSERT_EQ(pairs[0].train, 3);
  const Duals duals = problem.duals(comm, 1, pairs);
  if (duals.first == 0 && duals.count() > 0) {
    EXPECT_EQ(duals.state[0], DualState::zero);
    EXPECT_EQ(duals.norm[0], 0.0);
    EXPECT_EQ(duals.inverse[0], 0.0);
    EXPECT_LT(std::abs(duals.loss_gap[0]), 100 * epsilon);
  }
}

TEST(Duals, ADeadLayerDropsThePair) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem(Activation::relu, Loss::cross_entropy, false);
  // Partner 0 gets an input that no unit of the first layer answers to: zero.
  for (Index f = 0; f < problem.features; ++f) problem.train_x(0, f) = 0;
  const std::vector<Pair> pairs = {{.test = 0, .train = 0, .distance = 1},
                                   {.test = 3, .train = 3, .distance = 1}};
  const Duals duals = problem.duals(comm, 1, pairs);
  for (Index k = 0; k < duals.count(); ++k) {
    const auto at = static_cast<std::size_t>(k);
    EXPECT_EQ(duals.state[at], duals.first + k == 0 ? DualState::dropped : DualState::kept);
    EXPECT_TRUE(std::isfinite(duals.norm[at]));
  }
}

TEST(Duals, AreTheSameBitsAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const Duals parallel = problem.duals(comm, 1, pairs);
  const Duals serial = problem.duals(self, 1, pairs);
  EXPECT_EQ(gather_pairs(comm, parallel, parallel.loss_gap), serial.loss_gap);
  EXPECT_EQ(gather_pairs(comm, parallel, parallel.norm), serial.norm);
}

}  // namespace
}  // namespace dualscape::duality
