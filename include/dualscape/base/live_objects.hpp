#pragma once

namespace dualscape {

/// Counts the MPI, PETSc and HDF5 objects that the project's handles own on this rank. Every handle reports
/// here, so that a test binary, or the program, can tell at its end that nothing leaked.
void count_live_object(int change) noexcept;
int live_objects() noexcept;

}  // namespace dualscape
