#pragma once

#include <string>

#include "dualscape/study/study_folder.hpp"

namespace dualscape::study {

/// Makes study.h5 of what the run folders hold now: one row a run, whatever its state. Layout: the format
/// table (h5/format.hpp). Replaces an earlier file at once. Throws DataError when a result cannot be read or
/// is of another version, ComputationError when the file cannot be written. While another process collects
/// the same study, lets it, or collects after it. Not collective.
void collect(const StudyFolder& folder, const Plan& plan, const std::string& command_line, Wait wait);

}  // namespace dualscape::study
