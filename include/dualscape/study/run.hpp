#pragma once

#include <filesystem>
#include <string>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/log.hpp"
#include "dualscape/deck/config.hpp"

namespace dualscape::study {

struct RunOptions {
  std::string deck_original;  ///< the deck's text as given
  std::string command_line;   ///< for the result's provenance
  bool resume = false;        ///< keep what the folder holds and do only what is missing
  bool force = false;         ///< remove what the folder holds
};

/// The main job on the ranks of `comm`: data, training, eigenpairs, dual weights, decomposition, result file,
/// in the folder config.output.directory. The folder is made once deck, data and weights are known to fit
/// together; each stage leaves a checkpoint in it. Throws the errors of its parts, after noting them in the
/// folder's status; a spectrum with fewer pairs than asked is written first and thrown as ComputationError
/// then. @note Collective
void run(const Comm& comm, const deck::Config& config, const RunOptions& options, Log& log);

}  // namespace dualscape::study
