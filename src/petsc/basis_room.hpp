#pragma once

#include "dualscape/base/comm.hpp"
#include "dualscape/base/partition.hpp"

namespace dualscape::petsc {

/// Throws ComputationError when `vectors` distributed vectors of `size` entries are more than PETSc's
/// integers can count, more than a rank's limit of address space leaves, or more than the memory free on a
/// machine for its ranks together. Allocates nothing. @note Collective
void require_room_for(const Comm& comm, Index size, Index vectors);

}  // namespace dualscape::petsc
