#pragma once

#include <string>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/deck/config.hpp"
#include "dualscape/h5/output.hpp"

namespace dualscape::study {

/// "MPI ...", "PETSc ...", "SLEPc ...", "HDF5 ...", "OpenBLAS ..., kernel ...".
std::vector<std::string> library_versions();

/// What `dualscape --version` prints.
std::string version_text();

/// Writes who made a file, from what, when and where, to its root attributes.
void add_provenance(h5::OutputFile& file, const Comm& comm, const deck::Config& config,
                    const std::string& command_line);

}  // namespace dualscape::study
