#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dualscape/h5/output.hpp"
#include "dualscape/study/analysis.hpp"

/// The group duality/<layer> of a result, and the checkpoint of a finished layer, which holds just that
/// group.
namespace dualscape::study {

/// What a run says in the group of every layer.
struct DualitySetting {
  const deck::Config& config;
  Losses losses;
  std::vector<double> eigenvalues;  ///< of the directions
  bool complete = false;            ///< whether they are a basis of the block
};

/// Adds the group of a layer, from its checkpoint when that is where it is. `layer` must stay until the file
/// is committed. @note Collective
void add_duality(h5::OutputFile& file, const Comm& comm, const DualitySetting& setting,
                 const LayerDuality& layer);

/// @note Collective
void write_duality(const Comm& comm, const std::filesystem::path& path, const DualitySetting& setting,
                   const LayerDuality& layer, const std::string& fingerprint);
/// The layer as stored: its pairs, the split of its gap and where all the rest is. Nothing when it was split
/// over directions with other eigenvalues, as those of a spectrum solved anew are. @note Collective
std::optional<LayerDuality> read_duality(const Comm& comm, const std::filesystem::path& path,
                                         const DualitySetting& setting, const std::string& layer);

}  // namespace dualscape::study
