#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dualscape/study/curvature_summary.hpp"

/// Checkpoints of a curvature's summary.
namespace dualscape::study {

/// What is finished of a summary that counts these eigenvalues apart. @note Collective
void write_summary(const Comm& comm, const std::filesystem::path& path, const std::string& block,
                   const std::vector<double>& eigenvalues, const CurvatureSummary& summary,
                   const std::string& fingerprint);

/// Reads it back onto any number of ranks, all but a density's curve, which its quadratures give again;
/// nothing when it was made with other pairs. @note Collective
std::optional<CurvatureSummary> read_summary(const Comm& comm, const std::filesystem::path& path,
                                             const std::string& block, const spectrum::Spectrum& pairs);

}  // namespace dualscape::study
