#pragma once

#include <filesystem>

namespace dualscape::h5 {

/// Reads a file that OutputFile::commit sealed, and throws DataError unless every byte of it is as it was
/// written: "'<path>' is damaged: ...". The seal follows HDF5's own part of the file, where HDF5 takes no
/// notice of it: magic, length and checksum of what comes before. Not collective.
void require_intact(const std::filesystem::path& path);

/// Whether a file ends with a seal, be it right or wrong; false when it cannot be read. Not collective.
bool is_sealed(const std::filesystem::path& path);

}  // namespace dualscape::h5
