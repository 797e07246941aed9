#include "basis_room.hpp"

#include <fmt/format.h>
#include <petscsys.h>

#include <limits>

#include "dualscape/base/error.hpp"
#include "dualscape/base/memory.hpp"

namespace dualscape::petsc {
namespace {

std::string in_gib(std::uint64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / (1 << 30));
}

constexpr std::string_view remedy =
    "ask for fewer eigenpairs or a smaller block, or use more ranks on more machines";

void require_memory(const Comm& comm, Index size, Index vectors) {
  const Index local = Partition(size, comm.size()).count(comm.rank());
  const auto own = static_cast<std::uint64_t>(local) * static_cast<std::uint64_t>(vectors) * sizeof(double);
  const std::string what = fmt::format("a basis of {} vectors of {} entries", vectors, size);

  MPI_Comm machine = MPI_COMM_NULL;
  MPI_Comm_split_type(comm.get(), MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
  std::uint64_t together = own;
  MPI_Allreduce(MPI_IN_PLACE, &together, 1, MPI_UINT64_T, MPI_SUM, machine);
  MPI_Comm_free(&machine);

  collectively(comm, [&] {
    const std::uint64_t free = machine_memory_free();
    if (together > free)
      throw ComputationError(fmt::format("{} takes {} on a machine that has {} free: {}", what,
                                         in_gib(together), in_gib(free), remedy));
    const std::uint64_t left = address_space_left();
    if (own > left)
      throw ComputationError(fmt::format("{} takes {} of a rank whose limit (ulimit -v) leaves it {}: {}",
                                         what, in_gib(own), in_gib(left), remedy));
  });
}

}  // namespace

void require_room_for(const Comm& comm, Index size, Index vectors) {
  if (vectors > std::numeric_limits<PetscInt>::max() / size)
    throw ComputationError(fmt::format(
        "a basis of {} vectors of {} entries has more entries than this PETSc can count ({}): ask "
        "for fewer eigenpairs or a smaller block, or use a PETSc built with 64-bit integers",
        vectors, size, std::numeric_limits<PetscInt>::max()));
  require_memory(comm, size, vectors);
}

}  // namespace dualscape::petsc
