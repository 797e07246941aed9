#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dualscape/base/cache_lines.hpp"
#include "dualscape/base/comm.hpp"
#include "dualscape/base/lanes.hpp"
#include "dualscape/data/dataset.hpp"
#include "dualscape/deck/config.hpp"
#include "dualscape/nn/linearisation.hpp"
#include "dualscape/nn/sparse_input.hpp"
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
/// is large, and repeated by every rank where it is a single lane. Where most values of the training samples
/// are zero, the first layer's products are with the others alone (nn/sparse_input.hpp).
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
  State start(std::vector<double> parameters);

  /// Trains until the stopping rule holds. `after_epoch(state)` is called on every rank after each epoch and
  /// may write checkpoints; when it returns false, training ends there, with the state still running. Throws
  /// ComputationError on a non-finite loss. @note Collective
  void run(State& state, const std::function<bool(const State&)>& after_epoch);

 private:
  /// What stands in for the rows of sparse training samples.
  struct SparseFirst {
    nn::SparseLayer<Real> layer;
    nn::SparseRows<Real> train, test;              ///< every training sample; the rank's scored test samples
    std::vector<Index> scored_train, scored_test;  ///< which of these the rank's scored samples are
    AlignedVector<Real> weights;                   ///< the first layer's, in panels
  };
  /// A piece of the parameters with what moves it.
  struct Piece {
    std::span<Real> weights;
    std::span<const Real> gradient;
    std::span<double> velocity;  ///< empty without momentum
  };

  /// Lists in place of rows, and the first layer's weights, gradient and velocity in panels.
  void use_sparse_inputs(const data::SampleSet& train);
  void first_preactivities(const nn::SparseRows<Real>& rows, std::span<const Index> samples,
                           MatrixView<Real> z) const;
  /// Between a state and what training works on, whose order is its own where inputs are sparse.
  void load(const State& state);
  void store(State& state);
  void train_epoch(State& state);
  void step(std::span<const Index> batch, Index epoch, Index first);
  std::vector<Piece> pieces(std::span<const Real> gradient);
  void descend(const Piece& piece, Real mean, Real decay) const;
  Real weight_decay(std::span<const Piece> all, Index epoch) const;
  void sum_gradient(std::span<const Index> samples, Index epoch, Index first, MatrixView<Real> sum);
  std::span<const Real> batch_gradient(std::span<const Index> batch, Index epoch, Index first);
  void score(State& state) const;
  Stop stop_reason(const State& state) const;
  void synchronise(State& state);

  const Comm& comm_;
  Options options_;
  nn::Model<Real> model_;
  nn::BlockLayout whole_;  ///< places in the gradient; of sparse inputs its first layer is kept in panels
  data::Rows rows_;        ///< every training sample, in its source's own type: batches draw from all of them
  std::optional<SparseFirst> sparse_;  ///< in place of the rows
  std::vector<int> labels_;
  Samples<Real> scored_train_, scored_test_;
  nn::Tile<Real> tile_;
  std::vector<Matrix<Real>> preactivities_;
  std::vector<int> tile_labels_;
  AlignedVector<Real> gradient_;
  std::vector<double> velocity_;  ///< of the momentum, ordered as the gradient is
};

}  // namespace dualscape::train
