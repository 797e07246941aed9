#pragma once

#include <string>
#include <vector>

#include "dualscape/base/blas.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"
#include "support/naive_loss.hpp"
#include "support/network_problem.hpp"

/// Dense curvature matrices of a small network from finite differences and textbook formulas, without
/// communication.
namespace dualscape::operators::testing {

using dualscape::testing::NaiveLoss;
using dualscape::testing::NetworkProblem;

/// Stencils of order h^4 with h = 1e-5: truncation is far below rounding, which is eps / h, some 1e-11 of the
/// largest entries. Small enough a step to meet no kink of a ReLU on its way.
inline constexpr double step = 1e-5;
inline constexpr double tolerance = 1e-9;

/// d f / d parameter i for all i, as rows; f gives a vector.
template <class Function>
Matrix<double> differences(std::vector<double> parameters, const Function& f) {
  Matrix<double> rows;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const double at = parameters[i];
    for (const auto& [steps, weight] : {std::pair{1, 8.0}, {-1, -8.0}, {2, -1.0}, {-2, 1.0}}) {
      parameters[i] = at + steps * step;
      const std::vector<double> values = f(parameters);
      if (rows.rows() == 0) rows = Matrix<double>(std::ssize(parameters), std::ssize(values));
      for (std::size_t k = 0; k < values.size(); ++k)
        rows(static_cast<Index>(i), static_cast<Index>(k)) += weight * values[k] / (12 * step);
    }
    parameters[i] = at;
  }
  return rows;
}

inline std::vector<double> gradient_at(const NetworkProblem& problem, const std::vector<double>& parameters) {
  const Comm self(MPI_COMM_SELF);
  const nn::Linearisation<double> linearisation(self, problem.network, parameters, problem.samples(self, 1),
                                                {});
  return mean_gradient(linearisation, nn::whole_network(problem.network));
}

inline Matrix<double> dense_hessian(const NetworkProblem& problem) {
  return differences(problem.parameters, [&](const auto& w) { return gradient_at(problem, w); });
}

/// All samples' logits, one after the other.
inline std::vector<double> logits_at(const NetworkProblem& problem, const std::vector<double>& parameters) {
  nn::Model<double> model(problem.network);
  model.set_parameters(parameters);
  auto act = model.make_activities(problem.count());
  std::ranges::copy(problem.x.entries(), act.input().data);
  model.forward(act);
  return {act.logits().data, act.logits().data + problem.count() * NetworkProblem::classes};
}

/// mean_p J_p^T A_p J_p with A_p = `middle(p, NaiveLoss of p)`.
template <class Middle>
Matrix<double> dense_mean(const NetworkProblem& problem, const Middle& middle) {
  constexpr auto classes = static_cast<std::size_t>(NetworkProblem::classes);
  const auto jacobian = differences(problem.parameters, [&](const auto& w) { return logits_at(problem, w); });
  const auto logits = logits_at(problem, problem.parameters);
  Matrix<double> weighted(jacobian.rows(), jacobian.cols());  // J^T A / N
  for (Index p = 0; p < problem.count(); ++p) {
    const auto first = static_cast<std::size_t>(p) * classes;
    const NaiveLoss loss(problem.network.loss(), std::span(logits).subspan(first, classes),
                         problem.y[static_cast<std::size_t>(p)]);
    const NaiveLoss::Square a = middle(loss);
    for (Index i = 0; i < jacobian.rows(); ++i)
      for (std::size_t c = 0; c < classes; ++c)
        for (std::size_t e = 0; e < classes; ++e)
          weighted(i, static_cast<Index>(first + c)) += jacobian(i, static_cast<Index>(first + e)) *
                                                        static_cast<double>(a[c][e]) /
                                                        static_cast<double>(problem.count());
  }
  Matrix<double> mean(jacobian.rows(), jacobian.rows());
  gemm<double>(Op::none, Op::transpose, 1.0, weighted.view(), jacobian.view(), 0.0, mean.view());
  return mean;
}

inline Matrix<double> dense_gauss_newton(const NetworkProblem& problem) {
  return dense_mean(problem, [](const NaiveLoss& loss) { return loss.hessian(true); });
}

inline Matrix<double> dense_empirical_fisher(const NetworkProblem& problem) {
  return dense_mean(problem, [](const NaiveLoss& loss) {
    const auto g = loss.gradient();
    NaiveLoss::Square square(g.size(), std::vector<NaiveLoss::Wide>(g.size()));
    for (std::size_t c = 0; c < g.size(); ++c)
      for (std::size_t e = 0; e < g.size(); ++e) square[c][e] = g[c] * g[e];
    return square;
  });
}

/// What rank 0 makes of `make()`, on every rank: ranks that share a processor need not all do it. @note
/// Collective
template <class Make>
Matrix<double> from_root(const Comm& comm, const Make& make) {
  Matrix<double> matrix;
  on_root(comm, [&] { matrix = make(); });
  const Index rows = comm.broadcast_value(matrix.rows());
  const Index cols = comm.broadcast_value(matrix.cols());
  if (!comm.is_root()) matrix = Matrix<double>(rows, cols);
  comm.broadcast(matrix.entries());
  return matrix;
}

/// The rows and columns of a block.
inline Matrix<double> restricted(const nn::Network& network, const nn::BlockLayout& block,
                                 const Matrix<double>& whole) {
  std::vector<double> positions(static_cast<std::size_t>(network.parameters()));
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<double>(i);
  positions = restrict_to_block(network, block, positions);
  Matrix<double> part(block.size, block.size);
  for (Index i = 0; i < block.size; ++i)
    for (Index j = 0; j < block.size; ++j)
      part(i, j) = whole(static_cast<Index>(positions[static_cast<std::size_t>(i)]),
                         static_cast<Index>(positions[static_cast<std::size_t>(j)]));
  return part;
}

using Names = std::vector<std::string>;

/// Every kind of block: each layer, several that leave one out, all, and with biases where there are any.
inline std::vector<Names> kinds_of_block(bool bias) {
  std::vector<Names> kinds = {{"dense1"},           {"dense2"},           {"dense3"},
                              {"dense1", "dense3"}, {"dense2", "dense3"}, {"all"}};
  if (bias)
    for (const Names& more : {Names{"dense1+bias"},
                              {"dense2+bias"},
                              {"dense3+bias"},
                              {"dense1", "dense2+bias"},
                              {"dense1+bias", "dense3"}})
      kinds.push_back(more);
  return kinds;
}

inline std::string joined(const NetworkProblem& problem, const Names& names) {
  return std::string(name_of(problem.network.layer(0).activation)) + " " +
         std::string(name_of(problem.network.loss())) + " " + block_name(names);
}

}  // namespace dualscape::operators::testing
