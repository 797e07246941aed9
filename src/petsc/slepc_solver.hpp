#pragma once

#include <string>

#include "dualscape/petsc/thick_restart.hpp"

/// One end of a spectrum by a solver of SLEPc's that options of its database choose: shared by the sources of
/// this folder.
namespace dualscape::petsc {

struct SlepcResult {
  ThickRestartResult found;
  std::string reason;  ///< "converged", or why there are fewer pairs than asked
};

/// Whether options of SLEPc's database set up the solver of this prefix.
bool asked_of_slepc(const std::string& prefix);

/// The task of thick_restart by the solver that the options with this prefix set up, Krylov-Schur where they
/// do not say which; `block`, `keep` and `on_restart` have no meaning here. Throws UsageError for options
/// that SLEPc does not take and solvers that do not find this end. @note Collective
SlepcResult solve_by_slepc(ShellMatrix& matrix, const ThickRestartOptions& options,
                           const std::string& prefix);

}  // namespace dualscape::petsc
