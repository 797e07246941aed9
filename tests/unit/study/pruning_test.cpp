#include "dualscape/study/pruning.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dualscape/base/blas.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"
#include "support/dense_operator.hpp"
#include "support/network_problem.hpp"

namespace dualscape::study {
namespace {

using testing::NetworkProblem;
using testing::product;

/// A problem most of whose samples have next to no curvature: its logits are far apart.
NetworkProblem saturated(Index samples) {
  NetworkProblem problem(Activation::tanh, Loss::cross_entropy, true, samples);
  for (double& w : problem.parameters) w *= 6;
  return problem;
}

template <class Real>
SamplesAt<Real> samples_of(const Comm& comm, const NetworkProblem& problem) {
  return [&](std::span<const Index> chosen) {
    const Lanes lanes(std::ssize(chosen), 8);
    const Index begin = lanes.first_sample(comm.rank(), comm.size());
    const Index end = lanes.first_sample(comm.rank() + 1, comm.size());
    const std::vector<Index> mine(chosen.begin() + begin, chosen.begin() + end);
    std::vector<int> labels;
    for (const Index p : mine) labels.push_back(problem.y[static_cast<std::size_t>(p)]);
    return Samples<Real>{
        .lanes = lanes, .labels = labels, .inputs = [&problem, mine](Index first, MatrixView<Real> out) {
          for (Index i = 0; i < out.rows; ++i)
            std::ranges::transform(problem.x.row(mine[static_cast<std::size_t>(first + i)]),
                                   out.row(i).begin(), [](double value) { return static_cast<Real>(value); });
        }};
  };
}

Matrix<double> dense(const LinearOperator& op) {
  Matrix<double> units(op.range().size(), op.range().size());
  for (Index i = 0; i < units.rows(); ++i) units(i, i) = 1;
  return product(op, units);
}

double norm_of(Matrix<double> symmetric) {
  const auto values = symmetric_eigen(symmetric.view());
  return std::max(std::abs(values.front()), std::abs(values.back()));
}

TEST(PrunedCurvature, DiffersByNoMoreThanItsBound) {
  const Comm comm(MPI_COMM_WORLD);
  const NetworkProblem problem = saturated(160);
  const auto block = operators::select_block(problem.network, {"all"});
  const auto whole = problem.linearisation(comm);
  for (const Curvature kind : {Curvature::hessian, Curvature::gauss_newton, Curvature::empirical_fisher}) {
    const auto op = operators::make_curvature<double>(kind, whole, block);
    Matrix<double> all = dense(*op);
    const double norm = norm_of(all);
    for (const double share : {1e-3, 0.1, 0.6}) {
      const PrunedCurvature<double> pruned(kind, whole, block, samples_of<double>(comm, problem), share, 1,
                                           problem.parameters, {});
      Matrix<double> difference = dense(pruned.op());
      for (std::size_t i = 0; i < difference.entries().size(); ++i)
        difference.entries()[i] -= all.entries()[i];
      EXPECT_LE(norm_of(difference), pruned.bound() + 1e-12 * norm) << name_of(kind) << " " << share;
      // The norm is estimated from fewer samples, and they may make it larger where not all are positive.
      EXPECT_LE(pruned.bound(), share * (kind == Curvature::hessian ? 1.5 : 1.0 + 1e-9) * norm);
      EXPECT_GT(pruned.dropped(), 0) << name_of(kind) << " " << share;
      EXPECT_LT(pruned.dropped(), 160);
    }
  }
}

TEST(PrunedCurvature, IsTheSameAtAnyNumberOfRanks) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const NetworkProblem problem = saturated(50);
  const auto block = operators::select_block(problem.network, {"dense1", "dense3+bias"});
  const auto whole = problem.linearisation<float>(comm);
  const auto alone = problem.linearisation<float>(self);
  const PrunedCurvature<float> pruned(Curvature::hessian, whole, block, samples_of<float>(comm, problem), 0.1,
                                      1, problem.parameters, {});
  const PrunedCurvature<float> serial(Curvature::hessian, alone, block, samples_of<float>(self, problem), 0.1,
                                      1, problem.parameters, {});
  EXPECT_EQ(pruned.dropped(), serial.dropped());
  EXPECT_EQ(pruned.bound(), serial.bound());
  const Matrix<double> x = testing::normal_matrix(2, block.size, 9);
  const Matrix<double> one = product(pruned.op(), x);
  const Matrix<double> other = product(serial.op(), x);
  EXPECT_TRUE(std::ranges::equal(one.entries(), other.entries())) << "the same bits";
}

}  // namespace
}  // namespace dualscape::study
