#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dualscape/h5/output.hpp"
#include "dualscape/study/analysis.hpp"
#include "dualscape/study/curvature_summary.hpp"
#include "dualscape/train/trainer.hpp"

/// What a run found, and its ways into and out of files. Layout: the format table (h5/format.hpp).
namespace dualscape::study {

struct Result {
  std::vector<double> parameters;
  std::optional<train::History> history;
  Losses losses;
  std::optional<spectrum::Spectrum> spectrum;
  CurvatureSummary summary;
  std::vector<LayerDuality> dualities;  ///< empty without [duality]
};

/// Who asked for what: copied into the file.
struct Origin {
  const deck::Config& config;
  std::string deck_original;
  std::string deck_resolved;
  std::string command_line;
  double seconds = 0;  ///< since the run began, or was last resumed
};

/// Writes result.h5 whole or not at all. @note Collective
void write_result(const Comm& comm, const std::filesystem::path& path, const nn::Network& network,
                  const data::Dataset& data, const Result& result, const Origin& origin,
                  Durability durability);

/// Checkpoint of a training at an epoch's end, sealed as all checkpoints are. @note Collective
void write_training(const Comm& comm, const std::filesystem::path& path, const nn::Network& network,
                    const train::State& state, const std::string& fingerprint);
/// @note Collective
train::State read_training(const Comm& comm, const std::filesystem::path& path, const nn::Network& network);

/// Checkpoint of a finished spectrum, eigenvectors included. @note Collective
void write_spectrum(const Comm& comm, const std::filesystem::path& path, const std::string& block,
                    const spectrum::Spectrum& spectrum, const std::string& fingerprint);
/// Reads it back onto any number of ranks. @note Collective
spectrum::Spectrum read_spectrum(const Comm& comm, const std::filesystem::path& path,
                                 const std::string& block);

}  // namespace dualscape::study
