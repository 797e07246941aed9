#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/log.hpp"
#include "dualscape/data/dataset.hpp"
#include "dualscape/deck/config.hpp"
#include "dualscape/duality/decomposition.hpp"
#include "dualscape/nn/linearisation.hpp"
#include "dualscape/spectrum/spectrum.hpp"
#include "dualscape/study/dual_operators.hpp"
#include "dualscape/study/solve_state.hpp"

/// The stages of a run after training, each a function of the deck, the data and the weights.
namespace dualscape::study {

/// The network a deck describes, for inputs of this many features and this many classes. Throws UsageError
/// when the last layer does not give one logit a class.
nn::Network make_network(const deck::Network& config, const data::Dataset& data);

/// Throws DataError when no training sample is labelled correctly, or a class has samples to be paired but
/// too few partners for them.
void check_labels(const data::Dataset& data, const deck::Config& config);

/// Throws UsageError when the eigenpairs the deck asks for are more than its block has, or the block is too
/// large for all of them.
void check_spectrum(const nn::Network& network, const deck::Config& config);

/// Throws ComputationError when the vectors of the deck's solver take more memory than there is.
/// @note Collective
void require_room(const Comm& comm, const nn::Network& network, const deck::Config& config);

/// All parameters of a network from a file's `model/<layer>/weight` and `bias`, on every rank. Throws
/// DataError naming what is missing or does not fit. @note Collective
std::vector<double> load_weights(const Comm& comm, const nn::Network& network,
                                 const std::filesystem::path& path);

/// Losses and accuracies at given weights, over the correctly labelled training samples and the test samples.
struct Losses {
  nn::Score train;
  nn::Score test;
  double gap() const { return test.loss - train.loss; }
};
/// @note Collective
Losses measure_losses(const Comm& comm, const nn::Network& network, const std::vector<double>& parameters,
                      const data::Dataset& data, const deck::Config& config);

/// What tells the analysed training samples (for a training: all of them) and the weights of this hash_of
/// from others. @note Collective
std::string fingerprint(const Comm& comm, const data::Dataset& data, const deck::Config& config,
                        std::uint64_t weights, bool of_training);

/// How an eigensolve is stopped and continued.
struct Continuation {
  StoredSolve from;
  std::function<void(const Partition& partition, const spectrum::Stage& stage, const petsc::EigenState& state,
                     bool stopping)>
      on_restart;
};

/// Where a continued solve of the deck's spectrum stands. @note Collective
StoredSolve read_solve(const Comm& comm, const nn::Network& network, const deck::Config& config,
                       const std::filesystem::path& path);

/// Eigenpairs of the curvature of the mean training loss, as the deck asks. @note Collective
spectrum::Spectrum find_spectrum(const Comm& comm, const nn::Network& network,
                                 const std::vector<double>& parameters, const data::Dataset& data,
                                 const deck::Config& config, Log& log, const Continuation& continuation = {});

/// What tells the analysed test samples from others. @note Collective
std::string fingerprint_of_test(const Comm& comm, const data::Dataset& data, const deck::Config& config);

/// One analysed layer: its pairs, their duals (of this rank) and the decomposition over a spectrum.
struct LayerDuality {
  std::string layer;
  std::vector<duality::Pair> pairs;
  duality::Duals duals;
  duality::Decomposition decomposition;
  std::vector<OperatorSpectrum> operators;  ///< those of duality.operators
  std::vector<double> co_spectrum;          ///< empty when not asked for, or with too many pairs
  /// The checkpoint of a layer that an earlier run finished; of all the above only the layer, the pairs, and
  /// the gap, its split and what is unresolved are here then (duality_group.hpp).
  std::filesystem::path stored;
};

/// Where finished layers are kept, and the pass over the pairs of one under way. All are asked on every rank,
/// and may be left out.
struct LayerStore {
  std::function<std::optional<LayerDuality>(const std::string& layer)> find;
  std::function<void(const LayerDuality& layer)> keep;  ///< right after the layer is finished
  /// The pass that a layer's decomposition goes on from.
  std::function<duality::Pass*(const std::string& layer, const Lanes& pairs)> pass = {};
};
/// One entry for each layer the deck asks for, in the order of the deck. @note Collective
std::vector<LayerDuality> decompose_gap(const Comm& comm, const nn::Network& network,
                                        const std::vector<double>& parameters, const data::Dataset& data,
                                        const deck::Config& config, const spectrum::Spectrum& spectrum,
                                        Log& log, const LayerStore& store = {});

}  // namespace dualscape::study
