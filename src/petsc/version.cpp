#include "dualscape/petsc/version.hpp"

#include <fmt/format.h>
#include <slepcsys.h>

#include "dualscape/petsc/error.hpp"

namespace dualscape::petsc {
namespace {

template <class GetVersion>
std::string version(const char* name, GetVersion get) {
  PetscInt major = 0, minor = 0, subminor = 0, release = 0;
  check(get(&major, &minor, &subminor, &release), name);
  return fmt::format("{} {}.{}.{}", name, major, minor, subminor);
}

}  // namespace

std::string petsc_version() {
  return version("PETSc", PetscGetVersionNumber);
}

std::string slepc_version() {
  return version("SLEPc", SlepcGetVersionNumber);
}

}  // namespace dualscape::petsc
