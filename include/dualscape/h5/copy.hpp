#pragma once

#include <filesystem>
#include <string>

#include "dualscape/h5/output.hpp"

namespace dualscape::h5 {

/// Adds a group of a file that OutputFile wrote, with all that is in it, to another: every number to the bit.
/// Datasets of two dimensions are read when the other file is committed, until which `from` must stay. Throws
/// DataError when it cannot be read or holds what the format table does not know. @note Collective
void copy_group(const Comm& comm, const std::filesystem::path& from, const std::string& group,
                OutputFile& to);

}  // namespace dualscape::h5
