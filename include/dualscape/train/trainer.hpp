#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/lanes.hpp"
#include "dualscape/data/dataset.hpp"
#include "dualscape/deck/config.hpp"
#include "dualscape/nn/linearisation.hpp"
#include "dualscape/nn/tangent.hpp"

/// Training by stochastic gradient descent, the same bits at any number of ranks.
namespace dualscape::train {

/// One entry an epoch; entry 0 is the state before the first one.
struct History {
  std::vector<Index> epoch;
  std::vector<double> loss, accuracy;  ///< correctly labelled training samples, dropout off
  std::vector<double> test_loss, test_accuracy;
};

enum class Stop { running, criterion, max_epochs };

/// Everything training needs to go on from an epoch's end with the same bits; random numbers are functions of
/// the seed and the epoch and need no state.
struct State {
  Index epoch = 0;  ///< epochs done
  std::vector<double> parameters;
  std::vector<double> velocity;  ///< of the momentum; empty without
  History history;
  Stop stop = Stop::running;
};

/// Trains one network. Every rank holds all parameters; a batch is split into lanes over the ranks where it
/// is large, and repeated by every rank where it is a single lane.
template <class Real>
class Trainer {
 public:
  struct Options {
    deck::Training training;
    std::uint64_t seed = 1;
    double scale = 1;  ///< inputs are divided by it
    int lanes = 0;     ///< partial sums of an evaluation; 0: by the number of samples
  };

  /// Batches draw from all of `train`; scores count its correctly labelled samples only. @note Collective
  Trainer(const Comm& comm, const nn::Network& network, const data::SampleSet& train,
          const data::SampleSet& test, Options options);

  /// The state before the first epoch, with its scores. @note Collective
  State start(std::vector<double> parameters) const;

  /// Trains until the stopping rule holds. `after_epoch(state)` is called on every rank after each epoch and
  /// may write checkpoints; when it returns false, training ends there, with the state still running. Throws
  /// ComputationError on a non-finite loss. @note Collective
  void run(State& state, const std::function<bool(const State&)>& after_epoch);

 private:
  void train_epoch(State& state);
  void step(std::span<const Index> batch, Index epoch, Index first, State& state);
  void sum_gradient(std::span<const Index> samples, Index epoch, Index first, MatrixView<Real> sum);
  std::span<const Real> batch_gradient(std::span<const Index> batch, Index epoch, Index first);
  void score(State& state) const;
  Stop stop_reason(const State& state) const;
  void synchronise(State& state) const;

  const Comm& comm_;
  Options options_;
  mutable nn::Model<Real> model_;
  nn::BlockLayout whole_;
  data::Rows rows_;  ///< every training sample, in its source's own type: batches draw from all of them
  std::vector<int> labels_;
  Samples<Real> scored_train_, scored_test_;
  nn::Tile<Real> tile_;
  std::vector<Matrix<Real>> preactivities_;
  std::vector<int> tile_labels_;
  std::vector<Real> gradient_;
};

}  // namespace dualscape::train
