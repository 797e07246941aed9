#pragma once

#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/log.hpp"
#include "dualscape/study/plan.hpp"
#include "dualscape/study/study_folder.hpp"

namespace dualscape::study {

struct StudyOptions {
  std::string deck_original;  ///< the deck's text as given
  std::string command_line;   ///< for the provenance of results
  bool resume = false;        ///< keep what the folder holds and do only what is missing
  bool force = false;         ///< remove what the folder holds
  Choice choice;              ///< which runs; parts of a study may be at work side by side
};

/// All runs of a study, in the folder `folder`: the ranks form groups of study.ranks_per_run, which take runs
/// from a shared queue, the longest first. Ranks beyond a multiple of it stay idle, because a group of
/// another size would give eigenpairs other last bits. Nothing is touched unless the deck is right at every
/// point and its data can be read. A failed run is noted, and the others go on.
///
/// Throws ComputationError at the end when a run failed, Interrupted when a signal stopped the study or runs
/// are at work in another job. @note Collective
void run_study(const Comm& world, const Plan& plan, const StudyFolder& folder, const StudyOptions& options,
               Log& log);

/// One line a run: number, state, seed, values, and why it failed. Not collective.
std::string list_text(const Plan& plan, const StudyFolder& folder, const Choice& choice);
/// How many runs there are and what they cost at most. Not collective.
std::string forecast_text(const Plan& plan, const Choice& choice, int ranks);

}  // namespace dualscape::study
