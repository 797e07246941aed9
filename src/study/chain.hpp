#pragma once

#include <string>
#include <vector>

#include "dualscape/data/dataset.hpp"
#include "dualscape/nn/network.hpp"
#include "dualscape/study/run.hpp"
#include "dualscape/study/run_folder.hpp"

/// The stages of a run, each with its checkpoint.
namespace dualscape::study {

/// What a run starts from. Making it shows whether the deck, the data and the weights fit together, before
/// anything is written.
struct Start {
  data::Dataset data;
  nn::Network network;
  std::vector<double> parameters;
};

/// From `start` to the result file: does what the folder's checkpoints leave to do. Throws the errors of its
/// parts, with the outcomes of finished stages kept. @note Collective
Ended run_stages(const Comm& comm, const deck::Config& config, const RunOptions& options,
                 const RunFolder& folder, Log& log, Start start, const std::string& deck_resolved);

}  // namespace dualscape::study
