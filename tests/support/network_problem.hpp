#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "dualscape/base/random.hpp"
#include "dualscape/nn/linearisation.hpp"

namespace dualscape::testing {

/// All there is to choose from, for loops over every combination.
inline constexpr Activation all_activations[] = {Activation::relu,    Activation::tanh,
                                                 Activation::sigmoid, Activation::softplus,
                                                 Activation::gelu,    Activation::identity};
inline constexpr Loss all_losses[] = {Loss::cross_entropy, Loss::mse, Loss::softmax_mse};

/// `rows` x `cols` standard normal numbers, different for each `stream`.
inline Matrix<double> normal_matrix(Index rows, Index cols, std::uint32_t stream) {
  const Random random(17, Stream::probe, stream);
  Matrix<double> matrix(rows, cols);
  for (Index i = 0; i < rows * cols; ++i) matrix.data()[i] = random.normal(static_cast<std::uint64_t>(i));
  return matrix;
}

/// A network 4-5-4-3 with random weights and random samples of its classes.
struct NetworkProblem {
  static constexpr Index features = 4;
  static constexpr Index classes = 3;

  nn::Network network;
  std::vector<double> parameters;
  Matrix<double> x;
  std::vector<int> y;

  NetworkProblem(Activation first, Activation second, Loss loss, bool bias, Index samples = 23)
      : network(features,
                {{.name = "dense1", .units = 5, .activation = first, .bias = bias},
                 {.name = "dense2", .units = 4, .activation = second, .bias = bias},
                 {.name = "dense3", .units = classes, .bias = bias}},
                loss),
        parameters(network.initial_parameters(7, 2.0)),
        x(normal_matrix(samples, features, 1)) {
    for (Index i = 0; i < samples; ++i) y.push_back(static_cast<int>(i % classes));
  }
  NetworkProblem(Activation activation, Loss loss, bool bias, Index samples = 23)
      : NetworkProblem(activation, activation, loss, bias, samples) {}

  Index count() const { return x.rows(); }

  /// This rank's share; refers to this problem.
  template <class Real = double>
  Samples<Real> samples(const Comm& comm, int lanes = 8) const {
    const Lanes split(count(), lanes);
    const Index begin = split.first_sample(comm.rank(), comm.size());
    const Index end = split.first_sample(comm.rank() + 1, comm.size());
    return {.lanes = split,
            .labels = {y.begin() + begin, y.begin() + end},
            .inputs = [this, begin](Index first, MatrixView<Real> out) {
              for (Index i = 0; i < out.rows; ++i)
                std::ranges::transform(x.row(begin + first + i), out.row(i).begin(),
                                       [](double value) { return static_cast<Real>(value); });
            }};
  }

  template <class Real = double>
  nn::Linearisation<Real> linearisation(const Comm& comm, nn::Linearisation<Real>::Options options = {},
                                        int lanes = 8) const {
    return {comm, network, parameters, samples<Real>(comm, lanes), options};
  }

  template <class Real = double>
  nn::Model<Real> model() const {
    nn::Model<Real> model(network);
    model.set_parameters(parameters);
    return model;
  }
};

}  // namespace dualscape::testing
