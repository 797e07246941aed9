#pragma once

#include <string>

namespace dualscape::h5 {

/// "HDF5 1.10.8", as linked.
std::string library_version();

}  // namespace dualscape::h5
