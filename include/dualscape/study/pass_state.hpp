#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dualscape/duality/decomposition.hpp"

/// Checkpoints of a pass over the pairs of a layer.
namespace dualscape::study {

/// Which pass it is.
struct PassOf {
  std::string layer;
  std::vector<double> eigenvalues;  ///< of the directions
  Lanes lanes;                      ///< of the pairs
};

/// @note Collective
void write_pass(const Comm& comm, const std::filesystem::path& path, const PassOf& of,
                const duality::Pass& pass, const std::string& fingerprint);

/// Reads it back onto any number of ranks; false, and `pass` as it was, when the file is of another layer, of
/// directions with other eigenvalues, as those of a spectrum solved anew are, or of other lanes.
/// @note Collective
bool read_pass(const Comm& comm, const std::filesystem::path& path, const PassOf& of, duality::Pass& pass);

}  // namespace dualscape::study
