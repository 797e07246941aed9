#pragma once

#include <string>

namespace dualscape::petsc {

/// "PETSc 3.18.5" and "SLEPc 3.18.2", as linked. Need no session.
std::string petsc_version();
std::string slepc_version();

}  // namespace dualscape::petsc
