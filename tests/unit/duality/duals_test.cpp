#include "dualscape/duality/duals.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "dualscape/base/error.hpp"
#include "problem.hpp"

namespace dualscape::duality {
namespace {

using testing::Problem;

constexpr double epsilon = std::numeric_limits<double>::epsilon();

TEST(Duals, AreExactForEveryCovectorActivationLossAndLayer) {
  const Comm comm(MPI_COMM_WORLD);
  for (const auto& kind : choices<DualKind>())
    for (Activation activation : {Activation::relu, Activation::tanh, Activation::gelu, Activation::softplus})
      for (Loss loss : {Loss::cross_entropy, Loss::mse, Loss::softmax_mse})
        for (Index layer : {0, 1, 2}) {
          const Problem problem(activation, loss);
          const auto pairs = problem.pairs(comm);
          const Duals duals = problem.duals(comm, layer, pairs, kind.value);
          for (Index k = 0; k < duals.count(); ++k) {
            const auto at = static_cast<std::size_t>(k);
            if (duals.state[at] == DualState::dropped) continue;
            // Formed here as a whole matrix, unlike in the code: W + DW in a model of its own.
            nn::Model<double> dual = problem.model;
            const nn::Layer& here = problem.network.layer(layer);
            for (Index o = 0; o < here.out; ++o)
              for (Index i = 0; i < duals.covector.cols(); ++i)
                dual.parameters()[static_cast<std::size_t>(i < here.in ? here.weight_offset + o * here.in + i
                                                                       : here.bias_offset + o)] +=
                    duals.response(k, o) * duals.covector(k, i) * duals.inverse[at];
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
  for (const auto& kind : choices<DualKind>()) {
    const Duals duals = problem.duals(comm, 1, problem.pairs(comm), kind.value);
    EXPECT_EQ(duals.covector.cols(), kind.value == DualKind::augmented ? 6 : 5);
    for (Index k = 0; k < duals.count(); ++k) {
      double squares = 0;
      for (Index o = 0; o < 4; ++o)
        for (Index i = 0; i < duals.covector.cols(); ++i) {
          const double entry =
              duals.response(k, o) * duals.covector(k, i) * duals.inverse[static_cast<std::size_t>(k)];
          squares += entry * entry;
        }
      EXPECT_NEAR(duals.norm[static_cast<std::size_t>(k)], std::sqrt(squares), 1e-13 * std::sqrt(squares));
    }
  }
}

TEST(Duals, MetricOnesAreTheSmallestInTheMetric) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto pairs = problem.pairs(comm);
  const double ridge = 1e-3;
  // G from the activities, in loops.
  auto act = problem.model.make_activities(problem.train_count);
  act.count = problem.train_count;
  std::ranges::copy(problem.train_x.entries(), act.input().data);
  problem.model.forward(act);
  const auto a = act.entering(1);
  Matrix<double> g(5, 5);
  double trace = 0;
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j) {
      for (Index p = 0; p < a.rows; ++p) g(i, j) += a(p, i) * a(p, j) / static_cast<double>(a.rows);
      if (i == j) trace += g(i, i);
    }
  for (Index i = 0; i < 5; ++i) g(i, i) += ridge * trace / 5;
  const auto size = [&](const Matrix<double>& dw) {
    Matrix<double> product(4, 5);
    gemm<double>(Op::none, Op::none, 1.0, dw.view(), g.view(), 0.0, product.view());
    return dot(product.entries(), dw.entries());
  };
  const auto enter = [&](const Matrix<double>& x) { return entering_activities(problem.model, 1, x); };
  const Matrix<double> train = enter(problem.train_x);
  const Duals duals = problem.duals(comm, 1, pairs, DualKind::metric);
  const Random random(3, Stream::probe);
  for (Index k = 0; k < duals.count(); ++k) {
    const auto partner = train.row(pairs[static_cast<std::size_t>(duals.first + k)].train);
    for (Index i = 0; i < 5; ++i)
      EXPECT_NEAR(dot(g.row(i), duals.covector.row(k)), partner[static_cast<std::size_t>(i)], 1e-11);
    Matrix<double> dw(4, 5), other(4, 5);
    for (Index o = 0; o < 4; ++o)
      for (Index i = 0; i < 5; ++i)
        dw(o, i) = duals.response(k, o) * duals.covector(k, i) * duals.inverse[static_cast<std::size_t>(k)];
    // Any other dual differs by a matrix that maps a to zero.
    for (std::uint64_t trial = 0; trial < 5; ++trial) {
      for (Index o = 0; o < 4; ++o) {
        for (Index i = 0; i < 5; ++i)
          other(o, i) = 1e-2 * random.normal(trial * 20 + static_cast<std::uint64_t>(o * 5 + i));
        axpy(-dot(other.row(o), partner) / dot(partner, partner), partner, other.row(o));
        axpy(1.0, dw.row(o), other.row(o));
      }
      EXPECT_GT(size(other), size(dw));
    }
  }
}

TEST(Duals, AMetricThatAUnitWhichNeverAnswersMakesSingularNeedsARidge) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem(Activation::relu);
  const nn::Layer& first = problem.network.layer(0);
  for (Index i = 0; i < first.in; ++i)
    problem.parameters[static_cast<std::size_t>(first.weight_offset + 2 * first.in + i)] = 0;
  problem.parameters[static_cast<std::size_t>(first.bias_offset + 2)] = -1;
  try {
    metric_covector(problem.linearisation(comm), 1, 0.0);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ComputationError& error) {
    EXPECT_STREQ(error.what(),
                 "the second moment of the activities that enter layer 'dense2' is not positive "
                 "definite with duality.ridge = 0: set a larger one");
  }
  const CoVector regular = metric_covector(problem.linearisation(comm), 1, 1e-3);
  EXPECT_GT(regular.metric_factor(2, 2), 0.0);
}

TEST(Duals, AnAugmentedOneNeedsNoActivity) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem(Activation::relu);
  for (double& x : std::span(problem.parameters).first(35)) x = -std::abs(x);  // the first layer's
  for (Index f = 0; f < problem.features; ++f) {
    problem.train_x(0, f) = 1;
    problem.test_x(0, f) = -1;
  }
  problem.model.set_parameters(problem.parameters);
  const std::vector<Pair> pairs = {{.test = 0, .train = 0, .distance = 1}};
  const Duals minimal = problem.duals(comm, 1, pairs);
  const Duals augmented = problem.duals(comm, 1, pairs, DualKind::augmented);
  for (Index k = 0; k < minimal.count(); ++k) {
    EXPECT_EQ(minimal.state[static_cast<std::size_t>(k)], DualState::dropped);
    EXPECT_EQ(augmented.state[static_cast<std::size_t>(k)], DualState::kept);
    EXPECT_EQ(augmented.inverse[static_cast<std::size_t>(k)], 1.0);
    EXPECT_LT(augmented.exactness[static_cast<std::size_t>(k)], 1e-13);
    EXPECT_GT(std::abs(augmented.loss_gap[static_cast<std::size_t>(k)]), 1e-6);
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
      worst = std::max(worst, std::abs(duals.loss_gap[k] - duals.gradient_term[k] - duals.curvature_term[k]));
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
