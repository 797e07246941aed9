#include "dualscape/nn/linearisation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "dualscape/base/error.hpp"
#include "dualscape/nn/tangent.hpp"
#include "support/collective.hpp"
#include "support/error_of.hpp"
#include "support/naive_loss.hpp"
#include "support/network_problem.hpp"

namespace dualscape::nn {
namespace {

using testing::all_activations;
using testing::all_losses;
using ::testing::ElementsAreArray;
using testing::error_of;
using ::testing::HasSubstr;
using testing::NetworkProblem;

/// Every number of every tile of this rank, in order.
template <class Real>
std::vector<Real> contents(const Linearisation<Real>& linearisation) {
  std::vector<Real> all;
  for (int lane = 0; lane < linearisation.lanes().count(); ++lane)
    linearisation.for_each_tile(lane, [&](const Tile<Real>& tile) {
      const auto take = [&](const Matrix<Real>& matrix) {
        const Index rows = std::min(tile.count, matrix.rows());
        all.insert(all.end(), matrix.data(), matrix.data() + rows * matrix.cols());
      };
      for (const auto* group : {&tile.a, &tile.d, &tile.d1, &tile.d2}) std::ranges::for_each(*group, take);
      take(tile.p);
      for (const int label : tile.labels) all.push_back(static_cast<Real>(label));
    });
  return all;
}

std::vector<Index> tile_counts(const Linearisation<double>& linearisation) {
  std::vector<Index> counts;
  for (int lane = 0; lane < linearisation.lanes().count(); ++lane)
    linearisation.for_each_tile(lane, [&](const auto& tile) { counts.push_back(tile.count); });
  return counts;
}

TEST(Linearisation, RecomputedTilesHaveTheBitsOfKeptOnes) {
  const Comm comm(MPI_COMM_WORLD);
  for (Activation activation : {Activation::relu, Activation::softplus}) {
    const NetworkProblem problem(activation, Loss::softmax_mse, true, 61);
    const auto kept = problem.linearisation(comm, {.tile = 4}, 4);
    const auto recomputed = problem.linearisation(comm, {.tile = 4, .cache_bytes = 0}, 4);
    EXPECT_TRUE(kept.fully_cached());
    EXPECT_EQ(recomputed.cached_bytes(), 0U);
    EXPECT_EQ(recomputed.fully_cached(), kept.cached_bytes() == 0);
    EXPECT_EQ(contents(recomputed), contents(kept));
    EXPECT_EQ(contents(recomputed), contents(kept));  // the scratch tile leaves nothing behind
  }
}

TEST(Linearisation, KeepsTheNumbersOfAnExactOneRounded) {
  const Comm comm(MPI_COMM_WORLD);
  for (const Activation activation : {Activation::relu, Activation::softplus})
    for (const Index piece : {3, 4, 60}) {
      const NetworkProblem problem(activation, Loss::cross_entropy, true, 61);
      const auto kept = problem.linearisation(comm, {.tile = 4}, 4);
      const auto exact = problem.linearisation(comm, {.tile = piece, .cache_bytes = 0}, 4);
      const auto rounded = problem.linearisation<float>(comm, {.tile = 4, .exact = &exact}, 4);
      const std::vector<double> numbers = contents(kept);
      EXPECT_EQ(contents(rounded), std::vector<float>(numbers.begin(), numbers.end()));
      if (activation == Activation::softplus && !numbers.empty()) {
        EXPECT_NE(contents(problem.linearisation<float>(comm, {.tile = 4}, 4)), contents(rounded));
      }
    }
}

TEST(Linearisation, TilesCutEachLaneOnItsOwn) {
  const Comm self(MPI_COMM_SELF);
  const NetworkProblem problem(Activation::tanh, Loss::mse, false, 23);
  // Lanes of 11 and 12 samples in tiles of at most 5.
  EXPECT_THAT(tile_counts(problem.linearisation(self, {.tile = 5}, 2)),
              ::testing::ElementsAre(5, 5, 1, 5, 5, 2));
  EXPECT_THAT(tile_counts(problem.linearisation(self, {}, 2)), ::testing::ElementsAre(11, 12));
}

TEST(Linearisation, TilesHoldTheSamplesInOrderOnAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::mse, false, 23);
  const auto linearisation = problem.linearisation(comm, {.tile = 2});
  const Index begin = linearisation.lanes().first_sample(comm.rank(), comm.size());
  Index sample = begin;
  for (int lane = 0; lane < 8; ++lane)
    linearisation.for_each_tile(lane, [&](const Tile<double>& tile) {
      for (Index i = 0; i < tile.count; ++i, ++sample) {
        EXPECT_THAT(tile.a[0].row(i), ElementsAreArray(problem.x.row(sample)));
        EXPECT_EQ(tile.labels[static_cast<std::size_t>(i)], problem.y[static_cast<std::size_t>(sample)]);
      }
    });
  EXPECT_EQ(sample, linearisation.lanes().first_sample(comm.rank() + 1, comm.size()));
}

TEST(Linearisation, DeltasAreDerivativesOfEachSamplesLoss) {
  const Comm self(MPI_COMM_SELF);
  constexpr double h = 1e-4;
  for (Activation activation : all_activations)
    for (Loss loss : all_losses) {
      const NetworkProblem problem(activation, loss, true, 7);
      const auto model = problem.model();
      const auto linearisation = problem.linearisation(self, {}, 1);
      linearisation.for_each_tile(0, [&](const Tile<double>& tile) {
        auto act = model.make_activities(7);
        for (Index l = 0; l < 3; ++l)
          for (Index u = 0; u < problem.network.layer(l).out; ++u) {
            std::vector<double> slope(7), values(7);
            for (const auto& [step, weight] : {std::pair{1, 8.0}, {-1, -8.0}, {2, -1.0}, {-2, 1.0}}) {
              std::ranges::copy(problem.x.entries(), act.input().data);
              model.forward(act);
              for (Index i = 0; i < 7; ++i) act.preactivity(l)(i, u) += step * h;
              model.forward_above(l, act);
              sample_losses<double>(loss, act.logits(), tile.labels, values);
              for (std::size_t i = 0; i < 7; ++i) slope[i] += weight * values[i] / (12 * h);
            }
            // The stencil amplifies the rounding of the loss by some 1 / h; its truncation is h^4.
            for (Index i = 0; i < 7; ++i)
              EXPECT_NEAR(tile.d[static_cast<std::size_t>(l)](i, u), slope[static_cast<std::size_t>(i)],
                          1e-15 / h * (1 + values[static_cast<std::size_t>(i)]))
                  << name_of(activation) << " " << name_of(loss) << " layer " << l;
          }
      });
    }
}

TEST(Linearisation, KeepsTheDerivativesOfTheActivations) {
  const Comm self(MPI_COMM_SELF);
  const NetworkProblem problem(Activation::gelu, Activation::relu, Loss::cross_entropy, true, 7);
  const auto model = problem.model();
  auto act = model.make_activities(7);
  std::ranges::copy(problem.x.entries(), act.input().data);
  model.forward(act);
  Matrix<double> first(7, 5), second(7, 5), back(7, 5), p(7, 3);
  activation_derivatives<double>(Activation::gelu, act.preactivity(0), first.view(), second.view());
  softmax<double>(act.logits(), p.view());
  problem.linearisation(self, {}, 1).for_each_tile(0, [&](const Tile<double>& tile) {
    EXPECT_THAT(tile.d1[0].entries(), ElementsAreArray(first.entries()));
    EXPECT_THAT(tile.p.entries(), ElementsAreArray(p.entries()));
    EXPECT_EQ(tile.d2[1].rows(), 0);
    ASSERT_EQ(tile.d2[0].rows(), 7);
    model.map(1).adjoint_input(model.weight(1), tile.d[1].view(), Write::replace, back.view());
    for (Index i = 0; i < 7; ++i)
      for (Index u = 0; u < 5; ++u) EXPECT_DOUBLE_EQ(tile.d2[0](i, u), second(i, u) * back(i, u));
  });
}

TEST(Linearisation, ATilesGradientReplacesOrAddsAsAsked) {
  const Comm self(MPI_COMM_SELF);
  const NetworkProblem problem(Activation::tanh, Loss::mse, true, 6);
  const auto model = problem.model();
  const BlockLayout whole = whole_network(problem.network);
  problem.linearisation(self, {}, 1).for_each_tile(0, [&](const Tile<double>& tile) {
    Matrix<double> once(1, whole.size), twice(1, whole.size);
    std::ranges::fill(once.entries(), std::nan(""));
    tile_gradient(model, whole, tile, Write::replace, once.view());
    tile_gradient(model, whole, tile, Write::add, twice.view());
    tile_gradient(model, whole, tile, Write::add, twice.view());
    for (Index i = 0; i < whole.size; ++i) EXPECT_NEAR(twice(0, i), 2 * once(0, i), 1e-13);
  });
}

TEST(Linearisation, AMaskActsOnActivitiesAndDerivativesAlike) {
  // With dropout the delta is the derivative of the loss through the masked network.
  constexpr double h = 1e-4;
  const NetworkProblem problem(Activation::tanh, Loss::cross_entropy, true, 5);
  const auto model = problem.model();
  const auto mask = [](Index l, MatrixView<double> leaving) {
    for (Index i = 0; i < leaving.rows; ++i)
      for (Index u = 0; u < leaving.cols; ++u) leaving(i, u) *= (i + u + l) % 3 == 0 ? 0.0 : 1.5;
  };
  auto tile = make_tile<double>(problem.network, 5);
  tile.count = 5;
  tile.labels = problem.y;
  std::vector<Matrix<double>> z;
  for (const Layer& layer : problem.network.layers()) z.emplace_back(5, layer.out);
  const auto losses = [&](std::size_t weight, double step) {
    auto parameters = problem.parameters;
    parameters[weight] += step;
    Model<double> moved(problem.network);
    moved.set_parameters(parameters);
    std::ranges::copy(problem.x.entries(), tile.a[0].data());
    linearise(moved, std::span(z), tile, mask);
    std::vector<double> values(5);
    sample_losses<double>(Loss::cross_entropy, z.back().view(), problem.y, values);
    return values[0] + values[1] + values[2] + values[3] + values[4];
  };
  const BlockLayout whole = whole_network(problem.network);
  for (std::size_t i = 0; i < problem.parameters.size(); ++i) {
    const double slope =
        (8 * (losses(i, h) - losses(i, -h)) - (losses(i, 2 * h) - losses(i, -2 * h))) / (12 * h);
    losses(i, 0);
    Matrix<double> gradient(1, whole.size);
    tile_gradient(model, whole, tile, Write::add, gradient.view());
    EXPECT_NEAR(gradient(0, static_cast<Index>(i)), slope, 1e-10) << i;
  }
}

TEST(Linearisation, RespectsItsBudget) {
  const Comm self(MPI_COMM_SELF);
  for (Activation activation : {Activation::relu, Activation::tanh}) {
    const NetworkProblem problem(activation, Loss::mse, true, 40);
    // a: 4 + 5 + 4; d: 5 + 4 + 3; d1: 5 + 4; d2 as d1 where there is one; p: 3.
    const std::uint64_t numbers = 13 + 12 + 9 + (activation == Activation::tanh ? 9 : 0) + 3;
    const std::uint64_t each = Linearisation<double>::bytes_per_sample(problem.network);
    EXPECT_EQ(each, numbers * sizeof(double));
    EXPECT_EQ(Linearisation<float>::bytes_per_sample(problem.network), numbers * sizeof(float));
    const auto cached = [&](std::uint64_t budget) {
      return problem.linearisation(self, {.tile = 5, .cache_bytes = budget}).cached_bytes();
    };
    EXPECT_EQ(cached(0), 0U);
    EXPECT_EQ(cached(5 * each - 1), 0U);
    EXPECT_EQ(cached(5 * each), 5 * each);
    EXPECT_EQ(cached(14 * each), 10 * each);
    const auto partly = problem.linearisation(self, {.tile = 5, .cache_bytes = 14 * each});
    EXPECT_FALSE(partly.fully_cached());
    EXPECT_EQ(contents(partly), contents(problem.linearisation(self, {.tile = 5})));
    EXPECT_TRUE(problem.linearisation(self, {.tile = 5, .cache_bytes = 40 * each}).fully_cached());
  }
}

TEST(Linearisation, ARankWithoutSamplesIsFine) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::mse, true, 1);
  const auto linearisation = problem.linearisation(comm, {.tile = 3});
  EXPECT_TRUE(linearisation.fully_cached());
  Index count = 0;
  for (Index n : tile_counts(linearisation)) count += n;
  EXPECT_EQ(comm.sum(count), 1);
}

TEST(Linearisation, AFailureOfOneRankIsEveryRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::mse, true);
  auto broken = problem.samples(comm);
  if (comm.rank() == comm.size() - 1)
    broken.inputs = [](Index, MatrixView<double>) { throw DataError("row 17 cannot be read"); };
  const auto message = error_of<DataError>(
      [&] { Linearisation<double>(comm, problem.network, problem.parameters, broken, {}); });
  EXPECT_THAT(message, HasSubstr("row 17 cannot be read"));
}

TEST(Evaluate, IsTheMeanOfTheSamplesLosses) {
  const Comm comm(MPI_COMM_WORLD);
  // 600 samples in one lane: more than one of evaluate's tiles, the last one ragged.
  for (const auto& [count, lanes] : {std::pair<Index, int>{23, 8}, {600, 1}, {1100, 2}})
    for (Loss loss : all_losses) {
      const NetworkProblem problem(Activation::softplus, loss, true, count);
      const auto model = problem.model();
      auto act = model.make_activities(count);
      std::ranges::copy(problem.x.entries(), act.input().data);
      model.forward(act);
      long double sum = 0;
      Index right = 0;
      for (Index i = 0; i < count; ++i) {
        const auto row = ConstMatrixView<double>(act.logits()).row(i);
        const int label = problem.y[static_cast<std::size_t>(i)];
        sum += testing::NaiveLoss(loss, row, label).value();
        right += std::ranges::max_element(row) - row.begin() == label ? 1 : 0;
      }
      const Score score = evaluate(comm, model, problem.samples(comm, lanes));
      const double mean = static_cast<double>(sum) / static_cast<double>(count);
      EXPECT_NEAR(score.loss, mean, 1e-14 * (1 + mean)) << name_of(loss);
      EXPECT_DOUBLE_EQ(score.accuracy, static_cast<double>(right) / static_cast<double>(count));
    }
}

TEST(Evaluate, HasTheSameBitsAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  for (Index count : {1, 2, 3, 23, 700}) {  // fewer samples than ranks included
    const NetworkProblem problem(Activation::tanh, Loss::cross_entropy, true, count);
    const auto same = [&]<class Real>(Real) {
      const auto model = problem.model<Real>();
      const Score parallel = evaluate(comm, model, problem.samples<Real>(comm));
      const Score serial = evaluate(self, model, problem.samples<Real>(self));
      EXPECT_EQ(parallel.loss, serial.loss) << count;
      EXPECT_EQ(parallel.accuracy, serial.accuracy) << count;
    };
    same(double{});
    same(float{});
  }
}

TEST(Evaluate, AFailureOfOneRankIsEveryRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem(Activation::tanh, Loss::mse, true);
  auto broken = problem.samples(comm);
  if (comm.rank() == comm.size() - 1)
    broken.inputs = [](Index, MatrixView<double>) { throw DataError("row 17 cannot be read"); };
  const auto message = error_of<DataError>([&] { evaluate(comm, problem.model(), broken); });
  EXPECT_THAT(message, HasSubstr("row 17 cannot be read"));
}

}  // namespace
}  // namespace dualscape::nn
