#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/log.hpp"
#include "dualscape/data/dataset.hpp"
#include "dualscape/deck/config.hpp"

namespace dualscape::study {

struct RunOptions {
  std::string deck_original;     ///< the deck's text as given
  std::string command_line;      ///< for the result's provenance
  bool resume = false;           ///< keep what the folder holds and do only what is missing
  bool force = false;            ///< remove what the folder holds
  data::Cache* cache = nullptr;  ///< sources that stay open between runs
  bool locked = false;           ///< the caller holds the folder's lock
  /// A run that takes fewer seconds leaves its files buffered and its status at `running`: see settle().
  double quick = 0;
};

/// Whether a run's status says done and its result is on the disk, or the caller still has to settle() it.
enum class Ended { settled, unsettled };

/// The main job on the ranks of `comm`: data, training, eigenpairs, dual weights, decomposition, result file,
/// in the folder config.output.directory. The folder is made once deck, data and weights are known to fit
/// together; each stage leaves a checkpoint in it. Throws the errors of its parts, after noting them in the
/// folder's status; a spectrum with fewer pairs than asked is written first and thrown as ComputationError
/// then. @note Collective
Ended run(const Comm& comm, const deck::Config& config, const RunOptions& options, Log& log);

/// Sets the status of unsettled runs below one folder to done, once their results are on the disk. Throws
/// ComputationError. Not collective.
void settle(const std::filesystem::path& above, std::span<const std::filesystem::path> folders);

/// plan_text of a deck; reads its data. Throws UsageError when it asks for no eigenpairs. @note Collective
std::string plan_of_deck(const Comm& comm, const deck::Config& config, const std::vector<int>& ranks);

}  // namespace dualscape::study
